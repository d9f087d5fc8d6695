"""The outlier detector: against Mahalanobis distances, brute force, and rows that are known."""

import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from estimators import TRAINS, cubes, make_spots
from joblib import parallel_config
from scipy import sparse, stats
from sklearn.base import clone, is_outlier_detector
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, PredefinedSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

from skae import (
    AdviceWarning,
    AutoEncoder,
    AutoEncoderOutlierDetector,
    SparseAutoEncoder,
    VariationalAutoEncoder,
    WassersteinAutoEncoder,
)
from skae._data.batch import counting
from skae._data.sources import ArraySource
from skae._estimator.parameters.resolve import draw_seed
from skae._outliers import detector as detector_module
from skae._outliers.calibration import split_at_random, threshold_of_share
from skae._outliers.contributions import contributions
from skae._outliers.detector import sizes_of_codes
from skae._outliers.member import fit_member, in_use
from skae._start import floor
from skae.functional import conformal_p_values, hotelling_t2, outlier_distance

QUICK = {"max_iter": 3, "random_state": 0}
LOSSES = ["squared_error", "absolute_error", "huber", "binary_cross_entropy", "poisson", cubes]


def spots_and_others(n=120, seed=7):
    """Return new spots, and rows that are none: two spots at once."""
    spots = make_spots(2 * n, seed)
    return spots[:n], np.clip(spots[:n] + spots[n:], 0, 1)


def trained_detector(**parameters):
    """Return a detector whose autoencoders all have trained networks, and its training rows."""
    X = make_spots(400)
    detector = AutoEncoderOutlierDetector(AutoEncoder(2, **TRAINS), **parameters).fit(X)
    assert all(model.best_iter_ > 0 for model in detector.estimators_)
    return detector, X


@pytest.fixture(scope="module")
def fitted():
    return trained_detector()


def gaussian_rows(n, d=6, seed=0, k=3):
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(k, d))
    return rng.normal(size=(n, k)) @ mixing + 0.3 * rng.normal(size=(n, d)) + 5


def fit_pca_member(X, k=3, **parameters):
    """Return a member without a network, so that it is PCA, and the rows that it was fitted to."""
    model, source = AutoEncoder(k, hidden_layer_sizes=(), **QUICK, **parameters), ArraySource(X)
    split = split_at_random(model, source, None, 0)
    member = fit_member(model, source, None, split)
    assert model.best_iter_ == 0
    return member, split


# -- formulas --------------------------------------------------------------------------------


def test_distance_with_probabilistic_pca_is_the_mahalanobis_distance():
    X = gaussian_rows(300)
    pca = PCA(3).fit(X)
    codes = torch.from_numpy(pca.transform(X))
    errors = torch.from_numpy(((pca.inverse_transform(pca.transform(X)) - X) ** 2).sum(axis=1))
    # λ of probabilistic PCA's model are the variances of PCA.
    distances = outlier_distance(
        codes, torch.from_numpy(pca.explained_variance_), errors, pca.noise_variance_
    )
    log_det = np.linalg.slogdet(pca.get_covariance())[1]
    expected = -2 * pca.score_samples(X) - log_det - 6 * np.log(2 * np.pi)
    np.testing.assert_allclose(distances, expected, rtol=1e-9)


def test_t2_of_gaussian_codes_is_chi_squared():
    z = torch.from_numpy(np.random.default_rng(0).normal(size=(4000, 3)) * [3, 1, 0.1])
    t2 = hotelling_t2(z, torch.tensor([9.0, 1.0, 0.01]))
    assert stats.kstest(t2.numpy(), stats.chi2(3).cdf).pvalue > 0.01


def test_p_values_are_those_counted_one_by_one():
    rng = np.random.default_rng(0)
    calibration, distances = rng.integers(0, 9, 30) / 2, rng.integers(-1, 11, 50) / 2
    expected = [(1 + (calibration >= s).sum()) / 31 for s in distances]
    found = conformal_p_values(torch.from_numpy(distances), torch.from_numpy(calibration))
    np.testing.assert_allclose(found, expected)


def test_a_member_at_pca_has_mahalanobis_distances_of_its_training_rows_alone():
    X = gaussian_rows(400)
    member, split = fit_pca_member(X)
    pca = PCA(3).fit(X[split.training])
    log_det = np.linalg.slogdet(pca.get_covariance())[1]
    expected = -2 * pca.score_samples(X) - log_det - 6 * np.log(2 * np.pi)
    n = len(split.training)
    distances = member.distances(ArraySource(X)) * member.median * (n - 1) / n
    np.testing.assert_allclose(distances, expected, rtol=2e-3)
    assert np.median(member.distances(ArraySource(X[split.training]))) == pytest.approx(1, rel=0.01)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("misses", [False, True])
