"""The module layer: reconstruction losses."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar, cast

import torch
from torch import Tensor, nn

from skae import functional
from skae._data.checks import Array
from skae.functional import extremes

if TYPE_CHECKING:
    from skae._training.tape import Tape


class Prepared(nn.Module, ABC):
    """A part of a module that knows the units of the data, and what it needs of the rows.

    Parameters
    ----------
    n_features : int

    Attributes
    ----------
    center, scale : Tensor of shape (n_features,), Tensor of shape ()
        What is taken off the data's rows, and what they are then divided by.
    """

    center: Tensor
    scale: Tensor

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.register_buffer("center", torch.zeros(n_features))
        self.register_buffer("scale", torch.ones(()))

    def prepare(self, center: Tensor, scale: float, batches: Iterable[Tensor]) -> None:
        """Learn the units, and what is needed of the training rows, which are in the module's."""
        self.center.copy_(center)
        self.scale.fill_(scale)
        self.look_at(batches)

    @abstractmethod
    def look_at(self, batches: Iterable[Tensor]) -> None:
        """Learn what is needed of the training rows, once the units are known."""

    def to_data(self, x: Tensor) -> Tensor:
        """Return rows in the data's units."""
        return torch.addcmul(self.center, x, self.scale)


class Loss(Prepared):
    """What a reconstruction costs, one number a row, from the rows and the decoder's output.

    Attributes
    ----------
    power, multiple : int, float
        The loss times ``multiple * scale**power`` is the error in the data's units.
    """

    power, multiple = 0, 1.0

    @abstractmethod
    def forward(self, x: Tensor, output: Tensor) -> Tensor:
        """Return the loss of every row, shape (n_rows,); ``x`` is in the module's units."""

    @abstractmethod
    def reconstruct(self, output: Tensor) -> Tensor:
        """Return reconstructions in the module's units."""

    @abstractmethod
    def at_mean(self, x: Tensor) -> Tensor:
        """Return the loss of rows whose reconstruction is the training mean."""

    @abstractmethod
    def at_best(self, x: Tensor) -> Tensor:
        """Return the loss of rows that are reconstructed perfectly."""


class PlainLoss(Loss):
    """A loss for which the decoder's output is the reconstruction, so that PCA gives one."""

    def look_at(self, batches: Iterable[Tensor]) -> None:
        """Need nothing."""

    def reconstruct(self, output: Tensor) -> Tensor:
        return output

    def at_mean(self, x: Tensor) -> Tensor:
        return self(x, torch.zeros_like(x))

    def at_best(self, x: Tensor) -> Tensor:
        return self(x, x)


class SquaredError(PlainLoss):
    """Half the squared distance of each row to its reconstruction: for real-valued data.

    Attributes
    ----------
    tape : Tape or None
        Differentiates it instead of autograd, where a net has set one.
    """

    power, multiple = 2, 2.0
    tape: "Tape | None" = None

    def forward(self, x: Tensor, output: Tensor) -> Tensor:
        if self.training and self.tape is not None:
            return self.tape.squared_error(x, output)
        return functional.squared_error(x, output)


class AbsoluteError(PlainLoss):
    """Sum of absolute differences: outlying values count less."""

    power = 1

    def forward(self, x: Tensor, output: Tensor) -> Tensor:
        return functional.absolute_error(x, output)


class Huber(PlainLoss):
    """Half the square of differences up to one scale, and linear beyond."""

    power = 2

    def forward(self, x: Tensor, output: Tensor) -> Tensor:
        return functional.huber(x, output)


class LinkedLoss(Loss):
    """A loss of data in its own units, whose natural parameter is the decoder's output.

    Attributes
    ----------
    low, high : float
        What values the data may have.
    remedy : str
        What to do with data that has others.
    """

    low: ClassVar[float]
    high: ClassVar[float]
    remedy: ClassVar[str]

    @abstractmethod
    def link(self, output: Tensor) -> Tensor:
        """Return reconstructions in the data's units."""

    @abstractmethod
    def unlink(self, data: Tensor) -> Tensor:
        """Return the decoder's output for reconstructions in the data's units."""

    def reconstruct(self, output: Tensor) -> Tensor:
        return (self.link(output) - self.center) / self.scale

    def at_mean(self, x: Tensor) -> Tensor:
        return self(x, self.unlink(self.center).expand_as(x))


