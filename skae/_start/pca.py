"""PCA of tables that are not to be copied: of all rows, and of those that train."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh, qr

from skae._data.batches import PART_SIZE, Units, slices
from skae._data.checks import Array
from skae._estimator.parameters import is_integer

# The side of a matrix from which on a few components are searched for.
EXACT_SIZE = 2000


@dataclass(frozen=True)
class PCAStart:
    """PCA of the training rows, in their units.

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
    """Rows of a table less their mean, part by part, without a copy of the table.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
    which : ndarray of int or None
        Numbers of the rows; None means all.

    Attributes
    ----------
    mean, variances : ndarray of shape (n_features,)
        In float64. A column that varies by no more than rounding is constant.
    scale : float
        The root of the mean variance, or 1 where that is zero: what parts are divided by, so
        that squares neither overflow nor vanish in float32.
    """

    def __init__(self, X: Array, which: NDArray[np.int64] | None = None) -> None:
        self.X, self.which = X, which
        self.n_rows = len(X) if which is None else len(which)
        total = sum(self._rows(rows).sum(axis=0, dtype=np.float64) for rows in self._slices())
        mean = total / self.n_rows
        # The second pass corrects what rounding did to the sum.
        total, squares = np.zeros((2, X.shape[1]))
        for rows in self._slices():
            differences = self._rows(rows) - mean
            total += differences.sum(axis=0)
            squares += np.square(differences).sum(axis=0)
        self.mean = mean + total / self.n_rows
        variances = squares / self.n_rows - np.square(total / self.n_rows)
        rounding = 10 * np.finfo(np.float64).eps * np.abs(self.mean)
        self.variances = np.where(variances <= rounding**2, 0.0, variances)
        self.scale = float(np.sqrt(self.variances.mean())) or 1.0

    def _slices(self) -> Iterator[slice]:
        return slices(self.n_rows, max(256, PART_SIZE // self.X.shape[1]))

    def _rows(self, rows: slice) -> Array:
        return self.X[rows] if self.which is None else self.X[self.which[rows]]

    def parts(self) -> Iterator[tuple[slice, Array]]:
        """Yield some rows at a time, divided by ``scale``, in the table's precision."""
        units = Units(self.mean, self.scale)
        for rows in self._slices():
            part = self._rows(rows)
            if part.dtype == np.float32:
                part = units.convert(part)
            else:
                part = (part - self.mean) / self.scale
            yield rows, part * (self.variances > 0).astype(part.dtype)

    def columns(self) -> Iterator[tuple[slice, Array]]:
        """Yield some columns at a time, divided by ``scale``, in float64."""
        for columns in slices(self.X.shape[1], max(256, PART_SIZE // self.n_rows)):
            part = self.X[:, columns] if self.which is None else self.X[self.which, columns]
            part = (part - self.mean[columns]) / self.scale
            yield columns, part * (self.variances[columns] > 0)


def fit_pca(rows: Centred, n_components: int | float, seed: int) -> PCAStart:
    """Fit PCA, padded with zeros where it has too few components.

    Parameters
    ----------
    rows : Centred
    n_components : int or float
        As in :class:`sklearn.decomposition.PCA`; an int may exceed what PCA can give.
    seed : int
        For the random start of the search for a few components of a large table.
    """
    n_rows, n_features = rows.n_rows, len(rows.mean)
    wanted = n_components if is_integer(n_components) else None
    if not rows.variances.any():  # a share of nothing is one component
        k = int(wanted or 1)
        nothing = np.zeros((k, n_features)), np.zeros(k)
        return PCAStart(rows.mean, *nothing, rows.variances, n_rows)
    smaller = min(n_rows, n_features)
    if wanted is not None and smaller > max(EXACT_SIZE, 10 * wanted):
        squares, components = search(rows, int(wanted), seed)
    else:
        most = smaller if wanted is None else min(int(wanted), smaller)
        decompose = decompose_covariance if n_features <= n_rows else decompose_gram
        squares, components = decompose(rows, most)
    squares = squares * rows.scale**2
    if wanted is None:
        shares = np.cumsum(squares) / (rows.variances.sum() * n_rows)
        k = min(int(np.searchsorted(shares, n_components, side="right")) + 1, smaller)
        squares, components = squares[:k], components[:k]
    explained = squares @ np.square(components) / n_rows
    residuals = np.clip(rows.variances - explained, 0, None)
    missing = max(0, int(wanted or 0) - len(squares))
    components = np.pad(components, ((0, missing), (0, 0)))
    variances = np.pad(squares, (0, missing)) / max(1, n_rows - 1)
    return PCAStart(rows.mean, components, variances, residuals, n_rows)


def decompose_covariance(rows: Centred, k: int) -> tuple[Array, Array]:
    """Return the k largest squared singular values of rows as ``parts`` yields them, and the
    directions that belong to them.
    """
    scatter = np.zeros((len(rows.mean),) * 2)
    for _, part in rows.parts():
        scatter += part.T @ part
    return largest(scatter, k)


def decompose_gram(rows: Centred, k: int) -> tuple[Array, Array]:
    """As :func:`decompose_covariance`, for more features than rows."""
    gram = np.zeros((rows.n_rows,) * 2)
    for _, part in rows.columns():
        gram += part @ part.T
    squares, left = largest(gram, k)
    components = np.empty((k, len(rows.mean)))
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
    directions = np.random.default_rng(seed).normal(size=(len(rows.mean), k + 10))
    for _ in range(7):
        directions, _ = qr(directions, mode="economic")
        image = np.zeros_like(directions)
        for _, part in rows.parts():
            image += part.T @ (part @ directions.astype(part.dtype))
        directions, last = image, directions
    squares, turn = largest(last.T @ image, k)
    return squares, turn @ last.T
