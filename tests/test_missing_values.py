"""Missing values: NaN at fit, transform and score, in every estimator."""

import copy

import numpy as np
import pandas as pd
import pytest
from estimators import ESTIMATORS, SOME, cubes, fit_trained, make_spots, trained_variants, trains
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags
from watching import WatchRows, filled_rows_of, find, squared_error

from skae import AutoEncoder, VariationalAutoEncoder
from skae._data.sources import ArraySource, FilledSource
from skae._estimator import fit as _fit
from skae._estimator import missing
from skae._start.gaussian import Gaussian

every_estimator = pytest.mark.parametrize("estimator", ESTIMATORS)
some_estimators = pytest.mark.parametrize("estimator", SOME)
DETERMINISTIC = [e for e in ESTIMATORS if e is not VariationalAutoEncoder]


def hide(X, share=0.3, seed=0):
    """Return X with NaN in this share of its entries."""
    return np.where(np.random.default_rng(seed).random(X.shape) < share, np.nan, X)


@pytest.fixture(scope="session")
def holes(spots):
    return hide(spots)


@pytest.fixture(scope="session")
def trained_on_holes(holes):
    """A function that fits an estimator to spots with NaN, once for all tests."""
    fits = {}

    def fit(estimator):
        name = repr(estimator)
        if name not in fits:
            fits[name] = fit_trained(estimator, holes)
        return fits[name]

    return fit


def reconstruct(model, X):
    return model.inverse_transform(model.transform(X))


def assert_same_bits(model, other, X):
    assert model.loss_curve_ == other.loss_curve_
    np.testing.assert_array_equal(model.transform(X), other.transform(X))
    np.testing.assert_array_equal(model.score_samples(X), other.score_samples(X))


# -- checks, whose tests are at the end ----------------------------------------------------


def check_scores_count_observed_values(model, X):
    """Recompute scores by hand."""
    errors = np.square(X - reconstruct(model, X))
    at_mean = np.square(X - model.mean_)
    np.testing.assert_allclose(model.score_samples(X), -np.nansum(errors, axis=1), rtol=1e-3)
    np.testing.assert_allclose(model.score(X), 1 - np.nansum(errors) / np.nansum(at_mean), 1e-4)


def check_validation_counts_observed_values(model, X):
    """Recompute the last validation score by hand, of a fit whose last weights stayed."""
    assert model.best_iter_ == model.n_iter_
    filled = np.vstack(find(model, WatchRows).rows) * model.scale_ + model.mean_
    seen = filled_rows_of(filled, X)
    errors, at_mean = filled - reconstruct(model, filled), filled - model.mean_
    known = ~np.isnan(X[seen])
    score = 1 - np.square(errors[known]).sum() / np.square(at_mean[known]).sum()
    np.testing.assert_allclose(model.validation_scores_[-1], score, rtol=1e-4)


# -- oracles -------------------------------------------------------------------------------


@pytest.mark.parametrize("estimator", DETERMINISTIC)
def test_scores_count_observed_values(estimator, trained_on_holes, holes):
    model = trained_on_holes(trains(estimator))
    check_scores_count_observed_values(model, holes)
    check_scores_count_observed_values(model, hide(make_spots(50, seed=1), 0.6))


@pytest.mark.parametrize("loss", ["absolute_error", cubes], ids=str)
def test_other_losses_count_observed_values_too(loss, holes):
    model = fit_trained(trains(AutoEncoder, loss=loss), holes)
    power = 1 if loss == "absolute_error" else 3
    errors = np.nansum(np.abs(holes - reconstruct(model, holes)) ** power, axis=1)
    np.testing.assert_allclose(model.score_samples(holes), -errors, rtol=1e-3)


