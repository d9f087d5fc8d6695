"""The estimator layer: what all autoencoders share as scikit-learn transformers."""

import math
import secrets
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.utils import check_random_state
from torch import Tensor

from skae._data.batches import Rows, Units, place
from skae._data.checks import (
    Array,
    all_or_nothing,
    as_if_alone,
    check_networks,
    check_rows,
    resolve_device,
)
from skae._estimator.parameters import check_parameters, is_integer
from skae._estimator.scores import ReconstructionScores
from skae._estimator.shared_parameters import SharedParameters
from skae._estimator.use import FittedAutoEncoder
from skae._model.losses import make_loss, require_valid, takes_any_row
from skae._model.module import AutoEncoderModule
from skae._model.networks.make import make_networks
from skae._model.weights import weights_to_arrays
from skae._start.floor import PCAFloor
from skae._start.pca import Centred, fit_pca
from skae._training.callbacks import KeepBest
from skae._training.make_net import make_net
from skae._training.net import AutoEncoderNet
from skae._training.selection import (
    AUTO_BATCH_SIZE,
    CHANNELS,
    FormerFit,
    Start,
    auto_noise,
    auto_rate,
    auto_sizes,
    count_judges,
    keep_best,
    load_best_start,
    plan,
    turn_codes,
    warn_of_few_rows,
)

# Beyond, float32 cannot hold the rows that inverse_transform returns.
MIN_SCALE = 1e-30
# The parameters that a net is built from as they are.
ARCHITECTURE = ("loss", "activation", "tied_weights", "encoder", "decoder")


