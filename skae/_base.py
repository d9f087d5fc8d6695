"""The estimator layer: what all autoencoders share as scikit-learn transformers."""

import math
import secrets
import warnings
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

from skae._fitting import (
    Start,
    check_same_architecture,
    keep_best,
    load_best_start,
    plan,
    share_explained,
    split_rows,
    turn_codes,
)
from skae._floor import PCAFloor, chunked_moments, fit_pca
from skae._modules import AutoEncoderModule, make_network
from skae._net import (
    INFERENCE_BATCH,
    AutoEncoderNet,
    KeepBest,
    load_arrays,
    make_net,
    weights_to_arrays,
)
from skae._parameters import check_parameters, is_integer
from skae._shared_parameters import (
    AUTO_BATCH_SIZE,
    MIN_ROWS_TO_HOLD_OUT,
    SharedParameters,
)
from skae._validation import Array, all_or_nothing, check_codes, check_rows, resolve_device


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
        former: tuple[dict[str, Any], dict[str, Array]] | None = None
        if self.warm_start and hasattr(self, "net_"):
            former = vars(self)["_architecture"], weights_to_arrays(self.net_.module_)
        X = check_rows(self, X, fitting=True)
        seed = self._draw_seed()
        generator = torch.Generator().manual_seed(seed)
        if former is None:
            self.mean_, variances = chunked_moments(X)
            self.scale_ = float(np.sqrt(variances.mean())) or 1.0
        training, judging = self._hold_out(len(X), generator)
        floor = self._make_floor(X, training, seed)
        if former is not None:
            check_same_architecture(former[0], self._architecture)

        best = KeepBest(tol=self.tol)
        device = resolve_device(self.device)
        net = self._make_net(best, device, generator=generator, callbacks=self.callbacks)
        rows, held_out = self._to_units(X).to(net.device), None
        if judging is not None:
            rows, held_out = rows[training], rows[judging]
        judges = rows if held_out is None else held_out
        start = load_best_start(net, floor, None if former is None else former[1], judges)
        best.start(start.loss, net.module_)
        n_batches = math.ceil(len(rows) / net.batch_size)
        judged = held_out is not None
        plan(net, best, n_batches, self.max_iter, self.n_iter_no_change, judged=judged)
        if self.init == "pca" and self.early_stopping and not judged:
            net.max_epochs = 0
            warnings.warn(
                f"X has {len(X)} rows, fewer than the {MIN_ROWS_TO_HOLD_OUT} of which some "
                f"can be held out: {type(self).__name__} stays at PCA. Pass "
                "early_stopping=False to train on all rows without a guard.",
                stacklevel=3,
            )
        net.train(rows, held_out)
        keep_best(net, best, start, held_out)
        self._report(net, best, start, judges)
        self._settle_codes(X)

    def _hold_out(
        self, n_rows: int, generator: torch.Generator
    ) -> tuple[Tensor | slice, Tensor | None]:
        """Draw the indices of the rows that train and of those that judge, if any do."""
        if not self.early_stopping or n_rows < MIN_ROWS_TO_HOLD_OUT:
            return slice(None), None
        return split_rows(n_rows, self.validation_fraction, generator)

    def _make_floor(self, X: Array, training: Tensor | slice, seed: int) -> PCAFloor | None:
        """Set the network's sizes, and return PCA if that is where it starts."""
        k, floor = self.n_components, None
        whole = None
        if self.init == "pca" or not is_integer(k):
            whole = fit_pca(X, k, seed)
            k = whole.n_components
        if self.init == "pca" and whole is not None:
            seen = whole if isinstance(training, slice) else fit_pca(X[training], int(k), seed)
            floor = PCAFloor(whole, seen, self.mean_, self.scale_)
        self.n_components_ = int(k)
        self._architecture: dict[str, Any] = {
            "n_features": X.shape[1],
            "n_components": self.n_components_,
            "hidden_layer_sizes": tuple(self.hidden_layer_sizes),
            "activation": self.activation,
            "init": self.init,
        }
        return floor

    def _draw_seed(self) -> int:
        if self.random_state is None:
            return secrets.randbits(31)
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def _make_net(
        self,
        best: KeepBest,
        device: str,
        generator: torch.Generator | None = None,
        callbacks: list[Any] | None = None,
    ) -> AutoEncoderNet:
        """Build the net that ``_architecture`` describes."""
        spec = self._architecture
        sizes = (spec["n_features"], *spec["hidden_layer_sizes"], spec["n_components"])
        encoder, decoder = (
            make_network(widths, spec["activation"], spec["init"] == "pca", generator)
            for widths in (sizes, sizes[::-1])
        )
        return make_net(
            self._make_module(encoder, decoder, spec["n_components"]),
            best=best,
            generator=generator,
            batch_size=AUTO_BATCH_SIZE if self.batch_size == "auto" else self.batch_size,
            learning_rate=self.learning_rate,
            lr=self.learning_rate_init,
            optimizer__weight_decay=self.weight_decay,
            callbacks=callbacks,
            verbose=int(self.verbose),
            device=device,
        )

    def _report(self, net: AutoEncoderNet, best: KeepBest, start: Start, judges: Tensor) -> None:
        """Set the attributes that tell how the training went."""
        self.net_ = net
        self.n_iter_ = len(net.history)
        self.best_iter_ = best.epoch_
        self.loss_curve_ = [row["train_loss"] for row in net.history]
        at_mean = float(0.5 * judges.square().sum(dim=1).double().mean())
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
        return (-errors).astype(np.float32)

    def score(self, X: Any, y: Any = None) -> float:
        """Return the share of variance explained: R² about the training mean.

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
                for row, difference in zip(
                    squares, (module.decoder(module.encoder(x)) - x, x), strict=True
                ):
                    row[rows] = difference.square().sum(dim=1).cpu().numpy()
        squares *= self.scale_**2
        return squares[0], squares[1]

    # -- rows ------------------------------------------------------------------------------

    def _to_units(self, X: Array) -> Tensor:
        """Centre and scale rows in float64, and return them as a float32 tensor."""
        rows = np.empty(X.shape, dtype=np.float32)
        np.subtract(X, self.mean_, out=rows, casting="same_kind")
        rows /= np.float32(self.scale_)
        return torch.from_numpy(rows)

    def _batches(self, X: Array) -> Iterator[tuple[slice, Tensor]]:
        """Yield X part by part in the model's units, on the device."""
        for rows in gen_batches(len(X), INFERENCE_BATCH):
            yield rows, self._to_units(X[rows]).to(self.net_.device)

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
