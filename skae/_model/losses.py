"""Reconstruction losses."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from skae import functional
from skae._data.batch import observed_values
from skae._data.sources import Array, Source
from skae._data.units import Units, widest_float
from skae._model.substitute import Substitutable
from skae.functional import extremes

# The largest variance that a binary feature has.
COIN_VARIANCE = 0.25


class Prepared(nn.Module, ABC):
    """A part of a module that learns something of the training rows before training begins.

    Parameters
    ----------
    units : Units
        The module's: ``units.to_data(x)`` gives rows in the units of X.
    """

    def __init__(self, units: Units) -> None:
        super().__init__()
        self.units = units

    @abstractmethod
    def look_at(self, batches: Iterable[Tensor]) -> None:
        """Learn what is needed of the training rows, which are in the module's units."""


class Loss(Prepared):
    """What a reconstruction costs, one number a row, from the rows and the decoder's output.

    Attributes
    ----------
    power, multiple : int, float
        The loss times ``multiple * scale**power`` is the error in the units of X.
    low, high : float
        What values X may have.
    remedy : str
        What to do with rows that have others.
    reconstructs : bool
        Whether the decoder's output is the reconstruction, so that PCA's is one. Otherwise
        it is what a link function makes of the reconstruction, such as logits.
    is_isotropic : bool
        Whether the loss is the same in whatever axes rows and outputs are given.
    is_likelihood, learns_noise : bool
        Whether the loss is minus a log-likelihood, and whether that has a noise variance.
    """

    power: ClassVar[int] = 0
    multiple: ClassVar[float] = 1.0
    low: ClassVar[float] = -math.inf
    high: ClassVar[float] = math.inf
    remedy: ClassVar[str] = ""
    reconstructs: ClassVar[bool] = True
    is_isotropic: ClassVar[bool] = False
    is_likelihood: ClassVar[bool] = False
    learns_noise: ClassVar[bool] = False

    @abstractmethod
    def forward(self, x: Tensor, output: Tensor) -> Tensor:
        """Return the loss of every row, shape (n_rows,); ``x`` is in the module's units."""

    @abstractmethod
    def reconstruct(self, output: Tensor) -> Tensor:
        """Return reconstructions in the module's units."""

    @abstractmethod
    def to_array(self, output: Tensor) -> Array:
        """Return reconstructions in X's units, as an array."""

    @abstractmethod
    def at_mean(self, x: Tensor) -> Tensor:
        """Return the loss of rows whose reconstruction is the training mean."""

    @abstractmethod
    def at_best(self, x: Tensor) -> Tensor:
        """Return the loss of rows that are reconstructed perfectly."""

    def log_likelihood(self, x: Tensor, output: Tensor, noise_variance: Tensor | None) -> Tensor:
        """Return log p(row | output) of every row, in nats, of X in its own units.

        Parameters
        ----------
        x, output
            As in :meth:`forward`.
        noise_variance : Tensor of shape () or None
            In the module's units, where ``learns_noise``.
        """
        raise NotImplementedError(f"{type(self).__name__} is no likelihood.")

    def start_noise(self, noise_variance: float, variances: Tensor) -> float:
        """Return the noise variance to start at, given probabilistic PCA's and its variances."""
        return noise_variance


class PlainLoss(Loss):
    """A loss for which the decoder's output is the reconstruction."""

    def look_at(self, batches: Iterable[Tensor]) -> None:
        """Need nothing."""

    def reconstruct(self, output: Tensor) -> Tensor:
        return output

    def to_array(self, output: Tensor) -> Array:
        return self.units.to_array(output)

    def at_mean(self, x: Tensor) -> Tensor:
        return self(x, torch.zeros_like(x))

    def at_best(self, x: Tensor) -> Tensor:
        return self(x, x)