@dataclass(eq=False, repr=False)
class BaseLatentModel(SharedParameters, FittedAutoEncoder):
    """Base of every estimator that has a code: how it is fitted."""

    _module: ClassVar[type[AutoEncoderModule]]

    @abstractmethod
    def _scorer(self, net: AutoEncoderNet, judges: Rows) -> Callable[[dict[str, float]], float]:
        """Return what makes a score of the judges' mean loss terms."""

    @abstractmethod
    def _diagnose(self, variances: Array) -> None:
        """Say what the variances of the codes tell, the largest first."""

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
        UserWarning
            When too few rows can be held out to judge, so that the result is PCA.
        """
        with all_or_nothing(self), as_if_alone():
            check_parameters(self)
            self._fit(X)
        return self

    def _fit(self, X: Any) -> None:
        former = self._former_fit()
        X = check_rows(self, X, fitting=True)
        if former is not None:
            former.require({"n_features": X.shape[1]})
        require_valid(self.loss, X)
        check_networks(self, X.shape[1], has_prior=self._module.has_prior)
        seed = self._draw_seed()
        generator = torch.Generator().manual_seed(seed)
        rows = Centred(X)
        former = self._set_units(rows, former)
        n_judges = count_judges(len(X), self.validation_fraction) if self.early_stopping else 0
        order = torch.randperm(len(X), generator=generator)
        judging, training = order[:n_judges], order[n_judges:]
        floor = self._make_floor(rows, training, seed, former)

        best = KeepBest(tol=self.tol)
        net = self._make_net(
            best, resolve_device(self.device), **self._training(generator, len(training))
        )
        table = place(X, Units(self.mean_, self.scale_), net.device)
        train, held_out = table.subset(training), table.subset(judging) if n_judges else None
        judges = train if held_out is None else held_out
        net.prepare(self.mean_, self.scale_, train)
        unit = 1.0 if self._module.has_prior else self.scale_
        net.module_.frame.set_metric(torch.full((self.n_components_,), unit))
        weights = former.weights if former else None
        start = load_best_start(net, floor, weights, table, train, judges)
        # Training losses do not compare with the start's, which has no noise.
        best.start(start.loss if n_judges else math.inf, net.module_)
        plan(net, best, len(train), self.max_iter, self.n_iter_no_change, judged=n_judges > 0)
        if self.init == "pca" and self.early_stopping and not n_judges:
            warn_of_few_rows(type(self).__name__, len(X), self.validation_fraction)
        else:
            net.train(train, held_out)
        keep_best(net, best, start, judges, held_out=n_judges > 0)
        self._report(net, best, start, judges)
        self._settle_codes(X)

    def _former_fit(self) -> FormerFit | None:
        """Return the architecture and the weights of the fit to go on from, if there is one."""
        if not (self.warm_start and hasattr(self, "net_")):
            return None
        return FormerFit(self._architecture, weights_to_arrays(self.net_.module_))

    def _set_units(self, rows: Centred, former: FormerFit | None) -> FormerFit | None:
        """Set the rows' centre and scale; return the former fit if its own are kept."""
        mean, scale = rows.mean, float(np.sqrt(rows.variances.mean())) or 1.0
        if not MIN_SCALE < scale < 1 / MIN_SCALE:
            raise ValueError(
                f"X has a scale of {scale:.1e}, too far from 1 for float32; divide it by that."
            )
        if former is not None:
            shift, ratio = np.abs(mean - self.mean_).max(), scale / self.scale_
            if shift <= 10 * self.scale_ and 0.1 <= ratio <= 10:
                return former
        self.mean_ = mean
        self.scale_ = scale
        return None

    def _training(self, generator: torch.Generator, n_rows: int) -> dict[str, Any]:
        """Return what the net needs for training on so many rows, and not for use."""
        noise, takes_noise = self.residual_noise, takes_any_row(self.loss)
        if noise == "auto":
            quiet = self._module.has_noise or not takes_noise
            noise = 0.0 if quiet else auto_noise(n_rows, self.n_components_)
        elif float(noise) > 0 and not takes_noise:
            raise ValueError(
                f"residual_noise={noise!r} makes rows that loss={self.loss!r} cannot take; pass "
                "'auto' or 0."
            )
        rate, betas = auto_rate(
            self._architecture["hidden_layer_sizes"],
            self._architecture["n_features"],
            draws_codes=self._module.draws_codes,
        )
        return {
            "generator": generator,
            "batch_size": AUTO_BATCH_SIZE if self.batch_size == "auto" else int(self.batch_size),
            "learning_rate": self.learning_rate,
            "lr": rate if self.learning_rate_init == "auto" else float(self.learning_rate_init),
            "optimizer__betas": betas,
            "residual_noise": float(noise),
            "precision": self.precision,
            "optimizer__weight_decay": float(self.weight_decay),
            "callbacks": self.callbacks,
            "verbose": int(self.verbose),
        }

    def _draw_seed(self) -> int:
        if self.random_state is None:
            return secrets.randbits(31)
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def _make_floor(
        self, rows: Centred, training: Tensor, seed: int, former: FormerFit | None
    ) -> PCAFloor | None:
        """Set the network's sizes, and return PCA if that is where it starts."""
        k, floor = self.n_components, None
        k = int(k) if is_integer(k) else float(k)
        if former is not None and not is_integer(k):
            k = former.architecture["n_components"]
        if self.init == "pca" or not is_integer(k):
            whole = seen = fit_pca(rows, k, seed)
            k = whole.n_components
            if self.init == "pca":
                if len(training) < rows.n_rows:
                    seen = fit_pca(Centred(rows.X, training.numpy()), k, seed)
                floor = PCAFloor(whole, seen, self.mean_, self.scale_)
        self.n_components_ = int(k)
        self._architecture = {
            "n_features": len(rows.mean),
            "n_components": self.n_components_,
            "hidden_layer_sizes": self._sizes(rows, former),
            "init": self.init,
            "image_shape": self.image_shape and tuple(map(int, self.image_shape)),
            **{name: getattr(self, name) for name in ARCHITECTURE},
        }
        shared = {spec.name for spec in fields(SharedParameters)}
        own = {spec.name for spec in fields(self)} - shared
        self._own_parameters = {name: getattr(self, name) for name in sorted(own)}
        if former is not None:
            former.require(self._architecture)
        return floor

    def _sizes(self, rows: Centred, former: FormerFit | None) -> tuple[int, ...]:
        """Return the widths of the encoder's hidden layers."""
        if self.hidden_layer_sizes != "auto":
            return tuple(map(int, self.hidden_layer_sizes))
        if former is not None:
            return former.architecture["hidden_layer_sizes"]
        if self.image_shape is not None:
            return CHANNELS
        return auto_sizes(rows.n_rows, len(rows.mean), self.n_components_)

    def _make_net(self, best: KeepBest, device: str, **training: Any) -> AutoEncoderNet:
        """Build the net that ``_architecture`` describes."""
        spec = self._architecture
        n_outputs = spec["n_components"] * self._module.outputs_per_component
        encoder, decoder = make_networks(spec, n_outputs, training.get("generator"))
        loss = make_loss(spec["loss"], spec["n_features"])
        module = self._module(encoder, decoder, spec["n_components"], loss, **self._own_parameters)
        module.float()  # whatever torch's default is
        module.needs_autograd |= spec["tied_weights"]
        return make_net(module, best=best, device=device, **training)

    def _build_net(self, device: str) -> AutoEncoderNet:
        # Weights are loaded later; without a generator these would come from torch's global one.
        draws = torch.Generator().manual_seed(0)
        return self._make_net(KeepBest(tol=self.tol), device, generator=draws)

    def _report(self, net: AutoEncoderNet, best: KeepBest, start: Start, judges: Rows) -> None:
        """Set the attributes that tell how the training went."""
        self.net_ = net
        self.n_iter_ = len(net.history)
        self.best_iter_ = best.epoch_
        self.loss_curve_ = [row["train_loss"] for row in net.history]
        score = self._scorer(net, judges)
        self.pca_score_ = None if start.pca_terms is None else score(start.pca_terms)
        self.validation_scores_: list[float] | None = None
        if best.monitor_ == "valid_loss":
            self.validation_scores_ = [
                score({n.removeprefix("valid_"): v for n, v in row.items() if "valid_" in n})
                for row in net.history
            ]

    def _settle_codes(self, X: Array) -> None:
        """Turn codes into principal axes over all training rows, and measure the noise."""
        module = self.net_.module_
        with as_if_alone(inference=True):
            squares, variances = turn_codes(
                module, (x for _, x in self._batches(X)), self.scale_, self.whiten
            )
        if module.noise_variance is None:
            n_left = min(X.shape) - self.n_components_
            variance = squares / ((len(X) - 1) * n_left) if n_left > 0 else 0.0
        else:
            variance = module.noise_variance.item()
        self.noise_variance_ = variance * self.scale_**2
        self._diagnose(variances)


@dataclass(eq=False, repr=False)
class BaseAutoEncoder(ReconstructionScores, BaseLatentModel):
    """Base of every deterministic autoencoder.

    A method is a subclass decorated with :func:`skae.base.estimator` that names its module
    and declares its own parameters, which the module is given by keyword. It overrides
    nothing else.
    """
