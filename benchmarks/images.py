"""Do convolutions reconstruct images better than dense layers, in the same time?

Squared error of a test image from 32 numbers: PCA, AutoEncoder with its defaults, with
``image_shape``, and again dense for as many epochs as take the time of the convolutional one.

    SKAE_DATA=… python benchmarks/images.py [--only olivetti]
"""

import argparse
import math
import time
import warnings

import numpy as np
from scipy.io import loadmat
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split

from skae import AutoEncoder
from skae.datasets import data_folder, fetch_fashion_mnist


def load(name):
    """Return images to train and to test as rows of pixels from 0 to 1, and their shape."""
    if name == "fashion-mnist":
        X, _ = fetch_fashion_mnist()
        X = (X / 255).astype(np.float32)
        return X[:60_000], X[60_000:], (28, 28)
    if name == "cifar10-4k":
        X = np.load(data_folder() / name / "cifar10_first4000.npz")["X"]
    else:
        faces = loadmat(data_folder() / name / "olivettifaces.mat")["faces"]
        X = faces.T.reshape(400, 64, 64).transpose(0, 2, 1)
    rows = (X.reshape(len(X), -1) / 255).astype(np.float32)
    return *train_test_split(rows, random_state=0), X.shape[1:]


def fit(train, **parameters):
    started = time.perf_counter()
    model = AutoEncoder(32, random_state=0, **parameters).fit(train)
    return model, time.perf_counter() - started


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = ["fashion-mnist", "cifar10-4k", "olivetti"]
    parser.add_argument("--only", nargs="*", default=names, choices=names)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    print("| images | model | squared error | of PCA's | epochs, kept | seconds |")
    print("|---|---|---:|---:|---:|---:|", flush=True)
    for name in options.only:
        train, test, image_shape = load(name)
        started = time.perf_counter()
        pca = PCA(32, random_state=0).fit(train)
        fits = {"PCA": (pca, time.perf_counter() - started)}
        fits["convolutional"] = fit(train, image_shape=image_shape)
        fits["dense"] = dense, seconds = fit(train)
        epochs = math.ceil(dense.n_iter_ * fits["convolutional"][1] / seconds)
        fits["dense, same time"] = fit(train, max_iter=epochs)
        errors = {
            label: np.square(model.inverse_transform(model.transform(test)) - test).sum()
            / len(test)
            for label, (model, _) in fits.items()
        }
        for label, (model, seconds) in fits.items():
            epochs = f"{model.n_iter_}, {model.best_iter_}" if label != "PCA" else ""
            print(
                f"| {name}, {len(train)} | {label} | {errors[label]:.2f} "
                f"| {errors[label] / errors['PCA']:.3f} | {epochs} | {seconds:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
