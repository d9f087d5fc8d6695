"""Which rows validate: equal rows and groups stay together, on one side."""

import numpy as np
import pandas as pd
import pytest
import sklearn
from estimators import ESTIMATORS, trains
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from watching import WatchRows, find, rows_that_validated, squared_error

from skae import AutoEncoder, VariationalAutoEncoder

WATCHED = {"max_iter": 5, "callbacks": [WatchRows()], "random_state": 0}


def linear_table(seed, n_rows):
    """Draw rows that are Gaussian, so that no network reconstructs new ones better than PCA."""
    rng = np.random.default_rng(seed)
    loadings = rng.normal(size=(5, 20))
    return rng.normal(size=(n_rows, 5)) @ loadings + rng.normal(size=(n_rows, 20))


def some_rows(n_rows):
    return np.random.default_rng(0).normal(size=(n_rows, 6))


def assert_whole(validated, labels):
    """Check that of each label all rows validate or none, and that both happen."""
    held_out = np.isin(np.arange(len(labels)), validated)
    assert held_out.any()
    assert not held_out.all()
    assert not np.isin(labels[held_out], labels[~held_out]).any()


# -- equal rows ----------------------------------------------------------------------------


def test_copies_of_rows_do_not_let_a_network_win_that_learned_them_by_heart():
    worst = 0.0
    for seed in range(8):
        X = linear_table(seed, 1120)
        train, test = np.repeat(X[:120], 2, axis=0), X[120:]
        model = AutoEncoder(5, max_iter=100, random_state=seed).fit(train)
        pca_error = squared_error(PCA(5).fit(train), test)
        worst = max(worst, squared_error(model, test) / pca_error)
    assert worst <= 1.005


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("estimator", [AutoEncoder, VariationalAutoEncoder])
def test_equal_rows_are_on_one_side(estimator, dtype):
    distinct = some_rows(150).astype(dtype)
    rng = np.random.default_rng(1)
    labels = rng.permutation(np.repeat(np.arange(150), rng.integers(1, 5, size=150)))
    model = estimator(2, **WATCHED).fit(distinct[labels])
    x = np.vstack(find(model, WatchRows).rows) * model.scale_ + model.mean_
    seen = np.square(x[:, None] - distinct[None]).sum(axis=2).argmin(axis=1)
    numbers, counts = np.unique(seen, return_counts=True)
    assert 10 <= len(numbers) < 100
    np.testing.assert_array_equal(counts, np.bincount(labels)[numbers])


def test_rows_are_equal_whatever_the_sign_of_their_zeros():
    X = some_rows(100)
    X[:, :3] = 0.0
    with_signs = X.copy()
    with_signs[:, :2] = -0.0
    model = AutoEncoder(2, **WATCHED).fit(np.vstack([X, with_signs]))
    x = np.vstack(find(model, WatchRows).rows) * model.scale_ + model.mean_
    seen = np.square(x[:, None] - X[None]).sum(axis=2).argmin(axis=1)
    assert (np.unique(seen, return_counts=True)[1] == 2).all()


@pytest.mark.parametrize("n_distinct", [1, 2, 9, 15])
def test_too_few_distinct_rows_leave_pca_and_say_so(n_distinct):
    X = np.tile(some_rows(n_distinct), (20, 1))
    with pytest.warns(UserWarning, match="stays at PCA"):
        model = AutoEncoder(2, max_iter=5, random_state=0).fit(X)
    assert (model.best_iter_, model.n_iter_, model.validation_scores_) == (0, 0, None)


def test_a_share_holds_out_that_share_of_the_rows_also_where_many_are_equal():
    X = np.repeat(some_rows(400), 2, axis=0)
    for share in (0.1, 0.3):
        model = AutoEncoder(2, validation_fraction=share, **WATCHED).fit(X)
        n_held_out = sum(map(len, find(model, WatchRows).rows))
        np.testing.assert_allclose(n_held_out, share * len(X), rtol=0.5)


# -- groups --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ints", "strings", "list", "objects"])
def test_groups_are_on_one_side(kind):
    X = some_rows(600)
    labels = np.random.default_rng(1).integers(200, size=600)
    groups = {
        "ints": labels,
        "strings": np.array([f"patient {i}" for i in labels]),
        "list": [f"patient {i}" for i in labels],
        "objects": np.array([f"patient {i}" for i in labels], dtype=object),
    }[kind]
    model = AutoEncoder(2, **WATCHED).fit(X, groups=groups)
    assert_whole(rows_that_validated(model, X), labels)


def test_every_estimator_takes_groups_in_fit_transform_too():
    X = some_rows(600)
    labels = np.random.default_rng(1).integers(200, size=600)
    for estimator in (AutoEncoder, VariationalAutoEncoder):
        model = estimator(2, **WATCHED)
        codes = model.fit_transform(X, groups=labels)
        assert codes.shape == (600, 2)
        assert_whole(rows_that_validated(model, X), labels)


