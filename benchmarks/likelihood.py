"""Does the variational autoencoder describe rows better than probabilistic PCA?

Every table of $SKAE_DATA/adbench, standardised, and digits, k = 2 and 5, 75 % of the rows for
training: nats a test row of `PCA.score`, the ELBO and the importance-weighted bound (100 draws),
codes in use; how well both find anomalies; and binarised MNIST.

    SKAE_DATA=… python benchmarks/likelihood.py [--without-anomalies | --mnist 60 [--drawn-once]]
"""

import argparse
import time
import warnings

import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from skae import VariationalAutoEncoder
from skae.datasets import data_folder, fetch_mnist


def tables():
    folder = data_folder()
    for path in sorted((folder / "adbench").glob("*.npz")) if folder else []:
        stored = np.load(path, allow_pickle=True)
        X = StandardScaler().fit_transform(stored["X"].astype(float))
        yield path.stem, X, stored["y"].astype(int)
    yield "digits", load_digits().data / 16, None


def run(name, X, y, k, seed, without_anomalies):
    split = train_test_split(np.arange(len(X)), random_state=seed)
    if without_anomalies and y is not None:
        split[0] = split[0][y[split[0]] == 0]
    train, test = X[split[0]], X[split[1]]
    pca = PCA(k).fit(train)
    started = time.perf_counter()
    vae = VariationalAutoEncoder(k, random_state=seed).fit(train)
    seconds = time.perf_counter() - started
    alike = test if y is None or not without_anomalies else test[y[split[1]] == 0]
    figures = [pca.score(alike), vae.score(alike), vae.score_samples(alike, 100).mean()]
    aucs = []
    if y is not None:
        for model in (pca, vae):
            aucs.append(roc_auc_score(y[split[1]], -model.score_samples(test)))
    print(
        f"{name:16} {len(X):6} x {X.shape[1]:4}  k = {k}  PCA {figures[0]:10.3f}  ELBO "
        f"{figures[1]:10.3f}  weighted {figures[2]:10.3f}  in use {vae.active_units_}  "
        f"epoch {vae.best_iter_} of {vae.n_iter_}  {seconds:5.1f} s  "
        + ("AUC of anomalies {:.3f} {:.3f}".format(*aucs) if aucs else ""),
        flush=True,
    )
    return *figures, *(aucs or (np.nan, np.nan)), seconds


def small(without_anomalies):
    runs = np.array(
        [
            run(name, X, y, k, 0, without_anomalies)
            for name, X, y in tables()
            for k in (2, 5)
            if k < X.shape[1]
        ]
    )
    gain = runs[:, 1] - runs[:, 0]
    print(
        f"{len(runs)} runs: the ELBO is above PCA.score by a median of {np.median(gain):.2f} nats, "
        f"at worst {(gain / np.abs(runs[:, 0])).min():+.4f} of it; AUC of anomalies, median PCA "
        f"{np.nanmedian(runs[:, 3]):.3f}, VAE {np.nanmedian(runs[:, 4]):.3f}, median difference "
        f"{np.nanmedian(runs[:, 4] - runs[:, 3]):+.3f}; {runs[:, 5].mean():.1f} s a fit"
    )


def mnist(epochs, drawn_once, n_draws=5000):
    X, _ = fetch_mnist()
    X = X.astype(np.float32) / 255
    # A pixel is 1 with its brightness as probability (Salakhutdinov and Murray 2008): drawn once
    # for the test, and in training anew in each step (Burda et al. 2016).
    drawn = (np.random.default_rng(0).uniform(size=X.shape) < X).astype(np.float32)
    train, test = (drawn if drawn_once else X)[:60_000], drawn[60_000:]
    started = time.perf_counter()
    vae = VariationalAutoEncoder(
        50,
        loss="binary_cross_entropy",
        dynamic_binarization=not drawn_once,
        hidden_layer_sizes=(200, 200),
        max_iter=epochs,
        n_iter_no_change=epochs,
        random_state=0,
    ).fit(train)
    seconds = time.perf_counter() - started
    print(
        f"binarised MNIST, 784-200-200-50, {epochs} epochs, {seconds:.0f} s: ELBO of test images "
        f"{vae.score(test):.2f} nats, in use {vae.active_units_}, kept {vae.best_iter_}",
        flush=True,
    )
    started = time.perf_counter()
    weighted = vae.score_samples(test, n_importance_samples=n_draws).astype(float)
    print(
        f"  importance-weighted, {n_draws} draws: {weighted.mean():.2f} nats, standard error over "
        f"images {weighted.std() / np.sqrt(len(test)):.2f} ({time.perf_counter() - started:.0f} s)",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mnist", type=int, metavar="EPOCHS", help="binarised MNIST, so long")
    parser.add_argument("--drawn-once", action="store_true", help="its pixels drawn once for all")
    parser.add_argument("--without-anomalies", action="store_true", help="from training")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if options.mnist:
        mnist(options.mnist, options.drawn_once)
    else:
        small(options.without_anomalies)


if __name__ == "__main__":
    main()
