"""Is a Dask array fitted and transformed that no worker can hold?

Makes a table lazily, from a seed, and fits and transforms it with workers whose memory is a tenth
of that. Says how long each step takes, the most memory that each worker had, and how much the
workers spilled to disk by themselves, apart from the rows that the fit stores.

    python benchmarks/cluster/dask_size.py --gigabytes 20 --memory 2GB
"""

import argparse
import logging
import os
import threading
import time
from collections import defaultdict

import dask.array as da
import numpy as np
import psutil
from distributed import Client, LocalCluster

from skae import AutoEncoder

N_FEATURES = 256
ROWS_OF_A_BLOCK = 2**16


def make_block(block_info: dict) -> np.ndarray:
    """Return a block of rows near a curved surface of four dimensions, from its own seed."""
    (number, _), (n_rows, _) = (
        block_info[None][name] for name in ("chunk-location", "chunk-shape")
    )
    rng = np.random.default_rng(number)
    mix = np.random.default_rng(0).normal(size=(4, N_FEATURES)).astype(np.float32)
    rows = np.tanh(rng.standard_normal((n_rows, 4), dtype=np.float32) @ mix)
    rows += 0.1 * rng.standard_normal(rows.shape, dtype=np.float32)
    return rows


def make_table(gigabytes: float) -> da.Array:
    """Return a lazy table of this size in float32."""
    n_rows = int(gigabytes * 1e9 / (4 * N_FEATURES))
    sizes = [ROWS_OF_A_BLOCK] * (n_rows // ROWS_OF_A_BLOCK) + [n_rows % ROWS_OF_A_BLOCK]
    return da.map_blocks(make_block, chunks=(tuple(sizes), N_FEATURES), dtype=np.float32)


class Watch:
    """Notes the most memory that each worker had, and what it had spilled."""

    def __init__(self, client: Client) -> None:
        self.client, self.is_over = client, threading.Event()
        self.memory: dict[str, int] = defaultdict(int)
        self.spilled: dict[str, int] = defaultdict(int)
        self.pids = client.run(os.getpid)
        self.thread = threading.Thread(target=self.look)
        self.thread.start()

    def look(self) -> None:
        """Look ten times a second."""
        while not self.is_over.wait(0.1):
            for address, pid in self.pids.items():
                resident = psutil.Process(pid).memory_info().rss
                self.memory[address] = max(self.memory[address], resident)
            info = self.client.scheduler_info(n_workers=-1)["workers"]
            for address, worker in info.items():
                spilled = worker["metrics"].get("spilled_bytes", {}).get("disk", 0)
                self.spilled[address] = max(self.spilled[address], spilled)

    def end(self) -> str:
        """Stop, and return what was seen."""
        self.is_over.set()
        self.thread.join()
        memory = ", ".join(f"{value / 1e9:.2f}" for value in self.memory.values())
        spilled = ", ".join(f"{value / 1e9:.2f}" for value in self.spilled.values())
        return f"most memory of a worker: {memory} GB; most spilled: {spilled} GB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=20)
    parser.add_argument("--memory", default="2GB", help="of each of two workers")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--batch", type=int, default=4096)
    parser.add_argument("--folder", help="where workers store rows; the default is that of Dask")
    args = parser.parse_args()
    X = make_table(args.gigabytes)
    print(f"{X.nbytes / 1e9:.1f} GB, {X.shape[0]:,} rows in {X.npartitions} blocks", flush=True)
    cluster = LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        memory_limit=args.memory,
        dashboard_address=":0",
        silence_logs=logging.ERROR,
        local_directory=args.folder,
    )
    with cluster, Client(cluster) as client:
        watch = Watch(client)
        started = time.perf_counter()
        model = AutoEncoder(
            4,
            hidden_layer_sizes=(16,),
            max_iter=args.epochs,
            batch_size=args.batch,
            random_state=0,
            verbose=1,
        )
        model.fit(X)
        print(f"fit: {time.perf_counter() - started:.0f} s, {watch.end()}", flush=True)
        print(f"validation: {model.validation_scores_}, PCA {model.pca_score_:.4f}", flush=True)
        watch, started = Watch(client), time.perf_counter()
        mean = model.transform(X).std(axis=0).compute()
        print(
            f"transform: {time.perf_counter() - started:.0f} s, {watch.end()}; {mean}", flush=True
        )
        watch, started = Watch(client), time.perf_counter()
        score = model.score(X)
        print(f"score: {time.perf_counter() - started:.0f} s, {watch.end()}; R² {score:.4f}")


if __name__ == "__main__":
    main()
