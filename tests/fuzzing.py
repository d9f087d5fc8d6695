"""Tables and parameters at random, and what has to become of them; `test_fuzz.py` draws them."""

import re
import traceback
import warnings
from dataclasses import fields
from pathlib import Path

import numpy as np
from estimators import ESTIMATORS
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning

import skae

OURS = Path(skae.__file__).parent
DTYPES = ["i1", "i4", "u2", "i8", "?", "f2", "f4", "f8", ">f4", ">f8", ">i4", "O"]
SPECIAL = ["plain", "plain", "huge", "tiny", "denormal", "nan", "inf", "constant", "equal"]
SPECIAL += ["far", "one"]
# Lists, of which hypothesis draws all items alike, and not the least first of all.
ROWS, COLUMNS = [12, 25, *range(1, 41), *range(20, 41)], [4, *range(1, 13)]
ORDERS = ["C", "F", "strided", "backwards", "read-only"]

# What a parameter is not, for most parameters; and numbers that are not what they seem.
ODD = ["helloworld", "", None, -1, 0, 0.0, 1.5, 2.0, True, 10**30, 10**400, -(10**400), 2**63]
ODD += [float("nan"), float("inf"), -float("inf"), 1e308, 5e-324, (), (0,), [-1], {}, object()]
ODD += [np.int64(2), np.float32(0.5), np.float64("nan"), np.array([1, 2]), b"pca", 1j, print, int]

GOOD = {
    "n_components": [1, 2, 3, 7, 0.5, 0.9, 1.0, None, np.int32(2), np.float64(0.5)],
    "loss": ["squared_error", "absolute_error", "huber", "binary_cross_entropy", "poisson"],
    "hidden_layer_sizes": ["auto", (), (4,), [3, 2], (np.int64(4),)],
    "activation": ["identity", "logistic", "tanh", "relu", "gelu", "silu", "elu"],
    "image_shape": [None, (2, 2), (1, 3), (2, 2, 2)],
    "max_iter": [1, 2, 3, np.int64(2)],
    "batch_size": ["auto", 1, 3, 1000, 2**62],
    "learning_rate": ["one_cycle", "constant"],
    "learning_rate_init": ["auto", 1e-3, 1, 1e3, 1e308, 5e-324, np.float32(0.1)],
    "residual_noise": ["auto", 0, 0.5, 0.99],
    "weight_decay": [0, 0.01, 1e3, 1e308],
    "dtype": ["float32", "float64"],
    "precision": ["auto", "float32", "bfloat16"],
    "validation_fraction": ["auto", 0.1, 0.5, 0.99, 1e-9],
    "n_iter_no_change": ["auto", 1, 2**62],
    "tol": [0, 1e-4, 0.9],
    "random_state": [0, 2**32 - 1, None],
    "init": ["pca", "random"],
    "noise": ["gaussian", "masking", "salt_and_pepper"],
    "noise_level": [0, 0.3, 1, 2.0, 1e6],
    "penalty": ["l1", "kl"],
    "alpha": [0, 0.1, 1e6],
    "target_activation": [0.1, 1e-9],
    "dropout": [0, 0.2, 0.99],
    "beta": [1, 1e-6, 1e6],
    "kl_warm_up": [0, 0.5, 1],
    "prior": ["normal", "uniform", "mixture", "swiss_roll"],
    "discriminator_layer_sizes": [(), (4,)],
    "encoder": [None],
    "decoder": [None],
    "device": ["cpu", "auto"],
    "callbacks": [None, []],
    "verbose": [0, False],
}
BOTH = [True, False]


@st.composite
def tables(draw):
    """Draw a table of any dtype, layout and kind of numbers."""
    shape = draw(st.sampled_from(ROWS)), draw(st.sampled_from(COLUMNS))
    dtype, order = draw(st.sampled_from(DTYPES)), draw(st.sampled_from(ORDERS))
    rng = np.random.default_rng(draw(st.integers(0, 5)))
    X = special(rng.normal(size=shape), draw(st.sampled_from(SPECIAL)), rng)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kind = np.dtype(dtype).kind
        X = np.nan_to_num(X, posinf=9, neginf=-9).clip(0, 100) if kind in "iu" else X
        X = X.astype(dtype)
    return laid_out(X, order)


