"""How well are missing values filled, and how well does AutoEncoder fit in spite of them?

Ten tables, of each at most --rows rows; three quarters train. Columns are standardised by the
complete training rows, and entries are removed from all rows: 10 % or 30 % at random, or 30 %
that depend on another column (an entry is missing in 60 % of the rows in which the next column
is above its median). An error is the root mean square over the removed entries of test rows.

    python benchmarks/imputation.py [--patterns 30%] [--tables wine 6_cardio] [--without missForest]
    python benchmarks/imputation.py --fit

The second form fits AutoEncoder(5) to the training rows with missing values, and compares its
squared error on complete test rows with that of the PCA of the complete training rows.
"""

import argparse
import time
import warnings

import numpy as np
from sklearn import datasets
from sklearn.decomposition import PCA
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer

from skae import AutoEncoder, AutoEncoderImputer
from skae.datasets import data_folder

TABLES = (
    "wine",
    "breast_cancer",
    "diabetes",
    "digits",
    "6_cardio",
    "12_fault",
    "27_PageBlocks",
    "28_pendigits",
    "30_satellite",
    "40_vowels",
)
PATTERNS = {"10%": (0.1, False), "30%": (0.3, False), "30% by column": (0.3, True)}
OURS, FLOOR = "AutoEncoderImputer", "Gaussian"


def load(name):
    """Return a table of scikit-learn's or of $SKAE_DATA/adbench; None where it is not there."""
    if hasattr(datasets, f"load_{name}"):
        return getattr(datasets, f"load_{name}")().data.astype(float)
    folder = data_folder()
    path = folder / "adbench" / f"{name}.npz" if folder else None
    if path is None or not path.exists():
        return None
    return np.load(path, allow_pickle=True)["X"].astype(float)


def remove(X, share, by_column, rng):
    """Return a copy with missing values; each column keeps an entry in the first rows."""
    if by_column:
        other = np.roll(X, -1, axis=1)
        share = 2 * share * (other > np.median(other, axis=0))
    missing = rng.random(X.shape) < share
    missing[np.arange(X.shape[1]) % len(X), np.arange(X.shape[1])] = False
    return np.where(missing, np.nan, X)


def prepare(X, pattern, n_rows, seed):
    """Return complete training and test rows, and the same with missing values."""
    rng = np.random.default_rng([seed, 7])
    X = X[rng.permutation(len(X))[:n_rows]]
    n = 3 * len(X) // 4
    X = X[:, X[:n].std(axis=0) > 0]
    X = (X - X[:n].mean(axis=0)) / X[:n].std(axis=0)
    share, by_column = PATTERNS[pattern]
    train, test = remove(X[:n], share, by_column, rng), remove(X[n:], share, by_column, rng)
    return X[:n], X[n:], train, test


def imputers(seed, options):
    forest = ExtraTreesRegressor(options.trees, n_jobs=1, random_state=seed)
    return {
        OURS: AutoEncoderImputer(random_state=seed),
        FLOOR: AutoEncoderImputer(hidden_layer_sizes=(), random_state=seed),
        "SimpleImputer": SimpleImputer(),
        "KNNImputer": KNNImputer(),
        "IterativeImputer": IterativeImputer(random_state=seed),
        "missForest": IterativeImputer(forest, max_iter=options.rounds, random_state=seed),
    }


def compare(name, X, pattern, seed, options):
    """Return the error and the seconds of each imputer, fit and use together."""
    _, complete, train, test = prepare(X, pattern, options.rows, seed)
    missing, found = np.isnan(test), {}
    for imputer_name, imputer in imputers(seed, options).items():
        if imputer_name in options.without:
            continue
        started = time.perf_counter()
        filled = imputer.fit(train).transform(test)
        seconds = time.perf_counter() - started
        error = np.sqrt(np.square(filled - complete)[missing].mean())
        found[imputer_name] = error, seconds
        if imputer_name == OURS:
            epochs = f"epoch {imputer.best_iter_} of {imputer.n_iter_}"
    errors = "  ".join(f"{key} {error:.3f}" for key, (error, _) in found.items())
    print(
        f"{pattern:13} {name:14} {len(train):5} x {train.shape[1]:3}  {errors}  {epochs}",
        flush=True,
    )
    return found


def report(pattern, runs):
    print(f"{pattern}, {len(runs)} runs: {OURS}'s error, geometric mean of ratios")
    for name in runs[0]:
        seconds = np.mean([run[name][1] for run in runs])
        ratios = np.array([run[OURS][0] / run[name][0] for run in runs])
        mean = np.exp(np.log(ratios).mean())
        print(
            f"    to {name:18} {mean:.3f}  worst {ratios.max():.3f}  {seconds:6.2f} s", flush=True
        )


def squared_error(model, X):
    return np.square(model.inverse_transform(model.transform(X)).astype(float) - X).sum()


def fit_ratio(name, X, pattern, seed, options):
    """Return the error of an AutoEncoder of incomplete rows over that of a PCA of complete ones."""
    complete, test, train, _ = prepare(X, pattern, options.rows, seed)
    started = time.perf_counter()
    model = AutoEncoder(5, random_state=seed).fit(train)
    seconds = time.perf_counter() - started
    pca = squared_error(PCA(5).fit(complete), test)
    ratio = squared_error(model, test) / pca
    best = squared_error(AutoEncoder(5, random_state=seed).fit(complete), test) / pca
    print(
        f"{pattern:13} {name:14} ratio {ratio:.3f}, of complete rows {best:.3f}  {seconds:5.2f} s",
        flush=True,
    )
    return ratio, best


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fit", action="store_true", help="compare AutoEncoder with PCA")
    parser.add_argument("--tables", nargs="*", default=TABLES)
    parser.add_argument("--patterns", nargs="*", default=None, choices=PATTERNS)
    parser.add_argument("--without", nargs="*", default=[], help="imputers to leave out")
    parser.add_argument("--rows", type=int, default=1500, help="rows of a table at most")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--trees", type=int, default=30, help="of missForest")
    parser.add_argument("--rounds", type=int, default=4, help="of missForest")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # IterativeImputer has not converged after its ten rounds
    tables = [(name, load(name)) for name in options.tables]
    for name in (name for name, X in tables if X is None):
        print(f"{name} is left out: it needs $SKAE_DATA/adbench")
    tables = [(name, X) for name, X in tables if X is not None]
    for pattern in options.patterns or (["30%"] if options.fit else PATTERNS):
        runs = []
        for name, X in tables:
            for seed in range(options.seeds):
                if options.fit and X.shape[1] <= 5:
                    continue
                run = fit_ratio if options.fit else compare
                runs.append(run(name, X, pattern, seed, options))
        if options.fit:
            ratio, best = np.median(runs, axis=0)
            print(f"{pattern}: median {ratio:.3f}, of complete rows {best:.3f}", flush=True)
        else:
            report(pattern, runs)


if __name__ == "__main__":
    main()
