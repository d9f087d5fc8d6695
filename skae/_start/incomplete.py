"""Rows with missing values, in groups that batched linear algebra can work on."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from skae._data.sources import Array

# How many numbers of matrices are worked on at once: what a processor caches.
GROUP_SIZE = 2**18


@dataclass(frozen=True)
class Group:
    """Rows of which about as many entries are missing.

    Attributes
    ----------
    rows : ndarray of int of shape (n,)
        Their positions.
    by_missing : bool
        Whether the entries below are those that are missing; otherwise those observed.
    index : ndarray of int of shape (n, m)
        The columns of these entries, padded to the longest by other columns.
    valid : ndarray of bool of shape (n, m)
        What is no padding.
    """

    rows: NDArray[np.int64]
    by_missing: bool
    index: NDArray[np.int64]
    valid: NDArray[np.bool_]

    def blocks(self, matrix: Array) -> Array:
        """Return the block of a matrix that belongs to each row, shape (n, m, m).

        What is padding is the identity, so that the block's inverse has the inverse of the rest.
        """
        blocks = matrix[self.index[:, :, None], self.index[:, None, :]]
        blocks *= self.valid[:, :, None] & self.valid[:, None, :]
        m = np.arange(self.index.shape[1])
        blocks[:, m, m] += ~self.valid
        return blocks

    def add_up(self, blocks: Array, weights: Array, n_features: int) -> Array:
        """Return the sum of weighted blocks where they belong, shape (n_features, n_features)."""
        blocks = blocks * weights[:, None, None]
        blocks *= self.valid[:, :, None] & self.valid[:, None, :]
        places = self.index[:, :, None] * n_features + self.index[:, None, :]
        size = n_features**2
        flat: Array = np.bincount(places.ravel(), blocks.ravel(), minlength=size).astype(np.float64)
        return flat.reshape(n_features, n_features)


class Incomplete:
    """Standardised rows with missing values.

    Parameters
    ----------
    z : ndarray of shape (n_rows, n_features)
        Zero where missing.
    missing : ndarray of bool of shape (n_rows, n_features)
    weights : ndarray of shape (n_rows,) or None
        How often each row counts; None means once.
    """

    def __init__(self, z: Array, missing: NDArray[np.bool_], weights: Array | None = None) -> None:
        self.z, self.missing = z, missing
        self.weights = np.ones(len(z)) if weights is None else weights

    def hide(self, hidden: NDArray[np.bool_]) -> "Incomplete":
        """Return the rows with more entries missing."""
        return Incomplete(np.where(hidden, 0.0, self.z), self.missing | hidden, self.weights)

    def centred(self, mean: Array) -> Array:
        """Return rows less the mean, zero where missing."""
        return np.where(self.missing, 0.0, self.z - mean)

    @cached_property
    def groups(self) -> list[Group]:
        """All rows that miss something, by how much that is."""
        return list(self._make_groups())

    def _make_groups(self) -> Iterator[Group]:
        d = self.z.shape[1]
        counts = self.missing.sum(axis=1)
        order = np.argsort(counts, kind="stable")
        order = order[counts[order] > 0]
        counts = counts[order]
        start = 0
        while start < len(order):
            least = counts[start]
            by_missing = bool(2 * least <= d)
            most = min(least + 2 + least // 4, d // 2) if by_missing else d
            smaller = most if by_missing else max(1, d - least)
            stop = int(np.searchsorted(counts, most, side="right"))
            stop = min(stop, start + max(16, GROUP_SIZE // int(max(1, smaller)) ** 2))
            if not by_missing:  # observed entries become fewer
                fewest = max(0, (d - least) * 4 // 5 - 2)
                stop = min(stop, int(np.searchsorted(counts, d - fewest, side="right")))
            rows = order[start:stop]
            chosen = self.missing[rows] if by_missing else ~self.missing[rows]
            n = chosen.sum(axis=1)
            index = np.argsort(~chosen, axis=1, kind="stable")[:, : max(1, n.max())]
            valid = np.arange(index.shape[1]) < n[:, None]
            yield Group(rows, by_missing, index, valid)
            start = stop