class SquaredError(Substitutable, PlainLoss):
    """Half the squared distance of each row to its reconstruction: for real-valued data."""

    power, multiple = 2, 2.0
    is_isotropic = is_likelihood = learns_noise = True

    def forward(self, x: Tensor, output: Tensor) -> Tensor:
        return self.run(x, output)

    def compute(self, x: Tensor, output: Tensor) -> Tensor:
        return functional.squared_error(x, output, observed_values())

    def log_likelihood(self, x: Tensor, output: Tensor, noise_variance: Tensor | None) -> Tensor:
        assert noise_variance is not None
        observed, n_features = observed_values(), self.units.n_features
        scaled = functional.gaussian_log_likelihood(x, output, noise_variance, observed)
        if observed is not None:
            return scaled - observed.sum(dim=1) * self.units.scale.log()
        # Of rows in the span of few, x has some numbers, all others being zero.
        zeros = 0.5 * (n_features - x.shape[1]) * (2 * math.pi * noise_variance).log()
        return scaled - zeros - n_features * self.units.scale.log()


class AbsoluteError(PlainLoss):
    """Sum of absolute differences: outlying values count less."""

    power = 1

    def forward(self, x: Tensor, output: Tensor) -> Tensor:
        return functional.absolute_error(x, output, observed_values())


class Huber(PlainLoss):
    """Half the square of differences up to one scale, and linear beyond."""

    power = 2

    def forward(self, x: Tensor, output: Tensor) -> Tensor:
        return functional.huber(x, output, observed=observed_values())


class LinkedLoss(Loss):
    """A likelihood of X in its own units, whose natural parameter is the decoder's output."""

    reconstructs = False
    is_likelihood = True

    @abstractmethod
    def inverse_link(self, output: Tensor) -> Tensor:
        """Return the means in X's units that belong to natural parameters."""

    @abstractmethod
    def link(self, means: Tensor) -> Tensor:
        """Return the natural parameters that belong to means in X's units."""

    def reconstruct(self, output: Tensor) -> Tensor:
        return self.units.from_data(self.inverse_link(output))

    def to_array(self, output: Tensor) -> Array:
        means: Array = self.inverse_link(output).cpu().numpy()
        return means

    def at_mean(self, x: Tensor) -> Tensor:
        return self(x, self.link(self.units.center).expand_as(x))


class BinaryCrossEntropy(LinkedLoss):
    """Cross-entropy of data in [0, 1]: the decoder's output is in logits."""

    low, high = 0, 1
    remedy = "scale X with sklearn.preprocessing.MinMaxScaler(clip=True)"

    def look_at(self, batches: Iterable[Tensor]) -> None:
        """Need nothing."""

    def inverse_link(self, output: Tensor) -> Tensor:
        return output.sigmoid()

    def link(self, means: Tensor) -> Tensor:
        return torch.logit(means, eps=1e-6)

    def forward(self, x: Tensor, output: Tensor) -> Tensor:
        data = self.units.to_data(x)
        return functional.binary_cross_entropy(data, output, observed_values())

    def at_best(self, x: Tensor) -> Tensor:
        return self(x, self.link(self.units.to_data(x)))

    def log_likelihood(self, x: Tensor, output: Tensor, noise_variance: Tensor | None) -> Tensor:
        data = self.units.to_data(x)
        return functional.bernoulli_log_likelihood(data, output, observed_values())

    def start_noise(self, noise_variance: float, variances: Tensor) -> float:
        """Return no less than the variance of a fair coin, ¼, so that one code at least is in use.

        Pixels that are nearly always 0 make PCA's noise variance too small for the others.
        """
        coin = COIN_VARIANCE / self.units.scale.item() ** 2
        return max(noise_variance, min(coin, variances.max().item() / 2))


