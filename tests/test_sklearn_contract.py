"""scikit-learn's own checks, those that its list leaves out, and its meta-estimators."""

import functools
import inspect
import warnings

import numpy as np
import pandas as pd
import pytest
from estimators import (
    ESTIMATORS,
    EXTRA_CHECKS,
    SHORT,
    SOME,
    TRAINS,
    ResidualNetwork,
    fit_trained,
    let_rows_depend_on_each_other,
    scramble,
    trains,
)
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, ShuffleSplit
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

from skae import (
    AdversarialAutoEncoder,
    AutoEncoder,
    ContractiveAutoEncoder,
    DenoisingAutoEncoder,
    DropoutAutoEncoder,
    VariationalAutoEncoder,
    WassersteinAutoEncoder,
)

# The checks' rows are few and random, so that most of these end at PCA, and one of each kind shows
# it. They are not in [0, 1]: binary cross-entropy is left to test_combinations.
FROM_PCA = [
    AutoEncoder(2, loss="poisson", **SHORT),
    AutoEncoder(2, hidden_layer_sizes=(16,), loss="huber", tied_weights=True, **SHORT),
    *(estimator(**SHORT) for estimator in SOME),
]
# So that all codes are in use, of which it would warn.
FROM_RANDOM = {VariationalAutoEncoder: {**TRAINS, "beta": 0.01}}
# All of these end with trained weights, whatever the rows.
TRAINED = [
    *(estimator(**FROM_RANDOM.get(estimator, SHORT), init="random") for estimator in ESTIMATORS),
    AutoEncoder(2, init="random", whiten=True, **SHORT),
    AutoEncoder(2, init="random", encoder=ResidualNetwork, decoder=ResidualNetwork, **SHORT),
    ContractiveAutoEncoder(early_stopping=False, **SHORT),  # lowers its penalty, beside PCA
]
# What frames and names are made of is the same for all.
SOME_TRAINED = [model for model in TRAINED[: len(ESTIMATORS)] if isinstance(model, tuple(SOME))]


# These draw for each row of a batch: noise, layers to drop, codes, or draws of a prior. With a row
# of weight 2 in the place of two rows they draw otherwise (scikit-learn#29818 is about others).
DRAWN = (
    AdversarialAutoEncoder,
    DenoisingAutoEncoder,
    DropoutAutoEncoder,
    VariationalAutoEncoder,
    WassersteinAutoEncoder,
)


def fails_for_draws(estimator):
    """Return the checks of weights that cannot pass where each row of a batch has its draws."""
    if not isinstance(estimator, DRAWN) and estimator.encoder is not ResidualNetwork:
        return {}
    reason = "draws for each row of a batch, of which repeated rows have more"
    name = "check_sample_weight_equivalence_on_{}_data"
    return {name.format(kind): reason for kind in ("dense", "sparse")}


def weighed(estimator, check):
    """Return an estimator as scikit-learn's checks of weights can compare it to repeated rows.

    They ask for seven digits, which large steps from PCA lose: there the encoder's gradient is
    rounding, and AdamW magnifies it. test_sample_weight has real trainings. Residual noise is
    drawn for each row of a batch; and before random weights the order in which rows validate.
    """
    if "sample_weight_equivalence" not in getattr(check, "func", check).__name__:
        return estimator
    validates = estimator.early_stopping and estimator.init == "pca"
    return clone(estimator).set_params(
        dtype="float64", residual_noise=0, early_stopping=validates, learning_rate_init=1e-4
    )


@pytest.fixture
def quiet():
    """Let pass the warnings that the checks' rows bring about."""
    with warnings.catch_warnings():
        # Some checks pass names to one method and none to the other, on purpose.
        warnings.filterwarnings("ignore", "X (does not have valid|has) feature names")
        warnings.filterwarnings("ignore", r"X has \d+ rows.*stays at PCA")
        yield


def after_each_fit(monkeypatch, estimator, do):
    """Let ``do`` be called with an estimator of this class whenever one has been fitted."""
    fit = type(estimator).fit

    @functools.wraps(fit)
    def fit_and_do(self, *args, **kwargs):
        fitted = fit(self, *args, **kwargs)
        do(fitted)
        return fitted

    monkeypatch.setattr(type(estimator), "fit", fit_and_do)


def accuracy_and_best_epoch(pipe, X, y):
    return {"accuracy": pipe.score(X, y), "best_iter": pipe["ae"].best_iter_}


