"""Warnings name the line of the user's at which they arise, whatever is between it and skae."""

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skae import AutoEncoder, AutoEncoderImputer

SHORT = {"max_iter": 1, "random_state": 0}


@pytest.fixture
def with_an_empty_row():
    X = np.random.default_rng(0).normal(size=(60, 4))
    X[3] = np.nan
    return X


@pytest.mark.parametrize(
    "call",
    [
        lambda model, X: model.fit(X),
        lambda model, X: model.fit_transform(X),
        lambda model, X: model.partial_fit(X),
        lambda model, X: make_pipeline(StandardScaler(), model).fit(X),
        lambda model, X: model.fit(X[4:]).transform(X),
        lambda model, X: model.fit(X[4:]).score(X),
        lambda model, X: model.fit(X[4:16]),  # too few rows to validate
        lambda model, X: make_pipeline(model).fit(X[4:16]),
        lambda model, X: make_pipeline(model).fit(X[4:16]),
        lambda model, X: AutoEncoderImputer(hidden_layer_sizes=()).fit(X * [1, 1, 1, np.nan]),
    ],
)
def test_a_warning_names_the_line_of_the_user(call, with_an_empty_row):
    with pytest.warns(UserWarning, match="X has|Columns without") as caught:
        call(AutoEncoder(2, **SHORT), with_an_empty_row)
    assert {warning.filename for warning in caught} == {__file__}
