"""What every reconstruction loss says of itself."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import ClassVar

import torch
from torch import Tensor, nn

from skae._data.batch import counting, observed_values
from skae._data.sources import Array
from skae._data.units import Units, widest_float


class Prepared(nn.Module, ABC):
    """A part of a module that learns something of the training rows before training begins.

    Parameters
    ----------
    units : Units
        The module's: ``units.to_data(x)`` gives rows in the units of X.

    Examples
    --------
    >>> from skae.base import Prepared
    >>> class Widest(Prepared):
    ...     '''Knows the largest absolute value of the training rows.'''
    ...
    ...     def look_at(self, batches):
    ...         self.largest = max(float(x.abs().max()) for x in batches)
    """

    def __init__(self, units: Units) -> None:
        super().__init__()
        self.units = units

    @abstractmethod
    def look_at(self, batches: Iterable[Tensor]) -> None:
        """Learn what is needed of the training rows.

        Parameters
        ----------
        batches : iterable of Tensor of shape (n_rows, n_features)
            All of them, in the module's units.
        """

    def merge(self, former: dict[str, Tensor]) -> None:
        """Go on from what was learned of other rows too; by default it is forgotten.

        Parameters
        ----------
        former : dict of str to Tensor
            This part's state as it was.
        """
        return


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
    def to_torch(self) -> nn.Module:
        """Return a plain layer from the decoder's output to reconstructions in X's units."""

    @abstractmethod
    def at_mean(self, x: Tensor) -> Tensor:
        """Return the loss of rows whose reconstruction is the training mean."""

    @abstractmethod
    def at_best(self, x: Tensor) -> Tensor:
        """Return the loss of rows that are reconstructed perfectly."""

    def excess(self, x: Tensor, output: Tensor) -> Tensor:
        """Return what every row's reconstruction costs more than a perfect one."""
        wide = widest_float(x.device)  # of two large numbers the difference may be small
        x, output = x.to(wide), output.to(wide)
        return self(x, output) - self.at_best(x)

    def excess_by_feature(self, x: Tensor, output: Tensor) -> Tensor:
        """Return :meth:`excess` of each feature by itself, shape (n_rows, n_features).

        Losses of users are asked for each feature in turn, all others being reconstructed
        perfectly. Where a loss is a sum over features, these add up to that of the row.
        """
        observed, each = observed_values(), torch.zeros_like(x)
        for j in range(x.shape[1]):
            one = torch.zeros_like(x, dtype=torch.bool)
            one[:, j] = True if observed is None else observed[:, j]
            with counting(one):
                each[:, j] = self.excess(x, output)
        return each

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

    def draw(
        self, output: Tensor, noise_variance: Tensor | None, generator: torch.Generator
    ) -> Array:
        """Draw rows from p(row | output), in X's units, where it is a likelihood."""
        raise NotImplementedError(f"{type(self).__name__} is no likelihood.")

    def variances(self, output: Tensor, noise_variance: Tensor | None) -> Tensor:
        """Return the variances of p(row | output), in squares of the module's units.

        Of shape (n_rows, n_features) and float64, where it is a likelihood.
        """
        raise NotImplementedError(f"{type(self).__name__} is no likelihood.")

    def start_noise(self, noise_variance: float, variances: Tensor) -> float:
        """Return the noise variance to start at, given probabilistic PCA's and its variances."""
        return noise_variance


def by_feature(
    function: Callable[[Tensor, Tensor], Tensor], data: Tensor, output: Tensor, best: Tensor
) -> Tensor:
    """Return by how much each value's loss exceeds that of the best output; 0 of unknown values.

    Parameters
    ----------
    function : callable (data, output) -> losses of rows
        A sum over features.
    data, output, best : Tensor of shape (n_rows, n_features)
    """
    shape, wide, observed = data.shape, widest_float(data.device), observed_values()
    data, output, best = (values.to(wide).reshape(-1, 1) for values in (data, output, best))
    each = (function(data, output) - function(data, best)).reshape(shape)
    return each if observed is None else each * observed
