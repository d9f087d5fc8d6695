"""torch's defaults, whatever they are, change no number."""

import pickle
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from comparing import results
from estimators import ESTIMATORS
from sklearn.base import clone
from torch import nn

from skae import AutoEncoder, VariationalAutoEncoder, WassersteinAutoEncoder


@contextmanager
def double():
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def meta():
    torch.set_default_device("meta")
    try:
        yield
    finally:
        torch.set_default_device(None)


def two_layers(n_inputs, n_outputs):
    layers = [nn.Linear(n_inputs, 12), nn.Dropout(0.1), nn.ReLU(), nn.Linear(12, n_outputs)]
    return nn.Sequential(*layers)


def assert_same_bits(actual, expected):
    for one, other in zip(actual, expected, strict=True):
        assert np.asarray(one).dtype == np.asarray(other).dtype
        np.testing.assert_array_equal(one, other)


def laplace():
    zeros, ones = torch.zeros(2, dtype=torch.float32), torch.ones(2, dtype=torch.float32)
    return torch.distributions.Independent(torch.distributions.Laplace(zeros, ones), 1)


TRAINED = {"max_iter": 3, "init": "random", "random_state": 0}
FROM_PCA = {"max_iter": 12, "batch_size": 32, "early_stopping": False, "random_state": 0}
MODELS = [
    *[estimator(2, **TRAINED) for estimator in ESTIMATORS],
    AutoEncoder(2, loss="binary_cross_entropy", **TRAINED),
    AutoEncoder(2, loss="huber", tied_weights=True, **TRAINED),
    AutoEncoder(2, image_shape=(8, 8), hidden_layer_sizes=(4,), **TRAINED),
    AutoEncoder(2, **FROM_PCA),
    VariationalAutoEncoder(2, **FROM_PCA),
    VariationalAutoEncoder(2, loss="poisson", **FROM_PCA),
    WassersteinAutoEncoder(2, **FROM_PCA),
    WassersteinAutoEncoder(2, prior=laplace(), **TRAINED),
]


# A network of one's own is built in torch's default dtype, and its weights are drawn in that.
USERS = AutoEncoder(2, encoder=two_layers, decoder=two_layers, **TRAINED)


@pytest.mark.parametrize("model", [*MODELS, USERS], ids=lambda model: type(model).__name__)
def test_fits_have_the_same_bits_under_other_defaults(model, digits):
    X, new = digits[:150], digits[:300]
    plain = clone(model).fit(X)
    assert plain.best_iter_ > 0
    expected, pickled = results(plain, new), pickle.dumps(plain)
    for default in (meta,) if model is USERS else (double, meta):
        with default():
            assert_same_bits(results(plain, new), expected)
            assert_same_bits(results(pickle.loads(pickled), new), expected)
            other = clone(model).fit(X)
            assert other.loss_curve_ == plain.loss_curve_
            assert_same_bits(results(other, new), expected)
            of_other = pickle.dumps(other)
        assert_same_bits(results(pickle.loads(of_other), new), expected)
        assert {p.dtype for p in other.net_.module_.parameters()} == {torch.float32}