class Poisson(LinkedLoss):
    """Negative log-likelihood of counts without its constant log x!; outputs are log rates.

    Rates are bounded by twice the largest count that a feature has in training, so that a
    row far from these cannot cost more than all others.
    """

    low, high = 0, math.inf
    remedy = "pass counts, or take loss='squared_error'"

    highest: Tensor

    def __init__(self, units: Units) -> None:
        super().__init__(units)
        highest = torch.full((units.n_features,), torch.inf, dtype=torch.float32)
        self.register_buffer("highest", highest)

    def look_at(self, batches: Iterable[Tensor]) -> None:
        """Note the largest count of each feature."""
        _, largest = extremes(batches)
        self.highest.copy_((2 * self.units.to_data(largest)).clamp(min=1).log())

    def bound(self, output: Tensor) -> Tensor:
        """Return log rates that are no larger than they may be."""
        return output.minimum(self.highest)

    def inverse_link(self, output: Tensor) -> Tensor:
        return self.bound(output).exp()

    def link(self, means: Tensor) -> Tensor:
        return means.clamp(min=1e-6).log()

    def forward(self, x: Tensor, output: Tensor) -> Tensor:
        data = self.units.to_data(x)
        return functional.poisson(data, self.bound(output), observed_values())

    def at_best(self, x: Tensor) -> Tensor:
        data = self.units.to_data(x)
        return functional.poisson(data, self.link(data), observed_values())

    def log_likelihood(self, x: Tensor, output: Tensor, noise_variance: Tensor | None) -> Tensor:
        data, log_rate = self.units.to_data(x), self.bound(output)
        if not self.training:  # large counts cancel: in float32 the best of many draws is an error
            wide = widest_float(x.device)
            data, log_rate = data.to(wide), log_rate.to(wide)
        return functional.poisson_log_likelihood(data, log_rate, observed_values())


class CustomLoss(PlainLoss):
    """A user's function of rows and reconstructions, both in the units of X."""

    def __init__(self, units: Units, function: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__(units)
        self.function = function

    def forward(self, x: Tensor, output: Tensor) -> Tensor:
        to_data, observed = self.units.to_data, observed_values()
        if observed is not None:  # as if what is not known were reconstructed perfectly
            output = torch.where(observed, output, x)
        dtype = self.units.tensor_dtype
        losses = self.function(to_data(x).to(dtype), to_data(output).to(dtype))
        is_tensor = isinstance(losses, Tensor) and losses.is_floating_point()
        if not is_tensor or losses.shape != (len(x),):
            got = f"{losses.dtype} {tuple(losses.shape)}" if isinstance(losses, Tensor) else losses
            raise ValueError(
                f"loss={self.function!r} must return a tensor of floats of shape ({len(x)},), the "
                f"loss of each row summed over its features, and returned {got!r}."
            )
        if output.requires_grad and not losses.requires_grad:
            raise ValueError(
                f"loss={self.function!r} returned losses that have no gradient; compute them from "
                "x_hat with torch, without detach() or NumPy."
            )
        return losses


LOSSES: dict[str, type[Loss]] = {
    "squared_error": SquaredError,
    "binary_cross_entropy": BinaryCrossEntropy,
    "absolute_error": AbsoluteError,
    "huber": Huber,
    "poisson": Poisson,
}


def loss_class(loss: Any) -> type[Loss]:
    """Return the class of loss that the parameter ``loss`` stands for, whatever its value."""
    return LOSSES.get(loss, CustomLoss) if isinstance(loss, str) else CustomLoss


def make_loss(loss: str | Callable[[Tensor, Tensor], Tensor], units: Units) -> Loss:
    """Build the loss that the parameter ``loss`` stands for."""
    return LOSSES[loss](units) if isinstance(loss, str) else CustomLoss(units, loss)


def takes_any_row(loss: Any) -> bool:
    """Tell whether the parameter ``loss`` takes all rows, those with noise included."""
    return loss_class(loss).low == -math.inf


def require_valid(loss: Any, source: Source) -> None:
    """Raise ValueError for rows that the parameter ``loss`` cannot take."""
    if takes_any_row(loss):
        return
    low, high = math.inf, -math.inf
    for _, part in source.parts():
        known = part[~np.isnan(part)] if np.isnan(part.sum()) else part
        if known.size:
            low, high = min(low, float(known.min())), max(high, float(known.max()))
    kind = loss_class(loss)
    slack = 1e-6  # what scaling leaves of rounding
    if kind.low - slack <= low and high <= kind.high + slack:
        return
    domain = f"in [{kind.low:g}, {kind.high:g}]" if kind.high < math.inf else ">= 0"
    got = f"got a maximum of {high:.7g}"
    if low < kind.low - slack:  # scikit-learn's checks look for the words in brackets
        got = f"got a minimum of {low:.7g} (Negative values in data)"
    raise ValueError(f"loss={loss!r} needs X {domain}, {got}; {kind.remedy}.")
