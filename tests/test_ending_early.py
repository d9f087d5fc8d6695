"""What ends a training before its last epoch: a budget of seconds, and Ctrl-C."""

import os
import signal
import threading
import warnings

import numpy as np
import pytest
from estimators import ESTIMATORS, trains
from watching import find

from skae import AutoEncoder
from skae._data.world import ALONE
from skae._estimator.jobs import advice
from skae._training.outside.callbacks import Borrowed
from skae._training.outside.limits import Limits


class Press:
    """Presses Ctrl-C in an epoch, at its beginning, in one of its steps, or at its end."""

    def __init__(self, hook, epoch=9, times=1):
        self.epoch, self.times = epoch, times
        setattr(self, hook, self.press)

    def press(self, net, **kwargs):
        if len(net.history) >= self.epoch:
            times, self.times = self.times, 0
            for _ in range(times):
                os.kill(os.getpid(), signal.SIGINT)


class Watch:
    """Keeps the learning rate of each step, and lets time pass."""

    def __init__(self, clock):
        self.clock, self.rates, self.progress = clock, [], []

    def on_batch_end(self, net, training, **kwargs):
        if training:
            self.rates.append(net.optimizer_.param_groups[0]["lr"])
            self.progress.append(net.module_.progress)
            self.clock.now += 1


class Clock:
    now = 0.0

    def __call__(self):
        return self.now

    def __deepcopy__(self, copied):
        return self


@pytest.fixture
def clock(monkeypatch):
    """A clock on which each step takes a second, and nothing else any time."""
    clock = Clock()
    monkeypatch.setattr("skae._training.outside.limits.time.monotonic", clock)
    return clock


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_learning_rate_falls_within_the_time(estimator, spots, clock):
    model = trains(estimator, max_iter=200, max_time=48.0)
    model.set_params(callbacks=[Watch(clock)]).fit(spots)
    rates = find(model, Borrowed).callback.rates
    assert len(rates) == 48
    assert model.n_iter_ == 8
    assert model.best_iter_ > 0
    assert rates[0] < rates[14] > rates[-1]
    assert rates[-1] < 0.01 * max(rates)


def test_what_comes_before_the_training_leaves_the_learning_rate_its_course(clock):
    limits = Limits(480.0, started=-432.0)  # nine tenths are spent
    with limits.listening(ALONE):
        assert limits.spent() == 0.9
        assert limits.spent_in_training() == 0
        clock.now += 24
        assert limits.spent_in_training() == pytest.approx(0.5)
        clock.now += 48
        assert limits.spent_in_training() == 1


def test_an_epoch_longer_than_the_time_is_cut_short_and_counts(spots, clock):
    model = trains(AutoEncoder, max_iter=200, max_time=4.0, learning_rate_init=1e-3)
    model.set_params(callbacks=[Watch(clock)]).fit(spots)
    assert model.n_iter_ == 1
    assert len(model.validation_scores_) == 1


def test_a_training_that_ends_in_time_is_the_same_as_without_a_limit(spots):
    free, limited = trains(AutoEncoder), trains(AutoEncoder, max_time=1e6)
    np.testing.assert_array_equal(free.fit_transform(spots), limited.fit_transform(spots))
    assert free.best_iter_ > 0


def test_each_part_has_its_own_time(spots, clock):
    model = trains(AutoEncoder, max_iter=50, max_time=12.0, callbacks=[Watch(clock)])
    model.partial_fit(spots[:120])
    n_before = model.n_iter_
    model.partial_fit(spots[120:])
    assert 0 < n_before < 50
    assert 0 < model.n_iter_ - n_before < 50


@pytest.mark.parametrize("hook", ["on_epoch_begin", "on_batch_end", "on_epoch_end"])
def test_ctrl_c_ends_the_training_and_keeps_the_best_weights(hook, spots):
    model = trains(AutoEncoder, max_iter=200, keep_interrupted=True, callbacks=[Press(hook)])
    with pytest.warns(UserWarning, match="Ctrl-C ended the training in epoch 9 of 200"):
        model.fit(spots)
    assert model.n_iter_ == 9
    assert model.best_iter_ > 0
    assert model.score(spots) > model.pca_score_
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_ctrl_c_raises(spots):
    model = trains(AutoEncoder, keep_interrupted=True, callbacks=[Press("on_batch_end", times=2)])
    with pytest.raises(KeyboardInterrupt):
        model.fit(spots)
    assert not hasattr(model, "net_")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_without_the_option_ctrl_c_says_how_to_keep_the_work(spots):
    model = trains(AutoEncoder, callbacks=[Press("on_batch_end")])
    with pytest.raises(KeyboardInterrupt) as caught:
        model.fit(spots)
    notes = " ".join(caught.value.__notes__)
    assert "interrupted in epoch 9 of 12" in notes
    assert "keep_interrupted=True" in notes


def test_a_handler_of_the_users_own_stays(spots):
    heard = []
    before = signal.signal(signal.SIGINT, lambda *args: heard.append(args))
    try:
        trains(AutoEncoder, keep_interrupted=True, callbacks=[Press("on_epoch_end", 12)]).fit(spots)
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(heard) == 1


def test_a_fit_in_a_thread_leaves_signals_alone(spots):
    model = trains(AutoEncoder, keep_interrupted=True)
    thread = threading.Thread(target=model.fit, args=(spots,))
    thread.start()
    thread.join()
    assert model.best_iter_ > 0


def test_limits_without_a_budget_are_never_reached():
    limits = Limits()
    assert limits.spent() == 0
    assert limits.left() is None
    assert not limits.are_reached()


@pytest.mark.parametrize("max_time", [0, -1, "1h", float("nan"), float("inf")])
def test_a_budget_is_a_positive_number(max_time, spots):
    with pytest.raises(ValueError, match=r"max_time=.* expected float in \(0, inf\) or None"):
        AutoEncoder(2, max_time=max_time).fit(spots)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_budget_that_leaves_nothing_but_pca_is_what_is_told(estimator, spots, monkeypatch):
    monkeypatch.setattr(advice, "_SAID", set())
    model = trains(estimator, max_iter=200, max_time=1e-9)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(spots)
    assert model.best_iter_ == 0
    assert len(caught) == 1
    assert "Raise max_time" in str(caught[0].message)
