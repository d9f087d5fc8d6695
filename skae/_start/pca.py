"""PCA of a source of rows, which is read part by part and never copied."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import qr

from skae._data.sources import Array, Source
from skae._data.sums.centred import Centred, centre
from skae._data.sums.moments import Moments
from skae._data.sums.scatter import Scatter, largest
from skae._files.words import shown

# Above this size of the smaller side, a few components are found by subspace iteration.
EXACT_SIZE = 2000
# Up to this size of the smaller side all components are computed, as a share of variance needs:
# matrices of that many rows and columns, and a minute.
MAX_SPECTRUM = 5000


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
    moments : Moments
        Of the rows it was fitted on.
    """

    mean: Array
    components: Array
    variances: Array
    residuals: Array
    moments: Moments

    @property
    def n_samples(self) -> float:
        """Number of rows it was fitted on, or the sum of their weights."""
        return self.moments.total

    @property
    def n_components(self) -> int:
        """Size of the code."""
        return len(self.components)

    @property
    def noise_variance(self) -> float:
        """Of probabilistic PCA, as scikit-learn's ``PCA`` has it; 0 if nothing is left out."""
        n_left = n_left_out(self.moments, self.n_components)
        if n_left <= 0:
            return 0.0
        total, degrees = self.moments.total, self.moments.degrees_of_freedom
        return float(self.residuals.sum() * total / degrees / n_left)


def n_left_out(moments: Moments, n_components: int) -> float:
    """Return how many dimensions of the rows a code leaves out; below 0 where it is larger."""
    rows = max(moments.n_rows, moments.total)
    return float(min(rows, len(moments.mean)) - n_components)


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
    n_rows, n_features = moments.n_rows, source.n_features
    wanted = n_components if isinstance(n_components, int) else None
    if not moments.variances.any():
        return pca_of_nothing(moments, n_components)
    rows = centre(source, moments)
    smaller = min(n_rows, n_features)
    if wanted is None and smaller > MAX_SPECTRUM:
        raise ValueError(
            f"n_components={shown(n_components)} needs all components of {n_rows:,} rows of "
            f"{n_features:,} features, too many to compute; pass an int, such as 32."
        )
    if wanted is not None and smaller > max(EXACT_SIZE, 10 * wanted):
        squares, components = search(rows, wanted, seed)
    else:
        most = smaller if wanted is None else min(wanted, smaller)
        decompose = decompose_covariance if n_features <= n_rows else decompose_gram
        squares, components = decompose(rows, most)
    pca = make_pca(moments, squares * moments.scale**2, components, n_components)
    # Where variances are equal, rounding decides which directions another machine finds.
    return source.world.agree(pca)


def pca_of_scatter(scatter: Scatter, n_components: int | float) -> PCA:
    """As :func:`fit_pca`, of rows of which sums of products are known."""
    moments = scatter.moments()
    if not moments.variances.any():
        return pca_of_nothing(moments, n_components)
    smaller = min(scatter.n_rows, len(scatter.mean))
    most = min(n_components, smaller) if isinstance(n_components, int) else smaller
    if most > len(scatter.products):
        raise ValueError(
            f"n_components={shown(n_components)} may need more than the {len(scatter.products)} "
            f"components that partial_fit keeps of {len(scatter.mean):,} features; pass an int up "
            "to that, or call fit."
        )
    return make_pca(moments, *scatter.directions(most), n_components)


def pca_of_nothing(moments: Moments, n_components: int | float) -> PCA:
    """Return PCA of rows that do not vary; a share of that is one component."""
    k = n_components if isinstance(n_components, int) else 1
    components = np.zeros((k, len(moments.mean)))
    return PCA(moments.mean, components, np.zeros(k), moments.variances, moments)


def make_pca(moments: Moments, squares: Array, components: Array, n_components: int | float) -> PCA:
    """Return PCA from squared singular values in X's units, and their directions."""
    wanted = n_components if isinstance(n_components, int) else None
    if wanted is None:
        shares = np.cumsum(squares) / (moments.variances.sum() * moments.total or 1)
        k = min(int(np.searchsorted(shares, n_components, side="right")) + 1, len(squares))
        squares, components = squares[:k], components[:k]
    components = fix_signs(components)
    explained = squares @ np.square(components) / moments.total
    residuals = np.clip(moments.variances - explained, 0, None)
    missing = max(0, (wanted or 0) - len(squares))
    components = np.pad(components, ((0, missing), (0, 0)))
    variances = np.pad(squares, (0, missing)) / (moments.degrees_of_freedom or 1)
    return PCA(moments.mean, components, variances, residuals, moments)


def fix_signs(components: Array) -> Array:
    """Return directions whose largest loading is positive.

    The signs of eigenvectors are an accident of rounding, and networks that start at directions
    of other signs train differently: without a rule, the same rows in another form would do so.
    """
    place = np.abs(components).argmax(axis=1, keepdims=True)
    fixed: Array = components * np.where(np.take_along_axis(components, place, axis=1) < 0, -1, 1)
    return fixed


def decompose_covariance(rows: Centred, k: int) -> tuple[Array, Array]:
    """Return the k largest squared singular values of centred rows, and the directions that
    belong to them.
    """
    return largest(rows.scatter(), k)


def decompose_gram(rows: Centred, k: int) -> tuple[Array, Array]:
    """As :func:`decompose_covariance`, for more features than rows."""
    squares, left = largest(rows.gram(), k)
    components = rows.combine(left)
    lengths = np.linalg.norm(components, axis=1, keepdims=True)
    found = squares > 1e-12 * squares[0]
    return squares, np.divide(components, lengths, where=found[:, None], out=0 * components)


def search(rows: Centred, k: int, seed: int) -> tuple[Array, Array]:
    """As :func:`decompose_covariance`, nearly: subspace iteration from random directions.

    Halko, Martinsson and Tropp, "Finding structure with randomness", SIAM Review 2011,
    algorithm 4.4, with ten more directions than wanted and seven passes.
    """
    n_features = rows.source.n_features
    directions: Array = np.random.default_rng(seed).normal(size=(n_features, k + 10))
    for _ in range(7):
        directions, _ = qr(directions, mode="economic")
        directions, last = rows.apply_scatter(directions), directions
    squares, turn = largest(last.T @ directions, k)
    return squares, turn @ last.T
