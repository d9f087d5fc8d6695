"""Fits that crash go on, and end with the bits of fits that did not."""

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import skorch.callbacks
import torch
from crashing import Count, Crash, Watch, assert_same_fit, crash, crash_in, go_on
from estimators import NETWORKS, make_spots, trained_variants, trains
from sklearn.base import clone
from watching import find

from skae import AutoEncoder, DenoisingAutoEncoder, VariationalAutoEncoder

TESTS = Path(__file__).parent


VARIANTS = [
    *trained_variants(),
    trains(AutoEncoder, **NETWORKS["images"]),
    trains(VariationalAutoEncoder, loss="binary_cross_entropy", dynamic_binarization=True),
    trains(DenoisingAutoEncoder, dtype="float64"),
    trains(AutoEncoder, precision="bfloat16", whiten=True),
]


@pytest.mark.parametrize("model", VARIANTS, ids=lambda m: type(m).__name__)
def test_a_fit_that_crashed_ends_with_the_same_bits(model, spots, tmp_path, every_epoch):
    whole = clone(model).fit(spots)
    assert whole.best_iter_ > 0
    kept = clone(model).set_params(checkpoint=tmp_path)
    crash(kept, spots, 1)  # of the first epoch nothing is left
    crash(kept, spots, 8)
    again = go_on(clone(kept).set_params(callbacks=[Watch()]), spots)
    assert find(again, Watch).epochs == [*range(8, 13)]
    assert_same_fit(again, whole, spots)
    assert len(list(tmp_path.glob("*.safetensors"))) == 1


def wide_rows():
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(80, 2))
    return np.tanh(codes @ rng.normal(size=(2, 300))) + 0.01 * rng.normal(size=(80, 300))


def rows_with_holes():
    X = make_spots()
    X[::3, 5] = np.nan
    return X


@pytest.mark.parametrize("rows", [wide_rows, rows_with_holes])
def test_a_fit_of_such_rows_goes_on_too(rows, tmp_path, every_epoch):
    model, X = trains(AutoEncoder, early_stopping=False), rows()
    whole = clone(model).fit(X)
    assert whole.best_iter_ > 0
    kept = clone(model).set_params(checkpoint=tmp_path)
    crash(kept, X, 5)
    again = go_on(clone(kept).set_params(callbacks=[Watch()]), X)
    assert find(again, Watch).epochs[0] == 5
    assert_same_fit(again, whole, X)


def test_a_warm_start_goes_on_too(spots, tmp_path, every_epoch):
    model = trains(AutoEncoder, warm_start=True, early_stopping=False).fit(spots[:120])
    state = pickle.dumps(model)
    whole = pickle.loads(state).fit(spots)
    assert model.best_iter_ > 0
    assert whole.best_iter_ > 0
    kept = pickle.loads(state).set_params(checkpoint=tmp_path, callbacks=[crash_in(5)])
    codes = kept.transform(spots)
    with pytest.raises(Crash):
        kept.fit(spots)
    np.testing.assert_array_equal(kept.transform(spots), codes)
    assert_same_fit(kept.fit(spots), whole, spots)
    # The model that it goes on from is another now.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kept.fit(spots)
    assert len(list(tmp_path.glob("*.safetensors"))) == 2


class Plain:
    """A callback that is no skorch's, and notes what JSON has no words for."""

    def __init__(self):
        self.epochs, self.by_number = set(), {}

    def on_epoch_end(self, net, **kwargs):
        epoch = len(net.history)
        self.epochs.add(epoch)
        self.by_number[epoch] = np.float32(net.history[-1, "train_loss"])


def schedule(policy, **kwargs):
    return skorch.callbacks.LRScheduler(policy, **kwargs)


