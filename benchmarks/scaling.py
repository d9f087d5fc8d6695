"""How do seconds and memory grow with rows and with features?

Each fit runs in a process of its own, so that its peak memory is its own: what the process
held at most, less what it held with X made and a first tiny fit done.

    python benchmarks/scaling.py [--dtype float64]
"""

import argparse
import multiprocessing
import resource
import statistics
import time

import numpy as np

from skae import AutoEncoder

SHAPES = [
    *((n_rows, 30) for n_rows in (10_000, 100_000, 1_000_000)),
    *((10_000, n_features) for n_features in (10, 100, 1_000, 10_000)),
]


def peak_bytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def fit(shape, dtype, queue):
    X = np.random.default_rng(0).standard_normal(shape, dtype=np.float32).astype(dtype)
    model = AutoEncoder(8, max_iter=2, random_state=0)
    model.fit(X[:1000].copy())
    before, started = peak_bytes(), time.perf_counter()
    model.fit(X)
    seconds = time.perf_counter() - started
    epoch = statistics.median(model.net_.history[:, "dur"])
    queue.put((epoch, seconds, peak_bytes() - before, X.nbytes))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float32")
    options = parser.parse_args()
    spawn = multiprocessing.get_context("spawn")
    for shape in SHAPES:
        queue = spawn.Queue()
        process = spawn.Process(target=fit, args=(shape, options.dtype, queue))
        process.start()
        epoch, seconds, peak, size = queue.get()
        process.join()
        print(
            f"{shape[0]:9,} x {shape[1]:6,} {options.dtype}  {epoch:7.2f} s an epoch  "
            f"{1e9 * epoch / shape[0] / shape[1]:6.1f} ns a number  fit of 2 epochs "
            f"{seconds:6.1f} s  X {size / 2**20:6.0f} MiB  beyond it {peak / 2**20:6.0f} MiB",
            flush=True,
        )


if __name__ == "__main__":
    main()
