"""Mean and variances of a table, of any size and far from zero too."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from skae._data.sources import Array, Source


@dataclass(frozen=True)
class Moments:
    """What PCA and the module's units need to know of a table.

    Attributes
    ----------
    n_rows : int
    mean, variances : ndarray of shape (n_features,)
        In float64. A column that varies by no more than rounding has a variance of 0.
    deviation : float
        The largest absolute difference of a number to its column's mean, rounding errors
        excluded. Where it is positive and all variances are 0, the variances underflowed.
    total : float
        Sum of the rows' weights: their number, where they have none.
    degrees_of_freedom : float
        What sums of squares are divided by for the variance of the population: n − 1 for n rows.
        With weights ``total`` less the smaller of 1 and Σw²/Σw: equal to that of repeated rows for
        integers, and sensible for weights that sum to 1.
    """

    n_rows: int
    mean: Array
    variances: Array
    deviation: float
    total: float
    degrees_of_freedom: float

    @classmethod
    def of(cls, source: Source) -> "Moments":
        """Compute the moments of all rows of a source, in two passes."""
        weights = source.weights
        total = source.n_rows if weights is None else float(weights.sum())
        squared = source.n_rows if weights is None else float(np.square(weights).sum())
        sums = sums_by_part if source.matrix is None else sums_of_sparse
        mean, variances, largest = sums(source, weights, total)
        deviation = float(np.where(largest > rounding_of(mean), largest, 0.0).max())
        return cls.from_sums(source.n_rows, mean, variances, deviation, total, squared)

    @classmethod
    def from_sums(
        cls,
        n_rows: int,
        mean: Array,
        variances: Array,
        deviation: float,
        total: float,
        squared_weights: float,
    ) -> "Moments":
        """Return moments whose variances are zero where a column varies by rounding alone.

        ``squared_weights`` is the sum of the squares of the rows' weights.
        """
        variances = np.where(variances <= rounding_of(mean) ** 2, 0.0, variances)
        degrees = total - min(1.0, squared_weights / total)
        return cls(n_rows, mean, variances, deviation, total, degrees)

    @cached_property
    def scale(self) -> float:
        """The root of the mean variance, or 1 where that is zero."""
        return float(np.sqrt(self.variances.mean())) or 1.0


def rounding_of(mean: Array) -> Array:
    """Return by how much the numbers of columns may differ from their mean by rounding alone."""
    rounding: Array = 10 * np.finfo(np.float64).eps * np.abs(mean)
    return rounding


def sums_by_part(source: Source, weights: Array | None, total: float) -> tuple[Array, Array, Array]:
    """Return the mean and the variance of each column, and its largest difference to the mean."""

    def weighed(rows: slice, values: Array) -> Array:
        return values if weights is None else values * weights[rows, None]

    sums = sum(weighed(rows, part).sum(axis=0, dtype=np.float64) for rows, part in source.parts())
    mean = sums / total
    # The second pass corrects what rounding did to the sum.
    sums, squares, largest = np.zeros((3, source.n_features))
    for rows, part in source.parts():
        differences = part - mean
        np.maximum(largest, np.abs(differences).max(axis=0), out=largest)
        sums += weighed(rows, differences).sum(axis=0)
        squares += weighed(rows, np.square(differences)).sum(axis=0)
    variances = squares / total - np.square(sums / total)
    return mean + sums / total, variances, largest


def sums_of_sparse(
    source: Source, weights: Array | None, total: float
) -> tuple[Array, Array, Array]:
    """As :func:`sums_by_part`, from the numbers that a sparse matrix stores."""
    matrix = source.matrix
    w = np.ones(source.n_rows) if weights is None else weights
    of_number = np.repeat(w, np.diff(matrix.indptr))
    n, column = source.n_features, matrix.indices
    # Where nothing is stored, bincount returns integers.
    mean = np.bincount(column, of_number * matrix.data, n) / total
    differences = matrix.data - mean[column]
    squares = np.bincount(column, of_number * np.square(differences), n).astype(np.float64)
    stored = np.bincount(column, of_number, n)
    n_stored = np.bincount(column, minlength=n)
    squares += np.clip(total - stored, 0, None) * np.square(mean)
    largest = np.where(n_stored < source.n_rows, np.abs(mean), 0.0)
    np.maximum.at(largest, column, np.abs(differences))
    return mean, squares / total, largest
