"""Sparse matrices of scipy: the same model as that of the dense table, which is never made."""

from itertools import product

import numpy as np
import pytest
from comparing import assert_close
from estimators import ESTIMATORS, SOME, fit_trained, trains
from scipy import sparse
from sklearn.decomposition import PCA as SKPCA

from skae import AutoEncoder, VariationalAutoEncoder
from skae._data import batches, checks, sources
from skae._data.sources import ArraySource, SparseSource
from skae._data.sums import centred
from skae._data.sums.moments import Moments
from skae._start import gaussian
from skae._start import pca as _pca
from skae._start.pca import fit_pca

some_estimators = pytest.mark.parametrize("estimator", SOME)
KINDS = [sparse.csr_array, sparse.csr_matrix, sparse.csc_array, sparse.csc_matrix]


@pytest.fixture(scope="session")
def thin(spots):
    """Spots of which what is nearly zero is zero: two thirds of the pixels."""
    return np.where(spots < 0.05, 0, spots)


# At PCA the gradient of the encoder is zero but for rounding, which AdamW magnifies.
TOLERANCE = 1e-4


def make_counts(n_rows=300, n_features=40):
    """Return counts, 8 % of which are not zero, beside rows and columns of zeros."""
    rng = np.random.default_rng(0)
    X = (rng.random((n_rows, n_features)) < 0.08) * rng.poisson(3, size=(n_rows, n_features))
    X[:3] = 0
    X[:, :2] = 0
    return X.astype(float)


# -- the same model ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("estimator", "dtype"),
    [  # every estimator, and every dtype with some
        *((estimator, np.float64) for estimator in ESTIMATORS),
        *product(SOME, [np.float32, np.int64]),
    ],
)
def test_codes_and_scores_are_those_of_the_dense_table(estimator, dtype, thin):
    # In float64: the start is summed in another order, and trained networks grow apart from that.
    model = trains(estimator, dtype="float64", max_iter=5)
    X = (10 * thin).astype(dtype)
    dense = fit_trained(model, X)
    fitted = fit_trained(model, sparse.csr_array(X))
    codes = dense.transform(X)
    for kind in KINDS:
        assert_close(fitted.transform(kind(X)), codes, TOLERANCE)
        np.testing.assert_array_equal(dense.transform(kind(X)), codes)
        np.testing.assert_array_equal(dense.score_samples(kind(X)), dense.score_samples(X))
        assert dense.score(kind(X)) == dense.score(X)
    np.testing.assert_allclose(fitted.score(X), dense.score(X), rtol=1e-4)
    np.testing.assert_allclose(fitted.pca_score_, dense.pca_score_, rtol=1e-6)
    np.testing.assert_allclose(fitted.mean_, dense.mean_, atol=1e-12)


@some_estimators
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_trains_in_float32(estimator, kind, thin):
    X = kind(thin.astype(np.float32))
    before = X.copy()
    model = fit_trained(trains(estimator), X)
    assert model.transform(X).dtype == np.float32
    assert model.score(X) > model.pca_score_
    assert (before != X).nnz == 0


@pytest.mark.parametrize("estimator", [AutoEncoder])
def test_entries_in_any_order_and_in_parts_are_those_of_the_sorted_matrix(estimator, thin):
    X = sparse.csr_array(thin)
    # each entry in two halves, the columns of a row from the last to the first
    entries = [
        (np.repeat(X.data[a:b][::-1], 2) / 2, np.repeat(X.indices[a:b][::-1], 2))
        for a, b in zip(X.indptr[:-1], X.indptr[1:], strict=True)
    ]
    data, indices = (np.concatenate(part) for part in zip(*entries, strict=True))
    halves = sparse.csr_array((data, indices, 2 * X.indptr), shape=X.shape)
    assert not halves.has_canonical_format
    n_before = halves.nnz
    model, other = (fit_trained(trains(estimator), table) for table in (X, halves))
    np.testing.assert_array_equal(other.transform(halves), model.transform(X))
    assert other.score(halves) == model.score(X)
    assert halves.nnz == n_before  # the user's matrix stays as it was


@some_estimators
@pytest.mark.filterwarnings("ignore:Of 2 codes only")
def test_rows_and_columns_of_zeros_are_rows_and_columns_as_others(estimator):
    X = make_counts()
    dense, fitted = (
        trains(estimator, dtype="float64").fit(table) for table in (X, sparse.csr_array(X))
    )
    for model in (dense, fitted):
        X_hat = model.inverse_transform(model.transform(sparse.csr_array(X)))
        assert np.isfinite(X_hat).all()
        np.testing.assert_allclose(X_hat[:, :2], 0, atol=1e-6 if model.best_iter_ == 0 else 0.2)
    np.testing.assert_allclose(fitted.transform(X), dense.transform(X), atol=1e-4)
    empty = sparse.csr_array((1, 40))
    np.testing.assert_array_equal(dense.transform(empty), dense.transform(np.zeros((1, 40))))


@some_estimators
@pytest.mark.parametrize("loss", ["binary_cross_entropy", "poisson"])
def test_losses_with_a_domain_see_the_zeros(estimator, loss, thin):
    model = trains(estimator, loss=loss, dtype="float64")
    dense, fitted = (model.fit(X).score(X) for X in (thin, sparse.csr_array(thin)))
    np.testing.assert_allclose(fitted, dense, rtol=1e-4)
    below = sparse.csr_array(np.where(thin > 0.9, -1, thin))
    with pytest.raises(ValueError, match=r"got a minimum of -1 "):
        model.fit(below)


