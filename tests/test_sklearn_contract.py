"""scikit-learn's own checks, those that its list leaves out, and its meta-estimators."""

import inspect
import warnings

import numpy as np
import pandas as pd
import pytest
from estimators import ESTIMATORS, SHORT, variants
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

from skae import AutoEncoder

EXTRA_CHECKS = [
    "check_dataframe_column_names_consistency",
    "check_transformer_get_feature_names_out",
    "check_transformer_get_feature_names_out_pandas",
    "check_set_output_transform",
    "check_set_output_transform_pandas",
    "check_set_output_transform_polars",
    "check_global_output_transform_pandas",
    "check_global_set_output_transform_polars",
]


# The checks' rows are not in [0, 1], so binary cross-entropy is left to test_combinations.
@parametrize_with_checks([*variants(), AutoEncoder(2, loss="poisson", **SHORT)])
def test_scikit_learn_checks_pass(estimator, check):
    with warnings.catch_warnings():
        # Some checks pass names to one method and none to the other, on purpose.
        warnings.filterwarnings("ignore", "X (does not have valid|has) feature names")
        warnings.filterwarnings("ignore", r"X has \d+ rows.*stays at PCA")
        check(estimator)


@pytest.mark.parametrize("check", EXTRA_CHECKS)
@pytest.mark.parametrize("estimator", list(variants()), ids=repr)
def test_checks_outside_scikit_learns_list_pass(estimator, check):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "X (does not have valid|has) feature names")
        warnings.filterwarnings("ignore", r"X has \d+ rows.*stays at PCA")
        getattr(estimator_checks, check)(type(estimator).__name__, estimator)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_docstring_states_every_parameter_with_its_default(estimator):
    doc = inspect.getdoc(estimator)
    for name, default in estimator().get_params().items():
        assert f"\n{name} : " in doc
        assert f"default={default!r}" in doc[doc.index(f"\n{name} : ") :].split("\n")[1]
    assert "{parameters}" not in doc


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_docstring_states_every_fitted_attribute(estimator, digits):
    frame = pd.DataFrame(digits[:50], columns=[f"p{i}" for i in range(64)])
    fitted = estimator(2, **SHORT).fit(frame)
    doc = inspect.getdoc(estimator)
    for name in vars(fitted):
        if name.endswith("_"):
            assert f"\n{name} : " in doc, name


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_swaps_with_pca_positionally(estimator):
    assert estimator(8).n_components == 8


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_clone_of_a_fitted_estimator_has_the_parameters_and_no_fit(estimator, digits):
    fitted = estimator(2, **SHORT).fit(digits)
    copy = clone(fitted)
    assert copy.get_params() == fitted.get_params()
    assert not hasattr(copy, "net_")


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_grid_search_scores_do_not_depend_on_the_number_of_jobs(estimator, digits):
    y = np.arange(len(digits)) % 2
    pipe = Pipeline([("ae", estimator(**SHORT)), ("clf", LogisticRegression())])
    X, y = digits[:300], (digits[:300, 20] > 0.5).astype(int)
    scores = [
        GridSearchCV(pipe, {"ae__n_components": [2, 5]}, cv=2, n_jobs=n_jobs)
        .fit(X, y)
        .cv_results_["mean_test_score"]
        for n_jobs in (1, 2)
    ]
    np.testing.assert_array_equal(*scores)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_works_in_unions_column_transformers_and_pipelines(estimator, digits):
    frame = pd.DataFrame(digits, columns=[f"p{i}" for i in range(64)])
    union = FeatureUnion([("a", estimator(2, **SHORT)), ("b", estimator(3, **SHORT))])
    assert union.fit_transform(digits).shape == (len(digits), 5)
    columns = ColumnTransformer([("ae", estimator(2, **SHORT), ["p10", "p20", "p30"])])
    columns.set_output(transform="pandas")
    name = estimator.__name__.lower()
    assert list(columns.fit_transform(frame)) == [f"ae__{name}0", f"ae__{name}1"]
    pipe = make_pipeline(StandardScaler(), estimator(2, **SHORT))
    assert pipe.inverse_transform(pipe.fit_transform(frame)).shape == frame.shape
