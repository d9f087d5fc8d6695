"""Sums of products of rows that come in parts, from which PCA of all of them is computed."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import eigh

from skae._data.sources import Array, Source
from skae._data.sums.centred import centre
from skae._data.sums.moments import Moments

# Up to so many features all products of columns are kept; of more the first of so many directions.
MAX_PRODUCTS, N_DIRECTIONS = 2000, 256


@dataclass(frozen=True)
class Scatter:
    """Rows less their mean, as far as PCA needs them; two of these can be merged.

    Attributes
    ----------
    n_rows : int
    total, squared_weights : float
        Sums of the weights of the rows, and of their squares.
    mean : ndarray of shape (n_features,)
    products : ndarray of shape (n_features, n_features) or (n_directions, n_features)
        S = Σ w (x − mean)(x − mean)ᵀ; or, for many features, F such that FᵀF is S but for its
        smallest parts.
    diagonal : ndarray of shape (n_features,)
        The diagonal of S.
    deviation : float
        As in :class:`Moments`.
    """

    n_rows: int
    total: float
    squared_weights: float
    mean: Array
    products: Array
    diagonal: Array
    deviation: float

    @classmethod
    def of(cls, source: Source) -> "Scatter":
        """Return the sums of all rows of a source."""
        moments, weights = Moments.of(source), source.weights
        rows, scale = centre(source, moments), moments.scale
        products: Array
        if source.n_features <= MAX_PRODUCTS:
            products = rows.scatter() * scale**2
        else:
            products = sketch(rows.sample_products(N_DIRECTIONS)) * scale
        squared = source.n_rows if weights is None else float(np.square(weights).sum())
        return cls(
            source.n_rows,
            float(moments.total),
            squared,
            moments.mean,
            products,
            moments.variances * moments.total,
            moments.deviation,
        )

    def merge(self, other: "Scatter") -> "Scatter":
        """Return the sums of the rows of both: exact, but for the small parts of sketches."""
        total = self.total + other.total
        shift = other.mean - self.mean
        between = np.sqrt(self.total * other.total / total) * shift
        products: Array
        if len(self.mean) <= MAX_PRODUCTS:
            products = self.products + other.products + np.outer(between, between)
        else:
            products = sketch(np.vstack([self.products, other.products, between]))
        return replace(
            self,
            n_rows=self.n_rows + other.n_rows,
            total=total,
            squared_weights=self.squared_weights + other.squared_weights,
            mean=self.mean + shift * (other.total / total),
            products=products,
            diagonal=self.diagonal + other.diagonal + np.square(between),
            deviation=max(self.deviation, other.deviation, float(np.abs(shift).max())),
        )

    def moments(self) -> Moments:
        """Return mean and variances of the rows."""
        return Moments.from_sums(
            self.n_rows,
            self.mean,
            self.diagonal / self.total,
            self.deviation,
            self.total,
            self.squared_weights,
        )

    def directions(self, k: int) -> tuple[Array, Array]:
        """Return the k largest squared singular values of the rows, and their directions.

        Fewer where a sketch has fewer.
        """
        k = min(k, len(self.products))
        if len(self.mean) <= MAX_PRODUCTS:
            return largest(self.products, k)
        values, left = largest(self.products @ self.products.T, k)
        lengths = np.sqrt(np.where(values > 1e-12 * values[0], values, np.inf))
        return values, left @ self.products / lengths[:, None]


def largest(matrix: Array, k: int) -> tuple[Array, Array]:
    """Return the k largest eigenvalues of a symmetric matrix, and the eigenvectors as rows."""
    values, vectors = eigh(matrix, subset_by_index=[len(matrix) - k, len(matrix) - 1])
    return np.clip(values[::-1], 0, None), vectors[:, ::-1].T


def sketch(rows: Array) -> Array:
    """Return no more than so many rows whose products of columns are those of all, nearly."""
    if len(rows) <= N_DIRECTIONS:
        return rows
    _, left = largest(rows @ rows.T, N_DIRECTIONS)
    return left @ rows
