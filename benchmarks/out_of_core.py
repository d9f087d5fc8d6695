"""What do rows cost that are not an array in memory: in a file, sparse, or chunk by chunk?

memmap: a file of float32 rows near a curved surface of eight dimensions, made on the spot.
sparse: 200,000 x 20,000, of which 0.1 % is not zero, as CSR.
chunks: partial_fit over ten chunks of MNIST, three passes, against fit.

Each runs in a process of its own. Memory is the process's private memory (RssAnon of
/proc/self/status, every 10 ms): what it held at most, less what it held with the input made and
a first small fit done. Pages of the file are no part of it, as the system can drop them. They are
dropped once the file is written, so that the first pass reads the disk; later passes read what of
the file the system has kept. Linux only.

    python benchmarks/out_of_core.py [--only memmap sparse chunks] [--gigabytes 6] [--folder DIR]
"""

import argparse
import multiprocessing
import os
import re
import shutil
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from scipy.sparse import coo_array
from sklearn.decomposition import IncrementalPCA, TruncatedSVD

from skae import AutoEncoder
from skae.datasets import fetch_mnist

N_FEATURES = 500  # of the file's rows
CHUNK = 10_000  # rows that are written, or given to IncrementalPCA, at once
K = 8
GIGABYTE = 1e9


class Watch:
    """Measure the seconds and the peak of private memory in bytes of a ``with`` block."""

    def __enter__(self):
        self.peak = self.before = private_bytes()
        self.done = threading.Event()
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()
        self.started = time.perf_counter()
        return self

    def watch(self):
        while not self.done.wait(0.01):
            self.peak = max(self.peak, private_bytes())

    def __exit__(self, *_):
        self.seconds = time.perf_counter() - self.started
        self.done.set()
        self.thread.join()
        self.beyond = max(self.peak, private_bytes()) - self.before


def private_bytes():
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"RssAnon:\s+(\d+) kB", status)[1]) * 1024


def explained(model, X_test):
    """Return the share of the variance of new rows that comes back from their codes."""
    X_hat = model.inverse_transform(model.transform(X_test))
    dense = X_test.toarray() if hasattr(X_test, "toarray") else X_test
    total = np.square(dense - dense.mean(axis=0, dtype=np.float64)).sum()
    return 1 - np.square(X_hat - dense, dtype=np.float64).sum() / total


def report(name, watch, r2, epoch=None):
    seconds = f"{epoch:7.1f} s an epoch" if epoch is not None else " " * 18
    print(
        f"  {name:28} {seconds}  {watch.seconds:7.1f} s in all  "
        f"private {watch.beyond / GIGABYTE:6.3f} GB  R² of new rows {r2:.4f}",
        flush=True,
    )


def report_fit(name, model, watch, r2):
    epochs = model.net_.history[:, "dur"]
    report(f"{name}, {len(epochs)} epochs", watch, r2, float(np.median(epochs)))


def curved_rows(n_rows, rng):
    """Return rows near a curved surface of K dimensions, with an intrinsic noise of 0.1."""
    mixing = np.random.default_rng(0).standard_normal((K, N_FEATURES), dtype=np.float32)
    rows = rng.standard_normal((n_rows, K), dtype=np.float32) @ mixing / np.float32(np.sqrt(K / 4))
    np.tanh(rows, out=rows)
    rows += np.float32(0.1) * rng.standard_normal(rows.shape, dtype=np.float32)
    return rows