def test_a_likelihood_is_that_of_observed_values(spots, holes):
    """By hand, at probabilistic PCA of one component, whose draws have the moments of N(0, 1)."""
    model = VariationalAutoEncoder(1, learning_rate_init=1e-30, max_iter=1, random_state=0)
    model.set_params(dtype="float64").fit(spots)
    m, noise = model.transform(holes), model.noise_variance_
    variance = noise / PCA(1).fit(spots).explained_variance_  # of the posterior
    weight = model.inverse_transform([[1.0]]) - model.inverse_transform([[0.0]])
    squares = np.square(holes - model.inverse_transform(m)) + variance * np.square(weight)
    log_densities = -0.5 * (np.log(2 * np.pi * noise) + squares / noise)
    kl = 0.5 * (np.square(m[:, 0]) + variance - 1 - np.log(variance))
    elbo = np.nansum(log_densities, axis=1) - kl
    np.testing.assert_allclose(model.score_samples(holes), elbo, rtol=1e-4)  # draws in float32
    np.testing.assert_allclose(model.score(holes), elbo.mean(), rtol=1e-5)
    bound = model.score_samples(holes, n_importance_samples=200)
    assert (bound > elbo - 0.5).all()
    assert bound.mean() > elbo.mean()


@some_estimators
def test_codes_are_those_of_rows_filled_by_the_gaussian_and_then_by_the_network(
    estimator, trained_on_holes, holes
):
    model = trained_on_holes(trains(estimator))
    once = Gaussian(**model._gaussian).fill(holes)
    twice = np.where(np.isnan(holes), reconstruct(model, once), holes)
    np.testing.assert_allclose(model.transform(holes), model.transform(twice), atol=2e-4)
    assert np.abs(model.transform(holes) - model.transform(once)).max() > 1e-3


@some_estimators
def test_validation_counts_observed_values(estimator, holes):
    model = trains(estimator, callbacks=[WatchRows()])
    fitted = fit_trained(model, holes)
    if type(fitted).__name__ in ("AutoEncoder", "ContractiveAutoEncoder", "SparseAutoEncoder"):
        check_validation_counts_observed_values(fitted, holes)
    filled = np.vstack(find(fitted, WatchRows).rows) * fitted.scale_ + fitted.mean_
    assert len(np.unique(filled_rows_of(filled, holes))) == len(filled) == 50


# -- every estimator -----------------------------------------------------------------------


@pytest.mark.parametrize("estimator", list(trained_variants()), ids=repr)
def test_a_fit_on_holes_trains_and_is_better_than_pca_behind_an_imputer(
    estimator, trained_on_holes, holes
):
    model = trained_on_holes(estimator)
    new = make_spots(300, seed=1)
    imputed = make_pipeline(SimpleImputer(), PCA(2)).fit(holes)
    X_hat = imputed[-1].inverse_transform(imputed.transform(new))
    linear = estimator.hidden_layer_sizes == ()
    small = estimator.init == "random" or estimator.tied_weights
    share = 1 if linear else 0.85 if small else 0.6
    assert squared_error(model, new) < share * np.square(X_hat - new).sum(axis=1).mean()
    codes = model.transform(holes)
    assert np.isfinite(codes).all()
    assert np.isfinite(reconstruct(model, holes)).all()
    assert np.isfinite(model.score_samples(holes)).all()


@some_estimators
def test_codes_of_holes_are_close_to_those_of_the_complete_rows(estimator, trained):
    model, new = trained(trains(estimator)), make_spots(300, seed=1)
    some = hide(new, 0.3)
    wanted = model.transform(new)
    ours = np.square(model.transform(some) - wanted).mean()
    with_means = np.where(np.isnan(some), model.mean_, some)
    assert ours < 0.3 * np.square(model.transform(with_means) - wanted).mean()
    missing_ = np.isnan(some)
    filled = reconstruct(model, some)[missing_]
    means = np.broadcast_to(model.mean_, new.shape)[missing_]
    error, of_means = (np.square(values - new[missing_]).mean() for values in (filled, means))
    assert error < 0.4 * of_means


@every_estimator
def test_complete_rows_are_fitted_as_if_nothing_filled(estimator, trained, spots, monkeypatch):
    def fail(*args, **kwargs):
        raise AssertionError("nothing is missing")

    for name in ("fit_gaussian", "fill", "FilledSource", "Observed"):
        monkeypatch.setattr(missing, name, fail)
    monkeypatch.setattr(Gaussian, "fill", fail)
    # of complete rows a Gaussian is kept for new ones: no number of the fit depends on it
    nothing = np.zeros(64)
    none = Gaussian(nothing, nothing, np.eye(64), nothing[:0], nothing, nothing)
    monkeypatch.setattr(_fit, "gaussian_of_complete", lambda source: none)
    again = fit_trained(trains(estimator), spots)
    assert_same_bits(again, trained(trains(estimator)), spots)


