"""Fits that crash in an epoch, and what they have to end with when they go on."""

import os

import numpy as np
import pytest
import skorch.callbacks
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from skae._estimator.checkpoints import identity


class Crash(Exception):
    """Stands for a process that ends."""


class CrashOnce(skorch.callbacks.Callback):
    """Raises in the middle of an epoch; has nothing to note."""

    def on_batch_end(self, net, training, **kwargs):
        # Not in a global of this module, which the callback would be known by.
        if training and len(net.history) == int(os.environ["CRASH_IN_EPOCH"]):
            os.environ["CRASH_IN_EPOCH"] = "0"
            raise Crash


def crash_in(epoch):
    os.environ["CRASH_IN_EPOCH"] = str(epoch)
    return CrashOnce()


class Watch(skorch.callbacks.Callback):
    """Notes which epochs it sees."""

    def on_train_begin(self, net, **kwargs):
        self.epochs = []

    def on_epoch_begin(self, net, **kwargs):
        self.epochs.append(len(net.history))


class Count(skorch.callbacks.Callback):
    """Counts steps and keeps losses."""

    def on_train_begin(self, net, **kwargs):
        self.n_steps_, self.losses_ = 0, []

    def on_batch_end(self, net, training, **kwargs):
        self.n_steps_ += training

    def on_epoch_end(self, net, **kwargs):
        self.losses_.append(net.history[-1, "train_loss"])


def crash(model, X, epoch):
    """Fit a copy of a model until it crashes in an epoch; the callback is no part of the fit."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(identity, "IDLE", (*identity.IDLE, "callbacks"))
        crashing = clone(model).set_params(callbacks=[crash_in(epoch)])
        with pytest.raises(Crash):
            crashing.fit(X)
        with pytest.raises(NotFittedError):
            crashing.transform(X)


def go_on(model, X):
    """Fit a copy of a model whose callbacks are no part of the fit."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(identity, "IDLE", (*identity.IDLE, "callbacks"))
        return clone(model).fit(X)


def assert_same_fit(one, other, X):
    """Assert that two fits have the same weights, history and codes, bit for bit."""
    assert one.best_iter_ > 0
    states = one.net_.module_.state_dict(), other.net_.module_.state_dict()
    assert states[0].keys() == states[1].keys()
    for name, value in states[0].items():
        np.testing.assert_array_equal(value.numpy(), states[1][name].numpy(), name)
    for name in ("loss_curve_", "validation_scores_", "best_iter_", "n_iter_", "pca_score_"):
        assert getattr(one, name) == getattr(other, name), name
    rows = [
        [{k: v for k, v in row.items() if k not in ("dur", "batches")} for row in m.net_.history]
        for m in (one, other)
    ]
    assert rows[0] == rows[1]
    np.testing.assert_array_equal(one.transform(X), other.transform(X))
