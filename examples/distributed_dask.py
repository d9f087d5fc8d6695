"""Can Dask's workers fit an autoencoder to a table that none of them can hold, and encode it?
===========================================================================================

    pip install "skae[dask]" && python examples/distributed_dask.py

A table larger than a worker's memory is written as Parquet and read as a Dask DataFrame. Each
worker keeps its partitions on its disk, and they fit together. What ``transform`` returns is
lazy: it is written to Parquet again, partition by partition, as a frame with the index of the rows.
Two minutes on two cores.
"""

import argparse
import tempfile
import time
from pathlib import Path

import dask.dataframe as dd
import numpy as np
import pandas as pd
from distributed import Client, LocalCluster

import skae.dask
from skae import AutoEncoder

N_ROWS, N_FEATURES = 25_000, 128


def make_part(seed):
    """Return rows near a curved surface of four dimensions."""
    mixing = np.random.default_rng(0).normal(size=(4, N_FEATURES))
    rng = np.random.default_rng([1, seed])
    rows = np.tanh(rng.normal(size=(N_ROWS, 4)) @ mixing)
    rows += 0.1 * rng.normal(size=rows.shape)
    names = [f"sensor_{i}" for i in range(N_FEATURES)]
    index = pd.RangeIndex(seed * N_ROWS, (seed + 1) * N_ROWS, name="measurement")
    return pd.DataFrame(rows.astype(np.float32), columns=names, index=index)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigabytes", type=float, default=1.3, help="of the table")
    parser.add_argument("--memory", default="1.2GB", help="of each of two workers")
    options = parser.parse_args()
    n_parts = round(options.gigabytes * 1e9 / (4 * N_ROWS * N_FEATURES))
    # Yours may be Client("tcp://scheduler:8786"), and a folder that all machines see.
    cluster = LocalCluster(
        n_workers=2, threads_per_worker=1, memory_limit=options.memory, dashboard_address=":0"
    )
    with tempfile.TemporaryDirectory() as folder, cluster, Client(cluster):
        rows, codes = str(Path(folder) / "rows"), str(Path(folder) / "codes")
        dd.from_map(make_part, range(n_parts)).to_parquet(rows)
        X = dd.read_parquet(rows)
        print(f"{n_parts * N_ROWS:,} rows in {X.npartitions} partitions")

        started = time.perf_counter()
        model = AutoEncoder(
            4, hidden_layer_sizes=(32,), max_iter=3, batch_size=4096, random_state=0
        )
        skae.dask.fit(model, X, retries=1)  # or model.fit(X), without a retry
        share, of_pca = model.best_validation_score_, model.pca_score_
        print(f"fitted in {time.perf_counter() - started:.0f} s")
        print(f"share of variance explained: {share:.3f}, by PCA {of_pca:.3f}")

        started = time.perf_counter()
        model.set_output(transform="pandas")
        model.transform(X).to_parquet(codes)
        print(f"encoded in {time.perf_counter() - started:.0f} s:")
        print(dd.read_parquet(codes).loc[:2].compute())


if __name__ == "__main__":
    main()
