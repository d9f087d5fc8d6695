"""Is the size that select_n_components chooses large enough, how small, and what does it cost?

Digits, breast cancer and wine of scikit-learn, tables of $SKAE_DATA/adbench, MNIST and
Fashion-MNIST; standardised, but for images, whose pixels are divided by the largest. No more than
``--rows`` rows, drawn at random: three quarters of them for the selection, and the others for a
test.

- Kept: the share of the variance of the test rows that AutoEncoder with the defaults and the chosen
  size keeps, fitted to all rows of the selection. In brackets what PCA with its own size keeps.
- Price: seconds of the selection over those of that fit.
- Error: of the fit with a quarter of the steps on the rows held out, over that of a fit of the same
  rows with all steps.

    SKAE_DATA=… python benchmarks/components.py [--share 0.95] [--rows 3000] [--tables digits wine]
"""

import argparse
import os
import platform
import time
import warnings

import numpy as np
import sklearn
import torch
from pca_floor import tables
from sklearn.decomposition import PCA
from sklearn.metrics import r2_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from skae import AutoEncoder, select_n_components
from skae.datasets import data_folder, fetch_fashion_mnist, fetch_mnist

IMAGES = {"mnist": fetch_mnist, "fashion-mnist": fetch_fashion_mnist}
NAMES = [
    *("digits", "breast_cancer", "wine", "6_cardio", "12_fault", "26_optdigits", "28_pendigits"),
    *("30_satellite", "35_SpamBase", "40_vowels", *IMAGES),
]


def read(names, n_rows):
    """Yield the name of each table, and some of its rows."""
    found = {name: X for name, X in tables() if name in names}
    for name in names:
        if name in IMAGES and data_folder():
            X = IMAGES[name]()[0].astype(np.float32)
        elif name in found:
            X = found[name]
        else:
            continue
        X = np.random.default_rng(0).permutation(X)[:n_rows]
        is_image = name in IMAGES or name == "digits"
        yield name, X / X.max() if is_image else StandardScaler().fit_transform(X)


def kept(model, X):
    """Return the share of the variance of rows that a model keeps."""
    X_hat = model.inverse_transform(model.transform(X))
    return r2_score(X, X_hat, multioutput="variance_weighted")


def run(X, share, seed):
    """Return the sizes, what they keep of test rows, the price and the error."""
    train, test = train_test_split(X, random_state=seed)
    started = time.perf_counter()
    found = select_n_components(train, share, random_state=seed)
    seconds = time.perf_counter() - started
    k = found.n_components
    started = time.perf_counter()
    model = AutoEncoder(k, random_state=seed).fit(train)
    price = seconds / (time.perf_counter() - started)
    whole = select_n_components(train, rule="one_se", sizes=(k,), steps=1.0, random_state=seed)
    (short,) = found.scores[found.sizes == k]
    error = (1 - short) / (1 - whole.scores[0])
    pca = kept(PCA(found.n_components_pca).fit(train), test)
    n_fits = np.count_nonzero(~np.isnan(found.scores))
    return k, found.n_components_pca, kept(model, test), pca, n_fits, price, error


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--share", type=float, default=0.95)
    parser.add_argument("--rows", type=int, default=3000, help="the most rows of a table")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tables", nargs="*", default=NAMES)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    print(
        f"Python {platform.python_version()}, torch {torch.__version__}, scikit-learn "
        f"{sklearn.__version__}, {torch.get_num_threads()} threads, {os.cpu_count()} cores, "
        f"load {os.getloadavg()[0]:.1f}"
    )
    print("| table | rows × features | size | PCA | kept | fits | price | error |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    results = []
    for name, X in read(options.tables, options.rows):
        k, k_pca, share, pca, n_fits, price, error = run(X, options.share, options.seed)
        results.append((k / (k_pca or np.nan), share, price, error))
        print(
            f"| {name} | {len(X):,} × {X.shape[1]} | {k} | {k_pca} | {share:.4f} ({pca:.4f}) | "
            f"{n_fits} | {price:.2f} | {error:.3f} |",
            flush=True,
        )
    ratios, shares, prices, errors = np.array(results).T
    print(
        f"{len(results)} tables: median size {np.nanmedian(ratios):.2f} of PCA's, kept by "
        f"{np.count_nonzero(shares >= options.share)} (least {shares.min():.4f}), median price "
        f"{np.median(prices):.2f} (largest {prices.max():.2f}), error: geometric mean "
        f"{np.exp(np.log(errors).mean()):.3f} (largest {errors.max():.2f})"
    )


if __name__ == "__main__":
    main()
