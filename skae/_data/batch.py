"""A batch: rows, which of their values are known, and their weights; and means over it."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

import torch
from torch import Tensor

from skae._data.world import ALONE, World
from skae.functional import extremes


class Known(NamedTuple):
    """What counts of the rows that a module is given.

    Attributes
    ----------
    observed : Tensor of bool of shape (n_rows, n_features) or None
        Which values are known; losses leave the others out. None means all.
    weights : Tensor of shape (n_rows,) or None
        Relative weights of the rows, whose mean over the training rows is 1; None means 1 each.
    world : World
        The processes that compute with rows of the same batch.
    share : float
        Which share of the batch's rows this process has; 0 where these stand in for none.
    """

    observed: Tensor | None = None
    weights: Tensor | None = None
    world: World = ALONE
    share: float = 1.0


_known: ContextVar[Known] = ContextVar("known", default=Known())  # noqa: B039, it is frozen


@contextmanager
def counting(
    observed: Tensor | None,
    weights: Tensor | None = None,
    world: World = ALONE,
    share: float = 1.0,
) -> Iterator[None]:
    """Let losses and means over rows, in this context and thread, count only what is known.

    Means are over the rows of all processes of ``world``.
    """
    before = _known.get()
    _known.set(Known(observed, weights, world, share))
    try:
        yield
    finally:
        # Not reset: a generator may be closed in another thread than it was started in.
        _known.set(before)


def observed_values() -> Tensor | None:
    """Return which values of the rows at hand are known; None means all."""
    return _known.get().observed


def row_weights() -> Tensor | None:
    """Return the weights of the rows at hand; None means 1 each."""
    return _known.get().weights


def this_world() -> World:
    """Return the processes that compute with rows of the same batch."""
    return _known.get().world


def mean_over_rows(values: Tensor) -> Tensor:
    """Return the mean over the rows of a batch, with their weights, of a number or more of each.

    The rows are those of all processes that share the batch.

    Parameters
    ----------
    values : Tensor of shape (n_rows,) or (n_rows, ...)
        Numbers of each row of the batch.

    Returns
    -------
    Tensor of shape () or (...)
        Their mean; outside of a fit the plain mean.

    Examples
    --------
    >>> import torch
    >>> from skae.base import mean_over_rows
    >>> mean_over_rows(torch.tensor([1.0, 2.0, 6.0]))
    tensor(3.)
    """
    _, weights, world, share = _known.get()
    if world.size == 1:
        return weighted_mean(values, weights)
    weights = values.new_ones(len(values)) if weights is None else weights.to(values)
    if not share:
        weights, values = weights[:0], values[:0]
    sums = torch.tensordot(weights, values, dims=1)
    both = torch.cat([sums.flatten(), weights.sum()[None]])
    both = SumOverProcesses.apply(both, world, share)
    return (both[:-1] / both[-1]).reshape(sums.shape)


def extremes_over_rows(batches: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """Return the least and the largest value of each column over the rows of all processes."""
    low, high = extremes(batches)
    world = this_world()
    return world.smallest(low), world.largest(high)


class Everyone(NamedTuple):
    """Numbers of the rows that all processes have of a batch.

    Attributes
    ----------
    rows : Tensor of shape (n, ...)
    weights : Tensor of shape (n,) or None
    first, n_own : int
        The position of this process's first row among these, and how many it has.
    """

    rows: Tensor
    weights: Tensor | None
    first: int
    n_own: int


def rows_of_all(values: Tensor) -> Everyone:
    """Return numbers of the rows that all processes have of a batch, from those of this one."""
    _, weights, world, share = _known.get()
    if world.size == 1:
        return Everyone(values, weights, 0, len(values))
    values = values if share else values[:0]
    first = sum(world.counts(len(values))[: world.rank])
    rows: Tensor = RowsOfAll.apply(values, world, share, first)
    if not world.any(weights is not None and share > 0):
        return Everyone(rows, None, first, len(values))
    own = values.new_ones(len(values)) if weights is None else weights[: len(values)].to(values)
    return Everyone(rows, world.concatenate(own), first, len(values))


# The gradients of a process are multiplied by its share of the batch's rows, and then added up
# over processes (`AutoEncoderNet`): so the gradient of a mean over its own rows becomes that of a
# mean over all. What is computed from sums over all rows has the gradient of the whole, which here
# is divided by that share.


class SumOverProcesses(torch.autograd.Function):
    """The sums of numbers over processes, each of which differentiates its own."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, world: World, share: float) -> Tensor:
        """Add up."""
        ctx.world, ctx.share = world, share
        return world.sum(values)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        """Return the gradient of this process's numbers, on which the losses of all depend."""
        whole = ctx.world.sum(ctx.share * grad if ctx.share else torch.zeros_like(grad))
        return (whole / ctx.share if ctx.share else whole), None, None


class RowsOfAll(torch.autograd.Function):
    """The rows of all processes, for a loss of all that each of them computes."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, world: World, share: float, first: int) -> Tensor:
        """Put the rows of all processes one below the other."""
        ctx.share, ctx.first, ctx.n_rows = share, first, len(values)
        return world.concatenate(values)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradient of this process's rows."""
        own = grad[ctx.first : ctx.first + ctx.n_rows]
        return own / ctx.share if ctx.share else own, None, None, None


def weighted_sum(values: Tensor, weights: Tensor | None) -> Tensor:
    """Return the sum of numbers, with weights."""
    return values.sum() if weights is None else weights.to(values) @ values


def weighted_mean(values: Tensor, weights: Tensor | None) -> Tensor:
    """Return the mean over the first axis, with weights."""
    if weights is None:
        return values.mean(dim=0)
    weights = weights.to(values)
    return torch.tensordot(weights, values, dims=1) / weights.sum()


class Batch(tuple[Tensor, Tensor]):
    """Rows of a table, as the pair of input and target that skorch expects.

    Attributes
    ----------
    x : Tensor of shape (n_rows, n_features)
        In the module's units; what is not known is filled.
    observed, weights, share
        As in :class:`Known`.
    """

    observed: Tensor | None
    weights: Tensor | None
    share: float

    def __new__(
        cls,
        x: Tensor,
        observed: Tensor | None = None,
        weights: Tensor | None = None,
        share: float = 1.0,
    ) -> "Batch":
        """Make a batch."""
        batch = super().__new__(cls, (x, x))
        batch.observed, batch.weights, batch.share = observed, weights, share
        return batch

    @classmethod
    def stand_in(cls, like: Tensor) -> "Batch":
        """Return rows that do not count, for a process that has none of a batch."""
        return cls(like.new_zeros(2, *like.shape[1:]), None, like.new_zeros(2), 0.0)

    @property
    def x(self) -> Tensor:
        """The rows."""
        return self[0]

    @property
    def n_rows(self) -> int:
        """How many rows count."""
        return len(self.x) if self.share else 0

    def split(self, sizes: list[int]) -> Iterator["Batch"]:
        """Yield batches of these sizes: views."""
        observed = [None] * len(sizes) if self.observed is None else self.observed.split(sizes)
        weights = [None] * len(sizes) if self.weights is None else self.weights.split(sizes)
        return map(Batch, self.x.split(sizes), observed, weights)
