"""What does a fit on few rows of many features cost, and is it ever worse than PCA?

Microarrays and images of faces from $SKAE_DATA, where it is set, and made-up tables: rows on a
curved surface of two numbers, with noise. A ratio is AutoEncoder's squared error on the test rows
over PCA's.

    SKAE_DATA=… python benchmarks/wide.py [--seeds 3] [--only made] [--estimator AutoEncoder]
"""

import argparse
import time
import warnings

import numpy as np
from scipy.io import loadmat
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split

import skae
from skae.datasets import data_folder

# Training rows and features of the made-up tables.
SHAPES = ((63, 2308), (100, 10_304), (200, 10_000), (1000, 4096))


def make_surface(n_rows, n_features, seed):
    """Return rows on a curved surface, of which seven tenths of the variance are the surface's."""
    rng = np.random.default_rng(seed)
    place = rng.uniform(-1, 1, size=(n_rows, 2))
    bends = np.tanh(2 * place @ rng.normal(size=(2, 30)) + rng.normal(size=30))
    surface = bends @ rng.normal(size=(30, n_features))
    noise = rng.normal(size=surface.shape)
    return surface / surface.std() + 0.65 * noise


def tables():
    """Yield the name of a table, and a function of a seed that gives training and test rows."""
    folder = data_folder()
    if folder is not None:
        for name in ("khan", "golub", "alon"):
            X = np.load(folder / "microarray" / f"{name}.npz")["X"].astype(float)
            yield name, lambda seed, X=X: train_test_split(X, random_state=seed)
        faces = loadmat(folder / "olivetti" / "olivettifaces.mat")["faces"].T / 255
        for n in (100, 300):
            yield (
                "faces",
                lambda seed, n=n: train_test_split(
                    faces, train_size=n, test_size=100, random_state=seed
                ),
            )
    for n, n_features in SHAPES:
        yield (
            "made",
            lambda seed, n=n, d=n_features: train_test_split(
                make_surface(n + 100, d, seed), test_size=100, random_state=seed
            ),
        )


def squared_error(model, X):
    return np.square(model.inverse_transform(model.transform(X)) - X).sum(axis=1).mean()


def timed(model, train):
    started = time.perf_counter()
    return model.fit(train), time.perf_counter() - started


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, help="splits and fits of each table")
    parser.add_argument("--only", nargs="*", help="names of tables")
    parser.add_argument("--estimator", default="AutoEncoder")
    options = parser.parse_args()
    kind = getattr(skae, options.estimator)
    warnings.simplefilter("ignore")
    print("| table | rows x features | k | PCA, s | fit, s | slowest | ratio | worst | at PCA |")
    print("|---|---|---:|---:|---:|---:|---:|---:|---:|", flush=True)
    for name, draw in tables():
        if options.only and name not in options.only:
            continue
        for k in (2, 8, 32):
            runs = []
            for seed in range(options.seeds):
                train, test = draw(seed)
                pca, pca_seconds = timed(PCA(k, random_state=seed), train)
                model, seconds = timed(kind(k, random_state=seed), train)
                ratio = squared_error(model, test) / squared_error(pca, test)
                runs.append((pca_seconds, seconds, ratio, model.best_iter_ == 0))
            pca_seconds, seconds, ratios, at_pca = map(np.array, zip(*runs, strict=True))
            shape = f"{len(train)} x {train.shape[1]:,}"
            print(
                f"| {name} | {shape} | {k} | {np.median(pca_seconds):.2f} "
                f"| {np.median(seconds):.1f} | {seconds.max():.1f} "
                f"| {np.exp(np.log(ratios).mean()):.3f} | {ratios.max():.4f} "
                f"| {at_pca.sum()} of {len(runs)} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
