"""What a fit leaves behind when it fails, and what surrounds it: threads, processes, memory."""

import os
import traceback
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest
import torch
from comparing import assert_same, results
from estimators import ESTIMATORS, SHORT, make_spots
from joblib import parallel_backend
from processes import run_script
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from torch import nn

from skae import AutoEncoder, DenoisingAutoEncoder, VariationalAutoEncoder, WassersteinAutoEncoder

ROWS = np.random.default_rng(0).normal(size=(60, 6))
OF_BATCHES = {**SHORT, "max_iter": 4, "batch_size": 16}


# -- exceptions of users -------------------------------------------------------------------


class OwnError(Exception):
    pass


def fail(*args, **kwargs):
    raise OwnError("mine")


class FailsLater(nn.Module):
    def __init__(self, n_inputs, n_outputs):
        super().__init__()
        self.last, self.n_passes = nn.Linear(n_inputs, n_outputs), 0

    def forward(self, x):
        self.n_passes += self.training
        if self.n_passes > 4:
            fail()
        return self.last(x)


class FailsOn:
    """A callback of one hook, which fails."""

    def __init__(self, hook):
        setattr(self, hook, fail)


class FailsInNoise:
    """A noise, or a loss, that fails at a later call."""

    def __init__(self):
        self.n_calls = 0

    def __call__(self, x, other):
        self.n_calls += 1
        if self.n_calls > 5:
            fail()
        return x if isinstance(other, torch.Generator) else (x - other).square().sum(dim=1)


HOOKS = ["on_train_begin", "on_epoch_end", "on_batch_end", "on_grad_computed", "on_train_end"]
FAILING = {
    **{hook: lambda hook=hook: AutoEncoder(2, callbacks=[FailsOn(hook)]) for hook in HOOKS},
    "encoder": lambda: AutoEncoder(2, encoder=FailsLater, init="random"),
    "decoder": lambda: AutoEncoder(2, decoder=FailsLater),
    "loss": lambda: AutoEncoder(2, loss=FailsInNoise()),
    "noise": lambda: DenoisingAutoEncoder(2, noise=FailsInNoise()),
}


def surroundings():
    """Return what a fit may change while it runs."""
    return [
        torch.get_num_threads(),
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.get_default_dtype(),
        torch.get_default_device(),
        torch.is_autocast_enabled("cpu"),
        torch.get_rng_state().tolist(),
        [part.tolist() if hasattr(part, "tolist") else part for part in np.random.get_state()],  # noqa: NPY002
        np.geterr(),
        list(warnings.filters),
        dict(os.environ),
    ]


@pytest.mark.parametrize("name", FAILING)
def test_an_exception_of_a_user_leaves_everything_as_it_was(name):
    failing = FAILING[name]().set_params(**OF_BATCHES)
    model = clone(failing).set_params(callbacks=None, loss="squared_error")
    if name in ("encoder", "decoder"):
        model.set_params(encoder=None, decoder=None)
    if name == "noise":
        model.set_params(noise="gaussian")
    model.fit(ROWS)
    expected, state = results(model, ROWS), dict(vars(model))
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with torch.no_grad(), torch.autocast("cpu"):
            before = surroundings()
            model.set_params(**failing.get_params())
            with pytest.raises(OwnError, match=r"^mine$") as error:
                model.fit(ROWS)
            assert surroundings() == before
    finally:
        torch.set_num_threads(threads)
    frames = traceback.extract_tb(error.value.__traceback__)
    assert (frames[-1].name, Path(frames[-1].filename).name) == ("fail", Path(__file__).name)
    fitted = {name: value for name, value in vars(model).items() if name.endswith("_")}
    assert all(state[name] is value for name, value in fitted.items())
    assert_same(results(model, ROWS), expected)


# -- threads and processes -----------------------------------------------------------------


def search(estimator):
    return GridSearchCV(
        make_pipeline(estimator(**OF_BATCHES, early_stopping=False), Ridge()),
        {f"{estimator.__name__.lower()}__n_components": [1, 3]},
        cv=2,
    )


TARGET = ROWS @ np.arange(6)


@pytest.fixture(scope="module")
def sequential():
    """The scores of searches one after the other, and of a search inside a cross-validation."""
    found = {e: search(e).fit(ROWS, TARGET) for e in (AutoEncoder, VariationalAutoEncoder)}
    nested = cross_val_score(search(AutoEncoder), ROWS, TARGET, cv=2)
    return {e: s.cv_results_["mean_test_score"] for e, s in found.items()}, nested


