"""Does a fit on Dask's workers end, whenever a worker is killed?

Fits a Dask array on two workers, of which one gets SIGKILL at a random moment, and says how each
fit ended, after how many seconds, and what it has left.

    python benchmarks/cluster/dask_kills.py [--kills 10] [--retries 1] [--seed 0]

A fit that goes on takes no longer than a whole fit and what was left of it when the worker died.
"""

import argparse
import logging
import os
import signal
import threading
import time

import dask
import dask.array as da
import numpy as np
from distributed import Client, LocalCluster

from skae import AutoEncoder
from skae.dask import ProcessLostError, fit


def rows(n_rows: int) -> da.Array:
    """Return a curved table of 64 features in blocks, made from a seed."""
    draws = da.random.default_rng(0).normal(size=(n_rows, 4), chunks=(n_rows // 16, 4))
    mix = np.random.default_rng(1).normal(size=(4, 64))
    return da.tanh(draws @ mix).astype(np.float32)


def left_behind(client: Client) -> list[str]:
    """Return files and tasks of fits that workers still have."""

    def look(dask_worker):
        folder = dask_worker.local_directory
        tasks = dask_worker.state.executing | dask_worker.state.long_running
        files = [name for name in os.listdir(folder) if name.startswith("skae")]
        return files + [str(task.key) for task in tasks]

    return [name for found in client.run(look).values() for name in found]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--retries", type=int, default=1)
    parser.add_argument("--rows", type=int, default=40_000)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    # A LocalCluster gives up a worker that takes longer to come back: 15 s, on busy cores too few.
    dask.config.set({"distributed.deploy.lost-worker-timeout": "120s"})
    rng = np.random.default_rng(args.seed)
    cluster = LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=logging.CRITICAL
    )
    with cluster, Client(cluster) as client:
        X = rows(args.rows)

        def model() -> AutoEncoder:
            return AutoEncoder(
                4, max_iter=args.epochs, n_iter_no_change=args.epochs, random_state=0
            )

        model().fit(X)  # imports, and connections
        started = time.perf_counter()
        whole = model().fit(X)
        duration = time.perf_counter() - started
        print(f"without a kill: {duration:.1f} s, {whole.n_iter_} epochs, R² {whole.score(X):.4f}")
        for number in range(args.kills):
            client.wait_for_workers(2, timeout=120)
            time.sleep(1)
            moment = rng.uniform(0, duration)
            victim = int(rng.choice(list(client.run(os.getpid).values())))
            timer = threading.Timer(moment, os.kill, (victim, signal.SIGKILL))
            timer.start()
            started = time.perf_counter()
            try:
                fitted = fit(model(), X, retries=args.retries)
                end = f"fitted, {fitted.n_iter_} epochs"
            except ProcessLostError as error:
                end = f"ProcessLostError: {str(error)[:90]}…"
            seconds = time.perf_counter() - started
            timer.join()
            time.sleep(1)
            left = left_behind(client)
            print(
                f"kill {number + 1} after {moment:4.1f} s: {seconds:5.1f} s, {end}; "
                f"left behind: {left or 'nothing'}",
                flush=True,
            )


if __name__ == "__main__":
    main()
