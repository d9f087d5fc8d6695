"""Where rows come from."""

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from skae._data.checks import Array

# Numbers that are read at once: about what a processor caches.
PART_SIZE = 2**20


def slices(n_rows: int, size: int) -> Iterator[slice]:
    """Yield slices of at most ``size`` rows; scikit-learn's gen_batches costs more than a row."""
    return (slice(i, min(i + size, n_rows)) for i in range(0, n_rows, size))


def rows_at_once(n_features: int) -> int:
    """Return how many rows to work on at once where no gradient is needed: bounds memory."""
    return min(4096, max(256, PART_SIZE // n_features))


class Source(Protocol):
    """A table that is read part by part; it may lie anywhere.

    Attributes
    ----------
    n_rows, n_features : int
    dtype : numpy.dtype
        float32 or float64.
    """

    n_rows: int
    n_features: int
    dtype: np.dtype

    def chunks(self, size: int) -> Iterator[tuple[slice, Array]]:
        """Yield ``size`` rows at a time in order of position, and which they are."""

    def columns(self, size: int) -> Iterator[tuple[slice, Array]]:
        """Yield ``size`` columns at a time, and which they are."""

    def take(self, index: NDArray[np.int64]) -> Array:
        """Return a copy of the rows at these positions."""


class ArraySource:
    """Rows of an array in memory, all or some of them, without a copy of the whole.

    Parameters
    ----------
    X : ndarray of shape (n, n_features)
    index : ndarray of int of shape (n_rows,) or None
        Positions of the rows in X; None means all.
    """

    def __init__(self, X: Array, index: NDArray[np.int64] | None = None) -> None:
        self.X, self.index, self.dtype = X, index, X.dtype
        self.n_rows, self.n_features = len(X) if index is None else len(index), X.shape[1]

    def chunks(self, size: int) -> Iterator[tuple[slice, Array]]:
        """Yield ``size`` rows at a time; views of X where all rows are read."""
        for rows in slices(self.n_rows, size):
            yield rows, self.X[rows] if self.index is None else self.X[self.index[rows]]

    def columns(self, size: int) -> Iterator[tuple[slice, Array]]:
        """Yield ``size`` columns at a time; views of X where all rows are read."""
        for columns in slices(self.n_features, size):
            part = self.X[:, columns] if self.index is None else self.X[self.index, columns]
            yield columns, part

    def take(self, index: NDArray[np.int64]) -> Array:
        """Return a copy of the rows at these positions."""
        index = index if self.index is None else self.index[index]
        return np.take(self.X, index, axis=0)

    def subset(self, index: NDArray[np.int64]) -> "ArraySource":
        """Return the rows at these positions as a source."""
        return ArraySource(self.X, index if self.index is None else self.index[index])
