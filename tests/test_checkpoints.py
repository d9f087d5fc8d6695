"""Fits that are killed go on, and end with the bits of fits that were not."""

import functools
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
from estimators import NETWORKS, Cubes, ResidualNetwork, make_spots, trained_variants, trains
from processes import run_script
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from torch import nn
from watching import find
from worlds import fit_together, shards_of

from skae import AutoEncoder, DenoisingAutoEncoder, VariationalAutoEncoder
from skae._estimator.checkpoints import identity
from skae._estimator.checkpoints.identity import describe
from skae._files.format import ModelFileError

TESTS = Path(__file__).parent


@pytest.fixture
def every_epoch(monkeypatch):
    """Let each epoch have a checkpoint, whatever it costs."""
    monkeypatch.setattr("skae._training.resume.disk.COPY_SHARE", np.inf)
    monkeypatch.setattr("skae._training.resume.disk.WRITE_SHARE", np.inf)


class Crash(Exception):
    """Stands for a process that ends."""


CRASH = {"epoch": 0}  # outside the callback, so that it is the same one when it crashes no more


class CrashOnce(skorch.callbacks.Callback):
    """Raises in the middle of an epoch; has nothing to note."""

    def on_batch_end(self, net, training, **kwargs):
        if training and len(net.history) == CRASH["epoch"]:
            CRASH["epoch"] = 0
            raise Crash


def crash_in(epoch):
    CRASH["epoch"] = epoch
    return CrashOnce()


class Watch(skorch.callbacks.Callback):
    """Notes which epochs it sees."""

    def on_train_begin(self, net, **kwargs):
        self.epochs = []

    def on_epoch_begin(self, net, **kwargs):
        self.epochs.append(len(net.history))


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


