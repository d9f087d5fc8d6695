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
        """Compute the moments of all rows of a source, and of all processes, in two passes."""
        weights, n_rows, world = source.weights, source.n_rows, source.world
        own_total = n_rows if weights is None else weights.sum()
        squared = n_rows if weights is None else np.square(weights).sum()
        counts = world.sum(np.array([n_rows, own_total, squared], dtype=np.float64))
        n_rows, total = int(counts[0]), float(counts[1])
        sums, differences = BY_PART if source.matrix is None else OF_SPARSE
        mean = world.sum(sums(source, weights)) / total
        sum_of, squares, largest = differences(source, weights, mean)
        # The second pass corrects what rounding did to the sum.
        shift, squares = world.sum(np.stack([sum_of, squares])) / total
        largest = world.largest(largest)
        mean, variances = mean + shift, squares - np.square(shift)
        deviation = float(np.where(largest > rounding_of(mean), largest, 0.0).max())
        return cls.from_sums(n_rows, mean, variances, deviation, total, float(counts[2]))

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

    @property
    def total_variance(self) -> float:
        """The sum of the columns' variances, with the degrees of freedom that PCA has."""
        return float(self.variances.sum()) * self.total / (self.degrees_of_freedom or 1.0)


def rounding_of(mean: Array) -> Array:
    """Return by how much the numbers of columns may differ from their mean by rounding alone."""
    rounding: Array = 10 * np.finfo(np.float64).eps * np.abs(mean)
    return rounding


def weighed(weights: Array | None, rows: slice, values: Array) -> Array:
    """Return values of rows times the rows' weights."""
    return values if weights is None else values * weights[rows, None]


def sums_by_part(source: Source, weights: Array | None) -> Array:
    """Return the sum of each column."""
    sums = np.zeros(source.n_features)
    for rows, part in source.parts():
        sums += weighed(weights, rows, part).sum(axis=0, dtype=np.float64)
    return sums


def differences_by_part(
    source: Source, weights: Array | None, mean: Array
) -> tuple[Array, Array, Array]:
    """Return sums of differences to a mean, and of their squares, and the largest difference."""
    sums, squares, largest = np.zeros((3, source.n_features))
    for rows, part in source.parts():
        differences = part - mean
        np.maximum(largest, np.abs(differences).max(axis=0), out=largest)
        sums += weighed(weights, rows, differences).sum(axis=0)
        squares += weighed(weights, rows, np.square(differences)).sum(axis=0)
    return sums, squares, largest


def sums_of_sparse(source: Source, weights: Array | None) -> Array:
    """As :func:`sums_by_part`, from the numbers that a sparse matrix stores."""
    matrix = source.matrix
    sums = np.bincount(matrix.indices, of_numbers(source, weights) * matrix.data, source.n_features)
    # Where nothing is stored, bincount returns integers.
    return sums.astype(np.float64)


def differences_of_sparse(
    source: Source, weights: Array | None, mean: Array
) -> tuple[Array, Array, Array]:
    """As :func:`differences_by_part`, from the numbers that a sparse matrix stores."""
    matrix, of_number = source.matrix, of_numbers(source, weights)
    n, column = source.n_features, matrix.indices
    differences = matrix.data - mean[column]
    squares = np.bincount(column, of_number * np.square(differences), n).astype(np.float64)
    stored = np.bincount(column, of_number, n)
    n_stored = np.bincount(column, minlength=n)
    total = source.n_rows if weights is None else weights.sum()
    squares += np.clip(total - stored, 0, None) * np.square(mean)
    largest = np.where(n_stored < source.n_rows, np.abs(mean), 0.0)
    np.maximum.at(largest, column, np.abs(differences))
    return np.bincount(column, of_number * matrix.data, n) - total * mean, squares, largest


def of_numbers(source: Source, weights: Array | None) -> Array:
    """Return the weight of the row of each number that a sparse matrix stores."""
    w = np.ones(source.n_rows) if weights is None else weights
    return np.repeat(w, np.diff(source.matrix.indptr))


# The two passes over an array, and over a sparse matrix.
BY_PART = sums_by_part, differences_by_part
OF_SPARSE = sums_of_sparse, differences_of_sparse
