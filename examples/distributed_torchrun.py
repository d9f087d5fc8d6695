"""Can several processes fit one autoencoder, each on rows of its own?
===================================================================

    torchrun --standalone --nproc-per-node 2 examples/distributed_torchrun.py

starts two processes on this machine; docs/many_machines.md has the command for several machines.
Each process has its part of the table, and all end with the same model. The first one prints which
share of the variance of rows that did not train the model explains, and PCA.
"""

import argparse
import os
import time

import numpy as np
import torch
import torch.distributed as dist

import skae.distributed
from skae import AutoEncoder


def read_part(rank, n_rows):
    """Return rows near a curved surface; yours may come from ``np.load(f"part-{rank}.npy")``."""
    mixing = np.random.default_rng(0).normal(size=(4, 40))
    rng = np.random.default_rng([1, rank])
    rows = np.tanh(rng.normal(size=(n_rows, 4)) @ mixing)
    return (rows + 0.1 * rng.normal(size=rows.shape)).astype(np.float32)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000, help="of each process")
    options = parser.parse_args()
    if torch.cuda.is_available():  # each process of a machine has its GPU
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
    dist.init_process_group()  # Gloo on CPUs, NCCL on GPUs
    X = read_part(dist.get_rank(), options.rows)
    started = time.perf_counter()
    model = skae.distributed.fit(AutoEncoder(4, random_state=0), X)
    seconds = time.perf_counter() - started
    if dist.get_rank() == 0:
        share, of_pca = model.best_validation_score_, model.pca_score_
        print(f"{dist.get_world_size()} processes of {len(X):,} rows, {seconds:.1f} seconds")
        print(f"share of variance explained: {share:.3f}, by PCA {of_pca:.3f}")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
