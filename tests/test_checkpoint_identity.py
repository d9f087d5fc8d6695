"""Which fit a checkpoint belongs to, and which fits know it as theirs."""

import functools
import os
import sys
import threading
import types
import warnings
from pathlib import Path

import numpy as np
import pytest
import skorch.callbacks
import torch
from crashing import Count, Watch, assert_same_fit, crash, go_on
from estimators import Cubes, ResidualNetwork, make_spots, trains
from filelock import FileLock
from processes import run_script
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from torch import nn
from watching import find

from skae import AutoEncoder
from skae._estimator.checkpoints import identity
from skae._estimator.checkpoints.identity import describe

TESTS = Path(__file__).parent


CHANGES = {
    "n_components": ({"n_components": 3}, {}, r"n_components \(2 there, 3 here\)"),
    "batch_size": ({"batch_size": 30}, {}, r"batch_size \(32 there, 30 here\)"),
    "loss": ({"loss": Cubes()}, {}, "loss"),
    "seed": ({"random_state": 1}, {}, r"random_state \(0 there, 1 here\)"),
    "rows": ({}, {"X": make_spots(seed=1)}, "these differ: the values of X"),
    "fewer": ({}, {"X": make_spots(200)}, r"the shape of X \('\(240, 64\)' there"),
    "weights": ({}, {"sample_weight": np.linspace(1, 2, 240)}, "these differ: sample_weight"),
    "groups": ({}, {"groups": np.arange(240) // 2}, "these differ: groups"),
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


@pytest.mark.parametrize("idle", [{"verbose": 1}, {"keep_interrupted": True}])
def test_a_fit_goes_on_with_parameters_that_change_no_number(idle, spots, tmp_path, every_epoch):
    model = trains(AutoEncoder, checkpoint=tmp_path)
    crash(model, spots, 5)
    again = go_on(clone(model).set_params(callbacks=[Watch()], **idle), spots)
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


def helper(power):
    """Return a loss that calls a function of the module in which it is."""
    module = types.ModuleType("helpers")
    exec(f"def raised(x): return x**{power}\nPARTS = [{power}]", module.__dict__)
    exec("def loss(x, x_hat): return raised(x - x_hat).sum(dim=1)", module.__dict__)
    module.loss.__module__ = module.raised.__module__ = "__main__"
    return module.loss


def reads_in_a_lambda(power):
    namespace = {"PARTS": [power], "__name__": "__main__"}
    exec("def loss(x, x_hat): return (lambda d: d ** PARTS[0])(x - x_hat)", namespace)
    return namespace["loss"]


def class_with(**members):
    return type("Loss", (), {"__module__": "__main__", **members})


def nested(weight):
    network = nn.Linear(1, 1, bias=False)
    nn.init.constant_(network.weight, weight)
    for _ in range(5):
        network = nn.Sequential(network)
    return network


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
        (helper, 2, 3),
        (reads_in_a_lambda, 2, 3),
        (lambda power: class_with(power=power), 2, 3),
        (lambda power: type("Loss", (class_with(power=power),), {"__module__": "__main__"}), 2, 3),
        (lambda f: class_with(f=staticmethod(f)), lambda: 2, lambda: 3),
        (lambda f: class_with(f=property(f)), lambda self: 2, lambda self: 3),
        (nested, 1.0, 2.0),
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
    code = "from test_checkpoint_identity import *; print([describe(p) for p in users_parts()])"
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
    before = None
    for _ in range(2):
        kept = clone(model).set_params(checkpoint=tmp_path)
        search = GridSearchCV(kept, grid, cv=2, n_jobs=2).fit(spots)
        for name in ("mean_test_score", "split1_test_score"):
            np.testing.assert_array_equal(search.cv_results_[name], plain.cv_results_[name])
        files = {f: f.stat().st_mtime_ns for f in tmp_path.glob("*.safetensors")}
        assert len(files) == 4 * 2 + 1
        assert before in (None, files)  # no fit was repeated
        before = files


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
    one, other = sorted(file.name for file in tmp_path.glob("*.safetensors"))
    assert other == one.replace("-1.safetensors", "-2.safetensors")


def test_a_fit_that_another_looks_at_for_a_moment_is_found(spots, tmp_path, every_epoch):
    model = trains(AutoEncoder, checkpoint=tmp_path)
    crash(model, spots, 5)
    (lock,) = tmp_path.glob(".*.lock")
    looking, done = threading.Event(), threading.Event()

    def look():
        with FileLock(lock):
            looking.set()
            done.wait(0.05)

    other = threading.Thread(target=look)
    other.start()
    looking.wait()
    again = go_on(clone(model).set_params(callbacks=[Watch()]), spots)
    other.join()
    assert find(again, Watch).epochs[0] == 5


def test_a_checkpoint_of_another_version_is_not_used(spots, tmp_path, every_epoch, monkeypatch):
    model = trains(AutoEncoder, checkpoint=tmp_path)
    crash(model, spots, 5)
    now = identity.versions_now()
    monkeypatch.setattr(identity, "versions_now", lambda: {**now, "torch": "9.0"})
    with pytest.warns(UserWarning, match=r"these differ: the version of torch \('2.* there, '9.0'"):
        model.fit(spots)
    with warnings.catch_warnings():  # once a file
        warnings.simplefilter("error")
        model.set_params(random_state=1).fit(spots)