@some_estimators
def test_complete_rows_beside_holes_have_the_codes_that_they_have_alone(
    estimator, trained, spots, holes
):
    model = trained(trains(estimator))
    both = np.vstack([holes[:20], spots[:20]])
    np.testing.assert_allclose(model.transform(both)[20:], model.transform(spots[:20]), atol=1e-5)
    np.testing.assert_allclose(
        model.score_samples(both)[20:], model.score_samples(spots[:20]), rtol=1e-4
    )


@some_estimators
def test_holes_are_those_of_arrays_and_frames_of_any_kind(estimator, trained_on_holes, holes):
    model = trained_on_holes(trains(estimator))
    frame = pd.DataFrame(holes).astype("Float64")
    assert frame.isna().to_numpy().any()
    objects = np.where(np.isnan(holes), None, holes.astype(object))
    masked = np.ma.masked_invalid(holes)
    codes = model.transform(holes)
    for table in (frame, objects, masked, np.asfortranarray(holes), holes.tolist()):
        np.testing.assert_allclose(model.transform(table), codes, atol=1e-5)
    np.testing.assert_allclose(model.transform(holes.astype(np.float32)), codes, atol=1e-4)
    assert_same_bits(fit_trained(trains(estimator), objects), model, holes)


@some_estimators
def test_the_tag_says_so_and_a_pipeline_passes_them_on(estimator, holes):
    assert get_tags(estimator()).input_tags.allow_nan
    before = holes.copy()
    pipe = make_pipeline(StandardScaler(), trains(estimator)).fit(holes)
    assert pipe[-1].best_iter_ > 0
    assert np.isfinite(pipe.transform(holes)).all()
    np.testing.assert_array_equal(holes, before)


@some_estimators
@pytest.mark.parametrize("loss", ["binary_cross_entropy", "poisson"])
def test_losses_with_a_domain_stay_in_it(estimator, loss, holes):
    """Expectations under a Gaussian may be below 0; the loss would be infinite or NaN."""
    model = fit_trained(trains(estimator, loss=loss), holes)
    assert np.isfinite(model.loss_curve_).all()
    X_hat = reconstruct(model, holes)
    assert X_hat.min() >= 0
    assert loss == "poisson" or X_hat.max() <= 1
    assert np.isfinite(model.score_samples(holes)).all()
    with pytest.raises(ValueError, match="got a minimum of -1 "):
        model.fit(np.where(holes > 0.9, -1, holes))
    with pytest.raises(ValueError, match="got a minimum of -1 "):
        model.score(np.where(holes > 0.9, -1, holes))


@pytest.mark.parametrize(("loss", "high"), [("binary_cross_entropy", 1), ("poisson", np.inf)])
def test_what_fills_is_cut_to_the_domain_of_the_loss(loss, high):
    rows = np.array([[np.nan, 0.5]])
    for mean in (-3.0, 3.0):
        wide = np.full(2, 9.0)
        gaussian = Gaussian(np.full(2, mean), np.ones(2), np.eye(2), np.empty(0), -wide, wide)
        filled = missing.DomainFiller.for_loss(gaussian, loss).fill(rows)
        np.testing.assert_allclose(filled, [[np.clip(mean, 0, high), 0.5]])


# -- which rows validate -------------------------------------------------------------------


def test_equal_rows_with_equal_holes_are_on_one_side(holes):
    X = np.repeat(holes, 2, axis=0)
    model = trains(AutoEncoder, callbacks=[WatchRows()]).fit(X)
    filled = np.vstack(find(model, WatchRows).rows) * model.scale_ + model.mean_
    _, counts = np.unique(filled_rows_of(filled, holes), return_counts=True)
    assert (counts == 2).all()


