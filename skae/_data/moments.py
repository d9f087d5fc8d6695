"""Mean and variances of a table, of any size and far from zero too."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from skae._data.checks import Array
from skae._data.sources import PART_SIZE, Source


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
    """

    n_rows: int
    mean: Array
    variances: Array
    deviation: float

    @classmethod
    def of(cls, source: Source) -> "Moments":
        """Compute the moments of all rows of a source, in two passes."""
        size = max(256, PART_SIZE // source.n_features)
        total = sum(part.sum(axis=0, dtype=np.float64) for _, part in source.chunks(size))
        mean = total / source.n_rows
        # The second pass corrects what rounding did to the sum.
        total, squares, largest = np.zeros((3, source.n_features))
        for _, part in source.chunks(size):
            differences = part - mean
            np.maximum(largest, np.abs(differences).max(axis=0), out=largest)
            total += differences.sum(axis=0)
            squares += np.square(differences).sum(axis=0)
        variances = squares / source.n_rows - np.square(total / source.n_rows)
        mean = mean + total / source.n_rows
        rounding = 10 * np.finfo(np.float64).eps * np.abs(mean)
        variances = np.where(variances <= rounding**2, 0.0, variances)
        deviation = np.where(largest > rounding, largest, 0.0).max()
        return cls(source.n_rows, mean, variances, float(deviation))

    @cached_property
    def scale(self) -> float:
        """The root of the mean variance, or 1 where that is zero."""
        return float(np.sqrt(self.variances.mean())) or 1.0
