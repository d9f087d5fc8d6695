"""Does the loss that belongs to the data reconstruct it better?

Binarised MNIST (pixels above a half), cross-entropy of a test image; counts of single cells,
Poisson deviance of a test cell. Squared errors' reconstructions are moved into the range where
these are finite, at the point that is best for them.

    SKAE_DATA=… python benchmarks/losses.py
"""

import time

import numpy as np
from scipy.sparse import csr_matrix
from scipy.special import xlogy
from sklearn.decomposition import PCA

from skae import AutoEncoder
from skae.datasets import data_folder, fetch_mnist


def cross_entropy(X, p):
    return -(xlogy(X, p) + xlogy(1 - X, 1 - p)).sum(axis=1).mean()


def deviance(X, rates):
    return 2 * (xlogy(X, X) - xlogy(X, rates) - X + rates).sum(axis=1).mean()


def binary():
    X, _ = fetch_mnist()
    X = (X > 127).astype(np.float32)
    return X[:60_000], X[60_000:], "binary_cross_entropy", cross_entropy


def counts():
    (path,) = (data_folder() / "singlecell-counts").glob("*.npz")
    stored = np.load(path)
    parts = (stored["data"], stored["indices"], stored["indptr"])
    X = csr_matrix(parts, shape=stored["shape"]).toarray().astype(np.float32)
    X = X[:, X[:7500].std(axis=0) > 0]
    return X[:7500], X[7500:], "poisson", deviance


def main():
    for data, load in {"binarised MNIST": binary, "single cells": counts}.items():
        train, test, loss, cost = load()
        print(f"\n{data}, {len(train)} x {train.shape[1]}, k = 30: {cost.__name__} on test")
        for name, model in {
            "PCA": PCA(30, random_state=0),
            f"{loss}, at its start": AutoEncoder(
                30, loss=loss, max_iter=1, learning_rate_init=1e-30, random_state=0
            ),
            "squared_error": AutoEncoder(30, random_state=0),
            loss: AutoEncoder(30, loss=loss, random_state=0),
        }.items():
            started = time.perf_counter()
            model.fit(train)
            seconds = time.perf_counter() - started
            X_hat = model.inverse_transform(model.transform(test)).astype(float)
            low, high = X_hat.min(), X_hat.max()
            top = 1 if loss == "binary_cross_entropy" else np.inf
            figures = {
                eps: cost(test, X_hat.clip(eps, top - eps))
                for eps in (1e-6, 1e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1)
            }
            best = min(figures, key=figures.get)
            print(
                f"{name:36} {figures[best]:9.2f}  reconstructions from {low:.3g} to {high:.3g}, "
                f"moved by {best:g}, {seconds:.1f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
