"""Grid searches whose fits run in the processes of Dask and of Ray, through joblib's backends."""

from importlib.util import find_spec

import pytest
from processes import run_script

START = {
    "dask": """
from dask.distributed import Client, LocalCluster

cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0")
client = Client(cluster)
configurations = [{"backend": "dask"}, {"backend": "dask", "scatter": [X, y]}]


def stop():
    client.close()
    cluster.close()
""",
    "ray": """
import ray
from ray.util.joblib import register_ray

ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
register_ray()
configurations = [{"backend": "ray", "n_jobs": 2}]
stop = ray.shutdown
""",
}

SEARCH = """
import os
import warnings

import joblib
import numpy as np
import torch
from estimators import make_spots, trains
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from skae import AutoEncoder

X = make_spots(160)
y = X.argmax(axis=1) % 8 < 4  # is the spot on the left?
pipe = Pipeline([("ae", trains(AutoEncoder)), ("clf", LogisticRegression())])
grid = [{"ae__n_components": [1, 2]}, {"ae__loss": [lambda x, z: (x - z).abs().sum(dim=1)]}]
START


def search():
    return GridSearchCV(pipe, grid, cv=2, error_score="raise").fit(X, y)


def fit():
    return cross_validate(pipe, X, y, cv=2, return_estimator=True)["estimator"]


def look():
    return os.getpid(), torch.get_num_threads()


def state():
    draws = torch.get_rng_state().tolist(), np.random.get_state()[1].tolist()
    return torch.get_num_threads(), draws, dict(os.environ), list(warnings.filters)


with threadpool_limits(1):  # as in the workers
    torch.set_num_threads(1)
    expected, expected_fits = search(), fit()
torch.set_num_threads(2)
before = state()
for configuration in configurations:
    with joblib.parallel_config(**configuration):
        found, fits = search(), fit()
        seen = joblib.Parallel()(joblib.delayed(look)() for _ in range(4))
    assert found.best_params_ == expected.best_params_
    for name in ("split0_test_score", "split1_test_score", "param_ae__loss"):
        np.testing.assert_array_equal(found.cv_results_[name], expected.cv_results_[name])
    np.testing.assert_array_equal(found.predict(X), expected.predict(X))
    for pipeline, alike in zip(fits, expected_fits, strict=True):
        assert pipeline[0].best_iter_ > 0
        np.testing.assert_array_equal(pipeline[0].transform(X), alike[0].transform(X))
    assert all(process != os.getpid() and n_threads == 1 for process, n_threads in seen), seen
    for now, then in zip(state(), before, strict=True):
        assert now == then, (now, then)
    print("ended", found.best_score_ > 0.8)
stop()
"""


@pytest.mark.parametrize(("engine", "package"), [("dask", "distributed"), ("ray", "ray")])
def test_a_search_over_the_processes_of_a_cluster_finds_what_it_finds_alone(engine, package):
    if not find_spec(package):  # importing it would change this process
        pytest.skip(f"{package} is not installed")
    printed = run_script(SEARCH.replace("START", START[engine]), timeout=180, PYTHONPATH="tests")
    assert set(printed.splitlines()) == {"ended True"}
