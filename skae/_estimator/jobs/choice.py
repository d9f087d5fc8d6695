"""Which rows of a fit validate."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from skae._data.split import Keys, Split, group_rows, row_keys, scramble, split_rows, split_shards
from skae._estimator.jobs.job import Job
from skae._estimator.parameters.arguments import warn_of_known_rows


def choose_rows(estimator: Any, job: Job, groups: NDArray[np.int64] | None) -> None:
    """Choose the validation rows, and find out whether they are new to the former weights."""
    source, former = job.source, job.former
    fraction = estimator.validation_fraction if estimator.early_stopping else 0
    choose = chooser(job, groups, fraction)
    # In float32, so that a float32 copy of a float64 row is known too.
    keys = row_keys(source, np.float32) if estimator.warm_start else np.empty(0, np.uint64)
    known = none = np.zeros(source.n_rows, dtype=bool)
    trained: Keys | None = keys[:0]
    if former is not None and not former.is_pca:
        known = ~none if former.trained is None else np.isin(keys, former.trained)
        job.goes_on = True
    job.split = choose(known)
    if job.goes_on and fraction and not job.split.n_validation:
        job.goes_on = False
        job.split = choose(none)
        if job.split.n_validation:
            warn_of_known_rows(estimator)
    if former is not None and job.goes_on:
        trained = former.trained
    if estimator.warm_start and trained is not None:
        job.trained = np.union1d(trained, source.world.concatenate(keys[job.split.training]))


def chooser(
    job: Job, groups: NDArray[np.int64] | None, fraction: float | str
) -> Callable[[NDArray[np.bool_]], Split]:
    """Return the function that chooses the validation rows, given which rows have trained."""
    source, keys = job.source, row_keys(job.source, np.float64)
    if job.by_keys:
        # With users' groups, equal rows of two groups may be on both sides.
        keys = scramble(keys if groups is None else groups.astype(np.uint64), job.seed)
        return lambda known: split_shards(keys, fraction, known, source.weights, source.world)
    numbers = group_rows(keys, groups)
    # Without validation rows nothing is drawn: a row of weight 2 is then as two rows.
    order = np.arange(source.n_rows)
    if fraction:
        order = torch.randperm(source.n_rows, generator=job.generator).numpy()
    return lambda known: split_rows(numbers, fraction, order, known, source.weights)
