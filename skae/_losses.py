"""The module layer: reconstruction losses."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from skae import functional
from skae._validation import Array

if TYPE_CHECKING:
    from skae._tape import Tape


class Prepared(nn.Module, ABC):
    """A part of a module that has to know the units of the data, or its rows, beforehand."""

    @abstractmethod
    def prepare(self, center: Tensor, scale: float, batches: Iterable[Tensor]) -> None:
        """Learn what has to be known before the training.

        Parameters
        ----------
        center, scale : Tensor of shape (n_features,), float
            What is taken off the data's rows, and what they are then divided by.
        batches : iterable of Tensor of shape (n_rows, n_features)
            The training rows in the module's units.
        """


class Loss(Prepared):
    """What a reconstruction costs, one number a row, from the rows and the decoder's output.

    Attributes
    ----------
    low, high : float
        What values the data may have.
    remedy : str
        What to do with data that has others.
    power, multiple : int, float
        The loss times ``multiple * scale**power`` is the error in the data's units.
    link : callable or None
        Turns the decoder's output into reconstructions in the data's units. None where the
        output is a reconstruction in the module's units, so that PCA gives one.
    """

    low, high = -math.inf, math.inf
    remedy = ""
    power, multiple = 0, 1.0
    link: Any = None

    center: Tensor
    scale: Tensor

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.register_buffer("center", torch.zeros(n_features))
        self.register_buffer("scale", torch.ones(()))

    @abstractmethod
    def forward(self, x: Tensor, output: Tensor) -> Tensor:
        """Return the loss of every row, shape (n_rows,); ``x`` is in the module's units."""

    def prepare(self, center: Tensor, scale: float, batches: Iterable[Tensor]) -> None:
        self.center.copy_(center)
        self.scale.fill_(scale)

    def to_data(self, x: Tensor) -> Tensor:
        """Return rows in the data's units."""
        return torch.addcmul(self.center, x, self.scale)

    def reconstruct(self, output: Tensor) -> Tensor:
        """Return reconstructions in the module's units."""
        return output if self.link is None else (self.link(output) - self.center) / self.scale

    def at_mean(self, x: Tensor) -> Tensor:
        """Return the loss of rows whose reconstruction is the training mean."""
        return self(x, torch.zeros_like(x))

    def at_best(self, x: Tensor) -> Tensor:
        """Return the loss of rows that are reconstructed perfectly."""
        return x.new_zeros(len(x))


class SquaredError(Loss):
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


class AbsoluteError(Loss):
    """Sum of absolute differences: outlying values count less."""

    power = 1

    def forward(self, x: Tensor, output: Tensor) -> Tensor:
        return functional.absolute_error(x, output)


class Huber(Loss):
    """Half the square of differences up to one scale, and linear beyond."""

    power = 2

    def forward(self, x: Tensor, output: Tensor) -> Tensor:
        return functional.huber(x, output)


class LinkedLoss(Loss):
    """A loss of data in its own units, whose natural parameter is the decoder's output."""

    @abstractmethod
    def unlink(self, x: Tensor) -> Tensor:
        """Return the decoder's output for reconstructions in the data's units."""

    def at_mean(self, x: Tensor) -> Tensor:
        return self(x, self.unlink(self.center).expand_as(x))

    def at_best(self, x: Tensor) -> Tensor:
        return self(x, self.unlink(self.to_data(x)))


class BinaryCrossEntropy(LinkedLoss):
    """Cross-entropy of data in [0, 1]: the decoder's output is in logits."""

    low, high = 0, 1
    remedy = "scale X with sklearn.preprocessing.MinMaxScaler(clip=True)"
    link = staticmethod(torch.sigmoid)

    def unlink(self, x: Tensor) -> Tensor:
        return torch.logit(x, eps=1e-6)

    def forward(self, x: Tensor, output: Tensor) -> Tensor:
        return functional.binary_cross_entropy(self.to_data(x), output)


class Poisson(LinkedLoss):
    """Negative log-likelihood of counts, but for log x!: the decoder's output is a log rate.

    Rates are bounded by twice the largest count that a feature has in training, so that a
    row far from these cannot cost more than all others.
    """

    low = 0
    remedy = "pass counts or rates that are not negative, or take loss='squared_error'"

    highest: Tensor

    def __init__(self, n_features: int) -> None:
        super().__init__(n_features)
        self.register_buffer("highest", torch.full((n_features,), torch.inf))

    def prepare(self, center: Tensor, scale: float, batches: Iterable[Tensor]) -> None:
        super().prepare(center, scale, batches)
        largest = torch.stack([x.amax(dim=0) for x in batches]).amax(dim=0)
        self.highest.copy_((2 * self.to_data(largest)).clamp(min=1).log())

    def link(self, output: Tensor) -> Tensor:
        return output.minimum(self.highest).exp()

    def unlink(self, x: Tensor) -> Tensor:
        return x.clamp(min=1e-6).log()

    def forward(self, x: Tensor, output: Tensor) -> Tensor:
        return functional.poisson(self.to_data(x), output.minimum(self.highest))


class CustomLoss(Loss):
    """A user's function of rows and reconstructions, both in the data's units."""

    def __init__(self, n_features: int, function: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__(n_features)
        self.function = function

    def forward(self, x: Tensor, output: Tensor) -> Tensor:
        losses = self.function(self.to_data(x).float(), self.to_data(output).float())
        if not isinstance(losses, Tensor) or losses.shape != (len(x),):
            got = tuple(losses.shape) if isinstance(losses, Tensor) else type(losses).__name__
            raise ValueError(
                f"loss={self.function!r} must return a tensor of shape ({len(x)},), the loss of "
                f"each row summed over its features, and returned {got}."
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
    return not isinstance(loss, str) or LOSSES[loss].link is None


def require_valid(loss: Any, X: Array) -> None:
    """Raise ValueError for rows that a loss cannot take."""
    if takes_any_row(loss):
        return
    kind, low, high = LOSSES[loss], X.min(), X.max()
    if kind.low <= low and high <= kind.high:
        return
    domain = f"in [{kind.low:g}, {kind.high:g}]" if kind.high < math.inf else ">= 0"
    # scikit-learn's checks look for these words.
    got = (
        f"got a maximum of {high:g}"
        if low >= kind.low
        else (f"got a minimum of {low:g} (Negative values in data)")
    )
    raise ValueError(f"loss={loss!r} needs X {domain}, {got}; {kind.remedy}.")
