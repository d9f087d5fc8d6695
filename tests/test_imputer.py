"""AutoEncoderImputer: SimpleImputer's contract, and better than a Gaussian on curved tables."""

import inspect
import pickle
import pickletools
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from estimators import EXTRA_CHECKS, make_spots
from sklearn.base import clone
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks, get_tags
from sklearn.utils.estimator_checks import parametrize_with_checks

from skae import AutoEncoder, AutoEncoderImputer
from skae._data.sources import ArraySource
from skae._start.gaussian import Gaussian, fit_gaussian
from skae._training.imputer.scores import NormalScores, apply_maps, fit_map

TRAINS = {"hidden_layer_sizes": (64, 64), "max_iter": 8, "random_state": 0}


def hide(X, share=0.3, seed=1):
    return np.where(np.random.default_rng(seed).random(X.shape) < share, np.nan, X)


def spots(n_rows, seed=0):
    """Return a few pixels of images of a spot that moves: two numbers say all of a row."""
    return make_spots(n_rows, seed)[:, ::5]


@pytest.fixture(scope="module")
def curved():
    return hide(spots(400))


@pytest.fixture(scope="module")
def imputer(curved):
    """An imputer whose network stayed."""
    fitted = AutoEncoderImputer(**TRAINS).fit(curved)
    assert fitted.best_iter_ > 0
    return fitted


def error(filled, X, missing):
    return np.sqrt(np.square(filled - X)[missing].mean())


def test_a_trained_network_predicts_better_than_the_gaussian(imputer, curved):
    X = spots(200, seed=5)
    test = hide(X, seed=6)
    gaussian = fit_gaussian(ArraySource(curved), 0)
    missing = np.isnan(test)
    ours, floor = (error(fill(test), X, missing) for fill in (imputer.transform, gaussian.fill))
    assert ours < 0.85 * floor
    assert floor < 0.7 * error(SimpleImputer().fit(curved).transform(test), X, missing)


def test_columns_with_long_tails_are_filled_by_what_their_scores_say():
    rng = np.random.default_rng(0)
    lengths = np.exp(rng.normal(size=(1000, 3)))
    X = np.column_stack([lengths, lengths[:, 0] * lengths[:, 1], 1 / lengths[:, 2]])
    train, test = hide(X[:800]), hide(X[800:], seed=2)
    fitted = AutoEncoderImputer(**TRAINS).fit(train)
    assert fitted.best_iter_ > 0
    missing, gaussian = np.isnan(test), fit_gaussian(ArraySource(train), 0)
    scaled = (
        np.square((fill(test) - X[800:]) / X.std(axis=0))[missing].mean()
        for fill in (fitted.transform, gaussian.fill)
    )
    ours, floor = scaled
    assert ours < 0.85 * floor


def test_normal_scores_are_normal_and_keep_the_order_and_ties():
    rng = np.random.default_rng(0)
    X = np.exp(3 * rng.normal(size=(500, 3)))
    X[:, 2] = np.round(X[:, 2]).clip(0, 3)
    scores = NormalScores.fit(hide(X), np.ones(500), 0)
    found = apply_maps(X, scores.values, scores.scores)
    for x, s in zip(X.T, found.T, strict=True):
        order = np.argsort(x)
        assert (np.diff(s[order]) >= 0).all()
    np.testing.assert_allclose(found[:, :2].std(axis=0), 1, atol=0.15)
    assert len(np.unique(found[:, 2])) == 4


def test_normal_scores_count_rows_by_their_weights():
    column, weights = np.arange(100.0), 1 + np.arange(100) % 3
    weighted = fit_map(column, weights.astype(float))
    repeated = fit_map(column.repeat(weights), np.ones(weights.sum()))
    for ours, expected in zip(weighted, repeated, strict=True):
        np.testing.assert_allclose(ours, expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_observed_entries_stay_bit_for_bit(imputer, dtype):
    X = hide(spots(50, seed=5)).astype(dtype)
    before = X.copy()
    filled = imputer.transform(X)
    assert filled.dtype == dtype
    observed = ~np.isnan(X)
    np.testing.assert_array_equal(filled[observed], X[observed])
    assert np.isfinite(filled).all()
    np.testing.assert_array_equal(X, before)


def test_without_a_network_it_is_the_gaussian_of_all_rows(curved):
    fitted = AutoEncoderImputer(hidden_layer_sizes=(), random_state=0).fit(curved)
    assert (fitted.best_iter_, fitted.net_) == (0, None)
    seed = int(np.random.RandomState(0).randint(2**31 - 1))
    expected = fit_gaussian(ArraySource(curved), seed).fill(curved)
    np.testing.assert_array_equal(fitted.transform(curved), expected)


def test_the_gaussian_stays_where_rows_are_gaussian():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 4)) @ rng.normal(size=(4, 8)) + 0.3 * rng.normal(size=(300, 8))
    fitted = AutoEncoderImputer(**TRAINS).fit(hide(X))
    assert fitted.n_iter_ == 8
    assert (fitted.best_iter_, fitted.net_) == (0, None)