def write_rows(path, n_rows, rng):
    """Write rows to a file, and have the system forget its pages."""
    with open(path, "wb") as file:
        for start in range(0, n_rows, CHUNK):
            curved_rows(min(CHUNK, n_rows - start), rng).tofile(file)
        file.flush()
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def run_memmap(options):
    n_rows = int(options.gigabytes * GIGABYTE / 4 / N_FEATURES)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        free = shutil.disk_usage(folder).free / GIGABYTE
        if free < options.gigabytes + 1:
            raise SystemExit(
                f"--gigabytes {options.gigabytes:g} do not fit into {folder}, where {free:.1f} GB "
                "are free; give another --folder, or fewer."
            )
        path, rng = Path(folder) / "rows.float32", np.random.default_rng(1)
        write_rows(path, n_rows, rng)
        X = np.memmap(path, dtype=np.float32, mode="r", shape=(n_rows, N_FEATURES))
        X_test = curved_rows(20_000, rng)
        print(f"memmap: {n_rows:,} x {N_FEATURES}, {X.nbytes / GIGABYTE:.1f} GB", flush=True)

        AutoEncoder(K, max_iter=1, random_state=0).fit(X_test)
        model = AutoEncoder(K, max_iter=options.max_iter, random_state=0)
        with Watch() as watch:
            model.fit(X)
        report_fit("AutoEncoder", model, watch, explained(model, X_test))

        pca = IncrementalPCA(K)  # its fit would copy the file into memory
        with Watch() as watch:
            for part in np.array_split(X, max(1, n_rows // CHUNK)):
                pca.partial_fit(part)
        report("IncrementalPCA, one pass", watch, explained(pca, X_test))


def sparse_rows(n_rows, n_features, rng, per_row=20, n_topics=40):
    """Return weights of words in texts as CSR: each text is about two of forty topics.

    Words are drawn by rank, the frequent ones more often, and every topic ranks them anew; a
    weight is the logarithm of one plus the number of draws.
    """
    ranking = np.random.default_rng(0)
    order = np.array([ranking.permutation(n_features) for _ in range(n_topics)])
    # Words drawn twice count once: a few more draws leave per_row of them on average.
    n_draws = per_row * n_rows * 11 // 10
    row = np.sort(rng.integers(n_rows, size=n_draws))
    topics = rng.integers(n_topics, size=(n_rows, 2))
    topic = topics[row, rng.integers(2, size=n_draws)]
    column = order[topic, (n_features * rng.random(n_draws) ** 4).astype(np.int64)]
    counts = coo_array((np.ones(n_draws, np.float32), (row, column)), shape=(n_rows, n_features))
    counts = counts.tocsr()
    counts.data = np.log1p(counts.data)
    return counts


def run_sparse(options):
    rng = np.random.default_rng(1)
    n_rows, n_features = options.sparse
    X, X_test = sparse_rows(n_rows, n_features, rng), sparse_rows(2_000, n_features, rng)
    size = (X.data.nbytes + X.indices.nbytes + X.indptr.nbytes) / GIGABYTE
    print(
        f"sparse: {n_rows:,} x {n_features:,}, {X.nnz / np.prod(X.shape):.2%} is not zero; "
        f"{size:.3f} GB, as an array {4 * np.prod(X.shape) / GIGABYTE:.1f} GB",
        flush=True,
    )
    AutoEncoder(K, max_iter=1, random_state=0).fit(X_test[:500])
    model = AutoEncoder(K, max_iter=options.max_iter, random_state=0)
    with Watch() as watch:
        model.fit(X)
    report_fit("AutoEncoder", model, watch, explained(model, X_test))
    svd = TruncatedSVD(K, random_state=0)
    with Watch() as watch:
        svd.fit(X)
    report("TruncatedSVD", watch, explained(svd, X_test))


def run_chunks(options):
    X = fetch_mnist()[0].astype(np.float32) / 255
    X, X_test = X[:60_000], X[60_000:]
    k, parts = options.k, np.split(X, 10)
    print(f"chunks: MNIST, k = {k}; squared error of a test image", flush=True)

    def error(model):
        return np.square(model.inverse_transform(model.transform(X_test)) - X_test).sum(1).mean()

    whole = AutoEncoder(k, random_state=0)
    with Watch() as watch:
        whole.fit(X)
    best = error(whole)
    print(
        f"  fit, {whole.n_iter_:3} epochs      {best:7.3f}        {watch.seconds:7.1f} s",
        flush=True,
    )
    pca = IncrementalPCA(k)
    for part in parts:
        pca.partial_fit(part)
    print(f"  IncrementalPCA       {error(pca):7.3f}  ({error(pca) / best:.3f})")
    model, seconds = AutoEncoder(k, random_state=0), 0.0
    for n_passes in range(1, 4):
        with Watch() as watch:
            for part in parts:
                model.partial_fit(part)
        seconds += watch.seconds
        now = error(model)
        print(
            f"  partial_fit, pass {n_passes}  {now:7.3f}  ({now / best:.3f})  {seconds:7.1f} s",
            flush=True,
        )


RUNS = {"memmap": run_memmap, "sparse": run_sparse, "chunks": run_chunks}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=list(RUNS), default=list(RUNS))
    parser.add_argument("--gigabytes", type=float, default=6.0, help="size of the file")
    parser.add_argument("--folder", help="where the file is made; default: the temporary folder")
    parser.add_argument("--sparse", nargs=2, type=int, default=(200_000, 20_000), help="shape")
    parser.add_argument("--max-iter", type=int, default=1, help="epochs of memmap and sparse")
    parser.add_argument("--k", type=int, default=30, help="numbers of an MNIST code")
    options = parser.parse_args()
    if not Path("/proc/self/status").exists():
        parser.error("private memory is read from /proc, which only Linux has")
    spawn = multiprocessing.get_context("spawn")
    for name in options.only:
        process = spawn.Process(target=RUNS[name], args=(options,))
        process.start()
        process.join()
        if process.exitcode:
            raise SystemExit(f"{name} failed with exit code {process.exitcode}")


if __name__ == "__main__":
    main()
