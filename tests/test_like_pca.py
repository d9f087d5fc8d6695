"""What PCA's users look for: sizes, variances, loadings, covariances, samples, frames."""

import copy
import pickle
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import polars.testing as pl_testing
import pytest
import torch
from estimators import ESTIMATORS, SMALL, SOME, WITH_PRIOR, ResidualNetwork, trains
from sklearn import config_context
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.metrics import explained_variance_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from worlds import fit_together, shards_of

import skae
from skae import AutoEncoder, VariationalAutoEncoder

every_estimator = pytest.mark.parametrize("estimator", ESTIMATORS)
GOLDEN = Path(__file__).parent / "golden"
ROWS = np.random.default_rng(0).normal(size=(60, 5)) * [5, 4, 3, 2, 1]


# -- sizes ---------------------------------------------------------------------------------


@every_estimator
@pytest.mark.parametrize("n_components", [None, 1.0])
@pytest.mark.parametrize("shape", [(60, 5), (4, 5)])
def test_none_and_one_are_all_components(estimator, n_components, shape, tmp_path):
    X = ROWS[: shape[0]]
    model = clone(estimator(n_components=n_components, **SMALL, early_stopping=False)).fit(X)
    assert model.get_params()["n_components"] == n_components
    assert model.n_components_ == PCA().fit(X).n_components_ == min(shape)
    model.save(tmp_path / "model")
    for again in (skae.load(tmp_path / "model"), pickle.loads(pickle.dumps(model))):
        assert again.n_components == n_components
        np.testing.assert_array_equal(again.transform(X), model.transform(X))


def test_all_components_of_a_stream_are_those_of_its_first_part():
    model = AutoEncoder(n_components=None, **SMALL).partial_fit(ROWS[:4])
    assert model.n_components_ == 4
    assert model.partial_fit(ROWS).n_components_ == 4


def test_a_warm_start_keeps_the_number_of_all_components():
    model = AutoEncoder(None, warm_start=True, early_stopping=False, **SMALL).fit(ROWS[:4])
    assert model.fit(ROWS).n_components_ == 4


@pytest.mark.parametrize("n_components", [0, 0.0, 1.5, True, "all", "mle", np.nan])
def test_other_sizes_are_refused(n_components):
    message = r"n_components=.*expected int >= 1 or float in \(0, 1\] or None"
    with pytest.raises(ValueError, match=message):
        AutoEncoder(n_components).fit(ROWS)


@every_estimator
def test_one_width_is_one_hidden_layer(estimator, tmp_path):
    settings = {**SMALL, "hidden_layer_sizes": 6}
    model = clone(estimator(2, **settings)).fit(ROWS)
    assert model.get_params()["hidden_layer_sizes"] == 6
    codes = estimator(2, **SMALL).fit(ROWS).transform(ROWS)
    np.testing.assert_array_equal(model.transform(ROWS), codes)
    model.save(tmp_path / "model")
    np.testing.assert_array_equal(skae.load(tmp_path / "model").transform(ROWS), codes)


@pytest.mark.parametrize("sizes", [0, -3, 2.0, True, 2**63])
def test_other_widths_are_refused(sizes):
    with pytest.raises(ValueError, match=r"hidden_layer_sizes=.*list of int >= 1 or int >= 1"):
        AutoEncoder(2, hidden_layer_sizes=sizes).fit(ROWS)


def test_a_layer_that_no_memory_holds_is_refused():
    with pytest.raises(ValueError, match="needs 5,000,000,000,000 weights"):
        AutoEncoder(2, hidden_layer_sizes=10**12).fit(ROWS)


def test_a_grid_searches_all_components_and_one_width():
    grid = {"n_components": [2, None, 1.0], "hidden_layer_sizes": [4, (4, 3), "auto"]}
    search = GridSearchCV(AutoEncoder(max_iter=1, random_state=0), grid, cv=2).fit(ROWS)
    assert search.best_params_["n_components"] in (None, 1.0)


def test_a_pipeline_with_all_components_becomes_onnx():
    pytest.importorskip("skl2onnx")
    runtime = pytest.importorskip("onnxruntime")
    import skl2onnx

    import skae.onnx  # noqa: F401

    model = make_pipeline(StandardScaler(), AutoEncoder(None, **{**SMALL, "hidden_layer_sizes": 6}))
    X = ROWS.astype(np.float32)
    codes = model.fit(X).transform(X)
    exported = skl2onnx.to_onnx(model, X[:1], target_opset=18)
    session = runtime.InferenceSession(exported.SerializeToString())
    (found,) = session.run(None, {"X": X})
    np.testing.assert_allclose(found, codes, atol=1e-4)


