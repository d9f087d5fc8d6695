"""Weights of rows: as if rows were there more than once, or not at all."""

import numpy as np
import pytest
import sklearn
from estimators import ESTIMATORS, SOME, cubes, fit_trained, make_spots, trains
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from watching import WatchRows, find

from skae import (
    AutoEncoder,
    ContractiveAutoEncoder,
    SparseAutoEncoder,
    VariationalAutoEncoder,
)
from skae._data.sources import ArraySource
from skae._data.sums.moments import Moments
from skae._start.pca import fit_pca

every_estimator = pytest.mark.parametrize("estimator", ESTIMATORS)
some_estimators = pytest.mark.parametrize("estimator", SOME)
AT_PCA = {
    "learning_rate_init": 1e-30,
    "dtype": "float64",
    "early_stopping": False,
    "max_iter": 1,
}
# One batch of all rows, and no noise, so that the same steps are taken.
FULL_BATCH = {
    "dtype": "float64",
    "early_stopping": False,
    "residual_noise": 0,
    "batch_size": 10_000,
    "max_iter": 25,
}


@pytest.fixture(scope="session")
def repeats():
    """How often each row of spots is there: a third of them not at all."""
    return np.random.default_rng(0).integers(0, 3, size=240)


@pytest.fixture(scope="session")
def weights():
    return np.random.default_rng(1).uniform(0.1, 3, size=240)


def repeated(X, n):
    return np.repeat(X, n, axis=0)


def assert_same_bits(one, other, X):
    assert one.loss_curve_ == other.loss_curve_
    np.testing.assert_array_equal(one.transform(X), other.transform(X))
    np.testing.assert_array_equal(one.score_samples(X), other.score_samples(X))


# -- oracles -------------------------------------------------------------------------------

WITHOUT_DRAWS = [
    trains(AutoEncoder, **FULL_BATCH),
    trains(AutoEncoder, loss="huber", **FULL_BATCH),
    trains(AutoEncoder, loss="absolute_error", **FULL_BATCH),
    trains(AutoEncoder, loss=cubes, **FULL_BATCH),
    trains(AutoEncoder, tied_weights=True, **FULL_BATCH),
    trains(AutoEncoder, init="random", **FULL_BATCH),
    trains(AutoEncoder, whiten=True, **FULL_BATCH),
    trains(ContractiveAutoEncoder, **FULL_BATCH),
    trains(SparseAutoEncoder, **FULL_BATCH),
    trains(SparseAutoEncoder, penalty="kl", **FULL_BATCH),
]


@pytest.mark.parametrize("estimator", WITHOUT_DRAWS, ids=repr)
def test_weights_are_as_repeated_rows(estimator, repeats, spots):
    """Of methods that draw nothing: noise, dropout and codes are drawn for each row of a batch."""
    weighted = clone(estimator).fit(spots, sample_weight=repeats)
    expected = fit_trained(estimator, repeated(spots, repeats))
    assert weighted.best_iter_ == expected.best_iter_
    codes = expected.transform(spots)
    np.testing.assert_allclose(
        weighted.transform(spots), codes, atol=1e-4 * np.abs(codes).max(), rtol=1e-4
    )
    np.testing.assert_allclose(weighted.loss_curve_, expected.loss_curve_, rtol=1e-4)
    np.testing.assert_allclose(weighted.noise_variance_, expected.noise_variance_, rtol=1e-4)
    scores = weighted.score(spots, sample_weight=repeats), expected.score(repeated(spots, repeats))
    np.testing.assert_allclose(*scores, rtol=1e-5)
    unweighted = clone(estimator).fit(spots)
    assert np.abs(unweighted.transform(spots) - codes).max() > 1e-2 * np.abs(codes).max()


@pytest.mark.parametrize("loss", ["binary_cross_entropy", "poisson"])
@pytest.mark.parametrize("estimator", [AutoEncoder, VariationalAutoEncoder])
def test_the_linear_decoder_of_the_start_is_that_of_repeated_rows(estimator, loss, repeats, spots):
    """As nearly as its steps find it; draws of a variational model's codes differ by rows."""
    model = trains(estimator, loss=loss, **AT_PCA)
    weighted = clone(model).fit(spots, sample_weight=repeats)
    expected = clone(model).fit(repeated(spots, repeats))
    unweighted = clone(model).fit(spots)
    wanted, drawn = expected.score_samples(spots), estimator is VariationalAutoEncoder
    far = np.abs(unweighted.score_samples(spots) - wanted).max()
    assert np.abs(weighted.score_samples(spots) - wanted).max() < (0.5 if drawn else 0.02) * far


