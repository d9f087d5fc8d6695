"""The estimator layer: what all autoencoders share as scikit-learn transformers."""

import secrets
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags, check_random_state, gen_batches
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from skae._callbacks import KeepBest
from skae._fitting import (
    Start,
    check_same_architecture,
    count_judges,
    keep_best,
    load_best_start,
    plan,
    share_explained,
    turn_codes,
    warn_of_few_rows,
)
from skae._floor import PCAFloor, chunked_moments, fit_pca
from skae._modules import AutoEncoderModule
from skae._net import AutoEncoderNet, load_arrays, make_net, weights_to_arrays
from skae._networks import make_network
from skae._parameters import check_parameters, is_integer
from skae._rows import INFERENCE_BATCH, Rows, Units, place
from skae._shared_parameters import AUTO_BATCH_SIZE, SharedParameters
from skae._validation import Array, all_or_nothing, check_codes, check_rows, resolve_device

# Beyond, float32 cannot hold the rows that inverse_transform returns.
MIN_SCALE = 1e-30


@dataclass(eq=False, repr=False)
class BaseAutoEncoder(
    SharedParameters, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator, ABC
):
    """Base of every autoencoder estimator.

    A method is a subclass decorated with :func:`skae._parameters.estimator` that declares
    its own parameters and implements :meth:`_make_module`. It overrides nothing else.
    """

    @abstractmethod
    def _make_module(
        self, encoder: nn.Module, decoder: nn.Module, n_components: int
    ) -> AutoEncoderModule:
        """Build the method's module around an encoder and a decoder."""

    # -- fit -------------------------------------------------------------------------------

    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit the autoencoder.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training rows; never changed.
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For bad parameters or data, and when training from random weights breaks down
            at once. An earlier fit then stays as it was.

        Warns
        -----
        sklearn.exceptions.ConvergenceWarning
            When the loss turned infinite or NaN; the best weights so far are kept.
        """
        with all_or_nothing(self):
            check_parameters(self)
            self._fit(X)
        return self

    def _fit(self, X: Any) -> None:
        former = self._former_fit()
        X = check_rows(self, X, fitting=True)
        seed = self._draw_seed()
        generator = torch.Generator().manual_seed(seed)
        former = self._set_units(X, former)
        n_judges = count_judges(len(X), self.validation_fraction) if self.early_stopping else 0
        order = torch.randperm(len(X), generator=generator)
        judging, training = order[:n_judges], order[n_judges:]
        floor = self._make_floor(X, training, seed, former)

        best = KeepBest(tol=self.tol)
        net = self._make_net(best, resolve_device(self.device), **self._training(generator))
        rows = place(X, Units(self.mean_, self.scale_), net.device)
        train, held_out = rows.subset(training), rows.subset(judging) if n_judges else None
        judges = train if held_out is None else held_out
        start = load_best_start(net, floor, former and former[1], judges)
        best.start(start.loss, net.module_)
        plan(net, best, len(train), self.max_iter, self.n_iter_no_change, judged=n_judges > 0)
        if self.init == "pca" and self.early_stopping and not n_judges:
            warn_of_few_rows(type(self).__name__, len(X), self.validation_fraction)
        else:
            net.train(train, held_out)
        keep_best(net, best, start, judges, held_out=n_judges > 0)
        self._report(net, best, start, judges)
        self._settle_codes(X)

    def _former_fit(self) -> tuple[dict[str, Any], dict[str, Array]] | None:
        """Return the architecture and the weights of the fit to go on from, if there is one."""
        if not (self.warm_start and hasattr(self, "net_")):
            return None
        return vars(self)["_architecture"], weights_to_arrays(self.net_.module_)

    def _set_units(
        self, X: Array, former: tuple[dict[str, Any], dict[str, Array]] | None
    ) -> tuple[dict[str, Any], dict[str, Array]] | None:
        """Set the rows' centre and scale; return the former fit if its own are kept."""
        mean, variances = chunked_moments(X)
        scale = float(np.sqrt(variances.mean())) or 1.0
        if not MIN_SCALE < scale < 1 / MIN_SCALE:
            raise ValueError(
                f"X has a scale of {scale:.1e}, too far from 1 for float32; divide it by that."
            )
        if former is not None:
            shift, ratio = np.abs(mean - self.mean_).max(), scale / self.scale_
            if shift <= 10 * self.scale_ and 0.1 <= ratio <= 10:
                return former
        self.mean_: Array = mean
        self.scale_: float = scale
        return None

    def _training(self, generator: torch.Generator) -> dict[str, Any]:
        """Return what the net needs for training, and not for use."""
        return {
            "generator": generator,
            "batch_size": AUTO_BATCH_SIZE if self.batch_size == "auto" else self.batch_size,
            "learning_rate": self.learning_rate,
            "lr": self.learning_rate_init,
            "precision": self.precision,
            "optimizer__weight_decay": self.weight_decay,
            "callbacks": self.callbacks,
            "verbose": int(self.verbose),
        }

    def _draw_seed(self) -> int:
        if self.random_state is None:
            return secrets.randbits(31)
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def _make_floor(
        self,
        X: Array,
        training: Tensor,
        seed: int,
        former: tuple[dict[str, Any], dict[str, Array]] | None,
    ) -> PCAFloor | None:
        """Set the network's sizes, and return PCA if that is where it starts."""
        k, floor = self.n_components, None
        if former is not None and not is_integer(k):
            k = former[0]["n_components"]
        if self.init == "pca" or not is_integer(k):
            whole = seen = fit_pca(X, k, seed)
            k = whole.n_components
            if self.init == "pca":
                if len(training) < len(X):
                    seen = fit_pca(X[training.numpy()], k, seed)
                floor = PCAFloor(whole, seen, self.mean_, self.scale_)
        self.n_components_ = int(k)
        self._architecture: dict[str, Any] = {
            "n_features": X.shape[1],
            "n_components": self.n_components_,
            "hidden_layer_sizes": tuple(map(int, self.hidden_layer_sizes)),
            "activation": self.activation,
            "init": self.init,
        }
        if former is not None:
            check_same_architecture(former[0], self._architecture)
        return floor

    def _make_net(self, best: KeepBest, device: str, **training: Any) -> AutoEncoderNet:
        """Build the net that ``_architecture`` describes."""
        spec = self._architecture
        generator = training.get("generator")
        sizes = (spec["n_features"], *spec["hidden_layer_sizes"], spec["n_components"])
        encoder, decoder = (
            make_network(widths, spec["activation"], spec["init"] == "pca", generator)
            for widths in (sizes, sizes[::-1])
        )
        module = self._make_module(encoder, decoder, spec["n_components"])
        return make_net(module, best=best, device=device, **training)

    def _report(self, net: AutoEncoderNet, best: KeepBest, start: Start, judges: Rows) -> None:
        """Set the attributes that tell how the training went."""
        self.net_ = net
        self.n_iter_ = len(net.history)
        self.best_iter_ = best.epoch_
        self.loss_curve_ = [row["train_loss"] for row in net.history]
        squares = [x.square().sum(dim=1).double().sum() for x, _ in net.get_iterator(judges)]
        at_mean = 0.5 * float(sum(squares)) / len(judges)
        self.pca_score_: float | None = None
        if start.pca_loss is not None:
            self.pca_score_ = share_explained(start.pca_loss, at_mean)
        self.validation_scores_: list[float] | None = None
        if best.monitor == "valid_loss":
            self.validation_scores_ = [
                share_explained(row["valid_loss"], at_mean) for row in net.history
            ]

    def _settle_codes(self, X: Array) -> None:
        """Turn codes into principal axes over all training rows, and measure the noise."""
        with torch.inference_mode():
            squares, n_rows = turn_codes(
                self.net_.module_, (x for _, x in self._batches(X)), self.scale_, self.whiten
            )
        n_left = min(X.shape) - self.n_components_
        variance = squares * self.scale_**2 / (n_rows - 1)
        self.noise_variance_ = variance / n_left if n_left > 0 else 0.0

    # -- use -------------------------------------------------------------------------------

    def transform(self, X: Any) -> Array:
        """Return the codes of rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_components_), float32
            Centred and uncorrelated over the training rows, the largest variance first;
            in X's units, or of unit variance with ``whiten=True``.
        """
        check_is_fitted(self)
        X = check_rows(self, X, fitting=False)
        codes = np.empty((len(X), self.n_components_), dtype=np.float32)
        with torch.inference_mode():
            for rows, x in self._batches(X):
                codes[rows] = self.net_.module_.encode(x).cpu().numpy()
        return codes

    def inverse_transform(self, X: Any) -> Array:
        """Return the rows that belong to codes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_components_)
            Codes, as ``transform`` returns them.

        Returns
        -------
        ndarray of shape (n_samples, n_features_in_), float32
            Rows in the units of the training data.
        """
        check_is_fitted(self)
        codes = check_codes(self, X, self.n_components_)
        X_hat = np.empty((len(codes), self.n_features_in_), dtype=np.float32)
        with torch.inference_mode():
            for rows in gen_batches(len(codes), INFERENCE_BATCH):
                batch = torch.tensor(codes[rows], device=self.net_.device)
                x_hat = self.net_.module_.decode(batch).cpu().numpy()
                X_hat[rows] = x_hat * self.scale_ + self.mean_
        return X_hat

    def score_samples(self, X: Any) -> Array:
        """Return minus the squared reconstruction error of every row, −Σₖ (x̂ₖ − xₖ)².

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,), float32
            In squared units of X; the higher, the more normal the row.
        """
        errors, _ = self._squares(X)
        with np.errstate(over="ignore"):  # -inf says it
            return (-errors).astype(np.float32)

    def score(self, X: Any, y: Any = None) -> float:
        """Return the share of variance explained: R² about the training mean, ``mean_``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : ignored

        Returns
        -------
        float
            1 for perfect reconstructions, 0 for those no better than the mean.
        """
        errors, distances = self._squares(X)
        return share_explained(errors.sum(), distances.sum())

    def _squares(self, X: Any) -> tuple[Array, Array]:
        """Return every row's squared error and squared distance from the mean, in X's units."""
        check_is_fitted(self)
        X = check_rows(self, X, fitting=False)
        squares = np.empty((2, len(X)))
        module = self.net_.module_
        with torch.inference_mode():
            for rows, x in self._batches(X):
                differences = torch.stack([module.decoder(module.encoder(x)) - x, x])
                squares[:, rows] = differences.cpu().double().square().sum(dim=2).numpy()
        squares *= self.scale_**2
        return squares[0], squares[1]

    # -- rows ------------------------------------------------------------------------------

    def _batches(self, X: Array) -> Iterator[tuple[slice, Tensor]]:
        """Yield X part by part in the model's units, on the device."""
        units = Units(self.mean_, self.scale_)
        for rows in gen_batches(len(X), INFERENCE_BATCH):
            yield rows, units.to_tensor(X[rows]).to(self.net_.device)

    # -- scikit-learn ----------------------------------------------------------------------

    @property
    def _n_features_out(self) -> int:
        return self.n_components_

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    # The net is kept as NumPy arrays on the host: loads without a GPU, and in skops.

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if "net_" in state:
            net = state.pop("net_")
            state["_weights"] = weights_to_arrays(net.module_)
            state["_history"] = [dict(row) for row in net.history]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        weights, history = state.pop("_weights", None), state.pop("_history", None)
        super().__setstate__(state)
        if weights is not None:
            try:
                device = resolve_device(self.device)
            except ValueError:  # fitted where there was such a device
                device = "cpu"
            self.net_ = self._make_net(KeepBest(tol=self.tol), device)
            load_arrays(self.net_.module_, weights)
            self.net_.module_.eval()
            self.net_.history.extend(history)
