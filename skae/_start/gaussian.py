"""A Gaussian fitted by EM to rows with missing values, which fills them with expectations."""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from skae._data.sources import PART_SIZE, Array, Source, slices
from skae._start.factor_gaussian import FactorGaussian
from skae._start.full_gaussian import MAX_DIRECT, FullGaussian
from skae._start.incomplete import Incomplete

Shares = tuple[float, ...]
Positions = NDArray[np.int64]
Model = TypeVar("Model", FullGaussian, FactorGaussian)

# Tables of up to so many features get a full covariance, wider ones factors.
MAX_FULL = 1000
# Of complete rows, whose Gaussian every model keeps, up to so many: half a megabyte.
MAX_COMPLETE = 256
# How many rows are fitted: at most, at least, and in between so many numbers of a covariance.
MOST_ROWS, FEWEST_ROWS, FIT_SIZE = 3000, 800, 2**23
# Shares λ / (n + λ) of the diagonal in the covariance that are tried, from the largest on.
SHARES = (0.5, 0.25, 0.12, 0.06, 0.03, 0.01, 3e-3, 1e-3, 1e-4)
# For wide tables, whose steps take longer, there are fewer.
FEW_SHARES = (0.2, 0.06, 0.02, 5e-3)
FACTOR_SHARES = (0.5, 0.2, 0.06, 0.01, 1e-3)
# Which share of the observed entries is hidden to choose among these, the share that is taken
# where fewer than so many would be, and steps of EM for each and at last.
HIDDEN, FEWEST_HIDDEN, DEFAULT_SHARE = 0.1, 20, 0.5
N_TRIED, N_TRIED_FEW, N_LAST, N_LAST_FEW = 4, 2, 12, 3
# Tells these random draws from others of the same seed.
STREAM = 1