# -- variances -----------------------------------------------------------------------------


def at_pca(estimator, n_components=3, **settings):
    """Return an estimator that stays at PCA: no step moves it."""
    return estimator(n_components, max_iter=1, learning_rate_init=1e-30, random_state=0, **settings)


@every_estimator
@pytest.mark.parametrize("whiten", [False, True])
def test_explained_variances_at_pca_are_pcas(estimator, whiten, digits):
    model, pca = at_pca(estimator, whiten=whiten).fit(digits), PCA(3, whiten=whiten).fit(digits)
    assert model.best_iter_ == 0
    order = np.argsort(-model.explained_variance_)  # codes in a prior's units may be equally large
    for name in ("explained_variance_", "explained_variance_ratio_"):
        found = getattr(model, name)
        assert found.dtype == np.float64
        np.testing.assert_allclose(found[order], getattr(pca, name), rtol=1e-5)
    assert model.n_samples_ == pca.n_samples_


@every_estimator
def test_explained_variances_are_those_of_the_codes(estimator, trained, spots):
    model = trained(trains(estimator))
    total = spots.var(axis=0, ddof=1).sum()
    codes = model.transform(spots).astype(np.float64)
    expected = codes.var(axis=0, ddof=1)
    if estimator in WITH_PRIOR:
        cross = (codes - codes.mean(axis=0)).T @ (spots - spots.mean(axis=0)) / (len(spots) - 1)
        expected = np.square(cross).sum(axis=1) / expected
    np.testing.assert_allclose(model.explained_variance_, expected, rtol=1e-4)
    ratio = model.explained_variance_ratio_
    np.testing.assert_allclose(ratio, expected / total, rtol=1e-4)
    np.testing.assert_allclose(model._code_mean, codes.mean(axis=0), atol=1e-4 * codes.std())


@every_estimator
def test_explained_variances_count_weights_as_repeated_rows(estimator, spots):
    weights = np.arange(len(spots)) % 3
    settings = {"early_stopping": False, "batch_size": 1000, "residual_noise": 0.0}
    weighted = at_pca(estimator, 2, **settings).fit(spots, sample_weight=weights)
    repeated = at_pca(estimator, 2, **settings).fit(np.repeat(spots, weights, axis=0))
    np.testing.assert_allclose(
        weighted.explained_variance_, repeated.explained_variance_, rtol=1e-4
    )
    assert weighted.n_samples_ == np.count_nonzero(weights)


@pytest.mark.parametrize("estimator", SOME)
def test_explained_variances_follow_codes_that_partial_fit_turns(estimator, spots):
    model = trains(estimator, whiten=False)
    for part in np.array_split(spots, 3):
        model.partial_fit(part)
    assert model.n_samples_ == len(spots)
    codes = model.transform(spots)
    assert model.explained_variance_.shape == (2,)
    if estimator not in WITH_PRIOR:
        # The variances are of a sample of rows, so only nearly those of all.
        np.testing.assert_allclose(model.explained_variance_, codes.var(axis=0), rtol=0.3)
    pca = PCA(2).fit(spots)
    assert 0.3 < model.explained_variance_ratio_.sum() / pca.explained_variance_ratio_.sum() < 2


@every_estimator
@pytest.mark.parametrize("whiten", [False, True])
def test_explained_variances_of_parts_at_pca_are_those_of_all_rows(estimator, whiten, digits):
    model = at_pca(estimator, whiten=whiten)
    for part in (digits[:300], digits[300:900], digits[900:]):
        model.partial_fit(part)
    pca = PCA(3).fit(digits)
    assert model.best_iter_ == 0 and model.n_samples_ == len(digits)
    found = np.sort(model.explained_variance_)[::-1]
    # Codes are turned to what they were, so only nearly PCA's; whitened, to other angles too.
    np.testing.assert_allclose(found, pca.explained_variance_, rtol=0.05)
    exact = 0.01 if whiten else 1e-4
    np.testing.assert_allclose(found.sum(), pca.explained_variance_.sum(), rtol=exact)
    total = model.explained_variance_ratio_.sum()
    np.testing.assert_allclose(total, pca.explained_variance_ratio_.sum(), rtol=exact)


@pytest.mark.parametrize("estimator", SOME)
def test_explained_variances_of_several_processes_are_those_of_one(estimator, spots):
    model = at_pca(estimator, 2)
    one, shards = clone(model).fit(spots), shards_of(spots, 100, 40, 100)
    for other in fit_together(model, shards):
        np.testing.assert_allclose(other.explained_variance_, one.explained_variance_, rtol=1e-4)
        ratio = one.explained_variance_ratio_
        np.testing.assert_allclose(other.explained_variance_ratio_, ratio, rtol=1e-4)
        assert other.n_samples_ == len(spots)


