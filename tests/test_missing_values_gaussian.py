"""The Gaussian that fills missing values, against closed forms."""

import pickle

import numpy as np
import pytest

from skae._data.sources import ArraySource
from skae._start import full_gaussian
from skae._start import gaussian as _gaussian
from skae._start.factor_gaussian import FactorGaussian
from skae._start.full_gaussian import FullGaussian
from skae._start.gaussian import Gaussian, column_moments, fit_gaussian
from skae._start.incomplete import Incomplete


def hide(X, share, seed=0):
    return np.where(np.random.default_rng(seed).random(X.shape) < share, np.nan, X)


def make(n_rows, n_features, rank=4, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, rank)) @ rng.normal(size=(rank, n_features))
    return X + 0.3 * rng.normal(size=X.shape)


def incomplete(X, weights=None):
    missing = np.isnan(X)
    return Incomplete(np.where(missing, 0.0, X), missing, weights)


def use(kind, monkeypatch):
    """Let narrow tables be fitted as wider ones are."""
    if kind == "factors":
        monkeypatch.setattr(_gaussian, "MAX_FULL", 0)
    if kind == "gradients":
        for module in (_gaussian, full_gaussian):
            monkeypatch.setattr(module, "MAX_DIRECT", 0)


def expectations(mean, covariance, X):
    """E[row | observed], row by row, by the formula for blocks of a normal distribution."""
    filled = X.copy()
    for row in filled:
        m = np.isnan(row)
        gain = covariance[np.ix_(m, ~m)] @ np.linalg.inv(covariance[np.ix_(~m, ~m)])
        row[m] = mean[m] + gain @ (row[~m] - mean[~m])
    return filled