@dataclass(frozen=True)
class Gaussian:
    """A multivariate normal distribution of rows in the units of X.

    Attributes
    ----------
    mean : ndarray of shape (n_features,), float64
    scale : ndarray of shape (n_features,)
        Standard deviation of each column's observed entries; 0 for a column that varies by no
        more than rounding. The next two are in columns that are divided by it.
    matrix : ndarray of shape (n_features, n_features) or (n_features, n_factors)
        The covariance; or, where ``noise`` is not empty, the loadings of factors.
    noise : ndarray of shape (0,) or (n_features,)
        Variances beside the factors: the covariance is then matrix matrixᵀ + diag(noise).
    low, high : ndarray of shape (n_features,)
        Range of each column's observed entries, in the units of X. Expectations are cut to it:
        a row far from all others could have one that costs more than all of theirs.
    """

    mean: Array
    scale: Array
    matrix: Array
    noise: Array
    low: Array
    high: Array

    def fill(self, X: Array) -> Array:
        """Replace missing values by their expectations, given what is observed of the row.

        Parameters
        ----------
        X : ndarray of shape (n_rows, n_features)
            NaN is missing. Never changed.

        Returns
        -------
        ndarray of shape (n_rows, n_features)
            A copy of the dtype of X. Observed entries are X's, bit for bit.
        """
        filled = X.copy()
        model = self._standard()
        for part in slices(len(X), max(256, PART_SIZE // X.shape[1])):
            missing = np.isnan(X[part])
            rows = np.flatnonzero(missing.any(axis=1))
            if not len(rows):
                continue
            missing, some = missing[rows], X[part][rows]
            with np.errstate(over="ignore", invalid="ignore"):  # of a forged file's numbers
                z = model.fill(Incomplete(standardise(some, self.mean, self.scale), missing))
                expected = np.clip(self.mean + self.scale * z, self.low, self.high)
            filled[part][rows] = np.where(missing, expected.astype(X.dtype), some)
        return filled

    def _standard(self) -> FullGaussian | FactorGaussian:
        """Return the distribution of standardised rows."""
        zeros = np.zeros(len(self.mean))
        if len(self.noise):
            return FactorGaussian(zeros, self.matrix, self.noise)
        return FullGaussian(zeros, self.matrix)


def fit_gaussian(source: Source, seed: int, weights: Array | None = None) -> Gaussian:
    """Fit a Gaussian by EM, with a covariance that is shrunk to its diagonal.

    Σ = (n S + λ diag S) / (n + λ), where S is EM's estimate and λ is the one with the smallest
    errors on some observed entries that are hidden.

    Parameters
    ----------
    source : Source
        NaN is missing; each column has an observed entry. Of many rows some are drawn.
    seed : int
        For the choice of rows and of hidden entries.
    weights : ndarray of shape (n_rows,) or None
        How often each row counts; None means once.

    References
    ----------
    .. [1] Dempster, A., Laird, N. and Rubin, D., "Maximum likelihood from incomplete data via
       the EM algorithm", Journal of the Royal Statistical Society B 39, 1977.
    .. [2] Little, R. and Rubin, D., "Statistical analysis with missing data", 3rd edition,
       2019, section 11.2.
    """
    # Not the seed alone: a user may have removed entries by the draws that it gives.
    rng = np.random.default_rng((seed, STREAM))
    X, weights = draw_rows(source, rng, weights)
    mean, scale = column_moments(X, weights)
    missing = np.isnan(X)
    z = standardise(X, mean, scale)
    some = ~missing.all(axis=1)
    rows = Incomplete(z[some], missing[some], weights[some])
    # The mean of standardised columns under EM is not zero: values may be missing for a reason.
    if source.n_features <= MAX_FULL:
        plan = (SHARES, N_LAST) if source.n_features <= MAX_DIRECT else (FEW_SHARES, N_LAST_FEW)
        full = run_em(FullGaussian.start(rows), rows, rng, *plan)
        mean, none = mean + scale * full.mean, np.empty(0)
        return Gaussian(mean, scale, full.covariance, none, *observed_range(X, mean))
    start = FactorGaussian.start(rows, seed)
    factor = run_em(start, rows, rng, FACTOR_SHARES, N_LAST_FEW)
    mean = mean + scale * factor.mean
    return Gaussian(mean, scale, factor.loadings, factor.noise, *observed_range(X, mean))


def gaussian_of_complete(source: Source) -> Gaussian:
    """Return the Gaussian of rows without missing values, for new rows that miss some.

    From some rows at equal distances, without a search for the share of the diagonal: so that
    it costs next to nothing.
    """
    d = source.n_features
    X, weights = source.spread(MOST_ROWS if d <= MAX_COMPLETE else FEWEST_ROWS)
    X = X.astype(np.float64)
    mean, scale = column_moments(X, weights)
    z = standardise(X, mean, scale)
    rows = Incomplete(z, np.zeros(z.shape, dtype=bool), weights)
    share = float(np.clip(d / (len(X) + d), min(SHARES), max(SHARES)))
    span = observed_range(X, mean)
    if d <= MAX_COMPLETE:
        covariance = FullGaussian.start(rows).improve(rows, share).covariance
        return Gaussian(mean, scale, covariance, np.empty(0), *span)
    factor = FactorGaussian.of_complete(rows, share)
    return Gaussian(mean, scale, factor.loadings, factor.noise, *span)


def run_em(
    model: Model, rows: Incomplete, rng: np.random.Generator, shares: Shares, n_last: int
) -> Model:
    """Return the model after EM, first for the choice of the share of the diagonal."""
    model, share = choose_share(model, rows, rng, shares)
    for _ in range(n_last):
        model = model.improve(rows, share)
    return model


def draw_rows(
    source: Source, rng: np.random.Generator, weights: Array | None
) -> tuple[Array, Array]:
    """Return rows in float64, no more than EM can work on within seconds, and their weights."""
    n, d = source.n_rows, source.n_features
    weights = np.ones(n) if weights is None else np.asarray(weights, dtype=np.float64)
    index = np.flatnonzero(weights > 0)
    most = int(np.clip(FIT_SIZE // d**2, FEWEST_ROWS, MOST_ROWS))
    if len(index) > most:
        index = np.sort(rng.choice(index, size=most, replace=False))
        X = source.take(index).astype(np.float64)
        # A column may be observed in few rows, and all of them may have been left out.
        unseen = np.flatnonzero(np.isnan(X).all(axis=0))
        if len(unseen):
            more = rows_that_show(source, unseen)
            index = np.union1d(index, more[weights[more] > 0])
    return source.take(index).astype(np.float64), weights[index]


def rows_that_show(source: Source, columns: Positions) -> Positions:
    """Return for each of some columns the position of a row in which it is observed."""
    found: dict[int, int] = {}
    for rows, part in source.chunks(max(256, PART_SIZE // source.n_features)):
        observed = ~np.isnan(part[:, columns])
        for j in np.flatnonzero(observed.any(axis=0)):
            found.setdefault(int(columns[j]), rows.start + int(observed[:, j].argmax()))
        if len(found) == len(columns):
            break
    return np.unique(np.array(list(found.values()), dtype=np.int64))


def column_moments(X: Array, weights: Array) -> tuple[Array, Array]:
    """Return mean and standard deviation of the observed entries of columns; 0 for rounding."""
    observed = ~np.isnan(X)
    total = np.maximum(weights @ observed, np.finfo(np.float64).tiny)
    mean = weights @ np.where(observed, X, 0) / total
    difference = np.where(observed, X - mean, 0)
    mean = mean + weights @ difference / total  # what rounding did to the sum
    difference = np.where(observed, X - mean, 0)
    largest = np.abs(difference).max(axis=0, initial=0)
    # Divided by the largest, because squares of small numbers vanish.
    part = difference / np.where(largest > 0, largest, 1)
    scale = largest * np.sqrt(weights @ np.square(part) / total)
    rounding = 10 * np.finfo(np.float64).eps * np.abs(mean)
    return mean, np.where(scale <= rounding, 0.0, scale)


def observed_range(X: Array, mean: Array) -> tuple[Array, Array]:
    """Return the smallest and the largest observed entry of columns, the mean where none is."""
    low, high = np.fmin.reduce(X, axis=0), np.fmax.reduce(X, axis=0)
    return np.where(np.isnan(low), mean, low), np.where(np.isnan(high), mean, high)


def standardise(X: Array, mean: Array, scale: Array) -> Array:
    """Return columns less their mean, divided by their scale; zeros where that is 0 or NaN."""
    varies = scale > 0
    z = (X - mean) / np.where(varies, scale, 1)
    return np.where(np.isnan(z) | ~varies, 0.0, z)


def choose_share(
    model: Model, rows: Incomplete, rng: np.random.Generator, shares: Shares
) -> tuple[Model, float]:
    """Return the share of the diagonal that predicts hidden entries best, and a start for it."""
    hidden = ~rows.missing & (rng.random(rows.missing.shape) < HIDDEN)
    hidden &= (~rows.missing).sum(axis=0) > 2  # a column needs entries to learn from
    if hidden.sum() < FEWEST_HIDDEN:
        return model, DEFAULT_SHARE
    truth, part = rows.z[hidden], rows.hide(hidden)
    weights = np.broadcast_to(rows.weights[:, None], hidden.shape)[hidden]
    best, least, n_worse = (model, DEFAULT_SHARE), np.inf, 0
    for share in shares:
        for _ in range(N_TRIED if len(shares) == len(SHARES) else N_TRIED_FEW):
            model = model.improve(part, share)
        error = float(weights @ np.square(model.fill(part)[hidden] - truth))
        n_worse += 1
        if error < least:
            best, least, n_worse = (model, share), error, 0
        if n_worse == 2:
            break
    return best