@every_estimator
def test_explained_variances_are_saved(estimator, trained, tmp_path):
    model = trained(trains(estimator))
    model.save(tmp_path / "model")
    for again in (skae.load(tmp_path / "model"), pickle.loads(pickle.dumps(model))):
        for name in ("explained_variance_", "explained_variance_ratio_", "_code_mean"):
            np.testing.assert_array_equal(getattr(again, name), getattr(model, name))
        assert again.n_samples_ == model.n_samples_


def test_rows_that_do_not_vary_have_no_explained_variance():
    with pytest.warns(UserWarning, match="of equal rows"):
        model = AutoEncoder(2, **SMALL).fit(np.ones((30, 4)))
    np.testing.assert_array_equal(model.explained_variance_, 0)
    np.testing.assert_array_equal(model.explained_variance_ratio_, 0)


def test_files_without_variances_are_loaded():
    for model in (
        skae.load(GOLDEN / "autoencoder_format1.safetensors"),
        pickle.loads((GOLDEN / "autoencoder_0.1.0.pickle").read_bytes()),
    ):
        assert model.explained_variance_ is None and model.n_samples_ is None


# -- shares of variance that add up --------------------------------------------------------


@every_estimator
@pytest.mark.parametrize("whiten", [False, True])
def test_cumulative_explained_variance_at_pca_is_pcas(estimator, whiten, digits):
    model = at_pca(estimator, 4, whiten=whiten).fit(digits)
    expected = PCA(4).fit(digits).explained_variance_ratio_
    if estimator in (skae.AdversarialAutoEncoder, skae.WassersteinAutoEncoder):
        # Codes of one size have an order that rounding decides.
        expected = expected[np.argsort(np.argsort(-model.explained_variance_))]
    shares = model.cumulative_explained_variance(digits)
    np.testing.assert_allclose(shares, np.cumsum(expected), rtol=1e-5)


def share_of(X, X_hat):
    return explained_variance_score(X, X_hat, multioutput="variance_weighted")


@every_estimator
def test_cumulative_explained_variance_is_that_of_cut_codes(estimator, trained, spots):
    model = trained(trains(estimator, 3))
    shares, codes = model.cumulative_explained_variance(spots), model.transform(spots)
    if estimator is VariationalAutoEncoder:
        assert (np.diff(shares, prepend=0) > 0).all()
        assert shares[-1] >= share_of(spots, model.inverse_transform(codes))
        return
    for j, share in enumerate(shares, 1):
        cut = np.where(np.arange(3) < j, codes, codes.mean(axis=0))
        np.testing.assert_allclose(share, share_of(spots, model.inverse_transform(cut)), atol=1e-5)
    np.testing.assert_allclose(shares[-1], model.score(spots), atol=0.02)


def test_factors_of_variational_codes_are_least_squares(trained, spots):
    model = trained(trains(VariationalAutoEncoder, 3))
    codes = model.transform(spots)
    cuts = [
        model.inverse_transform(np.where(np.arange(3) < j, codes, model._code_mean))
        for j in range(4)
    ]
    changes = np.stack([(b - a) - (b - a).mean(axis=0) for a, b in pairwise(cuts)])
    factors = np.linalg.lstsq(changes.reshape(3, -1).T, (spots - spots.mean(axis=0)).ravel())[0]
    share = share_of(spots, np.tensordot(factors, changes, axes=1))
    np.testing.assert_allclose(model.cumulative_explained_variance(spots)[-1], share, atol=1e-5)


@pytest.mark.parametrize("estimator", SOME)
def test_missing_values_have_no_variance_to_explain(estimator, trained, spots):
    model, X = trained(trains(estimator)), spots[:50].copy()
    X[np.random.default_rng(0).uniform(size=X.shape) < 0.2] = np.nan
    shares = model.cumulative_explained_variance(X)
    assert np.isfinite(shares).all()
    if estimator is not VariationalAutoEncoder:
        left = X - model.inverse_transform(model.transform(X))
        known = (~np.isnan(X)).sum(axis=0)
        variances = [(known * np.nanvar(part, axis=0)).sum() for part in (left, X)]
        np.testing.assert_allclose(shares[-1], 1 - variances[0] / variances[1], atol=1e-4)