@every_estimator
@pytest.mark.parametrize("k", [2, 0.9])
def test_the_start_is_pca_of_repeated_rows(estimator, k, repeats, spots):
    model = trains(estimator, k, **AT_PCA).fit(spots, sample_weight=repeats)
    table = repeated(spots, repeats)
    expected = trains(estimator, k, **AT_PCA).fit(table)
    assert model.n_components_ == expected.n_components_ == PCA(k).fit(table).n_components_
    np.testing.assert_allclose(model.mean_, table.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(model.scale_, expected.scale_, rtol=1e-12)
    np.testing.assert_allclose(model.transform(spots), expected.transform(spots), atol=1e-6)
    np.testing.assert_allclose(model.score_samples(spots), expected.score_samples(spots), rtol=1e-6)
    np.testing.assert_allclose(model.noise_variance_, expected.noise_variance_, rtol=1e-6)


@pytest.mark.parametrize("shape", [(240, 64), (40, 64)])
def test_pca_is_that_of_the_weighted_covariance(shape, weights):
    X, w = make_spots(shape[0]), weights[: shape[0]]
    source = ArraySource(X).weighted(w)
    pca = fit_pca(source, Moments.of(source), 5, seed=0)
    mean = np.average(X, axis=0, weights=w)
    # what is lost of the degrees of freedom is one row's weight, or less if weights are small
    degrees = w.sum() - min(1, np.square(w).sum() / w.sum())
    covariance = (w[:, None] * (X - mean)).T @ (X - mean) / degrees
    values, vectors = np.linalg.eigh(covariance)
    np.testing.assert_allclose(pca.mean, mean, atol=1e-12)
    np.testing.assert_allclose(pca.variances, values[::-1][:5], rtol=1e-8)
    cosines = np.abs((pca.components * vectors[:, ::-1][:, :5].T).sum(axis=1))
    np.testing.assert_allclose(cosines, 1, rtol=1e-8)


@every_estimator
def test_scores_are_weighted_means(estimator, trained, repeats, spots):
    model = trained(trains(estimator))
    expected = model.score(repeated(spots, repeats))
    np.testing.assert_allclose(model.score(spots, sample_weight=repeats), expected, rtol=1e-5)
    assert model.score(spots, sample_weight=np.ones(240)) == model.score(spots)
    assert model.score(spots) != model.score(spots, sample_weight=repeats)


# -- every estimator -----------------------------------------------------------------------


@every_estimator
@pytest.mark.parametrize("early_stopping", [True, False])
def test_weights_of_zero_are_as_rows_that_are_not_there(estimator, early_stopping, weights, spots):
    present = np.random.default_rng(2).random(240) < 0.8
    weights = np.where(present, weights, 0)
    dirt = np.where(present[:, None], spots, 1e6 * (1 + spots))  # of which nothing may be seen
    model = trains(estimator, early_stopping=early_stopping)
    part = clone(model).fit(spots[present], sample_weight=weights[present])
    whole = clone(model).fit(dirt, sample_weight=weights)
    assert part.best_iter_ > 0
    assert_same_bits(whole, part, spots)


@some_estimators
def test_weights_of_one_are_as_none_nearly(estimator, spots):
    """Nearly: sums are taken in another way."""
    model = trains(estimator, dtype="float64", max_iter=4, early_stopping=False)
    plain, weighted = fit_trained(model, spots), clone(model).fit(spots, sample_weight=np.ones(240))
    codes = plain.transform(spots)
    np.testing.assert_allclose(weighted.transform(spots), codes, atol=1e-3 * np.abs(codes).max())


@some_estimators
@pytest.mark.parametrize("factor", [1024, 1 / 1024])
def test_only_the_relative_size_of_weights_matters(estimator, factor, weights, spots):
    """Nearly: codes at PCA are divided by deviations, whose divisor is what n − 1 is for n rows."""
    model = trains(estimator, dtype="float64", max_iter=4)
    one, other = (clone(model).fit(spots, sample_weight=w * weights) for w in (1, factor))
    assert one.best_iter_ > 0
    np.testing.assert_allclose(other.loss_curve_, one.loss_curve_, rtol=0.02)
    np.testing.assert_allclose(other.score(spots), one.score(spots), rtol=0.02)
    np.testing.assert_allclose(other.pca_score_, one.pca_score_, rtol=0.02)


@some_estimators
def test_weights_change_what_is_learned(estimator, spots):
    """The left half of the rows is reconstructed better by the model that has its weight."""
    left = spots[:, :32].sum(axis=1) > spots[:, 32:].sum(axis=1)
    model = trains(estimator, max_iter=20)
    errors = {}
    for side in (True, False):
        fitted = clone(model).fit(spots, sample_weight=np.where(left == side, 1, 0.02))
        assert fitted.best_iter_ > 0
        errors[side] = fitted.score(spots[left]), fitted.score(spots[~left])
    assert errors[True][0] > errors[False][0]
    assert errors[True][1] < errors[False][1]


# -- validation ----------------------------------------------------------------------------


@every_estimator
def test_the_loss_of_validation_rows_is_weighted(estimator, weights, spots):
    """That of the last epoch is recomputed from the rows that it was taken of."""
    model = trains(estimator, callbacks=[WatchRows()], max_iter=6)
    fitted = clone(model).fit(spots, sample_weight=weights)
    assert fitted.best_iter_ == fitted.n_iter_ == 6
    x = np.vstack(find(fitted, WatchRows).rows) * fitted.scale_ + fitted.mean_
    which = np.square(x[:, None] - spots[None]).sum(axis=2).argmin(axis=1)
    if estimator in PLAIN:
        score = fitted.score(spots[which], sample_weight=weights[which])
        last = fitted.validation_scores_[-1]
        np.testing.assert_allclose(score_about(fitted, spots, which, weights), last, rtol=1e-3)
        assert abs(score - fitted.score(spots[which])) > 1e-4
    column = [row["valid_loss"] for row in fitted.net_.history]
    terms = [k for k in fitted.net_.history[-1] if k.startswith("valid_") and k not in OWN]
    sums = [sum(row[term] for term in terms) for row in fitted.net_.history]
    np.testing.assert_allclose(sums, column, rtol=1e-5)


# Methods whose validation loss is that of their reconstruction, computed without noise.
PLAIN = [AutoEncoder, ContractiveAutoEncoder, SparseAutoEncoder]
OWN = {"valid_loss", "valid_loss_best", "valid_batch_count", "valid_batch_size"}


def score_about(model, X, which, weights):
    """Return the share of the loss that is explained, by hand: of the training rows' mean."""
    X_hat = model.inverse_transform(model.transform(X[which]))
    w = weights[which]
    errors = w @ np.square(X[which] - X_hat).sum(axis=1)
    return 1 - errors / (w @ np.square(X[which] - model.mean_).sum(axis=1))


def test_rows_of_validation_with_large_weights_decide():
    """A network that wins on most rows stays at PCA where it loses on those of the weight."""
    rng = np.random.default_rng(0)
    X = make_spots(600)
    odd = rng.random(600) < 0.2
    X[odd] = rng.normal(size=(odd.sum(), 64))  # noise, on which no network beats PCA
    plain = trains(AutoEncoder, max_iter=20).fit(X)
    weighted = trains(AutoEncoder, max_iter=20).fit(X, sample_weight=np.where(odd, 1e3, 1e-3))
    assert plain.best_iter_ > 0
    assert weighted.best_iter_ == 0


# -- what is refused, and routing ----------------------------------------------------------


@some_estimators
@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (lambda w: np.where(np.arange(240) == 7, -1, w), r"has -1\.0 in row 7; weights are finite"),
        (lambda w: np.where(np.arange(240) == 7, np.nan, w), "has nan in row 7"),
        (lambda w: np.where(np.arange(240) == 7, np.inf, w), "has inf in row 7"),
        (lambda w: w[1:], r"has the shape \(239,\), expected \(240,\)"),
        (lambda w: w[:, None], r"has the shape \(240, 1\), expected \(240,\)"),
        (lambda w: ["a"] * 240, "sample_weight must be numbers"),
        (lambda w: 0 * w, "is zero for all rows; pass at least one weight that is not zero"),
        (lambda w: (np.arange(240) == 7).astype(float), "1 sample with a weight that is not zero"),
    ],
)
def test_bad_weights_are_refused_in_words(estimator, bad, message, weights, spots, trained):
    with pytest.raises(ValueError, match=message):
        estimator(2).fit(spots, sample_weight=bad(weights))
    with pytest.raises(ValueError, match=message):
        estimator(2).partial_fit(spots, sample_weight=bad(weights))
    if "1 sample" not in message:
        with pytest.raises(ValueError, match=message):
            trained(trains(estimator)).score(spots, sample_weight=bad(weights))


