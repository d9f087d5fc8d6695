"""What a fit leaves in its process, and how it works in threads and in forked children."""

import sys

import pytest
from processes import run_script

THREAD_STARTED_DURING_A_FIT = """
import threading

import numpy as np
import skorch.callbacks
import torch

from skae import AutoEncoder

torch.set_num_threads(2)
is_over, seen, threads = threading.Event(), [], []


class StartThread(skorch.callbacks.Callback):
    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == 2:
            has_worked = threading.Event()

            def work():
                torch.ones(3).sum()  # its first work with torch
                seen.append(torch.get_num_threads())
                has_worked.set()
                is_over.wait()
                torch.ones(3).sum()
                seen.append(torch.get_num_threads())

            threads.append(threading.Thread(target=work))
            threads[0].start()
            has_worked.wait()


X = np.random.default_rng(0).normal(size=(100, 5))
model = AutoEncoder(2, max_iter=3, early_stopping=False, callbacks=[StartThread()]).fit(X)
is_over.set()
threads[0].join()
print(*seen, torch.get_num_threads(), model.n_iter_)
"""


def test_a_thread_that_starts_during_a_fit_has_all_cores():
    assert run_script(THREAD_STARTED_DURING_A_FIT).split() == ["2", "2", "2", "3"]


FORK = """
import multiprocessing

import numpy as np
import torch

from skae import AutoEncoder, VariationalAutoEncoder

torch.set_num_threads(2)
X = np.random.default_rng(0).normal(size=(2000, 100)).astype(np.float32)
table = torch.randn(1000, 1000)
(table @ table).exp().sum()  # on two threads
model = AutoEncoder(3, hidden_layer_sizes=(256,), max_iter=2, random_state=0).fit(X)
codes, score = model.transform(X), model.score(X)


def fit(estimator):
    again = estimator(3, hidden_layer_sizes=(256,), max_iter=2, random_state=0).fit(X)
    return again.transform(X), again.score(X)


def use(_):
    return model.transform(X), model.score(X)


for work, argument in ((use, None), (fit, AutoEncoder), (fit, VariationalAutoEncoder)):
    with multiprocessing.get_context("fork").Pool(1) as pool:
        in_child, score_in_child = pool.apply_async(work, (argument,)).get(timeout=20)
    if argument is not VariationalAutoEncoder:
        np.testing.assert_allclose(in_child, codes, atol=1e-4)
        np.testing.assert_allclose(score_in_child, score, atol=1e-5)
print("ended", torch.get_num_threads())
"""

forks = pytest.mark.skipif(sys.platform != "linux", reason="processes fork on Linux")


@forks
def test_a_child_forked_after_torch_ran_on_threads_fits_and_transforms():
    assert run_script(FORK).split() == ["ended", "2"]


SEARCH = """
import joblib
import numpy as np
import torch
from sklearn.model_selection import GridSearchCV

from skae import AutoEncoder

torch.set_num_threads(2)
X = np.random.default_rng(0).normal(size=(2000, 100)).astype(np.float32)
table = torch.randn(1000, 1000)
(table @ table).exp().sum()
model = AutoEncoder(hidden_layer_sizes=(256,), max_iter=2, random_state=0)
with joblib.parallel_config("multiprocessing", n_jobs=2):
    search = GridSearchCV(model, {"n_components": [1, 2]}, cv=2, error_score="raise").fit(X)
print("ended", search.best_params_["n_components"])
"""


@forks
def test_a_grid_search_in_forked_children_ends():
    assert run_script(SEARCH).split() == ["ended", "2"]


FOOTPRINT = """
import os
import sys
import tempfile
import warnings

import sklearn.decomposition
import skorch
import torch

def state():
    return dict(os.environ), list(warnings.filters), sorted(os.listdir(tempfile.gettempdir()))

before, had_compiler = state(), "torch._dynamo" in sys.modules

import numpy as np
from skae import AdversarialAutoEncoder, AutoEncoder

for now, then in zip(state(), before, strict=True):
    assert now == then, ("import", [entry for entry in now if entry not in then])
X = np.random.default_rng(0).uniform(size=(100, 5))
options = {"max_iter": 3, "early_stopping": False, "random_state": 0}
for model in (
    AutoEncoder(2, **options),
    AutoEncoder(2, loss="binary_cross_entropy", **options),
    AdversarialAutoEncoder(2, **options),
):
    model.fit(X).transform(X)
for name, now, then in zip(("environment", "filters", "files"), state(), before, strict=True):
    if now != then:
        print("new", name, [entry for entry in now if entry not in then])
if "torch._dynamo" in sys.modules and not had_compiler:
    print("torch._dynamo was imported")
"""


def test_a_first_fit_leaves_nothing_in_its_process(tmp_path):
    assert run_script(FOOTPRINT, TMPDIR=str(tmp_path)) == ""
