"""PCA part by part, against scikit-learn's."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from skae._data import sources
from skae._data.sources import ArraySource
from skae._data.sums import centred
from skae._data.sums.moments import Moments
from skae._start import pca as _pca
from skae._start.pca import fit_pca


def make(n_rows, n_features, dtype=np.float64, offset=0.0):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_rows, 20)) * np.geomspace(10, 0.1, 20)
    X = X @ rng.normal(size=(20, n_features)) + 0.01 * rng.normal(size=(n_rows, n_features))
    return (X + offset).astype(dtype)


def fit(X, k):
    source = ArraySource(X)
    return fit_pca(source, Moments.of(source), k, seed=0)


@pytest.mark.parametrize("part_size", [1, 2**20])
@pytest.mark.parametrize("k", [3, 0.9, 0.999])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("offset", [0, 1e3])
@pytest.mark.parametrize("shape", [(700, 30), (60, 400)])
@pytest.mark.parametrize("solver", ["exact", "search"])
def test_it_is_scikit_learns_pca(solver, shape, offset, dtype, k, part_size, monkeypatch):
    for module in (centred, sources):
        monkeypatch.setattr(module, "PART_SIZE", part_size)
    if solver == "search":
        monkeypatch.setattr(_pca, "EXACT_SIZE", 10)
    X = make(*shape, dtype, offset)
    before = X.copy()
    which = np.arange(0, len(X), 2)
    for source, table in ((ArraySource(X), X), (ArraySource(X, which), X[which])):
        rows = Moments.of(source)
        ours = fit_pca(source, rows, k, seed=0)
        pca = PCA(k, svd_solver="full").fit(table.astype(np.float64))
        assert (ours.n_components, ours.n_samples) == (pca.n_components_, len(table))
        np.testing.assert_allclose(ours.mean, pca.mean_, rtol=1e-12)
        np.testing.assert_allclose(rows.variances, table.var(axis=0, dtype=np.float64), rtol=1e-6)
        np.testing.assert_allclose(ours.variances, pca.explained_variance_, rtol=1e-3)
        cosines = np.abs((ours.components * pca.components_).sum(axis=1))
        np.testing.assert_allclose(cosines, 1, atol=1e-3)
        X_hat = pca.inverse_transform(pca.transform(table))
        left = np.square(X_hat - table).mean(axis=0)
        np.testing.assert_allclose(
            ours.residuals, left, rtol=0.02, atol=1e-6 * rows.variances.max()
        )
    np.testing.assert_array_equal(X, before)


@pytest.mark.parametrize("shape", [(50, 8), (5, 20)])
def test_components_beyond_the_rank_are_zero(shape):
    X = make(*shape)
    pca = fit(X, 30)
    assert pca.components.shape == (30, shape[1])
    rank = min(shape[0] - 1, shape[1])
    assert (pca.variances[rank:] < 1e-12 * pca.variances[0]).all()
    np.testing.assert_allclose(pca.residuals, 0, atol=1e-9 * X.var())


def test_columns_that_vary_by_rounding_are_constant():
    X = make(100, 4)
    X[:, 2] = 0.1 + 1e-18 * np.arange(100)
    assert Moments.of(ArraySource(X)).variances[2] == 0
    np.testing.assert_allclose(fit(X, 3).components[:, 2], 0, atol=1e-12)
    flat = fit(np.full((5, 3), 0.1), 0.9)
    assert flat.components.shape == (1, 3)
    assert not flat.components.any()


@pytest.mark.parametrize("shape", [(80, 12), (12, 80)])
def test_signs_do_not_depend_on_how_the_rows_come(shape):
    """They are an accident of rounding, and a network that starts from others trains otherwise."""
    X = make(*shape)
    components = fit(X, 5).components
    assert (np.abs(components).max(axis=1) == components.max(axis=1)).all()
    # the other solver, the other order of rows, and the mirrored table
    np.testing.assert_allclose(fit(X[::-1], 5).components, components, atol=1e-6)
    np.testing.assert_allclose(fit(-X, 5).components, components, atol=1e-6)
    both = np.hstack([X, np.zeros((len(X), 100))])
    np.testing.assert_allclose(fit(both, 5).components[:, : shape[1]], components, atol=1e-6)