VARIANTS = [
    *trained_variants(),
    *[trains(AutoEncoder, **network) for network in NETWORKS.values()],
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
    model, X = trains(AutoEncoder), rows()
    whole = clone(model).fit(X)
    kept = clone(model).set_params(checkpoint=tmp_path)
    crash(kept, X, 5)
    again = go_on(clone(kept).set_params(callbacks=[Watch()]), X)
    assert find(again, Watch).epochs[0] == 5
    assert_same_fit(again, whole, X)


def test_a_warm_start_goes_on_too(spots, tmp_path, every_epoch):
    model = trains(AutoEncoder, warm_start=True, early_stopping=False).fit(spots[:120])
    state = pickle.dumps(model)
    whole = pickle.loads(state).fit(spots)
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


class Count(skorch.callbacks.Callback):
    """Counts steps and keeps losses."""

    def on_train_begin(self, net, **kwargs):
        self.n_steps_, self.losses_ = 0, []

    def on_batch_end(self, net, training, **kwargs):
        self.n_steps_ += training

    def on_epoch_end(self, net, **kwargs):
        self.losses_.append(net.history[-1, "train_loss"])


def test_callbacks_go_on_too(spots, tmp_path, every_epoch):
    callbacks = [
        Count(),
        skorch.callbacks.LRScheduler(torch.optim.lr_scheduler.ExponentialLR, gamma=0.9),
        skorch.callbacks.EarlyStopping(patience=9),
        crash_in(8),
    ]
    model = trains(AutoEncoder, learning_rate="constant", checkpoint=tmp_path, callbacks=callbacks)
    with pytest.raises(Crash):
        model.fit(spots)
    model.fit(spots)
    whole = clone(model).set_params(checkpoint=None).fit(spots)
    assert_same_fit(model, whole, spots)
    assert vars(find(model, Count)) == vars(find(whole, Count))
    assert model.net_.history[:, "event_lr"] == whole.net_.history[:, "event_lr"]


def test_a_callback_whose_notes_cannot_be_kept_is_named(spots, tmp_path, every_epoch):
    class Opens(skorch.callbacks.Callback):
        def on_train_begin(self, net, **kwargs):
            self.file_ = threading.Lock()

    model = trains(AutoEncoder, checkpoint=tmp_path, callbacks=[Opens()])
    with pytest.warns(UserWarning, match=r"cannot keep Opens\.file_, which is a lock"):
        model.fit(spots)


# -- which fit a checkpoint is of ----------------------------------------------------------------


CHANGES = {
    "n_components": ({"n_components": 3}, {}, r"n_components \(2 there, 3 here\)"),
    "batch_size": ({"batch_size": 30}, {}, r"batch_size \(32 there, 30 here\)"),
    "loss": ({"loss": Cubes()}, {}, "loss"),
    "seed": ({"random_state": 1}, {}, r"random_state \(0 there, 1 here\)"),
    "rows": ({}, {"X": make_spots(seed=1)}, "differs in: the values of X"),
    "fewer": ({}, {"X": make_spots(200)}, r"the shape of X \('\(240, 64\)' there"),
    "weights": ({}, {"sample_weight": np.linspace(1, 2, 240)}, "differs in: sample_weight"),
    "groups": ({}, {"groups": np.arange(240) // 2}, "differs in: groups"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_checkpoint_of_another_fit_is_not_used(change, spots, tmp_path, every_epoch):
    parameters, arguments, match = CHANGES[change]
    model = trains(AutoEncoder, checkpoint=tmp_path)
    crash(model, spots, 5)
    (before,) = tmp_path.glob("*.safetensors")
    data = before.read_bytes()
    other = clone(model).set_params(**parameters)
    plain = clone(other).set_params(checkpoint=None).fit(**{"X": spots, **arguments})
    with pytest.warns(UserWarning, match=match):
        other.fit(**{"X": spots, **arguments})
    assert_same_fit(other, plain, spots)
    assert before.read_bytes() == data
    again = go_on(clone(model).set_params(callbacks=[Watch()]), spots)
    assert find(again, Watch).epochs[0] == 5


POWER = 2


def power_of_module(x, x_hat):
    return ((x - x_hat) ** POWER).sum(dim=1)


class Powers:
    __slots__ = ("power",)

    def __init__(self, power):
        self.power = power

    def loss(self, x, x_hat):
        return ((x - x_hat) ** self.power).sum(dim=1)


def loss_of_closure(power):
    return lambda x, x_hat: ((x - x_hat) ** power).sum(dim=1)


def network_class(activation):
    class Network(nn.Sequential):
        def __init__(self, n_inputs, n_outputs):
            super().__init__(nn.Linear(n_inputs, n_outputs), activation())

    return Network


def normal(scale):
    return torch.distributions.Normal(torch.zeros(2), scale * torch.ones(2))


@pytest.mark.parametrize(
    ("make", "one", "other"),
    [
        (loss_of_closure, 2, 3),
        (lambda power: functools.partial(power_of_module, power), 2, 3),
        (Powers, 2, 3),
        (lambda power: Powers(power).loss, 2, 3),
        (lambda names: {*names}, "abc", "abd"),
        (network_class, nn.ReLU, nn.Tanh),
        (normal, 1.0, 2.0),
        (np.random.RandomState, 0, 1),
        (lambda step: skorch.callbacks.LRScheduler("StepLR", step_size=step), 2, 3),
        (lambda name: getattr(torch, name), "exp", "log"),
        (lambda value: {"a": [value]}, Cubes(), 1),
    ],
)
def test_parts_of_users_are_known_by_what_they_do(make, one, other, monkeypatch):
    assert describe(make(one)) == describe(make(one))
    assert describe(make(one)) != describe(make(other))
    before = describe(power_of_module)
    monkeypatch.setattr(sys.modules[__name__], "POWER", 3)
    assert describe(power_of_module) != before


def users_parts():
    sets = {"a", "b", "c"}
    return [
        ResidualNetwork,
        Cubes(),
        normal(2.0),
        loss_of_closure(2),
        Powers(3).loss,
        sets,
        Count(),
    ]


def test_parts_of_users_are_the_same_in_another_process():
    code = "import test_checkpoints as t; print([t.describe(part) for part in t.users_parts()])"
    path = os.pathsep.join([str(TESTS), str(TESTS.parent)])
    told = run_script(code, PYTHONPATH=path, PYTHONHASHSEED="1").strip()
    assert told == str([describe(part) for part in users_parts()])
    assert " at 0x" not in told


def test_a_fit_that_has_ended_is_not_repeated(spots, tmp_path, monkeypatch):
    model = trains(AutoEncoder, checkpoint=tmp_path).fit(spots)
    monkeypatch.setattr("skae._training.net.AutoEncoderNet.train_step", None)
    assert_same_fit(clone(model).fit(spots), model, spots)


def test_a_fit_without_a_seed_goes_on_with_its_own_but_is_not_repeated(
    spots, tmp_path, every_epoch
):
    model = trains(AutoEncoder, random_state=None, checkpoint=tmp_path)
    crash(model, spots, 5)
    again = go_on(clone(model).set_params(callbacks=[Watch()]), spots)
    assert find(again, Watch).epochs[0] == 5
    another = go_on(clone(model).set_params(callbacks=[Watch()]), spots)
    assert find(another, Watch).epochs[0] == 1
    assert not np.array_equal(another.transform(spots), again.transform(spots))


def test_fits_of_a_search_share_a_folder(spots, tmp_path):
    model = trains(AutoEncoder, max_iter=3)
    grid = {"n_components": [1, 2], "whiten": [False, True]}
    plain = GridSearchCV(model, grid, cv=2).fit(spots)
    for _ in range(2):
        kept = clone(model).set_params(checkpoint=tmp_path)
        search = GridSearchCV(kept, grid, cv=2, n_jobs=2).fit(spots)
        for name in ("mean_test_score", "split1_test_score"):
            np.testing.assert_array_equal(search.cv_results_[name], plain.cv_results_[name])
        files = {f: f.stat().st_mtime_ns for f in tmp_path.glob("*.safetensors")}
        assert len(files) == 4 * 2 + 1


def test_the_same_fit_at_the_same_time_has_a_file_of_its_own(spots, tmp_path, every_epoch):
    model, both = trains(AutoEncoder, checkpoint=tmp_path), threading.Barrier(2)
    meeting = type("Meet", (skorch.callbacks.Callback,), {})
    meeting.on_train_begin = lambda self, net, **kwargs: both.wait(30)
    fits = [clone(model).set_params(callbacks=[meeting()]) for _ in range(2)]
    threads = [threading.Thread(target=fit.fit, args=(spots,)) for fit in fits]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert_same_fit(*fits, spots)
    names = sorted(file.name for file in tmp_path.glob("*.safetensors"))
    assert len(names) == 2
    assert names[0].replace("-2.", ".") == names[1] or names[1].replace("-2.", ".") == names[0]


# -- files and folders -----------------------------------------------------------------------------


def test_what_was_half_written_is_not_used_and_removed(spots, tmp_path, every_epoch):
    model = trains(AutoEncoder, checkpoint=tmp_path)
    crash(model, spots, 5)
    (file,) = tmp_path.glob("*.safetensors")
    part = file.with_name(f".{file.name}.0123abcd.part")
    part.write_bytes(file.read_bytes()[:1000])
    again = go_on(clone(model).set_params(callbacks=[Watch()]), spots)
    assert find(again, Watch).epochs[0] == 5
    assert not part.exists()


def test_a_damaged_checkpoint_is_refused(spots, tmp_path, every_epoch):
    model = trains(AutoEncoder, checkpoint=tmp_path)
    crash(model, spots, 5)
    (file,) = tmp_path.glob("*.safetensors")
    data = bytearray(file.read_bytes())
    data[-100] ^= 1
    file.write_bytes(data)
    with pytest.raises(ModelFileError, match=r"sha256 .* remove it, and the fit begins anew"):
        go_on(clone(model).set_params(callbacks=[Watch()]), spots)


def test_a_folder_that_cannot_be_made_is_an_error_before_training(spots, tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OSError, match=r"checkpoint=.*is no folder and cannot be made one"):
            AutoEncoder(2, checkpoint=folder).fit(spots)


@pytest.mark.parametrize("n_written", [0, 3])
def test_a_disk_that_is_full_ends_the_fit_and_leaves_the_last_checkpoint(
    n_written, spots, tmp_path, every_epoch, monkeypatch
):
    model = trains(AutoEncoder, checkpoint=tmp_path).fit(spots[:100])
    codes = model.transform(spots)
    n_fsyncs = 0

    def fill(descriptor):
        nonlocal n_fsyncs
        n_fsyncs += 1
        if n_fsyncs > 2 * n_written:  # a file's and its folder's
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("skae._files.replace.os.fsync", fill)
        with pytest.raises(OSError, match=r"checkpoint=.*No space left on device") as caught:
            model.fit(spots)
    assert caught.value.errno == 28
    assert ("call fit again" in str(caught.value)) == (n_written > 0)
    np.testing.assert_array_equal(model.transform(spots), codes)
    assert not list(tmp_path.glob(".*.part"))
    model.fit(spots)
    assert_same_fit(model, clone(model).set_params(checkpoint=None).fit(spots), spots)


def test_several_processes_are_told_that_they_keep_none(spots, tmp_path):
    with pytest.raises(ValueError, match=r"checkpoint=.* is for fits of one process"):
        fit_together(AutoEncoder(2, checkpoint=tmp_path), shards_of(spots, 2))


# -- signals ---------------------------------------------------------------------------------------

SCRIPT = """
import sys, hashlib
from estimators import make_spots, trains
from skae import VariationalAutoEncoder

model = trains(VariationalAutoEncoder, max_iter=120, checkpoint=sys.argv[1])
print("begin", flush=True)
try:
    model.fit(make_spots(480))
except KeyboardInterrupt as interrupt:
    print(*interrupt.__notes__, hasattr(model, "net_"))
else:
    for kept in (model, model.set_params(checkpoint=None).fit(make_spots(480))):
        codes = kept.transform(make_spots())
        print("codes", kept.best_iter_, hashlib.sha256(codes).hexdigest())
"""


def start_fit(folder):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)])}
    command = [sys.executable, "-c", SCRIPT, str(folder)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**environment, "OMP_NUM_THREADS": "1"}
    )
    assert process.stdout.readline() == "begin\n"
    return process


def test_signals_at_any_moment_lose_nothing_but_the_current_epoch(tmp_path):
    kept = start_fit(tmp_path)
    time.sleep(0.7)
    kept.send_signal(signal.SIGKILL)
    kept.communicate()
    kept = start_fit(tmp_path)
    time.sleep(0.5)
    kept.send_signal(signal.SIGINT)
    told = time.monotonic()
    notes = kept.communicate()[0]
    assert time.monotonic() - told < 5  # a second, of a machine that is busy with other tests
    assert "fit was interrupted in epoch" in notes and notes.endswith("False\n")
    assert "Call fit again with the same parameters and rows to go on from the end" in notes
    ended, whole = start_fit(tmp_path).communicate()[0].splitlines()
    assert ended.startswith("codes") and not ended.startswith("codes 0 ")
    assert ended == whole