def test_cumulative_explained_variance_does_not_depend_on_parts(trained, spots, monkeypatch):
    model = trained(trains(AutoEncoder))
    whole = model.cumulative_explained_variance(spots)
    for module in ("use", "like_pca.variances"):
        monkeypatch.setattr(f"skae._estimator.{module}.rows_at_once", lambda n_features: 7)
    np.testing.assert_allclose(model.cumulative_explained_variance(spots), whole, atol=1e-6)


def test_rows_that_do_not_vary_are_explained():
    model = at_pca(AutoEncoder, 2).fit(ROWS)
    np.testing.assert_array_equal(model.cumulative_explained_variance(np.zeros((4, 5))), 1)
    with pytest.raises(ValueError, match="X has 1 sample, which has no variance"):
        model.cumulative_explained_variance(ROWS[:1])


# -- loadings ------------------------------------------------------------------------------


@every_estimator
@pytest.mark.parametrize("whiten", [False, True])
def test_components_at_pca_are_pcas(estimator, whiten, digits):
    model, pca = at_pca(estimator, whiten=whiten).fit(digits), PCA(3).fit(digits)
    components = model.components_at(digits)
    lengths = np.linalg.norm(components, axis=1, keepdims=True)
    order = np.argsort(-model.explained_variance_)
    np.testing.assert_allclose((components / lengths)[order], pca.components_, atol=1e-5)
    if estimator not in WITH_PRIOR and not whiten:
        np.testing.assert_allclose(lengths, 1, rtol=1e-5)


DERIVED = [
    *(trains(estimator, dtype="float64") for estimator in ESTIMATORS),
    trains(AutoEncoder, whiten=True, dtype="float64"),
    trains(AutoEncoder, loss="binary_cross_entropy", dtype="float64"),
    trains(AutoEncoder, loss="poisson", dtype="float64"),
    trains(AutoEncoder, tied_weights=True, dtype="float64", hidden_layer_sizes=(32,)),
    trains(AutoEncoder, image_shape=(8, 8), dtype="float64", hidden_layer_sizes=(4, 6)),
    trains(AutoEncoder, encoder=ResidualNetwork, decoder=ResidualNetwork, dtype="float64"),
]


@pytest.mark.parametrize("estimator", DERIVED, ids=str)
def test_the_jacobian_is_that_of_finite_differences(estimator, trained, spots):
    model, X = trained(estimator), spots[:20]
    codes, slopes = model.transform(X), model.jacobian(X)
    assert slopes.shape == (20, 64, 2) and slopes.dtype == np.float64
    for c in range(2):
        step = np.zeros(2)
        step[c] = 1e-6 * codes[:, c].std()
        change = model.inverse_transform(codes + step) - model.inverse_transform(codes - step)
        # At a bound of the codes of training, or a corner of ReLU, there are two slopes.
        close = np.isclose(
            change / (2 * step[c]), slopes[:, :, c], atol=1e-4 * np.abs(slopes).max()
        )
        assert close.mean() > 0.97
    np.testing.assert_allclose(model.components_at(X), slopes.mean(axis=0).T, atol=1e-9)


def test_the_jacobian_does_not_depend_on_parts(trained, spots, monkeypatch):
    model = trained(trains(AutoEncoder))
    whole = model.jacobian(spots), model.components_at(spots)
    monkeypatch.setattr("skae._estimator.use.rows_at_once", lambda n_features: 7)
    np.testing.assert_allclose(model.jacobian(spots), whole[0], atol=1e-6)
    np.testing.assert_allclose(model.components_at(spots), whole[1], atol=1e-6)


def test_rows_without_a_finite_code_have_no_jacobian(trained, spots):
    model = copy.deepcopy(trained(trains(AutoEncoder)))
    with torch.no_grad():
        model.net_.module_.encoder.linear.weight.mul_(1e37)
    X = spots.copy()
    X[5] *= 1e3
    for method in (model.jacobian, model.components_at):
        with pytest.raises(ValueError, match="row 5, whose codes float32 cannot hold; drop"):
            method(np.vstack([np.tile(model.mean_, (5, 1)), X[5:]]))


