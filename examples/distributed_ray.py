"""Can Ray read a table, fit one autoencoder on it in many processes, and encode it?
=================================================================================

    pip install "skae[ray]" && python examples/distributed_ray.py

Ray Data gives each process of Ray Train its part of the table; they fit together, and all end with
the same model. The first reports it as a checkpoint, with which ``map_batches`` encodes the table,
part by part. Each process takes a CPU; a table that Ray reads from files needs some beside them.
"""

import argparse
import tempfile
from pathlib import Path

import joblib
import numpy as np
import ray
from ray.train import Checkpoint, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer

import skae.distributed
from skae import AutoEncoder


def make_part(seed, n_rows):
    """Return rows near a curved surface."""
    mixing = np.random.default_rng(0).normal(size=(4, 40))
    rng = np.random.default_rng([1, seed])
    rows = np.tanh(rng.normal(size=(n_rows, 4)) @ mixing)
    return (rows + 0.1 * rng.normal(size=rows.shape)).astype(np.float32)


def train(parameters):
    """Fit with the other processes; this runs in each of them."""
    part = ray.train.get_dataset_shard("train")
    X = np.concatenate([batch["data"] for batch in part.iter_batches(batch_size=4096)])
    model = skae.distributed.fit(AutoEncoder(**parameters), X)
    shares = {"share": model.best_validation_score_, "of_pca": model.pca_score_}
    if ray.train.get_context().get_world_rank() > 0:
        ray.train.report(shares)
        return
    with tempfile.TemporaryDirectory() as folder:
        joblib.dump(model, Path(folder) / "model.joblib")
        ray.train.report(shares, checkpoint=Checkpoint.from_directory(folder))


class Encode:
    """A process that holds the model, and encodes one batch after the other."""

    def __init__(self, checkpoint):
        with checkpoint.as_directory() as folder:
            self.model = joblib.load(Path(folder) / "model.joblib")

    def __call__(self, batch):
        return {"code": self.model.transform(batch["data"])}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=5_000, help="of each of four parts")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    # Yours may be ray.data.read_parquet(…): a batch is then np.column_stack(list(batch.values())).
    table = ray.data.from_numpy([make_part(seed, options.rows) for seed in range(4)])
    with tempfile.TemporaryDirectory() as folder:  # on a cluster, one that all machines see
        result = TorchTrainer(
            train,
            train_loop_config={"n_components": 4, "random_state": 0},
            scaling_config=ScalingConfig(num_workers=options.workers),
            run_config=RunConfig(storage_path=folder),
            datasets={"train": table},
        ).fit()
        codes = table.map_batches(
            Encode,
            fn_constructor_args=(result.checkpoint,),
            compute=ray.data.ActorPoolStrategy(size=1),
        ).materialize()
    share, of_pca = result.metrics["share"], result.metrics["of_pca"]
    print(f"share of variance explained: {share:.3f}, by PCA {of_pca:.3f}")
    print(f"codes of {codes.count():,} rows, the first {np.round(codes.take(1)[0]['code'], 2)}")


if __name__ == "__main__":
    main()