def test_errors_of_features_add_up_to_those_of_rows(loss, misses):
    X = np.random.default_rng(0).integers(0, 2, size=(60, 5)).astype(float)
    model = AutoEncoder(2, loss=loss, **QUICK).fit(X)
    module = model.net_.module_
    x = module.units.to_tensor(X)
    observed = torch.from_numpy(X.cumsum(axis=1) < 2) if misses else None
    with torch.no_grad(), counting(observed):
        output = module.decoder(module.code(x))
        each, whole = module.loss.excess_by_feature(x, output), module.loss.excess(x, output)
    torch.testing.assert_close(each.sum(dim=1).double(), whole.double(), rtol=1e-4, atol=1e-5)
    if misses:
        assert (each[~observed] == 0).all()


def test_threshold_of_a_share_counts_weights_and_lies_between_rows():
    scores = np.array([-5.0, -4.0, -3.0, -2.0, -1.0])
    assert threshold_of_share(scores, None, 0.4) == -3.5
    assert threshold_of_share(scores, None, 0.01) == -4.5
    weights = np.array([2.0, 1.0, 1.0, 0.5, 0.5])
    assert threshold_of_share(scores, weights, 0.4) == -4.5
    assert threshold_of_share(np.array([-np.inf, -1.0]), None, 0.5) == -1


# -- alarms ------------------------------------------------------------------------------------


def test_calibrated_false_alarms_have_their_rate():
    """Over many calibrations by rows that the model has not seen, the rate holds exactly."""
    detector = AutoEncoderOutlierDetector(AutoEncoder(3, **QUICK)).fit(gaussian_rows(200))
    rng, shares = np.random.default_rng(0), []
    scores = detector.score_samples(gaussian_rows(100_000, seed=1))
    for _ in range(400):
        drawn = rng.choice(scores, 99 + 200, replace=False)
        p = conformal_p_values(*(torch.from_numpy(-s) for s in (drawn[99:], drawn[:99])))
        shares.append([(p <= alpha).double().mean().item() for alpha in (0.01, 0.05, 0.1)])
    error = np.std(shares, axis=0) / np.sqrt(400)
    assert (np.abs(np.mean(shares, axis=0) - [0.01, 0.05, 0.1]) < 3 * error).all()


def test_false_alarms_of_validation_rows_hold_on_new_rows(fitted):
    detector, _ = fitted
    p = detector.p_values(make_spots(2000, seed=5))
    n = len(detector.calibration_scores_)
    for alpha in (0.05, 0.1, 0.2):
        beyond = 3 * np.sqrt(alpha * (1 - alpha) / n)
        assert abs((p <= alpha).mean() - alpha) < beyond


def test_rows_that_break_the_relations_are_found(fitted):
    detector, _ = fitted
    normal, odd = spots_and_others()
    truth = np.repeat([0, 1], len(odd))
    scores = -detector.score_samples(np.vstack([normal, odd]))
    pca = PCA(2).fit(make_spots(400))
    errors = [
        ((pca.inverse_transform(pca.transform(X)) - X) ** 2).sum(axis=1) for X in (normal, odd)
    ]
    assert roc_auc_score(truth, scores) > 0.98 > roc_auc_score(truth, np.concatenate(errors))
    assert (detector.predict(odd) == -1).mean() > 0.9


@pytest.mark.parametrize("rate", [0.03, 0.05, 0.2])
def test_predict_is_a_p_value_up_to_the_rate(fitted, rate):
    detector, X = fitted
    again = clone(detector).set_params(false_alarm_rate=rate).fit(X)
    rows = np.vstack([*spots_and_others(), X[:50]])
    alarms = again.predict(rows) == -1
    np.testing.assert_array_equal(alarms, again.p_values(rows) <= rate)
    np.testing.assert_array_equal(alarms, again.decision_function(rows) < 0)
    np.testing.assert_allclose(
        again.decision_function(rows), again.score_samples(rows) - again.offset_
    )


def test_contamination_calls_that_share_of_the_training_rows_outliers(fitted):
    detector, X = fitted
    for share in (0.05, 0.5):
        again = clone(detector).set_params(contamination=share)
        assert (again.fit_predict(X) == -1).sum() == share * len(X)
        np.testing.assert_array_equal(again.calibration_scores_, detector.calibration_scores_)


