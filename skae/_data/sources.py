"""Where rows come from: arrays, sparse matrices, and what is stored elsewhere."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import cached_property
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from skae._data.world import ALONE, World

Array = NDArray[np.floating]
Positions = NDArray[np.int64]
Mask = NDArray[np.bool_]

# Numbers that are read at once: about what a processor caches.
PART_SIZE = 2**20
# Stored rows that lie no further apart are read in one piece, whose other rows are dropped.
MAX_GAP = 64
# Sparse tables of up to so many numbers become arrays when their missing values are filled.
MAX_FILLED = 2**24
# What a source computes once of its own rows.
COMPUTED = ("matrix", "by_column")


def slices(n_rows: int, size: int) -> Iterator[slice]:
    """Yield slices of at most ``size`` rows; scikit-learn's gen_batches costs more than a row."""
    return (slice(i, min(i + size, n_rows)) for i in range(0, n_rows, size))


def rows_at_once(n_features: int) -> int:
    """Return how many rows to work on at once where no gradient is needed: bounds memory."""
    return min(4096, max(256, PART_SIZE // n_features))


class Filler(Protocol):
    """What knows the missing values of a row from the others."""

    def fill(self, X: Array) -> Array:
        """Return a copy of rows in which no value is NaN."""


class Source(ABC):
    """Rows that are read part by part, wherever they lie, with their weights.

    Parameters
    ----------
    table : array-like of shape (n, n_features)
        As the kind of source reads it.
    dtype : numpy.dtype
        Of the rows that are read, float32 or float64.
    index : ndarray of int of shape (n_rows,) or None
        Positions of the rows in the table; None means all.
    weights : ndarray of float64 of shape (n,) or None
        Weights of the table's rows; None means 1 each.

    Attributes
    ----------
    n_rows, n_features : int
    """

    # Whether rows at random positions are read as fast as neighbours.
    has_random_access: bool = True
    # Whether all rows may be copied into one array.
    may_be_copied: bool = False
    # The rows as a sparse matrix in float64, where they are one.
    matrix: Any = None
    # The processes each of which has some of the rows: sums over rows are over those of all.
    world: World = ALONE

    def __init__(
        self,
        table: Any,
        dtype: np.dtype,
        index: Positions | None = None,
        weights: Array | None = None,
    ) -> None:
        self.table, self.dtype, self.index, self._weights = table, dtype, index, weights
        self.n_rows = int(table.shape[0]) if index is None else len(index)
        self.n_features = int(table.shape[1])

    @abstractmethod
    def read(self, positions: Positions | slice) -> Array:
        """Return the rows at these positions of the table; a view or a copy."""

    def columns(self, size: int) -> Iterator[tuple[slice, Array]]:
        """Yield ``size`` columns at a time, and which they are: all rows are read for each."""
        for columns in slices(self.n_features, size):
            parts = [part[:, columns].copy() for _, part in self.parts()]
            none = np.empty((0, columns.stop - columns.start), dtype=self.dtype)
            yield columns, np.concatenate(parts) if parts else none

    @property
    def weights(self) -> Array | None:
        """Weights of the rows; None means 1 each."""
        if self._weights is None or self.index is None:
            return self._weights
        weights: Array = self._weights[self.index]
        return weights

    def chunks(self, size: int) -> Iterator[tuple[slice, Array]]:
        """Yield ``size`` rows at a time in order of position, and which they are."""
        for rows in slices(self.n_rows, size):
            yield rows, self.read(rows if self.index is None else self.index[rows])

    def take(self, index: Positions) -> Array:
        """Return a copy of the rows at these positions."""
        return self.read(index if self.index is None else self.index[index])

    def observed(self, index: Positions | slice) -> Mask | None:
        """Return which values of the rows at these positions are known; None means all."""
        return None

    def given(self, rows: slice) -> Array:
        """Return rows as they were given: what is missing is NaN."""
        return self.read(rows if self.index is None else self.index[rows])

    def parts(self) -> Iterator[tuple[slice, Array]]:
        """Yield as many rows at a time as a processor caches, and which they are."""
        return self.chunks(max(256, PART_SIZE // self.n_features))

    def subset(self, index: Positions) -> Self:
        """Return the rows at these positions as a source."""
        own: Any = object.__new__(type(self))
        own.__dict__ = {n: v for n, v in vars(self).items() if n not in COMPUTED}
        own.index = index if self.index is None else self.index[index]
        own.n_rows = len(index)
        return own

    def spread(self, n: int) -> tuple[Array, Array]:
        """Copy ``n`` of all processes' rows at equal distances, or all, and their weights."""
        index = self.world.spread(n, self.n_rows)
        weights = np.ones(len(index)) if self.weights is None else self.weights[index]
        rows = self.take(index)
        if self.world.size > 1:  # some may have float32, and others float64
            rows = rows.astype(np.float64)
        return self.world.concatenate(rows), self.world.concatenate(weights)

    def weighted(self, weights: Array) -> Self:
        """Return the rows with weights; those of weight zero are left out."""
        own = self.subset(np.flatnonzero(weights))
        own._weights = weights
        if self.index is not None:
            own._weights = np.zeros(self.table.shape[0])
            own._weights[self.index] = weights
        return own


class ArraySource(Source):
    """Rows of an array in memory, all or some of them, without a copy of the whole.

    Parameters
    ----------
    X : ndarray of shape (n, n_features)
        Without missing values.
    index, weights
        As in :class:`Source`.
    known : ndarray of bool of shape (n, n_features) or None
        Which values were there before X was filled; None means all.
    """

    may_be_copied = True

    def __init__(
        self,
        X: Array,
        index: Positions | None = None,
        weights: Array | None = None,
        known: Mask | None = None,
    ) -> None:
        super().__init__(X, X.dtype, index, weights)
        self.known = known

    def read(self, positions: Positions | slice) -> Array:
        """Return rows; views where they are neighbours."""
        if isinstance(positions, slice):
            return self.table[positions]
        return np.take(self.table, positions, axis=0)

    def columns(self, size: int) -> Iterator[tuple[slice, Array]]:
        """Yield ``size`` columns at a time; views of X where all rows are read."""
        for columns in slices(self.n_features, size):
            rows = self.table[:, columns]
            yield columns, rows if self.index is None else rows[self.index]

    def observed(self, index: Positions | slice) -> Mask | None:
        """Return which values of the rows at these positions are known; None means all."""
        if self.known is None:
            return None
        return self.known[index if self.index is None else self.index[index]]


class SparseSource(Source):
    """Rows of a sparse matrix, of which a part at a time becomes an array.

    Parameters
    ----------
    X : scipy.sparse.csr_array of shape (n, n_features)
    index, weights
        As in :class:`Source`.
    """

    def __init__(
        self, X: Any, index: Positions | None = None, weights: Array | None = None
    ) -> None:
        super().__init__(X, X.dtype, index, weights)

    def read(self, positions: Positions | slice) -> Array:
        """Return rows as an array."""
        rows: Array = self.table[positions].toarray()
        return rows

    @cached_property
    def matrix(self) -> Any:
        """The rows as a sparse matrix, in float64."""
        rows = self.table if self.index is None else self.table[self.index]
        return sparse.csr_array(rows, dtype=np.float64)

    @cached_property
    def by_column(self) -> Any:
        """The rows as a sparse matrix that is sliced by column."""
        return self.matrix.tocsc()

    def columns(self, size: int) -> Iterator[tuple[slice, Array]]:
        """Yield ``size`` columns at a time as arrays."""
        for columns in slices(self.n_features, size):
            yield columns, self.by_column[:, columns].toarray()


class StoredSource(Source):
    """Rows of what is not in memory: a memory map, or a file's array with slices of rows.

    Parameters
    ----------
    X : object with ``shape``, ``dtype`` and slices
        Of numbers; each part becomes float32 where X is, float64 otherwise.
    index, weights
        As in :class:`Source`.
    wide : bool
        Whether each part becomes float64 in any case.
    """

    has_random_access = False

    def __init__(
        self,
        X: Any,
        index: Positions | None = None,
        weights: Array | None = None,
        *,
        wide: bool = False,
    ) -> None:
        kind = np.dtype(str(X.dtype)) if not isinstance(X.dtype, np.dtype) else X.dtype
        narrow = kind in (np.float32, np.float16) and not wide
        dtype = np.dtype(np.float32 if narrow else np.float64)
        super().__init__(X, dtype, index, weights)

    def read(self, positions: Positions | slice) -> Array:
        """Return rows as an array, read in as few slices as possible."""
        if isinstance(positions, slice):
            return np.asarray(self.table[positions], dtype=self.dtype)
        rows = np.empty((len(positions), self.n_features), dtype=self.dtype)
        order = np.argsort(positions, kind="stable")
        wanted = positions[order]
        most = max(256, PART_SIZE // self.n_features)
        first = 0
        while first < len(wanted):
            near = wanted[first : first + most] - wanted[first] < most
            gaps = np.flatnonzero(np.diff(wanted[first : first + most][near]) > MAX_GAP)
            last = first + int(gaps[0] + 1 if len(gaps) else np.count_nonzero(near))
            piece = self.table[slice(int(wanted[first]), int(wanted[last - 1]) + 1)]
            rows[order[first:last]] = np.asarray(piece)[wanted[first:last] - wanted[first]]
            first = last
        return rows


class FilledSource(Source):
    """Rows of another source, whose missing values are filled when they are read.

    Parameters
    ----------
    source : Source
        In whose rows NaN is a missing value.
    filler : Filler
    """

    def __init__(self, source: Source, filler: Filler) -> None:
        super().__init__(source.table, source.dtype, source.index, source._weights)
        self.source, self.filler, self.world = source, filler, source.world
        self.has_random_access = source.has_random_access

    def read(self, positions: Positions | slice) -> Array:
        """Return filled rows."""
        return self.filler.fill(self.source.read(positions))

    def given(self, rows: slice) -> Array:
        """Return rows as they were given: what is missing is NaN."""
        return self.source.read(rows if self.index is None else self.index[rows])

    def observed(self, index: Positions | slice) -> Mask | None:
        """Return which values of the rows at these positions are known."""
        return ~np.isnan(self.source.read(index if self.index is None else self.index[index]))


def is_filled_at_once(source: Source) -> bool:
    """Tell whether missing values are filled once and for all, in memory, and not at each reading.

    That is so for arrays, and for sparse tables that are small as arrays too.
    """
    is_small = source.n_rows * source.n_features <= MAX_FILLED
    return source.may_be_copied or (source.has_random_access and is_small)


def fill(source: Source, filler: Filler) -> Source:
    """Return rows without missing values: an array at once, others part by part."""
    if not is_filled_at_once(source):
        return FilledSource(source, filler)
    shape = (source.n_rows, source.n_features)
    filled, known = np.empty(shape, dtype=source.dtype), np.empty(shape, dtype=bool)
    for rows, part in source.chunks(rows_at_once(source.n_features)):
        filled[rows], known[rows] = filler.fill(part), ~np.isnan(part)
    whole = ArraySource(filled, None, source.weights, known)
    whole.world = source.world
    return whole