class BinaryCrossEntropy(LinkedLoss):
    """Cross-entropy of data in [0, 1]: the decoder's output is in logits."""

    low, high = 0, 1
    remedy = "scale X with sklearn.preprocessing.MinMaxScaler(clip=True)"

    def look_at(self, batches: Iterable[Tensor]) -> None:
        """Need nothing."""

    def link(self, output: Tensor) -> Tensor:
        return output.sigmoid()

    def unlink(self, data: Tensor) -> Tensor:
        return torch.logit(data, eps=1e-6)

    def forward(self, x: Tensor, output: Tensor) -> Tensor:
        return functional.binary_cross_entropy(self.to_data(x), output)

    def at_best(self, x: Tensor) -> Tensor:
        return self(x, self.unlink(self.to_data(x)))


class Poisson(LinkedLoss):
    """Negative log-likelihood of counts, but for log x!: the decoder's output is a log rate.

    Rates are bounded by twice the largest count that a feature has in training, so that a
    row far from these cannot cost more than all others.
    """

    low, high = 0, math.inf
    remedy = "pass counts, or take loss='squared_error'"

    highest: Tensor

    def __init__(self, n_features: int) -> None:
        super().__init__(n_features)
        self.register_buffer("highest", torch.full((n_features,), torch.inf))

    def look_at(self, batches: Iterable[Tensor]) -> None:
        """Note the largest count of each feature."""
        _, largest = extremes(batches)
        self.highest.copy_((2 * self.to_data(largest)).clamp(min=1).log())

    def link(self, output: Tensor) -> Tensor:
        return output.minimum(self.highest).exp()

    def unlink(self, data: Tensor) -> Tensor:
        return data.clamp(min=1e-6).log()

    def forward(self, x: Tensor, output: Tensor) -> Tensor:
        return functional.poisson(self.to_data(x), output.minimum(self.highest))

    def at_best(self, x: Tensor) -> Tensor:
        data = self.to_data(x)
        return functional.poisson(data, self.unlink(data))


class CustomLoss(PlainLoss):
    """A user's function of rows and reconstructions, both in the data's units."""

    def __init__(self, n_features: int, function: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__(n_features)
        self.function = function

    def forward(self, x: Tensor, output: Tensor) -> Tensor:
        losses = self.function(self.to_data(x).float(), self.to_data(output).float())
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


def make_loss(loss: str | Callable[[Tensor, Tensor], Tensor], n_features: int) -> Loss:
    """Build the loss that the parameter ``loss`` stands for."""
    return LOSSES[loss](n_features) if isinstance(loss, str) else CustomLoss(n_features, loss)


def takes_any_row(loss: Any) -> bool:
    """Tell whether the parameter ``loss`` takes all rows, those with noise included."""
    return not isinstance(loss, str) or not issubclass(LOSSES[loss], LinkedLoss)


def require_valid(loss: Any, X: Array) -> None:
    """Raise ValueError for rows that the parameter ``loss`` cannot take."""
    if takes_any_row(loss):
        return
    kind, low, high = cast(type[LinkedLoss], LOSSES[loss]), X.min(), X.max()
    slack = 1e-6  # what scaling leaves of rounding
    if kind.low - slack <= low and high <= kind.high + slack:
        return
    domain = f"in [{kind.low:g}, {kind.high:g}]" if kind.high < math.inf else ">= 0"
    got = f"got a maximum of {high:.7g}"
    if low < kind.low - slack:  # scikit-learn's checks look for the words in brackets
        got = f"got a minimum of {low:.7g} (Negative values in data)"
    raise ValueError(f"loss={loss!r} needs X {domain}, {got}; {kind.remedy}.")
