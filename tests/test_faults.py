"""Bad rows and parameters: each works, or is refused in words of our own."""

import itertools
import warnings
from fractions import Fraction

import numpy as np
import pytest
from comparing import assert_finite
from estimators import ESTIMATORS, SHORT
from sklearn.exceptions import ConvergenceWarning
from torch import nn

import skae
from skae import (
    AdversarialAutoEncoder,
    AutoEncoder,
    ContractiveAutoEncoder,
    DenoisingAutoEncoder,
    SparseAutoEncoder,
)
from skae._files.words import shown

ROWS = np.random.default_rng(0).normal(size=(60, 6))
every_estimator = pytest.mark.parametrize("estimator", ESTIMATORS)


# -- rows ----------------------------------------------------------------------------------


@every_estimator
def test_a_value_that_float32_cannot_hold_is_named(estimator):
    X = ROWS.copy()
    X[3, 2] = 1e300
    with pytest.raises(ValueError, match=r"too large for float32, X\[3, 2\] = 1e\+300"):
        estimator(2, **SHORT).fit(X)


@every_estimator
def test_features_sixty_orders_of_magnitude_apart_give_finite_codes(estimator):
    X = ROWS * np.array([1e29, 1e-30, 1, 1, 1, 1])
    model = estimator(2, **SHORT).fit(X)
    assert np.isfinite(model.transform(X)).all()
    assert np.isfinite(model.inverse_transform(model.transform(X))).all()


def test_a_new_row_whose_codes_are_not_finite_is_refused():
    model = AutoEncoder(2, **SHORT).fit(ROWS)
    with pytest.raises(ValueError, match=r"whose codes float32 cannot hold"):
        model.transform(np.full((3, 6), 3e38))


@every_estimator
def test_a_far_too_high_learning_rate_warns_and_keeps_the_best_weights(estimator):
    model = estimator(2, learning_rate_init=1e3, early_stopping=False, max_iter=8, random_state=0)
    with pytest.warns(ConvergenceWarning, match="lower learning_rate_init, now 1000"):
        model.fit(ROWS)
    assert_finite(model, ROWS)


def test_a_far_too_high_learning_rate_from_random_weights_is_refused():
    model = AutoEncoder(2, learning_rate_init=1e30, init="random", **SHORT)
    with pytest.raises(ValueError, match=r"no earlier weights to keep; lower learning_rate_init"):
        model.fit(ROWS)


FEW = {
    "two rows": ROWS[:2],
    "three rows": ROWS[:3],
    "fewer rows than components": ROWS[:4],
    "twenty-five rows": ROWS[:25],
    "a constant column": np.c_[ROWS, np.ones(60)],
    "two equal columns": np.c_[ROWS, ROWS[:, :2]],
    "all rows equal": np.ones((30, 4)),
}


@every_estimator
@pytest.mark.parametrize("name", FEW)
def test_few_and_degenerate_rows_give_finite_results(name, estimator):
    X = FEW[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of few rows, and of codes not in use
        for early_stopping in (True, False):
            model = estimator(5, early_stopping=early_stopping, max_iter=2, random_state=0).fit(X)
            assert_finite(model, X)


@every_estimator
def test_one_row_is_refused(estimator):
    with pytest.raises(ValueError, match="1 sample"):
        estimator(2, **SHORT).fit(ROWS[:1])


# -- parameters ----------------------------------------------------------------------------

HUGE = 10**400


@pytest.mark.parametrize("kind", [*ESTIMATORS, skae.AutoEncoderImputer])
def test_a_number_that_no_machine_holds_is_refused_in_few_words(kind):
    defaults = kind().get_params()
    numeric = [n for n, v in defaults.items() if isinstance(v, int | float) or v == "auto"]
    assert len(numeric) > 4
    for name, value in itertools.product(numeric, [HUGE, -HUGE, Fraction(HUGE, 3)]):
        words = rf"^{name}=.* is not valid for {kind.__name__}"
        with pytest.raises(ValueError, match=words) as error:
            kind(**{name: value}).fit(ROWS)
        assert len(str(error.value)) < 400


@pytest.mark.parametrize("sizes", [(HUGE,), (10**12,), (4, 10**18)])
@pytest.mark.parametrize("name", ["hidden_layer_sizes", "discriminator_layer_sizes"])
def test_layers_that_no_memory_holds_are_refused(name, sizes):
    if name == "discriminator_layer_sizes":
        sizes = (2**40, *sizes)
    with pytest.raises(ValueError, match=rf"^{name}=") as error:
        AdversarialAutoEncoder(2, **{name: sizes}).fit(ROWS)
    assert len(str(error.value)) < 400


@pytest.mark.parametrize(
    ("estimator", "name"),
    [
        (DenoisingAutoEncoder, "noise_level"),
        (SparseAutoEncoder, "alpha"),
        (ContractiveAutoEncoder, "alpha"),
    ],
)
def test_noise_and_weights_that_overflow_are_refused_and_large_ones_are_finite(estimator, name):
    with pytest.raises(ValueError, match=rf"{name}=1e\+308 .*expected float in \[0, 1e\+06\]"):
        estimator(2, **{name: 1e308}).fit(ROWS)
    assert_finite(estimator(2, **{name: 1e6}, **SHORT).fit(ROWS), ROWS)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"loss": nn.ReLU()}, r"loss=ReLU\(\) is not valid.*callable \(x, x_hat\)"),
        ({"loss": nn.MSELoss()}, r"loss=MSELoss\(\) must return .* shape \(\d+,\)"),
        ({"loss": lambda x: x.sum(dim=1)}, r"loss=.* is not valid"),
        ({"encoder": lambda n: nn.Linear(n, 2)}, r"encoder=.* is not valid"),
        ({"activation": nn.GLU}, "activation=.*changes the shape"),
        ({"activation": nn.Linear}, "activation=.*is no activation"),
        ({"callbacks": ["print"]}, r"callbacks=\['print'\] is not valid"),
        ({"callbacks": [type("Own", (), {"on_epoch_end": print})]}, "callbacks=.* is not valid"),
    ],
)
def test_what_cannot_be_called_as_it_has_to_be_is_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        AutoEncoder(2, **parameters, **SHORT).fit(ROWS)


@pytest.mark.filterwarnings("ignore:Implicit dimension")
def test_an_activation_that_mixes_units_is_refused():
    with pytest.raises(ValueError, match=r"activation=.*Softmax.* depend on the others"):
        AutoEncoder(2, activation=nn.Softmax, **SHORT).fit(ROWS)


@pytest.mark.parametrize("name", ["init", "loss", "n_components", "max_iter", "device", "encoder"])
@pytest.mark.parametrize("value", ["x" * 10_000, [0] * 5_000], ids=["text", "list"])
def test_values_are_cut_short_in_errors(value, name):
    with pytest.raises(ValueError, match=f"^{name}=") as error:
        AutoEncoder(**{name: value}).fit(ROWS)
    assert len(str(error.value)) < 800


def test_what_is_shown_of_a_value():
    class Silent:
        def __repr__(self):
            raise RuntimeError

    assert shown("short") == "'short'"
    assert shown("x" * 1000).endswith("xxx' (1,002 characters)")
    assert shown(Silent()) == "<Silent>"
    assert shown(10**5000) == "<int>"  # Python has no digits of such an int
    assert shown(object()) == "<object object>"
    assert shown(np.zeros((2, 3))) == "an array of float64 of shape (2, 3)"
