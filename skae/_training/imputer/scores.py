"""Normal scores: columns with the distribution of a standard normal, and missing ones filled."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from skae._data.sources import Array, ArraySource
from skae._start.gaussian import Gaussian, fit_gaussian, standardise

# Of how many points the map of a column consists.
N_POINTS = 128
# Standardised values beyond are cut for the network.
FARTHEST = 1e6


@dataclass(frozen=True)
class NormalScores:
    """The rows that a network sees beside those in the units of X.

    Between columns of which some have long tails, scores often depend linearly on each other
    where the values do not: an area is a product of lengths.

    Attributes
    ----------
    values, scores : ndarray of shape (n_features, n_points)
        Values of each column, in order, and their scores: the map is linear between them.
    gaussian : Gaussian
        Of rows of scores.
    """

    values: Array
    scores: Array
    gaussian: Gaussian

    @classmethod
    def fit(cls, X: Array, weights: Array, seed: int) -> "NormalScores":
        """Find the maps, and fit the Gaussian.

        Parameters
        ----------
        X : ndarray of shape (n_rows, n_features)
            NaN is missing; each column has an observed entry.
        weights : ndarray of shape (n_rows,)
        seed : int
        """
        maps = [fit_map(column, weights) for column in X.T]
        values, scores = (np.array(part) for part in zip(*maps, strict=True))
        gaussian = fit_gaussian(ArraySource(apply_maps(X, values, scores)), seed, weights)
        return cls(values, scores, gaussian)

    def fill(self, X: Array) -> NDArray[np.float32]:
        """Return standardised scores of rows, expected ones where X is missing."""
        rows = apply_maps(X, self.values, self.scores)
        return to_network(self.gaussian, self.gaussian.fill(rows))


def fit_map(column: Array, weights: Array) -> tuple[Array, Array]:
    """Return values of a column, in order, and their normal scores."""
    observed = ~np.isnan(column)
    values, inverse = np.unique(column[observed].astype(np.float64), return_inverse=True)
    counts = np.bincount(inverse, weights[observed])
    shares = (np.cumsum(counts) - counts / 2) / counts.sum()
    points = np.linspace(0, len(values) - 1, N_POINTS).round().astype(int)
    return values[points], norm.ppf(shares[points])


def apply_maps(X: Array, values: Array, scores: Array) -> Array:
    """Return the scores of rows; NaN stays."""
    columns = (np.interp(*each) for each in zip(X.T, values, scores, strict=True))
    return np.column_stack(list(columns))


def to_network(gaussian: Gaussian, X: Array) -> NDArray[np.float32]:
    """Return standardised rows that float32 can hold; zeros for NaN."""
    z = standardise(X, gaussian.mean, gaussian.scale)
    return np.clip(z, -FARTHEST, FARTHEST).astype(np.float32)