# -- covariance ----------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 5, 30])
@pytest.mark.parametrize("whiten", [False, True])
def test_the_covariance_starts_at_pcas(k, whiten, digits):
    model = at_pca(VariationalAutoEncoder, k, whiten=whiten, dtype="float64").fit(digits)
    pca = PCA(k).fit(digits)
    np.testing.assert_allclose(model.get_covariance(), pca.get_covariance(), atol=1e-7)
    np.testing.assert_allclose(model.get_precision(), pca.get_precision(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("loss", ["squared_error", "binary_cross_entropy", "poisson"])
def test_the_covariance_is_that_of_samples(loss, trained, spots):
    model = trained(trains(VariationalAutoEncoder, loss=loss))
    covariance = model.get_covariance()
    np.testing.assert_array_equal(covariance, model.get_covariance())
    rows = model.sample(50_000, random_state=1, noise=True)
    size = np.abs(covariance).max()
    np.testing.assert_allclose(np.cov(rows.T), covariance, atol=0.05 * size)
    inverse = model.get_precision() @ covariance
    np.testing.assert_allclose(inverse, np.eye(64), atol=1e-6)


def test_the_precision_takes_features_of_any_scale():
    X = ROWS * [1, 1e-4, 1, 1e4, 1]
    model = at_pca(VariationalAutoEncoder, 4, dtype="float64").fit(X)
    product = model.get_precision() @ model.get_covariance()
    assert np.isfinite(product).all()


# -- frames --------------------------------------------------------------------------------

FRAME = pd.DataFrame(ROWS, columns=list("abcde"), index=np.arange(60) * 2 + 1)


@every_estimator
def test_rows_of_a_frame_get_their_names_back(estimator):
    model = estimator(2, **SMALL).fit(FRAME)
    plain = model.inverse_transform(model.transform(FRAME))
    assert isinstance(plain, np.ndarray)
    codes = model.set_output(transform="pandas").transform(FRAME)
    rows = model.inverse_transform(codes)
    pd.testing.assert_frame_equal(
        rows, pd.DataFrame(plain, columns=list("abcde"), index=FRAME.index)
    )
    rows = model.inverse_transform(codes.to_numpy())  # without an index
    pd.testing.assert_frame_equal(rows, pd.DataFrame(plain, columns=list("abcde")))
    rows = model.set_output(transform="polars").inverse_transform(codes)
    pl_testing.assert_frame_equal(rows, pl.DataFrame(plain, schema=list("abcde")))


def test_rows_without_names_are_an_array():
    model = AutoEncoder(2, **SMALL).set_output(transform="pandas").fit(ROWS)
    rows = model.inverse_transform(model.transform(ROWS))
    assert isinstance(rows, np.ndarray)


def test_the_global_configuration_asks_for_frames_too():
    model = VariationalAutoEncoder(2, **SMALL).fit(FRAME)
    with config_context(transform_output="polars"):
        rows = model.inverse_transform(model.transform(FRAME))
        assert isinstance(model.sample(3), np.ndarray)
    assert rows.columns == list("abcde")


def test_a_pipeline_gives_rows_back_from_frames():
    pipeline = make_pipeline(StandardScaler(), AutoEncoder(2, **SMALL))
    codes = pipeline.set_output(transform="pandas").fit_transform(FRAME)
    assert pipeline.inverse_transform(codes).shape == FRAME.shape
    assert np.isfinite(pipeline.score(FRAME))


# -- what only PCA has ---------------------------------------------------------------------

ONLY_PCA = {
    "components_": r"components_at\(X\).*jacobian\(X\)",
    "singular_values_": r"explained_variance_",
    "n_features_": "take n_features_in_",
    "n_samples_seen_": "take n_samples_",
    "var_": "take scale_",
}


@every_estimator
@pytest.mark.parametrize("name", ONLY_PCA)
def test_what_only_pca_has_says_what_to_use(estimator, name):
    model = estimator(2, **SMALL)
    message = f"{estimator.__name__} has no {name} as PCA has"
    with pytest.raises(AttributeError, match=f"{message}, and this .* not fitted yet: .*"):
        getattr(model, name)
    fitted = clone(model).fit(ROWS)
    for each in (fitted, pickle.loads(pickle.dumps(fitted)), copy.deepcopy(fitted)):
        assert not hasattr(each, name) and name not in dir(each)
        with pytest.raises(AttributeError, match=f"{message}: .*{ONLY_PCA[name]}"):
            getattr(each, name)
    setattr(fitted, name, 3)  # as users may
    assert getattr(fitted, name) == 3


@every_estimator
@pytest.mark.parametrize("name", ["get_covariance", "get_precision"])
def test_only_models_of_rows_have_a_covariance(estimator, name):
    if estimator is VariationalAutoEncoder:
        assert hasattr(estimator(), name)
        return
    with pytest.raises(AttributeError, match=f"has no {name} as PCA has.*VariationalAutoEncoder"):
        getattr(estimator(), name)


def test_other_names_have_the_errors_of_python():
    with pytest.raises(AttributeError, match="'AutoEncoder' object has no attribute 'component_'"):
        _ = AutoEncoder().component_
    with pytest.raises(AttributeError, match="no attribute 'n_components_'"):
        _ = AutoEncoder()._n_features_out