def test_the_same_seed_gives_the_same_bits(curved):
    X = curved
    one, two, other = (
        AutoEncoderImputer(**{**TRAINS, "max_iter": 2, "random_state": seed}).fit(X)
        for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(one.transform(X), two.transform(X))
    assert not np.array_equal(one.transform(X), other.transform(X))


def test_units_do_not_matter(curved):
    X = curved[:, :8]
    factors = 2.0 ** np.random.default_rng(0).integers(-30, 30, size=8)
    plain = AutoEncoderImputer(**TRAINS).fit(X)
    scaled = AutoEncoderImputer(**TRAINS).fit(X * factors)
    assert plain.best_iter_ == scaled.best_iter_ > 0
    np.testing.assert_allclose(
        scaled.transform(X * factors) / factors, plain.transform(X), rtol=1e-3, atol=1e-4
    )


def test_rows_are_filled_alike_in_any_company_and_far_rows_stay_in_range(imputer, curved):
    together = imputer.transform(curved[:20])
    alone = np.vstack([imputer.transform(curved[i : i + 1]) for i in range(20)])
    np.testing.assert_allclose(alone, together, rtol=1e-4, atol=1e-6)
    far = np.where(np.isnan(curved[:5]), np.nan, 1e200)
    filled = imputer.transform(far)[np.isnan(far)]
    assert (filled >= 0).all() and (filled <= 1).all()
    nothing = imputer.transform(np.full((2, 13), np.nan))
    assert np.isfinite(nothing).all()


def test_it_pickles_as_arrays(imputer, curved):
    content = pickle.dumps(imputer)
    classes = {
        str(arg) for op, arg, _ in pickletools.genops(content) if op.name == "SHORT_BINUNICODE"
    }
    assert not any("torch" in name or "skorch" in name for name in classes)
    again = pickle.loads(content)
    np.testing.assert_array_equal(again.transform(curved), imputer.transform(curved))
    assert len(again.net_.history) == imputer.n_iter_
    unfitted = pickle.loads(pickle.dumps(AutoEncoderImputer()))
    assert not hasattr(unfitted, "net_")
    floor = AutoEncoderImputer(hidden_layer_sizes=()).fit(curved)
    again = pickle.loads(pickle.dumps(floor))
    np.testing.assert_array_equal(again.transform(curved), floor.transform(curved))
    assert again.net_ is None


def test_it_loads_through_skops(imputer, curved):
    io = pytest.importorskip("skops.io")
    content = io.dumps(imputer)
    trusted = io.get_untrusted_types(data=content)
    assert trusted == ["skae._imputer.estimator.AutoEncoderImputer"]
    again = io.loads(content, trusted=trusted)
    np.testing.assert_array_equal(again.transform(curved), imputer.transform(curved))


# -- SimpleImputer's contract ------------------------------------------------------------------


@pytest.mark.parametrize("add_indicator", [False, True])
@pytest.mark.parametrize("keep", [False, True])
def test_columns_and_names_are_simple_imputers(keep, add_indicator):
    frame = pd.DataFrame(hide(spots(60)[:, :6]), columns=list("abcdef"))
    frame["c"] = np.nan
    frame["e"] = 1.0
    options = {"keep_empty_features": keep, "add_indicator": add_indicator}
    simple = SimpleImputer(**options).set_output(transform="pandas").fit(frame)
    ours = AutoEncoderImputer(**options, hidden_layer_sizes=()).set_output(transform="pandas")
    new = frame.copy()
    new.loc[:5, "c"] = 3.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours.fit(frame)
        expected, filled = simple.transform(new), ours.transform(new)
    assert list(filled) == list(expected) == list(ours.get_feature_names_out())
    observed = expected.columns.intersection(frame.columns)
    known = new[observed].notna()
    pd.testing.assert_frame_equal(filled[observed].where(known), expected[observed].where(known))
    indicators = expected.columns.difference(frame.columns)
    pd.testing.assert_frame_equal(filled[indicators], expected[indicators])
    if keep:
        pd.testing.assert_series_equal(filled["c"], expected["c"])
    assert isinstance(ours.indicator_, MissingIndicator if add_indicator else type(None))
    assert np.isnan(ours.statistics_).sum() == (not keep)


def test_dropped_columns_are_named_in_a_warning():
    frame = pd.DataFrame(spots(30)[:, :3], columns=["a", "b", "c"])
    frame["b"] = np.nan
    with pytest.warns(UserWarning, match=r"without any observed value are dropped: b\. keep_empty"):
        AutoEncoderImputer(max_iter=1).fit(frame)
    with pytest.warns(UserWarning, match="dropped: 0, 1"):
        empty = AutoEncoderImputer().fit(np.full((3, 2), np.nan))
    assert empty.transform(np.ones((4, 2))).shape == (4, 0)
    zeros = AutoEncoderImputer(keep_empty_features=True).fit_transform(np.full((3, 2), np.nan))
    np.testing.assert_array_equal(zeros, np.zeros((3, 2)))


def test_weights_of_zero_are_absence_and_equal_ones_change_nothing(curved):
    weights = np.repeat([2.0, 0.0], [360, 40])
    weighted = AutoEncoderImputer(**TRAINS).fit(curved, sample_weight=weights)
    plain = AutoEncoderImputer(**TRAINS).fit(curved[:360])
    assert plain.best_iter_ > 0
    np.testing.assert_array_equal(weighted.transform(curved), plain.transform(curved))
    with pytest.raises(ValueError, match="zero for all rows"):
        AutoEncoderImputer().fit(curved, sample_weight=np.zeros(400))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"max_iter": 0}, "max_iter=0 is not valid"),
        ({"hidden_layer_sizes": (0,)}, "hidden_layer_sizes="),
        ({"add_indicator": "yes"}, "add_indicator='yes'"),
        ({"device": "nowhere"}, "device='nowhere'"),
    ],
)
def test_bad_parameters_are_named_and_leave_the_former_fit(parameters, message, curved):
    fitted = AutoEncoderImputer(hidden_layer_sizes=(), random_state=0).fit(curved)
    expected = fitted.transform(curved)
    for name, value in parameters.items():
        before = getattr(fitted, name)
        with pytest.raises(ValueError, match=message):
            fitted.set_params(**{name: value}).fit(curved[:30])
        fitted.set_params(**{name: before})
    np.testing.assert_array_equal(fitted.transform(curved), expected)


