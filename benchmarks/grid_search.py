"""How long does a grid search take with `n_jobs=2`, over Dask and over Ray, and what is sent?

First the seconds of a search of eight fits of the digits, in turn with each, on two processes of
this machine: what the ways to reach them cost. Before, each searches once, to start its processes;
those of Ray's backend start anew for every search. Then the megabytes that the processes of Dask
send each other in searches over a table of 50 MB, one search after the other: with PCA, because
bytes do not depend on the estimator. One process has one thread, as each of two processes has.

    python benchmarks/grid_search.py [--repeats 5]
"""

import argparse
import statistics
import time
from importlib.util import find_spec

import joblib
import numpy as np
import psutil
from distributed import Client, LocalCluster
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from skae import AutoEncoder


def search_seconds(configurations, X, y, repeats):
    """Search with each configuration of joblib in turn; return the seconds of each."""
    model = AutoEncoder(max_iter=40, whiten=True, random_state=0)
    pipe = Pipeline([("ae", model), ("clf", LogisticRegression(max_iter=1000))])
    search = GridSearchCV(pipe, {"ae__n_components": [2, 4, 8, 16]}, cv=2, refit=False)
    seconds = {name: [] for name in configurations}
    for repeat in range(repeats + 1):
        for name, configuration in configurations.items():
            with joblib.parallel_config(**configuration), threadpool_limits(1):
                started = time.perf_counter()
                search.fit(X, y)
            if repeat:  # processes have started
                seconds[name].append(time.perf_counter() - started)
    return seconds


def megabytes_sent(X, scatter):
    """Search three times over Dask; return the megabytes that each search sends on loopback."""
    search = GridSearchCV(PCA(), {"n_components": [2, 3, 4, 5]}, cv=2, refit=False)
    counts = [psutil.net_io_counters(pernic=True)["lo"].bytes_recv]
    with joblib.parallel_config("dask", **({"scatter": scatter} if scatter else {})):
        for _ in range(3):
            search.fit(X)
            counts.append(psutil.net_io_counters(pernic=True)["lo"].bytes_recv)
    return np.diff(counts) / 1e6


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    X, y = load_digits(return_X_y=True)
    configurations = {
        "one process": {"backend": "loky", "n_jobs": 1},
        "n_jobs=2": {"backend": "loky", "n_jobs": 2},
    }
    if find_spec("ray"):
        import ray
        from ray.util.joblib import register_ray

        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        register_ray()
        configurations["ray"] = {"backend": "ray", "n_jobs": 2}
    one_each = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0")
    two_in_one = LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address=":0")
    with one_each, two_in_one, Client(two_in_one) as other, Client(one_each) as client:
        configurations["dask"] = {"backend": "dask", "client": client}
        configurations["dask, 2 in 1"] = {"backend": "dask", "client": other}
        seconds = search_seconds(configurations, X, y, options.repeats)
        base = statistics.median(seconds["n_jobs=2"])
        for name, each in seconds.items():
            median = statistics.median(each)
            print(
                f"{name:12} {median:6.1f} s, from {min(each):.1f} to {max(each):.1f}; "
                f"{median / base:.2f} times that of n_jobs=2"
            )
        table = np.random.default_rng(0).normal(size=(16_000, 784)).astype(np.float32)
        ways = {"not scattered": None, "scatter=[X]": [table], "a copy of X": [table.copy()]}
        for name, scatter in ways.items():
            print(f"{name:14} MB sent by each search:", megabytes_sent(table, scatter).round())


if __name__ == "__main__":
    main()
