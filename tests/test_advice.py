"""Advice: what is said of rows, parameters and results, how often, and where."""

import warnings

import numpy as np
import pandas as pd
import pytest
from estimators import ESTIMATORS, make_spots, trains
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skae
from skae import AdviceWarning, AutoEncoder, DenoisingAutoEncoder, SparseAutoEncoder
from skae._estimator.jobs import advice
from skae._estimator.jobs.advice import dominant_features, gained_last, kind_of_values

# An attribute of skae.__all__ that is a generative model.
WITH_PRIOR = [kind for kind in ESTIMATORS if hasattr(kind, "sample")]
SHORT = {"max_iter": 2, "random_state": 0}


@pytest.fixture(autouse=True)
def nothing_said_yet(monkeypatch):
    monkeypatch.setattr(advice, "_SAID", set())


def heard(fit):
    """Return the advice that a fit gives."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit()
    return [str(w.message) for w in caught if issubclass(w.category, AdviceWarning)]


def make_houses(n_rows=200, seed=0):
    rng = np.random.default_rng(seed)
    small = rng.normal(size=(n_rows, 7))
    return pd.DataFrame(
        np.column_stack([300_000 + 80_000 * small[:, 0], small]),
        columns=["Price", *"abcdefg"],
    )


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_feature_that_holds_nearly_all_variance_is_named_with_the_remedy(estimator):
    with pytest.warns(AdviceWarning, match=r"Feature 'Price' of X holds 99.99%.*other 7") as caught:
        estimator(1, **SHORT).fit(make_houses())
    assert "make_pipeline(StandardScaler()" in str(caught[0].message)
    assert caught[0].filename == __file__


def test_standardised_features_and_tables_of_like_units_are_no_reason():
    houses = make_pipeline(StandardScaler(), AutoEncoder(1, **SHORT))
    assert not heard(lambda: houses.fit(make_houses()))
    for X in (load_digits().data, load_iris().data, make_spots()):
        assert not heard(lambda X=X: AutoEncoder(2, **SHORT).fit(X))


@pytest.mark.parametrize("load", [load_wine, load_breast_cancer])
def test_raw_tables_of_unlike_units_are_a_reason(load):
    said = heard(lambda: AutoEncoder(2, **SHORT).fit(load().data))
    assert len(said) == 1
    assert "standardise" in said[0]


@pytest.mark.parametrize("loss", ["binary_cross_entropy", "poisson"])
def test_losses_that_have_no_units_are_not_told_to_standardise(loss):
    X = np.random.default_rng(0).uniform(size=(100, 8)) * np.array([1] + 7 * [1e-4])
    assert not heard(lambda: AutoEncoder(2, loss=loss, **SHORT).fit(X))


@pytest.mark.parametrize(
    ("variances", "expected"),
    [
        ([1e6, 1, 1, 1, 1], [0]),
        ([1e6, 1, 1], []),  # too few features to speak of the others
        ([1, 1e6, 1, 2e6, *4 * [1.0]], [3, 1]),
        ([50, 1, 1, 1, 1], []),
        ([1e6, 0, 0, 0, 0, 0], []),  # constant features are not hidden by others
        ([0, 0, 0, 0], []),
    ],
)
def test_dominant_features(variances, expected):
    assert dominant_features(np.array(variances, dtype=float)).tolist() == expected


@pytest.mark.parametrize("gaps", [0, 0.05])
@pytest.mark.parametrize("loss", ["binary_cross_entropy", "poisson"])
def test_binary_rows_and_counts_are_told_of_their_losses(loss, gaps):
    rng = np.random.default_rng(0)
    binary = (rng.random((300, 12)) < 0.3).astype(float)
    X = rng.negative_binomial(1, 0.3, size=(300, 12)) if loss == "poisson" else binary
    X = np.where(rng.random(X.shape) < gaps, np.nan, X)
    with pytest.warns(AdviceWarning, match=f"loss='{loss}' is meant"):
        AutoEncoder(2, **SHORT).fit(X)
    assert not heard(lambda: AutoEncoder(2, loss=loss, **SHORT).fit(X))


@pytest.mark.parametrize(
    ("X", "kind"),
    [
        ([[0, 1], [1, np.nan]], "zeros and ones"),
        ([[0, 0.5], [1, 1]], ""),
        ([[1, 1], [1, 1]], ""),
        ([[-1, 1], [1, -1]], ""),
        ([[np.nan, np.nan]], ""),
        (load_digits().data, ""),  # grey levels up to 16, which is frequent
        (np.random.default_rng(0).integers(1, 6, size=(500, 8)), ""),  # answers from 1 to 5
        (np.random.default_rng(0).integers(18, 90, size=(500, 8)), ""),  # ages
        (np.random.default_rng(0).geometric(0.3, size=(500, 8)) - 1, "counts"),
    ],
)
def test_kinds_of_values(X, kind):
    assert kind_of_values(np.asarray(X, dtype=float)) == kind


def test_a_code_as_large_as_the_rows_has_nothing_to_learn():
    one = np.random.default_rng(0).normal(size=(100, 1))
    assert not heard(lambda: AutoEncoder(1, **SHORT).fit(one))  # no smaller code exists
    X = np.random.default_rng(0).normal(size=(100, 5))
    with pytest.warns(AdviceWarning, match="n_components=5 numbers keep all of the 5 features"):
        AutoEncoder(5, **SHORT).fit(X)
    assert not heard(lambda: AutoEncoder(4, **SHORT).fit(X))
    assert not heard(lambda: AutoEncoder(7, init="random", **SHORT).fit(X))


@pytest.mark.parametrize("estimator", [DenoisingAutoEncoder, SparseAutoEncoder])
def test_large_codes_are_what_some_methods_are_for(estimator):
    X = np.random.default_rng(0).normal(size=(100, 5))
    assert not heard(lambda: estimator(8, **SHORT).fit(X))


@pytest.mark.parametrize("estimator", WITH_PRIOR)
def test_a_model_with_a_prior_that_stays_at_pca_says_so(estimator):
    X = np.random.default_rng(0).normal(size=(100, 5))
    with pytest.warns(AdviceWarning, match=f"{estimator.__name__} has stayed at PCA: .*sample"):
        model = estimator(2, **SHORT).fit(X)
    assert model.best_iter_ == 0


def test_a_training_that_was_still_gaining_is_told_to_go_on(spots):
    model = trains(AutoEncoder, max_iter=10)
    with pytest.warns(ConvergenceWarning, match="Raise max_iter, now 10") as caught:
        model.fit(spots)
    assert model.best_iter_ > 0
    assert issubclass(caught[0].category, AdviceWarning)
    assert not heard(lambda: trains(AutoEncoder, max_iter=100).fit(spots))


def test_a_budget_that_is_over_before_the_training_is_told(spots):
    X = np.where(np.random.default_rng(0).random(spots.shape) < 0.02, np.nan, spots)
    with pytest.warns(
        ConvergenceWarning, match=r"max_time=0.001 .* epoch 1 of .*Raise max_time; filling"
    ):
        model = AutoEncoder(2, max_time=1e-3, random_state=0).fit(X[:100, :12])
    assert model.n_iter_ == 1
    assert model.best_iter_ == 0
    assert not heard(lambda: AutoEncoder(2, max_time=100, **SHORT).fit(spots))


def test_a_training_that_its_epochs_ended_is_not_told_of_its_budget(spots):
    with pytest.warns(ConvergenceWarning, match="Raise max_iter, now 10"):
        trains(AutoEncoder, max_iter=10, max_time=1000).fit(spots)


@pytest.mark.parametrize(
    ("losses", "start", "share"),
    [
        ([9, 8, 7, 6, 5], 10, 0.2),
        ([9, 5, 5, 5, 5], 10, 0.0),
        ([12, 12, 12, 12, 9], 10, 1.0),
        ([12, 11], 10, 0.0),
        ([9, 8, 7], 10, 0.0),  # too few epochs to tell
        ([9, 8, 7, 6, 5], np.inf, 0.0),
    ],
)
def test_the_part_of_the_gain_that_came_last(losses, start, share):
    assert gained_last(losses, start) == pytest.approx(share)


def test_advice_is_not_given_twice():
    fit = AutoEncoder(1, **SHORT).fit
    assert len(heard(lambda: fit(make_houses()))) == 1
    assert not heard(lambda: fit(make_houses()))
    others = make_houses().add_prefix("new_")
    assert len(heard(lambda: fit(others))) == 1


def test_rows_that_show_another_feature_too_are_no_new_advice():
    wine = load_wine(as_frame=True).data
    assert len(heard(lambda: cross_val_score(AutoEncoder(2, **SHORT), wine, cv=3))) == 1


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_a_search_gives_advice_once(n_jobs):
    search = GridSearchCV(
        AutoEncoder(1, **SHORT), {"n_components": [1, 2], "max_iter": [2, 3]}, cv=3, n_jobs=n_jobs
    )
    assert len(heard(lambda: search.fit(make_houses()))) == 1


def test_cross_validation_gives_advice_once():
    model, X = AutoEncoder(1, **SHORT), make_houses()
    assert len(heard(lambda: cross_val_score(model, X))) == 1


def test_one_filter_turns_all_advice_off(spots):
    X = np.random.default_rng(0).normal(size=(100, 5))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", category=skae.AdviceWarning)
        AutoEncoder(1, **SHORT).fit(make_houses())
        AutoEncoder(5, **SHORT).fit(X)
        trains(AutoEncoder, max_iter=10).fit(spots)