@pytest.mark.parametrize("share", [0.05, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("kind", ["full", "gradients", "factors"])
def test_it_fills_with_conditional_expectations(kind, share, monkeypatch):
    if kind == "gradients":
        monkeypatch.setattr(full_gaussian, "MAX_DIRECT", 5)
        monkeypatch.setattr(full_gaussian, "FILL_PRECISION", (1e-10, 60))
    rng = np.random.default_rng(0)
    mean, scale, W = rng.normal(size=9), rng.uniform(1, 5, size=9), rng.normal(size=(9, 3))
    noise = rng.uniform(0.5, 1, size=9)
    covariance = W @ W.T + np.diag(noise)
    matrix, rest = (covariance, np.empty(0)) if kind != "factors" else (W, noise)
    X = hide(mean + 3 * rng.normal(size=(200, 9)), share)
    X[0] = np.nan
    bounds = np.full((2, 9), [[-np.inf], [np.inf]])
    filled = Gaussian(mean, scale, matrix, rest, *bounds).fill(X)
    np.testing.assert_allclose(
        filled, expectations(mean, scale[:, None] * covariance * scale, X), rtol=1e-8
    )
    np.testing.assert_array_equal(filled[~np.isnan(X)], X[~np.isnan(X)])
    np.testing.assert_array_equal(filled[0], mean)


def test_on_complete_rows_em_has_the_samples_moments():
    X = make(50, 6)
    fitted = FullGaussian.start(incomplete(X)).improve(incomplete(X), 1e-12)
    np.testing.assert_allclose(fitted.mean, X.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(fitted.covariance, np.cov(X.T, bias=True), rtol=1e-6, atol=1e-9)
    shrunk = FullGaussian.start(incomplete(X)).improve(incomplete(X), 0.2).covariance
    np.testing.assert_allclose(shrunk.diagonal(), X.var(axis=0))
    np.testing.assert_allclose(shrunk[0, 1:], 0.8 * np.cov(X.T, bias=True)[0, 1:])


@pytest.mark.parametrize("n_features", [2, 8])
def test_em_finds_the_maximum_of_the_likelihood_of_a_monotone_pattern(n_features):
    # The last column is missing in some rows. The likelihood factors into that of the others and
    # that of the last column's regression on them, each with its own closed form.
    X = make(80, n_features)
    X[50:, -1] = np.nan
    rows = incomplete(X)
    model = FullGaussian.start(rows)
    for _ in range(300):
        model = model.improve(rows, 1e-14)
    first = X[:, :-1]
    design = np.column_stack([np.ones(50), first[:50]])
    slope, *_ = np.linalg.lstsq(design, X[:50, -1], rcond=None)
    mean = np.append(first.mean(axis=0), slope[0] + slope[1:] @ first.mean(axis=0))
    np.testing.assert_allclose(model.mean, mean, rtol=1e-6, atol=1e-8)
    others = np.cov(first.T, bias=True).reshape(n_features - 1, n_features - 1)
    residual = np.square(X[:50, -1] - design @ slope).mean()
    np.testing.assert_allclose(model.covariance[:-1, :-1], others, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(model.covariance[-1, :-1], others @ slope[1:], rtol=1e-5, atol=1e-7)
    variance = residual + slope[1:] @ others @ slope[1:]
    np.testing.assert_allclose(model.covariance[-1, -1], variance, rtol=1e-5)


@pytest.mark.parametrize("share", [0.3, 0.8])
def test_the_likelihood_of_what_is_observed_never_falls(share):
    X = hide(make(60, 7), share)
    rows = incomplete(X)
    model, likelihoods = FullGaussian.start(rows), []
    for _ in range(15):
        model = model.improve(rows, 1e-12)
        total = 0.0
        for row in X:
            o = ~np.isnan(row)
            block, u = model.covariance[np.ix_(o, o)], row[o] - model.mean[o]
            total -= 0.5 * (np.linalg.slogdet(block)[1] + u @ np.linalg.solve(block, u))
        likelihoods.append(total)
    assert (np.diff(likelihoods) > -1e-7).all()


@pytest.mark.parametrize("model", [FullGaussian, FactorGaussian])
def test_weights_equal_repetition(model):
    X = hide(make(40, 6), 0.3)
    weights = np.arange(40) % 3
    repeated = X.repeat(weights, axis=0)
    seed = () if model is FullGaussian else (0,)
    weighted, plain = incomplete(X, weights.astype(float)), incomplete(repeated)
    one = two = model.start(plain, *seed)
    for _ in range(3):
        one, two = one.improve(weighted, 0.1), two.improve(plain, 0.1)
    for name, value in vars(one).items():
        np.testing.assert_allclose(abs(value), abs(vars(two)[name]), atol=1e-9)
    for ours, of_repeated in zip(
        column_moments(X, weights), column_moments(repeated, np.ones(len(repeated))), strict=True
    ):
        np.testing.assert_allclose(ours, of_repeated)


def test_rows_of_weight_zero_are_absent():
    X = hide(make(60, 5), 0.3)
    weights = np.repeat([1.0, 0.0], [40, 20])
    fitted, expected = (
        fit_gaussian(ArraySource(X), 0, weights),
        fit_gaussian(ArraySource(X[:40]), 0),
    )
    for name, value in vars(fitted).items():
        np.testing.assert_array_equal(value, vars(expected)[name])


@pytest.mark.parametrize("kind", ["full", "gradients", "factors"])
def test_it_predicts_what_columns_say_of_each_other(kind, monkeypatch):
    use(kind, monkeypatch)
    X = make(400, 20) * np.geomspace(1e-3, 1e3, 20) + 100
    train, test = hide(X[:300], 0.3), hide(X[300:], 0.3, seed=1)
    fitted = fit_gaussian(ArraySource(train), 0)
    m, scale = np.isnan(test), X.std(axis=0)
    error = np.sqrt(np.square((fitted.fill(test) - X[300:]) / scale)[m].mean())
    best = expectations(X[:300].mean(axis=0), np.cov(X[:300].T), test)
    least = np.sqrt(np.square((best - X[300:]) / scale)[m].mean())
    assert error < 1.15 * least < 0.4


def test_units_do_not_matter():
    X = hide(make(80, 6), 0.3)
    factors = 2.0 ** np.array([-40, 0, 3, 40, 1, 20])
    scaled = fit_gaussian(ArraySource(X * factors), 0).fill(X * factors)
    np.testing.assert_allclose(scaled / factors, fit_gaussian(ArraySource(X), 0).fill(X))


def edge_cases():
    X = hide(make(60, 6), 0.3)
    yield "constant column", np.column_stack([X, np.where(np.isnan(X[:, 0]), np.nan, 7.0)])
    equal = np.column_stack([X, X[:, 0], 2 * X[:, 0]])
    yield "equal columns", np.where(np.isnan(hide(equal, 0.1)), np.nan, equal)
    yield "more columns than rows", np.vstack([hide(make(9, 40), 0.3), make(1, 40)])
    yield (
        "more columns than are solved directly",
        np.vstack([hide(make(9, 300), 0.3), make(1, 300)]),
    )
    yield "two rows", np.array([[1.0, np.nan, 3.0], [2.0, 5.0, np.nan]])
    yield "two equal rows", np.array([[1.0, np.nan, 3.0], [1.0, 5.0, np.nan]])
    yield "scales", X * np.geomspace(1e-12, 1e12, 6)
    once = X.copy()
    once[1:, 2] = np.nan
    once[0, 2] = 3.0
    yield "a column observed once", once
    empty = X.copy()
    empty[5:50] = np.nan
    yield "rows all missing", empty
    yield "one feature", X[:, :1]
    yield "tiny float32", (X * 1e-20).astype(np.float32)
    yield "large float32", (X * 1e15 + 3e15).astype(np.float32)
    rounding = np.full((60, 3), 0.1) * (1 + 1e-16 * np.arange(60)[:, None])
    yield "rounding", np.vstack([hide(rounding, 0.3), rounding[:1]])
    yield "nearly all missing", np.vstack([hide(make(200, 12), 0.95), make(2, 12)])
    yield "an outlier", np.vstack([X, np.full(6, 1e12)])
    yield "nothing missing", make(30, 5)
    yield "nothing missing and nothing varies", np.ones((5, 3))


@pytest.mark.parametrize("kind", ["full", "gradients", "factors"])
@pytest.mark.parametrize("X", [pytest.param(X, id=name) for name, X in edge_cases()])
def test_any_table_is_filled_with_numbers_from_the_range_of_its_columns(X, kind, monkeypatch):
    use(kind, monkeypatch)
    before = X.copy()
    fitted = fit_gaussian(ArraySource(X), 0)
    filled = fitted.fill(X)
    np.testing.assert_array_equal(X, before)
    assert filled.dtype == X.dtype
    observed = ~np.isnan(X)
    np.testing.assert_array_equal(filled[observed], X[observed])
    low, high = np.nanmin(X, axis=0), np.nanmax(X, axis=0)
    assert (filled >= low).all() and (filled <= high).all()
    assert fitted.mean.dtype == np.float64


def test_columns_that_only_left_out_rows_show_are_found(monkeypatch):
    monkeypatch.setattr(_gaussian, "MOST_ROWS", 50)
    monkeypatch.setattr(_gaussian, "FEWEST_ROWS", 50)
    X = make(2000, 4)
    X[:, 1:3] = np.nan
    X[1777, 1], X[3, 2] = 5.0, 6.0
    filled = fit_gaussian(ArraySource(X), 0).fill(X)
    np.testing.assert_allclose(filled[:, 1], 5)
    np.testing.assert_allclose(filled[:, 2], 6)


@pytest.mark.parametrize("kind", ["full", "gradients", "factors"])
def test_rows_are_filled_alike_in_any_company(kind, monkeypatch):
    use(kind, monkeypatch)
    X = hide(make(300, 8), 0.3)
    fitted = fit_gaussian(ArraySource(X), 0)
    together = fitted.fill(X)
    for i in range(0, 300, 50):
        np.testing.assert_allclose(fitted.fill(X[i : i + 1]), together[i : i + 1], rtol=1e-10)


def test_its_state_is_arrays_and_its_draws_are_the_seeds():
    X = hide(make(200, 6), 0.3)
    fitted, again = (fit_gaussian(ArraySource(X), 3) for _ in range(2))
    assert all(isinstance(value, np.ndarray) for value in vars(fitted).values())
    restored = Gaussian(**pickle.loads(pickle.dumps(vars(fitted))))
    for other in (again, restored):
        np.testing.assert_array_equal(fitted.fill(X), other.fill(X))
