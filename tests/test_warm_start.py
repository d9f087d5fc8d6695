"""Warm starts: rows that trained the former weights never validate what comes from them."""

import copy

import numpy as np
import pytest
from sklearn.decomposition import PCA
from watching import WatchRows, rows_that_validated, squared_error

from skae import AutoEncoder


def test_weights_that_were_trained_on_every_row_are_not_validated_on_these(digits):
    train, test = digits[:120], digits[120:]
    overfit = {"max_iter": 600, "residual_noise": 0, "weight_decay": 0}
    model = AutoEncoder(16, early_stopping=False, warm_start=True, random_state=0, **overfit)
    model.fit(train)
    assert model.best_iter_ > 0
    pca_error = squared_error(PCA(16).fit(train), test)
    assert squared_error(model, test) > 1.005 * pca_error  # else there is nothing to guard against
    with pytest.warns(UserWarning, match="warm_start"):
        model.set_params(early_stopping=True).fit(train)
        assert squared_error(model, test) <= 1.005 * pca_error


def test_a_start_anew_is_that_of_a_model_without_a_former_fit(digits):
    X = digits[:300]
    model = AutoEncoder(4, early_stopping=False, warm_start=True, max_iter=30, random_state=0)
    assert model.fit(X).best_iter_ > 0
    with pytest.warns(UserWarning, match="warm_start"):
        model.set_params(early_stopping=True, max_iter=5).fit(X)
        fresh = AutoEncoder(4, max_iter=5, random_state=0).fit(X)
        np.testing.assert_allclose(model.loss_curve_[0], fresh.loss_curve_[0], rtol=0.1)


@pytest.mark.parametrize("random_state", [None, 0, "RandomState"])
def test_rows_that_were_held_out_stay_held_out(random_state, digits):
    X = np.unique(digits[:300], axis=0)
    if random_state == "RandomState":
        random_state = np.random.RandomState(0)
    model = AutoEncoder(
        4, warm_start=True, max_iter=40, callbacks=[WatchRows()], random_state=random_state
    ).fit(X)
    held_out, first_loss = rows_that_validated(model, X), model.loss_curve_[0]
    assert model.best_iter_ > 0
    shuffled = np.random.default_rng(0).permutation(len(X))
    again = [X, X.astype(np.float32), np.asfortranarray(X), X[shuffled]]  # exact in float32
    for rows in again:
        model.fit(rows)
        np.testing.assert_array_equal(rows_that_validated(model, X), held_out)
        assert model.loss_curve_[0] < 0.8 * first_loss  # it went on from the former weights


def test_rows_that_trained_never_validate_where_rows_are_added(digits):
    X = np.unique(digits[:400], axis=0)
    model = AutoEncoder(
        4, warm_start=True, max_iter=10, callbacks=[WatchRows()], random_state=0
    ).fit(X[:300])
    assert model.best_iter_ > 0
    trained = np.setdiff1d(np.arange(300), rows_that_validated(model, X))
    model.fit(X)
    assert not np.intersect1d(rows_that_validated(model, X), trained).size


def test_repeated_warm_starts_do_not_raise_validation_scores_by_training_on_their_rows(digits):
    train, test = digits[:400], digits[400:]
    # As with random_state=None each fit draws a seed of its own, but the same ones in each test.
    model = AutoEncoder(
        8,
        warm_start=True,
        max_iter=60,
        validation_fraction=0.25,
        residual_noise=0,
        weight_decay=0,
        random_state=np.random.RandomState(0),
    )
    assert model.fit(train).best_iter_ > 0
    gaps = [max(model.validation_scores_) - model.score(test)]
    for _ in range(5):
        model.fit(train)
        gaps.append(max(model.validation_scores_) - model.score(test))
    assert max(gaps[1:]) < gaps[0] + 0.03


@pytest.fixture(scope="module")
def overfit(digits):
    """Rows, and a model whose weights have learned all of them by heart; tests take copies."""
    X = digits[:120] + 1e-3 * np.random.default_rng(0).normal(size=(120, 64))
    model = AutoEncoder(
        16,
        early_stopping=False,
        warm_start=True,
        max_iter=300,
        residual_noise=0,
        weight_decay=0,
        random_state=0,
    )
    return X, model.fit(X)


@pytest.mark.parametrize("way", ["groups", "between", "float32", "unrecorded"])
def test_there_is_no_way_around_what_has_trained(way, overfit, digits):
    (X, model), groups = copy.deepcopy(overfit), None
    if way == "groups":
        groups = np.arange(120)
    elif way == "between":
        model.set_params(max_iter=1, learning_rate_init=1e-4).fit(X[:100])
    elif way == "float32":
        X = X.astype(np.float32)
    else:
        model.set_params(warm_start=False).fit(X).set_params(warm_start=True)
    with pytest.warns(UserWarning, match="warm_start"):
        model.set_params(early_stopping=True, max_iter=30).fit(X, groups=groups)
    new = digits[1000:1400]
    assert squared_error(model, new) <= 1.005 * squared_error(PCA(16).fit(X), new)
