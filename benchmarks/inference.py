"""What does `transform` cost beside the network itself, and beside PCA?

Float32 rows of 30 features and a code of 8, by default through the default layers; the bare
module is the same encoder, on rows that are tensors in its units already.

    python benchmarks/inference.py [--rows 1 1000 1000000]
"""

import argparse
import statistics
import time

import numpy as np
import torch
from sklearn.decomposition import PCA

from skae import AutoEncoder


def median_seconds(calls, repeats):
    """Time every call in turn; return each one's median."""
    times = {name: [] for name in calls}
    for repeat in range(repeats + 2):
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            if repeat >= 2:  # warm
                times[name].append(time.perf_counter() - started)
    return {name: statistics.median(each) for name, each in times.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="*", default=[1, 1000, 1_000_000])
    parser.add_argument("--features", type=int, default=30)
    parser.add_argument("--hidden", type=int, nargs="*", default=[128, 128])
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    X = rng.normal(size=(max(options.rows), options.features)).astype(np.float32)
    shape = {"hidden_layer_sizes": tuple(options.hidden), "max_iter": 1, "random_state": 0}
    plain = AutoEncoder(8, init="random", **shape).fit(X[:5000])
    floored = AutoEncoder(8, **shape).fit(X[:5000])
    pca = PCA(8).fit(X[:5000])
    for n_rows in options.rows:
        some, x = X[:n_rows], torch.from_numpy(X[:n_rows].copy())

        def bare(model, x=x):
            with torch.inference_mode():
                for part in x.split(4096):
                    model.net_.module_.encode(part)

        calls = {"PCA": lambda some=some: pca.transform(some)}
        for name, model in {"init='random'": plain, "from PCA": floored}.items():
            calls[f"{name}, bare module"] = lambda model=model: bare(model)
            calls[f"{name}, transform"] = lambda some=some, model=model: model.transform(some)
        medians = median_seconds(calls, repeats=10 if n_rows > 10_000 else 300)
        print(
            f"\n{n_rows} rows of {options.features} features, hidden {shape['hidden_layer_sizes']}"
        )
        for name, seconds in medians.items():
            line = f"{name:28} {1e6 * seconds:10.0f} µs"
            if name.endswith("transform"):
                reference = medians[name.replace("transform", "bare module")]
                line += f"  {seconds / reference:5.2f}  {1e6 * (seconds - reference):+8.0f} µs"
            print(line)


if __name__ == "__main__":
    main()