@pytest.mark.parametrize("estimator", [AutoEncoder, VariationalAutoEncoder])
def test_weights_and_missing_values_are_those_of_the_dense_table(estimator, thin):
    rng = np.random.default_rng(0)
    weights = rng.uniform(size=240) * (rng.random(240) < 0.9)
    X = np.where((rng.random(thin.shape) < 0.2) & (thin > 0), np.nan, thin)
    assert 0.01 < np.isnan(X).mean() < 0.2
    model = trains(estimator, dtype="float64", max_iter=3)
    for table, w in ((thin, weights), (X, None), (X, weights)):
        codes = []
        for kind in (np.asarray, sparse.csr_array):
            fitted = model.fit(kind(table), sample_weight=w)
            assert fitted.best_iter_ > 0
            codes.append(fitted.transform(kind(table)))
        assert_close(*codes, TOLERANCE)


@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e300])
def test_what_float32_cannot_hold_is_refused(value, thin):
    X = sparse.csr_array(thin)
    X.data[7] = value
    with pytest.raises(ValueError, match="infinity or a value too large for float32"):
        AutoEncoder(2).fit(X)


# -- PCA by implicit centring --------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", [(300, 40), (40, 300)])
@pytest.mark.parametrize("solver", ["exact", "search"])
@pytest.mark.parametrize("k", [5, 0.9])
def test_pca_is_scikit_learns_of_the_dense_table(k, solver, shape, weighted, monkeypatch):
    if solver == "search":
        monkeypatch.setattr(_pca, "EXACT_SIZE", 10)
        k = 3
    X = make_counts(*shape) + 0.0
    X[:, 2:6] *= 5  # a few components that the search can find
    repeats = np.random.default_rng(1).integers(1, 4, size=len(X)) if weighted else None
    table = X if repeats is None else np.repeat(X, repeats, axis=0)
    source = SparseSource(sparse.csr_array(X))
    weights = None if repeats is None else repeats.astype(float)
    source = source if weights is None else source.weighted(weights)
    moments = Moments.of(source)
    ours, theirs = fit_pca(source, moments, k, seed=0), SKPCA(k, svd_solver="full").fit(table)
    n = ours.n_components
    if repeats is not None and shape[0] < shape[1]:
        n = min(n, theirs.n_components_)
    np.testing.assert_allclose(moments.variances, table.var(axis=0), atol=1e-12)
    np.testing.assert_allclose(ours.mean, theirs.mean_, atol=1e-12)
    rtol = 1e-9 if solver == "exact" else 1e-3
    np.testing.assert_allclose(ours.variances[:n], theirs.explained_variance_[:n], rtol=rtol)
    cosines = np.abs((ours.components * theirs.components_[:n]).sum(axis=1))
    np.testing.assert_allclose(cosines, 1, atol=1e-8 if solver == "exact" else 1e-3)


@pytest.mark.parametrize("shape", [(300, 40), (40, 300)])
def test_every_sum_is_that_of_the_dense_rows(shape):
    X = make_counts(*shape)
    sources_ = [ArraySource(X), SparseSource(sparse.csr_array(X))]
    weights = np.random.default_rng(0).uniform(size=len(X))
    for pair in (sources_, [source.weighted(weights) for source in sources_]):
        dense, thin = (centred.centre(source, Moments.of(source)) for source in pair)
        directions = np.random.default_rng(1).normal(size=(shape[1], 3))
        left = np.random.default_rng(2).normal(size=(3, shape[0]))
        for name, arguments in (
            ("scatter", ()),
            ("gram", ()),
            ("combine", (left,)),
            ("apply_scatter", (directions,)),
        ):
            one, other = (getattr(rows, name)(*arguments) for rows in (dense, thin))
            np.testing.assert_allclose(one, other, atol=1e-10, err_msg=name)


def test_a_share_of_too_many_features_asks_for_an_int(monkeypatch):
    monkeypatch.setattr(_pca, "MAX_SPECTRUM", 30)
    X = sparse.csr_array(make_counts())
    with pytest.raises(ValueError, match=r"n_components=0.9 needs all components.*pass an int"):
        AutoEncoder(0.9).fit(X)
    AutoEncoder(3, max_iter=2, random_state=0).fit(X)


# -- never dense ---------------------------------------------------------------------------


@some_estimators
def test_it_is_never_made_dense_as_a_whole(estimator, monkeypatch):
    for module in (batches, sources, centred):
        monkeypatch.setattr(module, "PART_SIZE", 2**12)
    monkeypatch.setattr(gaussian, "MOST_ROWS", 200)
    X = sparse.csr_array(make_counts(3000, 60))
    sizes = []
    for kind in (sparse.csr_array, sparse.csc_array, sparse.csr_matrix, sparse.csc_matrix):
        for name in ("toarray", "todense"):
            make_dense = getattr(kind, name)

            def watched(self, *args, make_dense=make_dense, **kwargs):
                sizes.append(self.shape)
                return make_dense(self, *args, **kwargs)

            monkeypatch.setattr(kind, name, watched)
    for init in ("pca", "random"):
        model = estimator(3, hidden_layer_sizes=(8,), max_iter=2, init=init, random_state=0).fit(X)
        model.transform(X), model.score(X), model.score_samples(X)
    # 256 rows at once, or as many numbers of some columns, where X has 3,000
    assert 0 < max(n_rows * n_columns for n_rows, n_columns in sizes) <= 300 * 60


def test_a_sparse_matrix_is_a_sparse_source():
    assert isinstance(
        checks.read_rows(AutoEncoder(), sparse.csc_matrix(make_counts()), fitting=True),
        SparseSource,
    )