def test_adjusted_p_values_are_those_of_benjamini_and_hochberg(fitted):
    detector, _ = fitted
    normal, odd = spots_and_others()
    rows = np.vstack([normal, odd[:60]])
    p = detector.p_values(rows)
    adjusted = detector.p_values(rows, adjust="bh")
    # By hand: the largest k of the sorted p with p ≤ α k/m.
    ordered, m = np.sort(p), len(p)
    k = np.flatnonzero(ordered <= 0.1 * np.arange(1, m + 1) / m).max() + 1
    np.testing.assert_array_equal(adjusted <= 0.1, p <= ordered[k - 1])
    assert 0 < (adjusted <= 0.1).sum() < m


def test_calibrate_takes_other_rows(fitted):
    detector, X = fitted
    again = clone(detector).fit(X)
    new = make_spots(199, seed=3)
    assert again.calibrate(new) is again
    np.testing.assert_allclose(again.calibration_scores_, np.sort(again.score_samples(new)))
    assert (again.predict(new) == -1).sum() == 9  # of 200 with the next one, 5 % are 10
    by_share = clone(detector).set_params(contamination=0.1).fit(X)
    offset = by_share.offset_
    with pytest.warns(UserWarning, match="changes p_values and not predict"):
        by_share.calibrate(new)
    assert by_share.offset_ == offset
    assert len(by_share.calibration_scores_) == 199