def test_infinity_is_refused_and_what_is_masked_is_missing(curved):
    with pytest.raises(ValueError, match="infinity"):
        AutoEncoderImputer().fit(np.where(curved > 0.5, np.inf, curved))
    masked = np.ma.masked_array(np.nan_to_num(curved, nan=7.0), np.isnan(curved))
    gaussian = AutoEncoderImputer(hidden_layer_sizes=(), random_state=0)
    np.testing.assert_array_equal(gaussian.fit_transform(masked), gaussian.fit_transform(curved))


@pytest.mark.parametrize(
    "X",
    [
        pytest.param(np.array([[1.0, np.nan], [np.nan, 2.0]]), id="two rows"),
        pytest.param(np.array([[1.0, np.nan, 3.0]]), id="one row"),
        pytest.param(hide(np.ones((100, 3))), id="constant"),
        pytest.param(hide(np.arange(100.0)[:, None]), id="one column"),
        pytest.param(hide(np.arange(60.0)[:, None] * [1, 2, -1]), id="columns that are multiples"),
    ],
)
def test_small_and_flat_tables_are_filled(X):
    keep = AutoEncoderImputer(keep_empty_features=True, random_state=0, max_iter=2)
    assert np.isfinite(keep.fit_transform(X)).all()


def test_it_trains_and_fills_under_settings_that_a_caller_made(curved):
    expected = AutoEncoderImputer(**TRAINS).fit(curved).transform(curved)
    with torch.no_grad():
        found = AutoEncoderImputer(**TRAINS).fit(curved).transform(curved)
    np.testing.assert_array_equal(found, expected)


def test_it_stands_before_an_autoencoder_in_a_pipeline(curved):
    pipe = make_pipeline(
        AutoEncoderImputer(hidden_layer_sizes=()),
        StandardScaler(),
        AutoEncoder(2, max_iter=2, random_state=0),
    )
    assert np.isfinite(pipe.fit_transform(curved)).all()


def test_docstring_states_every_parameter_and_attribute(imputer):
    doc = inspect.getdoc(AutoEncoderImputer)
    for name in AutoEncoderImputer().get_params():
        assert f"\n{name} : " in doc
    frame = pd.DataFrame(spots(30)[:, :3], columns=["a", "b", "c"])
    for name in vars(clone(imputer).fit(frame)):
        if name.endswith("_"):
            assert f"\n{name} : " in doc, name


CHECKED = [
    AutoEncoderImputer(hidden_layer_sizes=(8,), max_iter=1, random_state=0),
    AutoEncoderImputer(
        hidden_layer_sizes=(8,), max_iter=1, add_indicator=True, keep_empty_features=True
    ),
]


@parametrize_with_checks(CHECKED)
def test_scikit_learn_checks_pass(estimator, check):
    with warnings.catch_warnings():
        # Some checks pass names to one method and none to the other, on purpose.
        warnings.filterwarnings("ignore", "X (does not have valid|has) feature names")
        check(estimator)


@pytest.mark.parametrize("check", EXTRA_CHECKS)
def test_checks_outside_scikit_learns_list_pass(check):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "X (does not have valid|has) feature names")
        getattr(estimator_checks, check)("AutoEncoderImputer", clone(CHECKED[0]))


def test_tags_say_that_it_takes_nan():
    assert get_tags(AutoEncoderImputer()).input_tags.allow_nan
    assert isinstance(AutoEncoderImputer().fit(spots(5))._filler.gaussian, Gaussian)


def test_one_width_is_one_hidden_layer(curved):
    filled = [
        AutoEncoderImputer(hidden_layer_sizes=sizes, max_iter=2, random_state=0).fit_transform(
            curved
        )
        for sizes in (8, (8,))
    ]
    np.testing.assert_array_equal(*filled)
