"""What users' callbacks see, and how they end a training."""

import numpy as np
import pytest
import skorch.callbacks
from estimators import trains
from sklearn.exceptions import ConvergenceWarning
from watching import RecordTasks, find

from skae import AutoEncoder
from skae.base import StopTraining


class Count(skorch.callbacks.Callback):
    """Counts what it is told, and keeps the losses that it sees."""

    def on_train_begin(self, net, **kwargs):
        self.n_begun = self.n_ended = self.n_trained = 0
        self.losses = []

    def on_epoch_begin(self, net, **kwargs):
        self.n_begun += 1

    def on_epoch_end(self, net, **kwargs):
        self.n_ended += 1
        self.losses.append(net.history[-1, "train_loss"])

    def on_train_end(self, net, **kwargs):
        self.n_trained += 1


@pytest.mark.parametrize("early_stopping", [True, False])
def test_callbacks_see_the_end_of_every_epoch_where_patience_ends_the_training(early_stopping):
    X = np.random.default_rng(0).normal(size=(100, 8))  # nothing to learn
    model = AutoEncoder(
        2,
        max_iter=100,
        n_iter_no_change=3,
        early_stopping=early_stopping,
        learning_rate_init=1e-30,
        callbacks=[Count()],
        random_state=0,
    ).fit(X)
    count = find(model, Count)
    assert 3 <= model.n_iter_ < 100
    assert count.n_begun == count.n_ended == model.n_iter_
    assert count.losses == model.loss_curve_
    assert count.n_trained == 1


def test_callbacks_see_the_end_of_the_epoch_that_broke_down(digits):
    class Blast(skorch.callbacks.Callback):
        def on_epoch_begin(self, net, **kwargs):
            if len(net.history) == 6:
                for group in net.optimizer_.param_groups:
                    group["lr"] = 1e30

    model = AutoEncoder(
        2,
        max_iter=20,
        learning_rate="constant",
        callbacks=[Blast(), Count()],
        random_state=0,
    )
    with pytest.warns(ConvergenceWarning, match="not finite in epoch 6"):
        model.fit(digits[:400])
    assert 0 < model.best_iter_ < 6
    assert find(model, Count).n_ended == model.n_iter_ == 6


def end_with(error, hook="on_epoch_end", epoch=3):
    """Return a callback that raises in an epoch; it is the user's, not one of skorch's."""

    def stop(self, net, **kwargs):
        if len(net.history) >= epoch:
            raise error

    return type("End", (skorch.callbacks.Callback,), {hook: stop})()


@pytest.mark.parametrize("hook", ["on_epoch_begin", "on_batch_end", "on_epoch_end"])
def test_an_interrupt_in_a_callback_ends_the_fit_and_leaves_the_former(hook, digits):
    model = AutoEncoder(2, max_iter=10, random_state=0).fit(digits)
    assert model.best_iter_ > 0
    codes, former = model.transform(digits), dict(vars(model))
    model.set_params(max_iter=20, callbacks=[end_with(KeyboardInterrupt, hook)])
    with pytest.raises(KeyboardInterrupt):
        model.fit(digits[:300])
    np.testing.assert_array_equal(model.transform(digits), codes)
    assert {k: v for k, v in vars(model).items() if k.endswith("_")}.keys() == {
        k for k in former if k.endswith("_")
    }


def test_an_interrupt_in_a_callback_of_the_first_fit_leaves_no_fit(digits):
    model = AutoEncoder(2, max_iter=10, callbacks=[end_with(KeyboardInterrupt)], random_state=0)
    with pytest.raises(KeyboardInterrupt):
        model.fit(digits[:300])
    assert not hasattr(model, "net_")


@pytest.mark.parametrize("subclass", [False, True])
def test_early_stopping_of_skorch_ends_the_training_with_the_best_weights(subclass, digits):
    kind = skorch.callbacks.EarlyStopping
    if subclass:
        kind = type("OwnEarlyStopping", (kind,), {})
    stop = kind(patience=10, threshold=0.2)
    model = AutoEncoder(2, max_iter=40, callbacks=[Count(), stop], random_state=0).fit(digits)
    assert 0 < model.best_iter_ <= model.n_iter_ < 40
    assert model.score(digits) > model.pca_score_
    assert find(model, Count).n_ended == model.n_iter_


@pytest.mark.parametrize("hook", ["on_batch_end", "on_epoch_end"])
def test_a_callback_ends_the_training_by_stop_training(hook, digits):
    from skae.base import StopTraining

    model = AutoEncoder(
        2, max_iter=40, callbacks=[end_with(StopTraining, hook, epoch=15)], random_state=0
    ).fit(digits)
    assert model.n_iter_ == (15 if hook == "on_epoch_end" else 14)  # of whole epochs
    assert 0 < model.best_iter_ <= model.n_iter_
    assert model.score(digits) > model.pca_score_


def test_a_hook_that_cannot_be_called_is_refused(digits):
    class Wrong:
        on_epoch_end = 3

    with pytest.raises(ValueError, match=r"callbacks=.* is not valid"):
        AutoEncoder(2, callbacks=[Wrong()]).fit(digits[:50])


def test_an_epoch_that_a_callback_stops_with_is_shown_to_all(spots, capsys):
    record = RecordTasks()
    stop = end_with(StopTraining)
    model = trains(AutoEncoder, verbose=2, callbacks=[stop]).set_callbacks(record).fit(spots)
    assert model.n_iter_ == 3
    assert sum("3/12" in line for line in capsys.readouterr().out.splitlines()) == 1
    assert ("end", "epoch", 2) in record.events
