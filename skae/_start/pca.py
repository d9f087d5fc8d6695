"""PCA of a source of rows, which is read part by part and never copied."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh, qr

from skae._data.checks import Array
from skae._data.moments import Moments
from skae._data.sources import PART_SIZE, Source
from skae._data.units import Units

# Above this size of the smaller side, a few components are found by subspace iteration.
EXACT_SIZE = 2000


@dataclass(frozen=True)
class PCA:
    """PCA in the units of X.

    Attributes
    ----------
    mean : ndarray of shape (n_features,)
    components : ndarray of shape (n_components, n_features)
        Principal directions; rows of zeros where PCA has fewer.
    variances : ndarray of shape (n_components,)
        Variance along each.
    residuals : ndarray of shape (n_features,)
        Variance that PCA leaves in each feature.
    n_samples : int
        Number of rows it was fitted on.
    """

    mean: Array
    components: Array
    variances: Array
    residuals: Array
    n_samples: int

    @property
    def n_components(self) -> int:
        """Size of the code."""
        return len(self.components)

    @property
    def noise_variance(self) -> float:
        """Of probabilistic PCA, as scikit-learn's ``PCA`` has it; 0 if nothing is left out."""
        n_left = min(self.n_samples, len(self.mean)) - len(self.components)
        if n_left <= 0:
            return 0.0
        return float(self.residuals.sum() * self.n_samples / (self.n_samples - 1) / n_left)


class Centred:
    """Rows less their mean, divided by their scale, part by part.

    The scale keeps squares from overflowing and from vanishing in float32.

    Parameters
    ----------
    source : Source
    moments : Moments
        The source's.
    """

    def __init__(self, source: Source, moments: Moments) -> None:
        self.source, self.moments = source, moments
        self.units = Units(moments.mean, moments.scale)
        self.varies = moments.variances > 0

    def parts(self) -> Iterator[Array]:
        """Yield some rows at a time, in the source's precision."""
        for _, part in self.source.chunks(max(256, PART_SIZE // self.source.n_features)):
            if part.dtype == np.float32:
                centred = self.units.convert(part)
            else:
                centred = (part - self.moments.mean) / self.moments.scale
            yield centred * self.varies.astype(centred.dtype)

    def columns(self) -> Iterator[tuple[slice, Array]]:
        """Yield some columns at a time, in float64, and which they are."""
        moments = self.moments
        for columns, part in self.source.columns(max(256, PART_SIZE // moments.n_rows)):
            centred = (part - moments.mean[columns]) / moments.scale
            yield columns, centred * self.varies[columns]


def fit_pca(source: Source, moments: Moments, n_components: int | float, seed: int) -> PCA:
    """Fit PCA, padded with zeros where it has too few components.

    Parameters
    ----------
    source : Source
    moments : Moments
        The source's.
    n_components : int or float
        As in :class:`sklearn.decomposition.PCA`; an int may exceed what PCA can give.
    seed : int
        For the random start of the search for a few components of a large table.
    """
    n_rows, n_features = source.n_rows, source.n_features
    wanted = n_components if isinstance(n_components, int) else None
    if not moments.variances.any():  # a share of nothing is one component
        k = wanted or 1
        nothing = np.zeros((k, n_features)), np.zeros(k)
        return PCA(moments.mean, *nothing, moments.variances, n_rows)
    rows = Centred(source, moments)
    smaller = min(n_rows, n_features)
    if wanted is not None and smaller > max(EXACT_SIZE, 10 * wanted):
        squares, components = search(rows, wanted, seed)
    else:
        most = smaller if wanted is None else min(wanted, smaller)
        decompose = decompose_covariance if n_features <= n_rows else decompose_gram
        squares, components = decompose(rows, most)
    squares = squares * moments.scale**2
    if wanted is None:
        shares = np.cumsum(squares) / (moments.variances.sum() * n_rows)
        k = min(int(np.searchsorted(shares, n_components, side="right")) + 1, smaller)
        squares, components = squares[:k], components[:k]
    explained = squares @ np.square(components) / n_rows
    residuals = np.clip(moments.variances - explained, 0, None)
    missing = max(0, (wanted or 0) - len(squares))
    components = np.pad(components, ((0, missing), (0, 0)))
    variances = np.pad(squares, (0, missing)) / max(1, n_rows - 1)
    return PCA(moments.mean, components, variances, residuals, n_rows)


def decompose_covariance(rows: Centred, k: int) -> tuple[Array, Array]:
    """Return the k largest squared singular values of rows as ``parts`` yields them, and the
    directions that belong to them.
    """
    scatter = np.zeros((rows.source.n_features,) * 2)
    for part in rows.parts():
        scatter += part.T @ part
    return largest(scatter, k)


def decompose_gram(rows: Centred, k: int) -> tuple[Array, Array]:
    """As :func:`decompose_covariance`, for more features than rows."""
    gram = np.zeros((rows.source.n_rows,) * 2)
    for _, part in rows.columns():
        gram += part @ part.T
    squares, left = largest(gram, k)
    components = np.empty((k, rows.source.n_features))
    for columns, part in rows.columns():
        components[:, columns] = left @ part
    lengths = np.linalg.norm(components, axis=1, keepdims=True)
    found = squares > 1e-12 * squares[0]
    return squares, np.divide(components, lengths, where=found[:, None], out=0 * components)


def largest(matrix: Array, k: int) -> tuple[Array, Array]:
    """Return the k largest eigenvalues of a symmetric matrix, and the eigenvectors as rows."""
    values, vectors = eigh(matrix, subset_by_index=[len(matrix) - k, len(matrix) - 1])
    return np.clip(values[::-1], 0, None), vectors[:, ::-1].T


def search(rows: Centred, k: int, seed: int) -> tuple[Array, Array]:
    """As :func:`decompose_covariance`, nearly: subspace iteration from random directions.

    Halko, Martinsson and Tropp, "Finding structure with randomness", SIAM Review 2011,
    algorithm 4.4, with ten more directions than wanted and seven passes.
    """
    directions = np.random.default_rng(seed).normal(size=(rows.source.n_features, k + 10))
    for _ in range(7):
        directions, _ = qr(directions, mode="economic")
        image = np.zeros_like(directions)
        for part in rows.parts():
            image += part.T @ (part @ directions.astype(part.dtype))
        directions, last = image, directions
    squares, turn = largest(last.T @ image, k)
    return squares, turn @ last.T
