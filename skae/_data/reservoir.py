"""Validation rows of data that come in parts."""

from dataclasses import dataclass

import numpy as np

from skae._data.sources import Array, ArraySource, Mask, Source
from skae._data.split import Keys, row_keys, scramble

# So many numbers of validation rows are kept, of no more and no fewer rows than so many.
RESERVOIR_SIZE, MOST_ROWS, FEWEST_ROWS = 2**22, 20_000, 50


@dataclass(frozen=True)
class Reservoir:
    """Validation rows of all parts seen so far: those with the smallest keys.

    A row validates or trains by its key alone. Whenever it comes, and however often, it is on the
    same side, and the kept rows are a random sample of all different ones that validate.

    Attributes
    ----------
    rows : ndarray of shape (n_rows, n_features)
    known : ndarray of bool of that shape, or None
        Which values were there before they were filled; None means all.
    weights : ndarray of shape (n_rows,) or None
    keys : ndarray of uint64 of shape (n_rows,)
    """

    rows: Array
    known: Mask | None
    weights: Array | None
    keys: Keys

    @classmethod
    def of(cls, source: Source, which: Mask, keys: Keys) -> "Reservoir":
        """Keep some rows of a source."""
        index = np.flatnonzero(which)
        _, first = np.unique(keys[index], return_index=True)  # in order of the keys
        index = index[first][: capacity(source.n_features)]
        weights = None if source.weights is None else source.weights[index]
        known = source.observed(index)
        return cls(source.take(index), known, weights, keys[index])

    def merge(self, other: "Reservoir") -> "Reservoir":
        """Keep the rows with the smallest keys of both; of equal rows the newest."""
        keys = np.concatenate([other.keys, self.keys])
        _, first = np.unique(keys, return_index=True)
        kept = first[: capacity(self.rows.shape[1])]
        rows = np.concatenate([other.rows, self.rows])[kept]
        known = weights = None
        if self.known is not None or other.known is not None:
            known = np.concatenate([other.all_known(), self.all_known()])[kept]
        if self.weights is not None or other.weights is not None:
            weights = np.concatenate([other.all_weights(), self.all_weights()])[kept]
        return Reservoir(rows, known, weights, keys[kept])

    def all_known(self) -> Mask:
        """Return which values were there."""
        return np.ones(self.rows.shape, dtype=bool) if self.known is None else self.known

    def all_weights(self) -> Array:
        """Return the weights of the rows."""
        return np.ones(len(self.rows)) if self.weights is None else self.weights

    def source(self) -> ArraySource:
        """Return the rows as a source."""
        return ArraySource(self.rows, None, self.weights, self.known)


def capacity(n_features: int) -> int:
    """Return how many rows are kept."""
    return int(np.clip(RESERVOIR_SIZE // n_features, FEWEST_ROWS, MOST_ROWS))


def scrambled_keys(source: Source, seed: int) -> Keys:
    """Return a key for every row, spread evenly: equal for rows that are equal in float32.

    By what is known of a row, and not by what its missing values are filled with.
    """
    return scramble(row_keys(source, np.float32), seed)


def validates(keys: Keys, share: float) -> Mask:
    """Tell which rows validate, of which there is this share."""
    return keys < np.uint64(min(share, 1 - 1e-9) * 2.0**64)
