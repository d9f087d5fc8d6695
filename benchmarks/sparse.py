"""Is AutoEncoder ever worse than PCA on sparse tables, and what does it gain over TruncatedSVD?

Two tables of $SKAE_DATA: bags of words (kos: 3,430 documents, 6,906 words) and genes counted in
cells (singlecell-counts: 10,000 cells, 1,000 genes), as CSR. A ratio is the squared error on test
rows over that of scikit-learn's PCA of the same rows, which is given them as an array.

    SKAE_DATA=… python benchmarks/sparse.py [--k 2 8 32] [--loss squared_error]
"""

import argparse
import gzip
import time

import numpy as np
from scipy import sparse
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.model_selection import train_test_split

from skae import AutoEncoder
from skae.datasets import data_folder


def load_kos(folder):
    with gzip.open(folder / "kos" / "docword.kos.txt.gz", "rt") as file:
        n_rows, n_features, _ = (int(next(file)) for _ in range(3))
        row, column, count = np.loadtxt(file, dtype=int).T
    shape = (n_rows, n_features)
    return sparse.csr_array((count.astype(np.float32), (row - 1, column - 1)), shape=shape)


def load_cells(folder):
    (path,) = (folder / "singlecell-counts").glob("*.npz")
    parts = np.load(path)
    arrays = (parts["data"].astype(np.float32), parts["indices"], parts["indptr"])
    return sparse.csr_array(arrays, shape=tuple(parts["shape"]))


def squared_error(model, X, rows):
    difference = model.inverse_transform(model.transform(rows)) - X
    return np.square(difference).sum(axis=1).mean()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--k", type=int, nargs="*", default=[2, 8, 32])
    parser.add_argument("--loss", default="squared_error")
    options = parser.parse_args()
    folder = data_folder()
    if folder is None:
        parser.error("set SKAE_DATA to the folder that has kos and singlecell-counts")
    for name, load in (("kos", load_kos), ("cells", load_cells)):
        train, test = train_test_split(load(folder), random_state=0)
        dense = test.toarray()
        for k in options.k:
            started = time.perf_counter()
            model = AutoEncoder(k, loss=options.loss, random_state=0).fit(train)
            seconds = time.perf_counter() - started
            started = time.perf_counter()
            pca = PCA(k, random_state=0).fit(train.toarray())
            pca_seconds = time.perf_counter() - started
            floor = squared_error(pca, dense, dense)
            svd = squared_error(TruncatedSVD(k, random_state=0).fit(train), dense, test)
            print(
                f"{name:6} {train.shape[0]:6} x {train.shape[1]:5}  k = {k:2}  ratio "
                f"{squared_error(model, dense, test) / floor:.4f}  {seconds:6.1f} s  epoch "
                f"{model.best_iter_} of {model.n_iter_}  TruncatedSVD {svd / floor:.4f}  "
                f"PCA {pca_seconds:.1f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