def special(X, kind, rng):
    """Return rows with some numbers of a kind."""
    some = rng.uniform(size=X.shape) < 0.1
    with np.errstate(all="ignore"):
        values = {
            "huge": X * 1e37,
            "tiny": X * 1e-37,
            "denormal": X * 1e-310,
            "far": X * 1e12 + 1e12,
        }
    values |= {"constant": np.full_like(X, 3.0), "equal": np.repeat(X[:1], len(X), axis=0)}
    values |= {"nan": np.where(some, np.nan, X), "inf": np.where(some, np.inf, X)}
    values["one"] = np.where(some, 1e30, X)
    return values.get(kind, X)


def laid_out(X, order):
    """Return the same table in another layout of memory."""
    if order == "F":
        return np.asfortranarray(X)
    if order == "strided":
        return np.repeat(np.repeat(X, 2, axis=0), 3, axis=1)[::2, ::3]
    if order == "backwards":
        return X[::-1, ::-1].copy()[::-1, ::-1]
    X = np.ascontiguousarray(X)
    X.flags.writeable = order != "read-only"
    return X


@st.composite
def models(draw):
    """Draw an estimator with a few parameters, most of them valid."""
    kind = draw(st.sampled_from(ESTIMATORS))
    names = [each.name for each in fields(kind)]
    chosen = draw(st.lists(st.sampled_from(names), max_size=6, unique=True))
    parameters = {"n_components": 2, "max_iter": 2, "random_state": 0}
    for name in chosen:
        is_odd = draw(st.sampled_from(range(15))) == 14
        parameters[name] = draw(st.sampled_from(ODD if is_odd else GOOD.get(name, BOTH)))
    return kind(**parameters)


def raised_by_us(error):
    """Tell whether an error was raised by skae, or by scikit-learn's checks of its input."""
    where = Path(traceback.extract_tb(error.__traceback__)[-1].filename)
    return where.is_relative_to(OURS) or where.parts[-3:] == ("sklearn", "utils", "validation.py")


WEIGHTS = [*[None] * 12, 1, 0.0, -1, np.nan, "ones", "some", "some", "short", "huge", "text"]


@st.composite
def fits(draw):
    """Draw how a model is fitted: at once, in parts, again from its own weights; and weights."""
    return draw(st.sampled_from(["fit", "parts", "again"])), draw(st.sampled_from(WEIGHTS))


def weights_for(X, kind):
    """Return weights of rows, good or bad."""
    some = np.arange(len(X)) % 3
    by_name = {"ones": np.ones(len(X)), "some": some, "short": np.ones(len(X) + 1)}
    by_name |= {"huge": some * 1e40, "text": ["many"] * len(X)}
    return by_name[kind] if isinstance(kind, str) else kind


def fit(model, X, how):
    """Fit a model in one of the ways that :func:`fits` draws."""
    way, kind = how
    weights = weights_for(X, kind)
    if way == "parts":
        for part in range(2):
            model.partial_fit(X[part::2] if kind is None and len(X) > 4 else X, None, weights)
    elif way == "again":
        model.set_params(warm_start=True).fit(X, None, weights).fit(X, None, weights)
    else:
        model.fit(X, None, weights)


def use(model, X):
    """Return what a fitted model says of rows: codes, reconstructions and all else."""
    codes = model.transform(X)
    found = [codes, model.inverse_transform(codes), model.score_samples(X), model.score(X)]
    if hasattr(model, "sample"):
        found.append(model.sample(3, random_state=0))
    if hasattr(model, "posterior"):
        found += [*model.posterior(X), model.impute(X, n_importance_samples=3)]
        found += [model.get_covariance(), model.get_precision()]
    if len(X) > 1:
        found.append(model.cumulative_explained_variance(X))
    return [*found, model.jacobian(X), model.components_at(X)]


def check(model, X, how=("fit", None)):
    """Fit a model and use it: the results are finite, or the error is in our own words."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", skae.AdviceWarning)
        # Of few rows, and of codes that are not in use.
        for words in ("X has .* rows", "Of .* codes", "warm_start=True"):
            warnings.filterwarnings("ignore", words, UserWarning)
        try:
            fit(model, X, how)
        except (ValueError, TypeError) as error:
            if raised_by_us(error) and len(str(error)) < 800:
                return "refused"
            raise
        try:
            codes, rows, *others = use(model, X)
        except ValueError as error:
            # What float32 cannot hold, or what a loss does not take.
            if raised_by_us(error) and re.search("hold|too large|needs X", str(error)):
                return "refused"
            raise
    assert codes.shape == (len(X), model.n_components_)
    assert rows.shape == X.shape
    assert codes.dtype == rows.dtype == model.dtype
    for found in (codes, rows, *others):
        assert np.isfinite(found).all()
    return "finite"
