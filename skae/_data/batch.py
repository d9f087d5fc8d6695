"""A batch: rows, which of their values are known, and their weights; and means over it."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

import torch
from torch import Tensor


class Known(NamedTuple):
    """What counts of the rows that a module is given.

    Attributes
    ----------
    observed : Tensor of bool of shape (n_rows, n_features) or None
        Which values are known; losses leave the others out. None means all.
    weights : Tensor of shape (n_rows,) or None
        Relative weights of the rows, whose mean over the training rows is 1; None means 1 each.
    """

    observed: Tensor | None = None
    weights: Tensor | None = None


_known: ContextVar[Known] = ContextVar("known", default=Known())  # noqa: B039, it is frozen


@contextmanager
def counting(observed: Tensor | None, weights: Tensor | None = None) -> Iterator[None]:
    """Let losses and means over rows, in this context and thread, count only what is known."""
    before = _known.get()
    _known.set(Known(observed, weights))
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


def mean_over_rows(values: Tensor) -> Tensor:
    """Return the mean over the rows of a batch, with their weights, of a number or more of each."""
    return weighted_mean(values, row_weights())


def sum_over_rows(values: Tensor) -> Tensor:
    """Return the sum over the rows of a batch, with their relative weights."""
    weights = row_weights()
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
    observed, weights
        As in :class:`Known`.
    """

    observed: Tensor | None
    weights: Tensor | None

    def __new__(
        cls, x: Tensor, observed: Tensor | None = None, weights: Tensor | None = None
    ) -> "Batch":
        """Make a batch."""
        batch = super().__new__(cls, (x, x))
        batch.observed, batch.weights = observed, weights
        return batch

    @property
    def x(self) -> Tensor:
        """The rows."""
        return self[0]

    def split(self, sizes: list[int]) -> Iterator["Batch"]:
        """Yield batches of these sizes: views."""
        observed = [None] * len(sizes) if self.observed is None else self.observed.split(sizes)
        weights = [None] * len(sizes) if self.weights is None else self.weights.split(sizes)
        return map(Batch, self.x.split(sizes), observed, weights)
