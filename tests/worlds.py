"""Processes that fit together, as threads of the test's own: the same connections, no start-up."""

import threading

import numpy as np
import torch.distributed as dist
from sklearn.base import clone

from skae._cluster.processes import OtherProcessError, Processes, ProcessLostError


def run_together(functions, timeout=60.0):
    """Call each function with a world of as many processes, and return results and errors."""
    store, size = dist.HashStore(), len(functions)
    results, errors = [None] * size, [None] * size

    def run(rank):
        try:
            world = Processes(store, rank, size, timeout, address="127.0.0.1")
            with world.together():
                results[rank] = functions[rank](world)
        except BaseException as error:
            errors[rank] = error

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2 * timeout)
    assert not any(thread.is_alive() for thread in threads)
    return results, errors


def fit_together(estimator, shards, weights=None, groups=None, kept=None, **options):
    """Fit copies of an estimator, each with a shard of the rows, and return them."""
    nothing = [None] * len(shards)

    def fit(rank):
        def of_rank(world):
            return clone(estimator)._fit_together(
                shards[rank],
                (weights or nothing)[rank],
                (groups or nothing)[rank],
                world,
                (kept or nothing)[rank],
            )

        return of_rank

    results, errors = run_together([fit(rank) for rank in range(len(shards))], **options)
    found = [error for error in errors if error is not None]
    for error in sorted(found, key=lambda e: isinstance(e, (OtherProcessError, ProcessLostError))):
        raise error
    return results


def shards_of(X, *sizes):
    """Cut rows into shards: of these sizes, or into so many of equal sizes if that is no sum."""
    if sum(sizes) == len(X):
        return np.split(X, np.cumsum(sizes)[:-1])
    (n_shards,) = sizes
    return np.array_split(X, n_shards)