@some_estimators
def test_metadata_routing_brings_weights_through_pipelines_and_searches(estimator, weights, spots):
    with sklearn.config_context(enable_metadata_routing=True):
        model = trains(estimator, max_iter=3)
        model.set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        pipe = make_pipeline(scaler, model).fit(spots, sample_weight=weights)
        z = StandardScaler().fit_transform(spots)
        expected = trains(estimator, max_iter=3).fit(z, sample_weight=weights)
        np.testing.assert_array_equal(pipe.transform(spots), expected.transform(z))
        search = GridSearchCV(
            Pipeline([("ae", model)]), {"ae__n_components": [1, 2]}, cv=2, refit=False
        ).fit(spots, sample_weight=weights)
    half, rest = slice(120, 240), slice(0, 120)
    for k, score in zip((1, 2), search.cv_results_["split0_test_score"], strict=True):
        one = trains(estimator, k, max_iter=3).fit(spots[half], sample_weight=weights[half])
        assert score == one.score(spots[rest], sample_weight=weights[rest])


def test_a_search_without_routing_leaves_weights_to_the_fit(weights, spots):
    search = GridSearchCV(trains(AutoEncoder, max_iter=3), {"n_components": [2]}, cv=2)
    search.fit(spots, sample_weight=weights)
    expected = trains(AutoEncoder, max_iter=3).fit(spots, sample_weight=weights)
    np.testing.assert_array_equal(search.transform(spots), expected.transform(spots))


def test_the_variational_bound_is_comparable_with_pcas_score_of_repeated_rows(repeats, spots):
    model = trains(VariationalAutoEncoder, **AT_PCA).fit(spots, sample_weight=repeats)
    table = repeated(spots, repeats)
    np.testing.assert_allclose(
        model.score(spots, sample_weight=repeats), PCA(2).fit(table).score(table), rtol=1e-7
    )