def test_groups_of_rows_with_holes_are_on_one_side(holes):
    groups = np.random.default_rng(0).integers(80, size=len(holes))
    model = trains(AutoEncoder, callbacks=[WatchRows()]).fit(holes, groups=groups)
    filled = np.vstack(find(model, WatchRows).rows) * model.scale_ + model.mean_
    validated = np.isin(np.arange(len(holes)), filled_rows_of(filled, holes))
    assert validated.any()
    assert not np.isin(groups[validated], groups[~validated]).any()


# -- what is refused, and rows without a value ---------------------------------------------


@some_estimators
def test_infinity_is_an_error_beside_holes_too(estimator, trained, holes):
    X = holes.copy()
    X[5, 7] = np.inf
    with pytest.raises(ValueError, match=r"infinity .*X\[5, 7\] = inf"):
        estimator(2).fit(X)
    with pytest.raises(ValueError, match=r"infinity .*X\[5, 7\] = inf"):
        trained(trains(estimator)).transform(X)


@some_estimators
def test_a_column_without_a_value_is_named(estimator, trained, holes):
    X = holes.copy()
    X[:, [3, 9]] = np.nan
    with pytest.raises(ValueError, match="no value in 2 of its 64 columns: 3, 9; drop them"):
        estimator(2).fit(X)
    frame = pd.DataFrame(X, columns=[f"p{i}" for i in range(64)])
    with pytest.raises(ValueError, match="columns: 'p3', 'p9'; drop them"):
        estimator(2).fit(frame)
    with pytest.raises(ValueError, match=r"no value in 64 .*: 0, 1, 2, 3, 4 and 59 more; drop"):
        estimator(2).fit(np.full((30, 64), np.nan))
    assert np.isfinite(trained(trains(estimator)).transform(X)).all()  # new rows may lack it


@some_estimators
def test_a_row_without_a_value_is_taken_for_the_mean(estimator, trained, spots):
    model = trained(trains(estimator))
    X = spots.copy()
    X[[4, 8]] = np.nan
    with pytest.warns(UserWarning, match=r"no value in 2 of .* is row 4: they are taken") as record:
        codes = model.transform(X)
    assert len(record) == 1
    np.testing.assert_array_equal(codes[4], codes[8])
    spread = model.transform(spots).std(axis=0)
    at_mean = model.transform(model.mean_[None])[0]
    assert (np.abs(codes[4] - at_mean) < 0.7 * spread).all()
    with pytest.warns(UserWarning, match="no value in 2"):
        scores = model.score_samples(X)
    if estimator is not VariationalAutoEncoder:
        np.testing.assert_array_equal(scores[[4, 8]], 0)


@some_estimators
def test_a_row_without_a_value_is_left_out_of_the_fit(estimator, holes):
    X = np.insert(holes, [10, 100], np.nan, axis=0)
    with pytest.warns(UserWarning, match="no value in 2 of .* is row 10: they are left") as record:
        model = trains(estimator).fit(X)
    assert len(record) == 1
    weighted = trains(estimator).fit(holes, sample_weight=np.ones(len(holes)))
    assert model.best_iter_ > 0
    assert_same_bits(model, weighted, holes)


# -- and the checks notice damage ----------------------------------------------------------


def test_checks_notice_masks_that_are_not_used(holes, monkeypatch):
    watched = trains(AutoEncoder, callbacks=[WatchRows()])
    check_validation_counts_observed_values(fit_trained(watched, holes), holes)
    for kind in (ArraySource, FilledSource):
        monkeypatch.setattr(kind, "observed", lambda self, index: None)
    model = clone(watched).fit(holes)
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        check_validation_counts_observed_values(model, holes)
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        check_scores_count_observed_values(model, holes)


def test_checks_notice_holes_that_are_filled_with_means(holes, monkeypatch, trained_on_holes):
    model = copy.deepcopy(trained_on_holes(trains(AutoEncoder)))
    new = make_spots(300, seed=1)
    wanted, some = model.transform(new), hide(new)
    good = np.square(model.transform(some) - wanted).mean()
    monkeypatch.setattr(
        Gaussian, "fill", lambda self, X: np.where(np.isnan(X), model.mean_, X).astype(X.dtype)
    )
    assert np.square(model.transform(some) - wanted).mean() > 2 * good