def test_grid_search_scores_do_not_depend_on_the_number_of_jobs(spots):
    y, split = (spots[:, 20] > 0.5).astype(int), ShuffleSplit(1, test_size=60, random_state=0)
    pipe = Pipeline([("ae", None), ("clf", LogisticRegression())])
    every = {"ae": [trains(estimator, k) for estimator in ESTIMATORS for k in (2, 3)]}
    one, two = (
        GridSearchCV(
            pipe, every, cv=split, n_jobs=n_jobs, scoring=accuracy_and_best_epoch, refit=False
        )
        .fit(spots, y)
        .cv_results_
        for n_jobs in (1, 2)
    )
    assert (one["mean_test_best_iter"] > 0).all()
    for name in ("mean_test_best_iter", "mean_test_accuracy"):
        np.testing.assert_array_equal(one[name], two[name])


@pytest.mark.usefixtures("quiet")
@parametrize_with_checks(FROM_PCA)
def test_scikit_learn_checks_pass(estimator, check):
    check(weighed(estimator, check))


@pytest.mark.usefixtures("quiet")
@parametrize_with_checks(TRAINED, expected_failed_checks=fails_for_draws)
def test_scikit_learn_checks_pass_on_trained_networks(estimator, check, monkeypatch):
    epochs = []
    after_each_fit(monkeypatch, estimator, lambda fitted: epochs.append(fitted.best_iter_))
    check(weighed(estimator, check))
    assert 0 not in epochs


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("check", EXTRA_CHECKS)
@pytest.mark.parametrize("estimator", SOME_TRAINED, ids=repr)
def test_checks_outside_scikit_learns_list_pass(estimator, check):
    getattr(estimator_checks, check)(type(estimator).__name__, estimator)


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize(
    ("check", "damage"),
    [
        ("check_fit_idempotent", "every other fit"),
        ("check_methods_subset_invariance", "rows"),
    ],
)
@pytest.mark.parametrize("estimator", TRAINED, ids=repr)
def test_scikit_learn_checks_notice_damage_to_trained_networks(
    estimator, check, damage, monkeypatch
):
    """A check that passes on damaged networks, as it does where fits end at PCA, shows nothing."""
    fits = []

    def scramble_every_other(fitted):
        fits.append(fitted)
        if len(fits) % 2 == 0:
            scramble(fitted)

    if damage == "rows":
        after_each_fit(monkeypatch, estimator, let_rows_depend_on_each_other)
    else:
        after_each_fit(monkeypatch, estimator, scramble_every_other)
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        getattr(estimator_checks, check)(type(estimator).__name__, clone(estimator))


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_docstring_states_every_parameter_with_its_default(estimator):
    doc = inspect.getdoc(estimator)
    for name, default in estimator().get_params().items():
        assert f"\n{name} : " in doc
        assert f"default={default!r}" in doc[doc.index(f"\n{name} : ") :].split("\n")[1]
    assert "{parameters}" not in doc


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_docstring_states_every_fitted_attribute(estimator, spots):
    frame = pd.DataFrame(spots, columns=[f"p{i}" for i in range(64)])
    fitted = fit_trained(trains(estimator), frame)
    doc = inspect.getdoc(estimator)
    for name in vars(fitted):
        if name.endswith("_"):
            assert f"\n{name} : " in doc, name


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_swaps_with_pca_positionally(estimator):
    assert estimator(8).n_components == 8


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_clone_of_a_fitted_estimator_has_the_parameters_and_no_fit(estimator, trained):
    fitted = trained(trains(estimator))
    copy = clone(fitted)
    assert copy.get_params() == fitted.get_params()
    assert not hasattr(copy, "net_")


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_works_in_unions_column_transformers_and_pipelines(estimator, trained, spots):
    frame = pd.DataFrame(spots, columns=[f"p{i}" for i in range(64)])
    two, three = trains(estimator), trains(estimator, 3)
    union = FeatureUnion([("a", two), ("b", three)]).fit(spots)
    expected = [trained(model).transform(spots) for model in (two, three)]
    np.testing.assert_array_equal(union.transform(spots), np.hstack(expected))
    columns = ColumnTransformer([("ae", two, list(frame))]).set_output(transform="pandas")
    codes = columns.fit_transform(frame)
    name = estimator.__name__.lower()
    assert list(codes) == [f"ae__{name}0", f"ae__{name}1"]
    np.testing.assert_array_equal(codes, expected[0])
    pipe = make_pipeline(StandardScaler(), two).fit(frame)
    assert pipe[-1].best_iter_ > 0
    X_hat = pipe.inverse_transform(pipe.transform(frame))
    assert X_hat.shape == frame.shape
    assert ((X_hat - spots) ** 2).sum() < ((spots - spots.mean(axis=0)) ** 2).sum()
