"""Is AutoEncoder ever worse than PCA on rows it has not seen?

Every table of $SKAE_DATA/adbench and scikit-learn's own, standardised and raw, k = 2, 8
and 32 where smaller than the number of features, 75 % of the rows for training. Defaults
only. A ratio is the autoencoder's squared test error over PCA's.

    python benchmarks/pca_floor.py [--seeds 3] [--set learning_rate_init=0.002]
"""

import argparse
import ast
import time
import warnings

import numpy as np
from sklearn import datasets
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from skae import AutoEncoder
from skae.datasets import data_folder


def tables():
    folder = data_folder()
    for path in sorted((folder / "adbench").glob("*.npz")) if folder else []:
        yield path.stem, np.load(path, allow_pickle=True)["X"].astype(float)
    for name in ("iris", "wine", "breast_cancer", "digits", "diabetes", "linnerud"):
        yield name, getattr(datasets, f"load_{name}")().data.astype(float)


def squared_error(model, X):
    difference = model.inverse_transform(model.transform(X)).astype(float) - X
    return np.square(difference).sum(axis=1).mean()


def run(X, k, seed, parameters):
    """Return the ratio of errors, the seconds of the fit, and the epoch that was kept."""
    train, test = train_test_split(X, random_state=seed)
    pca = PCA(k).fit(train)
    started = time.perf_counter()
    model = AutoEncoder(k, random_state=seed, **parameters).fit(train)
    seconds = time.perf_counter() - started
    return squared_error(model, test) / squared_error(pca, test), seconds, model


def report(name, runs):
    ratios, seconds = np.array(runs).T
    print(
        f"{name}: {len(runs)} runs, median {np.median(ratios):.3f}, worst {ratios.max():.4f}, "
        f"{seconds.mean():.2f} s a fit (geometric mean {np.exp(np.log(ratios).mean()):.3f}, "
        f"slowest fit {seconds.max():.1f} s; {(ratios > 1.005).sum()} above 1.005)",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=1, help="splits and fits of each table")
    parser.add_argument("--only", choices=["standardised", "raw"])
    parser.add_argument("--quiet", action="store_true")
    parser.add_argument("--skip", nargs="*", default=[], help="tables to leave out")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE")
    options = parser.parse_args()
    pairs = (pair.split("=") for pair in options.set)
    parameters = {name: ast.literal_eval(value) for name, value in pairs}
    warnings.simplefilter("ignore")  # linnerud has 15 rows for training
    runs = {}
    for kind in ("standardised", "raw"):
        if options.only not in (None, kind):
            continue
        for name, X in tables():
            if name in options.skip:
                continue
            X_kind = StandardScaler().fit_transform(X) if kind == "standardised" else X
            for k in (k for k in (2, 8, 32) if k < X.shape[1]):
                for seed in range(options.seeds):
                    ratio, seconds, model = run(X_kind, k, seed, parameters)
                    runs.setdefault(kind, []).append((ratio, seconds))
                    if not options.quiet:
                        print(
                            f"{kind:12} {name:16} {len(X):6} x {X.shape[1]:4}  k = {k:2}  "
                            f"ratio {ratio:.4f}  {seconds:5.2f} s  epoch {model.best_iter_} "
                            f"of {model.n_iter_}",
                            flush=True,
                        )
        report(kind, runs[kind])
    report("floor", [run for each in runs.values() for run in each])


if __name__ == "__main__":
    main()