def test_one_row_of_each_group_calibrates(fitted):
    detector, X = fitted
    grouped = clone(detector).fit(X, groups=np.arange(400) // 4)
    assert len(grouped.calibration_scores_) == 25
    new = make_spots(120, seed=3)
    groups = np.array(["b", "a", "c"]).repeat(40)
    found = clone(detector).fit(X)
    with pytest.warns(UserWarning, match="3 were passed"):
        found.calibrate(new, groups=groups)
    each = found.score_samples(new).reshape(3, 40)
    assert [np.isclose(score, each).any(axis=1).sum() for score in found.calibration_scores_] == [
        1,
        1,
        1,
    ]


@pytest.mark.parametrize("kind", ["a record that many rows are", "few values"])
def test_false_alarms_keep_their_rate_where_rows_are_equal(kind):
    """A detector that kept equal rows on one side would draw the frequent ones more rarely."""
    rng, shares = np.random.default_rng(0), []
    draw = {
        "few values": lambda n: (rng.random((n, 7)) < 0.3).astype(float),
        "a record that many rows are": lambda n: np.where(
            rng.random((n, 1)) < 0.06, np.full(6, 9.0), gaussian_rows(n, seed=int(rng.integers(99)))
        ),
    }[kind]
    for seed in range(12):
        X, new = draw(500), draw(2000)
        model = AutoEncoder(3, hidden_layer_sizes=(), max_iter=1)
        detector = AutoEncoderOutlierDetector(model, random_state=seed).fit(X)
        p = detector.p_values(new)
        shares.append([(p <= alpha).mean() for alpha in (0.05, 0.1)])
    n = len(detector.calibration_scores_)
    assert n == 50
    expected = [np.floor(alpha * (n + 1)) / (n + 1) for alpha in (0.05, 0.1)]
    excess = np.mean(shares, axis=0) - expected
    assert (excess < 3 * np.std(shares, axis=0) / np.sqrt(12)).all()


def test_validation_rows_have_no_part_in_the_deviations_of_features():
    """With a part in them, a row makes its own extremes look smaller: false alarms were 22 %."""
    rng, shares = np.random.default_rng(0), []
    model = AutoEncoder(3, hidden_layer_sizes=(), max_iter=1)
    for seed in range(15):
        shape = (1100, 40)  # rare values of other sizes, and noise
        rows = (rng.random(shape) < 0.02) * rng.normal(size=shape) + 0.01 * rng.normal(size=shape)
        detector = AutoEncoderOutlierDetector(model, random_state=seed).fit(rows[:100])
        assert detector.scale_ is not None
        shares.append((detector.p_values(rows[100:]) <= 0.05).mean())
    assert np.mean(shares) < 1 / 26 + 3 * np.std(shares) / np.sqrt(15)


def test_validation_rows_have_no_part_in_the_decoder_of_pca(monkeypatch):
    """Of binary rows the decoder is fitted, too: a leak of its rows doubles false alarms."""
    X, seen = (make_spots(200) > 0.5).astype(float), []

    def fit_linear_decoder(module, rows, n_samples):
        seen.append(rows.n_rows)
        return original(module, rows, n_samples)

    original = floor.fit_linear_decoder
    monkeypatch.setattr(floor, "fit_linear_decoder", fit_linear_decoder)
    model = AutoEncoder(4, loss="binary_cross_entropy", hidden_layer_sizes=(), **QUICK)
    AutoEncoderOutlierDetector(model).fit(X)
    assert set(seen) == {150}


def test_refit_leaves_out_what_the_first_fit_flags():
    X, odd = make_spots(400), spots_and_others(40)[1]
    both = np.vstack([X, odd])
    once = AutoEncoderOutlierDetector(
        AutoEncoder(2, **TRAINS), contamination=40 / 440, random_state=0
    )
    twice = clone(once).set_params(refit=True)
    models = [detector.fit(both) for detector in (once, twice)]
    assert all(detector.estimator_.best_iter_ > 0 for detector in models)
    assert once.estimator_.n_samples_ == 440 and twice.estimator_.n_samples_ == 400
    normal, other = spots_and_others(200, seed=11)
    truth = np.repeat([0, 1], 200)
    areas = [roc_auc_score(truth, -d.score_samples(np.vstack([normal, other]))) for d in models]
    assert areas[1] >= areas[0] - 0.005
    assert len(once.calibration_scores_) == len(twice.calibration_scores_)
    assert (twice.predict(both) == -1).sum() == 40


@pytest.mark.parametrize("rate", [0.3, 0.6])
def test_rows_that_calibrate_train_no_autoencoder_of_any_fit(rate, monkeypatch):
    X, groups, fits = gaussian_rows(120), np.arange(120) // 2, []

    def note(estimator, source, labels, split):
        rows = source.take(np.arange(source.n_rows))
        fits.append((rows[split.training], rows[split.validation], labels))
        return fit_member(estimator, source, labels, split)

    monkeypatch.setattr(detector_module, "fit_member", note)
    detector = AutoEncoderOutlierDetector(
        AutoEncoder(3, hidden_layer_sizes=(), **QUICK),
        standardize=False,
        false_alarm_rate=rate,
        refit=True,
        n_estimators=2,
    ).fit(X, groups=groups)
    assert len(fits) == 4
    judges = fits[0][1]
    assert len(detector.calibration_scores_) == len(judges) // 2
    scores = detector.score_samples(judges)
    assert all(np.isclose(scores, each).any() for each in detector.calibration_scores_)
    for trained, validated, labels in fits:
        assert not set(map(bytes, trained)) & set(map(bytes, judges))
        assert set(map(bytes, validated)) <= set(map(bytes, judges))
        assert len(labels) == len(trained) + len(validated)
    assert len(fits[2][0]) < len(fits[0][0])


# -- several autoencoders ----------------------------------------------------------------------


def test_sizes_of_codes_are_multiples_of_the_first():
    assert sizes_of_codes(4, 30, 7) == [4, 8, 2, 4, 8, 2, 4]
    assert sizes_of_codes(4, 6, 3) == [4, 5, 2]
    assert sizes_of_codes(1, 2, 3) == [1, 1, 1]
    assert sizes_of_codes(9, 6, 3) == [9, 9, 4]


def test_several_autoencoders_multiply_their_distances_and_share_validation_rows(fitted):
    detector, X = fitted
    several = clone(detector).set_params(n_estimators=3).fit(X)
    assert [model.n_components_ for model in several.estimators_] == [2, 4, 1]
    rows = np.vstack(spots_and_others())
    first = detector.score_samples(rows)
    source = ArraySource(rows)
    each = [member.distances(source) for member in several._members]
    np.testing.assert_allclose(each[0], -first)
    np.testing.assert_allclose(several.score_samples(rows), -(np.prod(each, axis=0) ** (1 / 3)))
    seeds = [model.random_state for model in several.estimators_]
    np.testing.assert_array_equal(np.diff(seeds), 1)
    with parallel_config("threading"):
        parallel = clone(several).set_params(n_jobs=2).fit(X)
    np.testing.assert_array_equal(parallel.score_samples(rows), several.score_samples(rows))


# -- which feature -------------------------------------------------------------------------------


def test_explanation_by_the_code_of_pca_is_the_symmetric_decomposition():
    X = gaussian_rows(400)
    member, split = fit_pca_member(X)
    pca = PCA(3).fit(X[split.training])
    z, n = pca.transform(X), len(split.training)
    w = z / np.sqrt(pca.explained_variance_ * (n - 1) / n)
    in_code = (w @ pca.components_) ** 2
    residual = (X - pca.inverse_transform(z)) ** 2 / (pca.noise_variance_ * (n - 1) / n)
    total = (residual + in_code).sum(axis=1, keepdims=True)
    found = contributions(member, in_use(member.model, ArraySource(X)))
    np.testing.assert_allclose(found, np.stack([residual, in_code]) / total, atol=2e-3)


@pytest.mark.parametrize(
    "model",
    [
        AutoEncoder(2, **TRAINS),
        AutoEncoder(2, **TRAINS, whiten=True),
        AutoEncoder(2, **TRAINS, loss="binary_cross_entropy"),
        VariationalAutoEncoder(2, **TRAINS),
        SparseAutoEncoder(2, **TRAINS),
        WassersteinAutoEncoder(2, **TRAINS, alpha=0.1),
    ],
    ids=repr,
)
def test_shares_of_features_add_up_and_name_the_one_that_was_changed(model):
    X = make_spots(400)
    detector = AutoEncoderOutlierDetector(model).fit(X)
    assert detector.estimator_.best_iter_ > 0
    rows = make_spots(20, seed=3)
    rows[:, 9] = 1 - rows[:, 9].round()
    shares = detector.explain(rows)
    parts = [detector.explain(rows, part=part) for part in ("residual", "code")]
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    np.testing.assert_allclose(parts[0] + parts[1], shares)
    assert (shares.to_numpy() >= 0).all()
    assert (shares.idxmax(axis=1) == "x9").mean() > 0.7


def test_explanations_have_the_names_of_rows_and_features(fitted):
    detector, X = fitted
    frame = pd.DataFrame(X, columns=[f"p{i}" for i in range(64)])
    named = clone(detector).fit(frame)
    rows = frame.iloc[[5, 3]].set_index(pd.Index(["five", "three"]))
    shares = named.explain(rows)
    assert list(shares.index) == ["five", "three"]
    assert list(shares.columns) == list(frame.columns)
    assert list(detector.explain(X[:2]).columns[:2]) == ["x0", "x1"]
    assert list(named.estimator_.feature_names_in_) == list(frame.columns)


def test_shares_of_three_autoencoders_add_up(fitted):
    detector, X = fitted
    several = clone(detector).set_params(n_estimators=2).fit(X)
    np.testing.assert_allclose(several.explain(X[:5]).sum(axis=1), 1)


# -- tables of every kind --------------------------------------------------------------------------


def test_missing_values_are_filled_and_have_no_share():
    X = make_spots(400)
    lacking = np.where(np.random.default_rng(0).random(X.shape) < 0.1, np.nan, X)
    detector = AutoEncoderOutlierDetector(AutoEncoder(2, **TRAINS)).fit(lacking)
    assert detector.estimator_.best_iter_ > 0
    normal, odd = spots_and_others()
    rows = np.where(np.random.default_rng(1).random(odd.shape) < 0.1, np.nan, odd)
    shares = detector.explain(rows[:10]).to_numpy()
    assert (shares[np.isnan(rows[:10])] == 0).all()
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    assert np.median(detector.p_values(rows)) < 0.05 < np.median(detector.p_values(normal))
    with pytest.warns(UserWarning, match="taken for the mean"):
        scores = detector.score_samples(np.full((1, 64), np.nan))
    assert scores[0] > detector.offset_


def test_a_column_known_in_validation_rows_alone_is_left_as_it_is():
    X = gaussian_rows(100)
    rows = split_at_random(AutoEncoder(), ArraySource(X), None, draw_seed(0)).validation
    X[np.setdiff1d(np.arange(100), rows), 2] = np.nan
    detector = AutoEncoderOutlierDetector(AutoEncoder(3, **QUICK)).fit(X)
    assert detector.scale_[2] == 1
    assert np.isfinite(detector.score_samples(X)).all()


@pytest.mark.parametrize("standardize", [True, False])
def test_sparse_and_stored_rows_are_as_arrays(standardize, tmp_path):
    X = make_spots(300) * np.linspace(1, 3, 64)
    X[X < 0.3] = 0
    detector = AutoEncoderOutlierDetector(AutoEncoder(2, **TRAINS), standardize=standardize)
    expected = clone(detector).fit(X)
    assert expected.estimator_.best_iter_ > 0
    rows = X[:40] + 0.1
    from_sparse = clone(detector).fit(sparse.csr_array(X))
    np.testing.assert_allclose(
        from_sparse.score_samples(sparse.csr_array(rows)), expected.score_samples(rows), rtol=0.05
    )

    class Stored:
        shape, dtype = X.shape, X.dtype

        def __getitem__(self, rows):
            return X[rows]

    stored = clone(detector).fit(Stored())
    assert stored.estimator_.best_iter_ > 0
    assert np.corrcoef(stored.score_samples(rows), expected.score_samples(rows))[0, 1] > 0.9
    np.testing.assert_allclose(expected.score_samples(Stored()), expected.score_samples(X))


def test_features_of_different_units_are_divided_by_their_deviations():
    X = gaussian_rows(300)
    units = np.array([1, 1000, 0.01, 1, 1, 5])
    detector = AutoEncoderOutlierDetector(AutoEncoder(3, **QUICK))
    raw, own = clone(detector).fit(X * units), clone(detector).fit(X)
    np.testing.assert_allclose(raw.scale_, own.scale_ * units)
    np.testing.assert_allclose(own.scale_, X.std(axis=0), rtol=0.1)
    np.testing.assert_allclose(raw.score_samples(X * units), own.score_samples(X), rtol=1e-3)
    # Many features without names are divided where a few are far larger than the others.
    pixels = make_spots(100)
    assert clone(detector).fit(pixels).scale_ is None
    assert clone(detector).fit(pixels * [100, *[1] * 63]).scale_ is not None
    assert clone(detector).fit(pd.DataFrame(pixels).add_prefix("p")).scale_ is not None
    for model in (
        AutoEncoder(3, loss="poisson", **QUICK),
        AutoEncoder(3, image_shape=(2, 3), **QUICK),
    ):
        assert AutoEncoderOutlierDetector(model).fit(np.abs(X * units)).scale_ is None


def test_a_constant_feature_that_changes_is_an_outlier():
    X = np.column_stack([gaussian_rows(300), np.full(300, 7.0)])
    detector = AutoEncoderOutlierDetector(AutoEncoder(3, **QUICK), standardize=True).fit(X)
    assert detector.scale_[-1] == 1
    odd = X[:1].copy()
    odd[0, -1] = 8
    assert detector.predict(odd)[0] == -1
    assert detector.explain(odd).idxmax(axis=1)[0] == "x6"


def test_a_code_that_leaves_nothing_has_scores_of_the_code_alone():
    X = gaussian_rows(200)
    detector = AutoEncoderOutlierDetector(AutoEncoder(6, hidden_layer_sizes=(), **QUICK)).fit(X)
    odd = X[:1] + 10 * X.std(axis=0)
    assert np.isfinite(detector.score_samples(np.vstack([X, odd]))).all()
    assert detector.predict(odd)[0] == -1


def test_rows_far_beyond_float32_are_refused_and_far_ones_are_outliers(fitted):
    detector, _ = fitted
    with pytest.raises(ValueError, match="too large for float32"):
        detector.score_samples(np.full((1, 64), 1e39))
    far = np.full((1, 64), 1e25)
    assert detector.predict(far)[0] == -1
    np.testing.assert_allclose(detector.explain(far).sum(axis=1), 1)
    assert detector.p_values(far)[0] == 1 / (len(detector.calibration_scores_) + 1)


# -- what is said --------------------------------------------------------------------------------


def test_too_few_rows_for_a_rate_are_told_of():
    X = gaussian_rows(200)
    with pytest.warns(UserWarning, match=r"needs 99 rows for calibration, and 50 validate"):
        detector = AutoEncoderOutlierDetector(AutoEncoder(3, **QUICK), false_alarm_rate=0.01).fit(X)
    assert (detector.score_samples(X) < detector.offset_).sum() <= 200 / 51 + 6
    with pytest.warns(UserWarning, match=r"needs 99 rows for calibration, and 9 were passed"):
        detector.calibrate(X[:9])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        detector.calibrate(gaussian_rows(99, seed=3))
        assert AutoEncoderOutlierDetector(AutoEncoder(3, **QUICK)).fit(X).offset_ < 0


def test_codes_that_keep_everything_are_advised_against():
    X = gaussian_rows(100, d=7)
    detector = AutoEncoderOutlierDetector(AutoEncoder(7, **QUICK))
    with pytest.warns(AdviceWarning, match="n_components=7 numbers keep all of the 7 features"):
        detector.fit(X)


def test_fits_without_validation_rows_are_told_of():
    X = gaussian_rows(100)
    detector = AutoEncoderOutlierDetector(AutoEncoder(3, early_stopping=False, **QUICK))
    with pytest.warns(UserWarning, match="early_stopping=False leaves no validation rows"):
        detector.fit(X)
    assert len(detector.calibration_scores_) == 100
    with pytest.warns(UserWarning) as told:
        AutoEncoderOutlierDetector(AutoEncoder(3, **QUICK)).fit(X[:15])
    assert ["stays at PCA" in str(w.message) for w in told] == [True, False]
    assert "too few different ones for some to validate" in str(told[1].message)


@pytest.mark.parametrize(
    ("parameters", "match"),
    [
        ({"estimator": PCA(2)}, r"estimator=PCA.*expected an autoencoder of skae"),
        ({"estimator": AutoEncoder}, r"estimator=.*expected an autoencoder of skae"),
        ({"contamination": 0.6}, r"contamination=0.6"),
        ({"contamination": 0}, r"contamination=0 "),
        ({"false_alarm_rate": 0}, r"false_alarm_rate=0 .*expected float in \(0, 1\)"),
        ({"n_estimators": 0}, r"n_estimators=0"),
        ({"standardize": "yes"}, r"standardize='yes'"),
        ({"n_jobs": 0}, r"n_jobs=0"),
        ({"n_jobs": "all"}, r"n_jobs='all'"),
        ({"refit": 1}, r"refit=1"),
        ({"estimator": AutoEncoder(2, activation="no")}, r"activation='no'"),
    ],
)
def test_bad_parameters_are_named_and_leave_the_former_fit(parameters, match):
    X = gaussian_rows(100)
    detector = AutoEncoderOutlierDetector(AutoEncoder(2, **QUICK)).fit(X)
    scores = detector.score_samples(X)
    with pytest.raises(ValueError, match=match):
        detector.set_params(**parameters).fit(X)
    np.testing.assert_array_equal(detector.score_samples(X), scores)


def test_bad_arguments_are_named(fitted):
    detector, X = fitted
    for call, match in (
        (lambda: detector.p_values(X, adjust="no"), "adjust='no'"),
        (lambda: detector.explain(X, part="no"), "part='no'"),
        (lambda: detector.score_samples(X[:, :3]), "X has 3 features, but AutoEncoderOutlier"),
    ):
        with pytest.raises(ValueError, match=match):
            call()


@pytest.mark.parametrize(
    ("parameters", "match"),
    [({"false_alarm_rate": 0}, "false_alarm_rate=0 "), ({"contamination": 9}, "contamination=9 ")],
)
def test_calibrate_checks_parameters_and_rows(parameters, match, fitted):
    detector, X = fitted
    again = clone(detector).fit(X)
    with pytest.raises(ValueError, match=match):
        again.set_params(**parameters).calibrate(X)
    with (
        pytest.raises(ValueError, match="no row with any value"),
        pytest.warns(UserWarning, match="taken for the mean"),
    ):
        clone(detector).fit(X).calibrate(np.full((3, 64), np.nan))


def test_a_refit_without_rows_is_refused():
    detector = AutoEncoderOutlierDetector(
        AutoEncoder(2, **QUICK), refit=True, false_alarm_rate=1 - 1e-12, standardize=False
    )
    with pytest.raises(ValueError, match=r"refit=True leaves [01] of .*false_alarm_rate=1"):
        detector.fit(np.exp(gaussian_rows(100))[:30] * [1, 1, 1, 1, 1, 0])


def test_a_fit_that_fails_leaves_the_random_state_of_the_estimator(monkeypatch):
    draws = np.random.RandomState(0)
    state = draws.get_state()[1].copy()
    detector = AutoEncoderOutlierDetector(AutoEncoder(2, max_iter=3, random_state=draws))
    monkeypatch.setattr(detector_module, "fit_member", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        detector.fit(gaussian_rows(60))
    np.testing.assert_array_equal(draws.get_state()[1], state)


@pytest.mark.parametrize("size", [1e20, 1e30])
def test_scores_are_numbers_whatever_the_training_rows_are(size):
    X = gaussian_rows(120)
    X[0] = size
    model = AutoEncoder(2, **QUICK)
    detector = AutoEncoderOutlierDetector(model, standardize=False).fit(X)
    assert np.isfinite(detector.score_samples(X)).all()
    assert detector.score_samples(X).argmin() == 0
    np.testing.assert_allclose(detector.explain(X[:1]).sum(axis=1), 1)


def test_a_loss_whose_minimum_is_elsewhere_has_scores():
    detector = AutoEncoderOutlierDetector(AutoEncoder(2, loss=shrinking, **QUICK))
    assert not np.isnan(detector.fit(gaussian_rows(120)).score_samples(gaussian_rows(60))).any()


def shrinking(x, x_hat):
    return (x - 0.8 * x_hat).square().sum(dim=1)


def test_new_rows_that_the_loss_does_not_take_are_refused():
    binary = (make_spots(100) > 0.5).astype(float)
    model = AutoEncoder(2, loss="binary_cross_entropy", **QUICK)
    detector = AutoEncoderOutlierDetector(model).fit(binary)
    with pytest.raises(ValueError, match="binary_cross_entropy"):
        detector.score_samples(binary + 7)


@pytest.mark.filterwarnings("error::skae.AdviceWarning")
def test_fits_of_a_detector_give_no_advice_for_autoencoders_alone():
    rows = gaussian_rows(100) * [1000, 1, 1, 1, 1, 1]
    model = VariationalAutoEncoder(2, **QUICK)
    assert AutoEncoderOutlierDetector(model, standardize=False).fit(rows).estimator_ is not None


# -- scikit-learn ----------------------------------------------------------------------------------

# As test_sklearn_contract weighs: in float64, with small steps, nothing drawn for each row.
WEIGHABLE = {"dtype": "float64", "residual_noise": 0, "learning_rate_init": 1e-4}
CHECKED = AutoEncoderOutlierDetector(AutoEncoder(2, **QUICK, **WEIGHABLE))


@pytest.fixture
def quiet():
    """Let pass the warnings that the checks' rows bring about."""
    with warnings.catch_warnings():
        # Some checks pass names to one method and none to the other, on purpose.
        warnings.filterwarnings("ignore", "X (does not have valid|has) feature names")
        warnings.filterwarnings("ignore", ".*(for some to validate|rows for calibration)")
        warnings.filterwarnings("ignore", r"X has \d+ rows.*stays at PCA")
        yield


@pytest.mark.usefixtures("quiet")
@parametrize_with_checks([CHECKED])
def test_scikit_learn_checks_pass(estimator, check):
    check(estimator)


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("check", ["check_outliers_train", "check_outliers_fit_predict"])
@pytest.mark.parametrize(
    "parameters", [{"refit": True}, {"standardize": True}, {"n_estimators": 2}], ids=repr
)
def test_scikit_learn_checks_of_outliers_pass_whatever_is_set(check, parameters):
    detector = clone(CHECKED).set_params(**parameters)
    getattr(estimator_checks, check)(type(detector).__name__, detector)


def test_works_in_pipelines_and_searches():
    X, odd = make_spots(200), spots_and_others(60)[1]
    rows, truth = np.vstack([X, odd]), np.repeat([1, 0], [200, 60])
    detector = AutoEncoderOutlierDetector(AutoEncoder(2, **TRAINS))
    assert is_outlier_detector(detector)
    pipe = make_pipeline(StandardScaler(), detector).fit(X)
    assert pipe[-1].estimator_.best_iter_ > 0
    assert set(pipe.predict(rows)) == {-1, 1}
    train_on_normal = np.repeat([-1, 0, 0], [150, 50, 60])
    search = GridSearchCV(
        detector,
        {"estimator__n_components": [1, 2]},
        scoring=lambda fitted, X, y: roc_auc_score(y, fitted.score_samples(X)),
        cv=PredefinedSplit(train_on_normal),
    ).fit(rows, truth)
    assert search.best_score_ > 0.9


def test_a_fit_leaves_the_estimator_and_the_global_generator_alone(fitted):
    _, X = fitted
    base = AutoEncoder(2, **TRAINS)
    np.random.seed(3)  # noqa: NPY002
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    rows = X.copy()
    detectors = [AutoEncoderOutlierDetector(base, random_state=1).fit(X) for _ in range(2)]
    assert not hasattr(base, "net_")
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002
    np.testing.assert_array_equal(rows, X)
    np.testing.assert_array_equal(*(d.score_samples(X) for d in detectors))
    other = AutoEncoderOutlierDetector(base, random_state=2).fit(X)
    assert (other.score_samples(X) != detectors[0].score_samples(X)).any()


def test_the_default_is_an_autoencoder_of_four_fifths_of_the_variance():
    X = gaussian_rows(100)
    detector = AutoEncoderOutlierDetector(random_state=0).fit(X)
    alone = PCA(0.8).fit(X)
    assert isinstance(detector.estimator_, AutoEncoder)
    assert abs(detector.estimator_.n_components_ - alone.n_components_) <= 1


def test_weights_count_in_the_share_of_training_rows():
    X = gaussian_rows(100)
    weights = np.where(np.arange(100) < 50, 3.0, 1.0)
    detector = AutoEncoderOutlierDetector(AutoEncoder(3, **QUICK), contamination=0.2)
    flagged = detector.fit(X, sample_weight=weights).predict(X) == -1
    assert 0.17 < weights[flagged].sum() / weights.sum() <= 0.2


def test_the_error_variance_is_that_of_the_values_that_are_known():
    X = gaussian_rows(600)
    model = AutoEncoder(3, hidden_layer_sizes=(), **QUICK)
    lacking = np.where(np.random.default_rng(0).random(X.shape) < 0.2, np.nan, X)
    whole, parts = (
        AutoEncoderOutlierDetector(model).fit(rows)._members[0] for rows in (X, lacking)
    )
    assert parts.error_variance == pytest.approx(whole.error_variance, rel=0.3)


def test_members_start_anew():
    detector = AutoEncoderOutlierDetector(AutoEncoder(3, warm_start=True, **QUICK))
    assert not detector.fit(gaussian_rows(100)).estimator_.warm_start