@pytest.mark.parametrize("backend", ["threading", "multiprocessing", "loky"])
def test_searches_in_parallel_have_the_scores_of_one_after_the_other(backend, sequential):
    scores, nested = sequential
    with parallel_backend(backend, n_jobs=2):
        for estimator, expected in scores.items():
            found = search(estimator).fit(ROWS, TARGET).cv_results_["mean_test_score"]
            np.testing.assert_array_equal(found, expected)
        found = cross_val_score(search(AutoEncoder), ROWS, TARGET, cv=2, n_jobs=2)
    np.testing.assert_array_equal(found, nested)


def test_four_threads_have_the_bits_of_one():
    X = make_spots(80)

    def use(estimator):
        model = estimator(2, init="random", **OF_BATCHES).fit(X)
        assert model.best_iter_ > 0
        copied = clone(model).fit(X)
        return [*results(model, X[:20]), *results(copied, X[:20]), model.loss_curve_]

    expected = [use(estimator) for estimator in ESTIMATORS]
    barrier = Barrier(4)

    def all_in_turn(shift):
        barrier.wait()
        order = [*range(shift, len(ESTIMATORS)), *range(shift)]
        return {i: use(ESTIMATORS[i]) for i in order}

    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(all_in_turn, [0, 0, 3, 5]):
            for i, one in found.items():
                assert_same(one, expected[i])


def test_a_forked_child_fits_after_threads_of_torch_in_the_parent():
    code = """
import os, numpy as np, torch
from skae import AutoEncoder
torch.set_num_threads(2)
A = torch.ones(700, 700)
A @ A  # wakes torch's threads
X = np.random.default_rng(0).normal(size=(400, 30))
expected = AutoEncoder(2, max_iter=3, random_state=0).fit(X).transform(X)
child = os.fork()
if child == 0:
    found = AutoEncoder(2, max_iter=3, random_state=0).fit(X).transform(X)
    os._exit(0 if np.allclose(found, expected, atol=1e-5) else 1)
assert os.waitpid(child, 0)[1] == 0
"""
    run_script(code)


BITS = """
import hashlib, torch
from estimators import make_spots
import skae
X = make_spots(600)
print(torch.get_num_threads())
for name, sizes in (("AutoEncoder", (512,)), ("VariationalAutoEncoder", (16,))):
    options = {"hidden_layer_sizes": sizes, "batch_size": 600, "init": "random"}
    model = getattr(skae, name)(3, max_iter=2, random_state=0, **options).fit(X)
    found = [model.transform(X), model.inverse_transform(model.transform(X))]
    print(name, *(hashlib.sha256(each.tobytes()).hexdigest() for each in found))
"""


@pytest.mark.parametrize("threads", ["1", "2"])
def test_another_process_with_as_many_threads_has_the_same_bits_for_a_seed(threads):
    first, second = (
        run_script(BITS, cwd=Path(__file__).parent, OMP_NUM_THREADS=threads) for _ in range(2)
    )
    assert first == second
    assert first.startswith(threads)


def test_two_hundred_fits_leave_memory_threads_and_files_as_they_were():
    code = """
import gc, psutil, warnings, numpy as np, torch
import skae
warnings.simplefilter("ignore")
X = np.random.default_rng(0).normal(size=(40, 6))
class Hook:
    def __init__(self): self.epochs = []
    def on_epoch_end(self, net, **kwargs): self.epochs.append(net)
def use(i):
    torch.set_num_threads(2 if i % 10 == 0 else 1)
    kind = skae.VariationalAutoEncoder if i % 3 else skae.AutoEncoder
    kind = kind if i % 10 else skae.AdversarialAutoEncoder
    callbacks = [Hook()] if i % 2 else None
    kind(2, max_iter=2, callbacks=callbacks, init="random", random_state=i).fit(X).transform(X)
process = psutil.Process()
def measure():
    gc.collect()
    return process.memory_info().rss, process.num_threads(), process.num_fds()
for i in range(30): use(i)
before = measure()
for i in range(200): use(i)
after = measure()
assert after[0] - before[0] < 8e6, (before, after)
assert after[1:] == before[1:], (before, after)
"""
    run_script(code, timeout=100)


def test_wasserstein_fits_have_the_bits_of_one_thread_while_another_thread_fits():
    X = make_spots(80)
    model = WassersteinAutoEncoder(2, init="random", **OF_BATCHES)
    expected = clone(model).fit(X).transform(X)
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: clone(model).fit(X).transform(X), range(2)))
    for codes in found:
        np.testing.assert_array_equal(codes, expected)