def test_groups_do_not_let_a_network_win_that_learned_near_copies_by_heart():
    worst = 0.0
    for seed in range(4):
        X = linear_table(seed, 1120)
        labels = np.repeat(np.arange(120), 2)
        near = 1e-3 * np.random.default_rng(seed).normal(size=(240, 20))
        train, test = X[labels] + near, X[120:]
        model = AutoEncoder(5, max_iter=100, random_state=seed).fit(train, groups=labels)
        pca_error = squared_error(PCA(5).fit(train), test)
        worst = max(worst, squared_error(model, test) / pca_error)
    assert worst <= 1.005


@pytest.mark.parametrize("n_groups", [1, 2, 9, 15])
def test_too_few_groups_leave_pca_and_say_so(n_groups):
    X = some_rows(300)
    with pytest.warns(UserWarning, match="stays at PCA"):
        model = AutoEncoder(2, max_iter=5, random_state=0).fit(X, groups=np.arange(300) % n_groups)
    assert (model.best_iter_, model.n_iter_, model.validation_scores_) == (0, 0, None)


@pytest.mark.parametrize(
    "groups",
    [
        list(range(99)),
        [None] + ["a"] * 99,
        np.array([None, *range(99)], dtype=object),
        np.zeros((100, 2)),
        "patient",
    ],
    ids=["short", "None", "object", "matrix", "string"],
)
def test_bad_groups_are_refused_in_words(groups):
    with pytest.raises(ValueError, match="groups"):
        AutoEncoder(2, max_iter=5).fit(some_rows(100), groups=groups)


def test_groups_are_routed_through_pipelines_and_searches():
    X = some_rows(600)
    groups = np.random.default_rng(1).integers(200, size=600)
    with sklearn.config_context(enable_metadata_routing=True):
        model = AutoEncoder(2, **WATCHED).set_fit_request(groups=True)
        pipeline = make_pipeline(StandardScaler(), model).fit(X, groups=groups)
        scaled = pipeline[0].transform(X)
        assert_whole(rows_that_validated(pipeline[-1], scaled), groups)
        search = GridSearchCV(model, {"n_components": [1, 2]}, cv=GroupKFold(2))
        search.fit(X, groups=groups)
        assert_whole(rows_that_validated(search.best_estimator_, X), groups)


def test_copies_in_different_groups_are_one_group(digits):
    half = np.unique(digits[:300], axis=0)
    X = np.vstack([half, half])
    model = AutoEncoder(2, max_iter=2, callbacks=[WatchRows()], random_state=0)
    model.fit(X, groups=np.arange(len(X)))
    rows = np.vstack(find(model, WatchRows).rows)
    assert len(rows) == 2 * len(np.unique(rows, axis=0))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda n: np.array([1, "a"] * (n // 2), dtype=object), None),
        (lambda n: pd.Series(["a", "b"] * (n // 2), dtype="string"), None),
        (lambda n: [(1, i % 40) for i in range(n)], None),
        (
            lambda n: pd.Series([pd.NA, *["b"] * (n - 1)], dtype="string"),
            "groups has no label for 1",
        ),
        (lambda n: [np.nan, *range(n - 1)], "groups has no label for 1"),
        (lambda n: np.zeros((n, 2)), "groups must have labels"),
        (lambda n: list(range(n - 1)), "groups must have one label for each"),
        (lambda n: 3, "groups must have one label for each"),
    ],
)
@pytest.mark.filterwarnings("ignore:X has .* rows in .* groups")
def test_labels_of_groups_may_be_anything_that_can_be_told_apart(make, message, digits):
    model = AutoEncoder(2, max_iter=2, random_state=0)
    if message is None:
        model.fit(digits[:200], groups=make(200))
    else:
        with pytest.raises(ValueError, match=message):
            model.fit(digits[:200], groups=make(200))


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_score_of_what_was_kept_is_that_of_its_epoch(estimator, trained):
    model = trained(trains(estimator))
    assert model.best_validation_score_ == model.validation_scores_[model.best_iter_ - 1]
    assert model.best_validation_score_ > model.pca_score_


def test_the_score_of_what_was_kept_is_that_of_pca_where_pca_is():
    X = np.random.default_rng(0).normal(size=(100, 8))
    model = AutoEncoder(2, max_iter=3, random_state=0)
    assert not hasattr(model, "best_validation_score_")
    model.fit(X)
    assert model.best_iter_ == 0
    assert model.best_validation_score_ == model.pca_score_
    assert model.set_params(early_stopping=False).fit(X).best_validation_score_ is None


def test_the_score_of_what_was_kept_counts_epochs_of_all_parts(spots):
    model = trains(AutoEncoder, max_iter=20)
    for part in (spots[:120], spots[120:], spots):
        model.partial_fit(part)
    assert model.best_iter_ > 0
    assert model.best_validation_score_ in model.validation_scores_