@pytest.mark.parametrize(
    "scheduler",
    [
        schedule(torch.optim.lr_scheduler.ExponentialLR, gamma=0.9),
        schedule("StepLR", step_size=2),
        schedule("CyclicLR", base_lr=0.001, max_lr=0.02, step_every="batch", cycle_momentum=False),
        schedule("ReduceLROnPlateau", patience=0),
    ],
    ids=["exponential", "steps", "cycles of batches", "plateau"],
)
@pytest.mark.parametrize("epoch", [1, 8])
def test_callbacks_go_on_too(epoch, scheduler, spots, tmp_path, every_epoch):
    stop = skorch.callbacks.EarlyStopping(patience=9)
    callbacks = [Count(), scheduler, stop, ("_mine", Plain()), crash_in(epoch)]
    model = trains(AutoEncoder, learning_rate="constant", checkpoint=tmp_path, callbacks=callbacks)
    with pytest.raises(Crash) as caught:
        model.fit(spots)
    assert ("from the start" in caught.value.__notes__[0]) == (epoch == 1)
    model.fit(spots)
    whole = clone(model).set_params(checkpoint=None).fit(spots)
    assert whole.best_iter_ > 0
    assert_same_fit(model, whole, spots)
    assert vars(find(model, Count)) == vars(find(whole, Count))
    plain = [vars(dict(m.net_.callbacks_)["_mine"].callback) for m in (model, whole)]
    assert plain[0] == plain[1]
    assert plain[0]["epochs"] == {*range(1, 13)}
    if scheduler.step_every == "epoch":
        assert model.net_.history[:, "event_lr"] == whole.net_.history[:, "event_lr"]
    assert list(model.net_.history[0]) == list(whole.net_.history[0])
    again = clone(model).fit(spots)  # what has ended is loaded
    assert vars(find(again, Count)) == vars(find(whole, Count))


def test_a_random_state_is_as_before_where_a_fit_fails(spots, tmp_path, every_epoch):
    source = np.random.RandomState(3)
    model = trains(AutoEncoder, random_state=source, checkpoint=tmp_path, callbacks=[crash_in(6)])
    with pytest.raises(Crash):
        model.fit(spots)
    codes = model.fit(spots).transform(spots)
    assert source.randint(100) == 24  # as after one draw
    whole = trains(AutoEncoder, random_state=np.random.RandomState(3)).fit(spots)
    np.testing.assert_array_equal(whole.transform(spots), codes)


def test_a_callback_whose_notes_cannot_be_kept_is_named(spots, tmp_path, every_epoch):
    class Opens(skorch.callbacks.Callback):
        def on_train_begin(self, net, **kwargs):
            self.file_ = threading.Lock()

    model = trains(AutoEncoder, checkpoint=tmp_path, callbacks=[Opens()])
    with pytest.warns(UserWarning, match=r"cannot keep Opens\.file_, which is a lock"):
        model.fit(spots)


# -- signals ---------------------------------------------------------------------------------------

SCRIPT = """
import sys, hashlib
import numpy as np, skorch.callbacks
import skae._training.resume.disk as disk
from estimators import make_spots, trains
from skae import VariationalAutoEncoder

disk.COPY_SHARE = disk.WRITE_SHARE = np.inf

class Tell(skorch.callbacks.Callback):
    def on_epoch_begin(self, net, **kwargs):
        print("epoch", len(net.history), flush=True)

X = make_spots(480)
model = trains(VariationalAutoEncoder, max_iter=40, checkpoint=sys.argv[1], callbacks=[Tell()])
try:
    model.fit(X)
except KeyboardInterrupt as interrupt:
    print(*interrupt.__notes__, hasattr(model, "net_"))
else:
    for kept in (model, model.set_params(checkpoint=None, callbacks=None).fit(X)):
        codes = kept.transform(X)
        print("codes", kept.best_iter_, hashlib.sha256(codes).hexdigest())
"""


def start_fit(folder):
    """Start a fit in a process of its own."""
    path = os.pathsep.join([str(TESTS), str(TESTS.parent)])
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
    )


def first_epoch(process):
    """Return the first epoch that a process tells of."""
    return int(process.stdout.readline().removeprefix("epoch "))


def wait_for(epoch, process):
    while process.stdout.readline() != f"epoch {epoch}\n":
        assert process.poll() is None


def test_signals_lose_nothing_but_the_current_epoch(tmp_path):
    with start_fit(tmp_path) as killed:
        wait_for(9, killed)
        killed.send_signal(signal.SIGKILL)
    with start_fit(tmp_path) as interrupted:
        assert 7 <= first_epoch(interrupted) <= 10  # the thread may have been writing
        wait_for(20, interrupted)
        interrupted.send_signal(signal.SIGINT)
        told = time.monotonic()
        *_, notes = interrupted.stdout.read().splitlines()
        assert time.monotonic() - told < 5  # a second, of a machine that is busy with other tests
    assert "fit was interrupted in epoch 2" in notes and notes.endswith("False")
    assert "Call fit again with the same parameters and rows to go on from the end" in notes
    with start_fit(tmp_path) as last:
        assert first_epoch(last) >= 20
        *_, ended, whole = last.stdout.read().splitlines()
    assert ended.startswith("codes") and not ended.startswith("codes 0 ")
    assert ended == whole
