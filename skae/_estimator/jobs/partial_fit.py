"""How an autoencoder is fitted to data that come in parts."""

from dataclasses import replace
from typing import Any

import numpy as np

from skae._data.reservoir import Reservoir
from skae._data.sources import Source
from skae._data.sums.moments import Moments
from skae._data.sums.scatter import Scatter
from skae._data.units import Units
from skae._data.world import ALONE
from skae._estimator.environment import as_if_alone, resolve_device
from skae._estimator.jobs.job import Former
from skae._estimator.jobs.stream import (
    AUTO_SHARE,
    Stream,
    StreamJob,
    generator_of,
    joined,
    merged,
    rows_at,
    sample_rows,
    split_part,
    start_stream,
)
from skae._estimator.missing import rows_for_fit, rows_for_part
from skae._estimator.parameters.arguments import check_networks
from skae._estimator.parameters.resolve import draw_seed, resolve_batch_size
from skae._estimator.parameters.rules import check_parameters
from skae._model.weights import weights_to_arrays
from skae._start.floor import variances_along_codes
from skae._start.gaussian import gaussian_of_complete
from skae._start.pca import PCA
from skae._training.iterate import train_and_keep
from skae._training.outside.progress import showing
from skae._training.selection import Training


def fit_part(estimator: Any, X: Any, sample_weight: Any) -> None:
    """Go on with the rows of a part; ``estimator`` is a copy, which the result is left in."""
    check_parameters(estimator)
    stream: Stream | None = getattr(estimator, "_stream", None)
    former = estimator if stream is not None else None
    if stream is None:
        stream = start_stream(draw_seed(estimator.random_state))
        source, _, gaussian = rows_for_fit(estimator, X, sample_weight, None, stream.seed, ALONE)
        estimator._gaussian = vars(gaussian or gaussian_of_complete(source))
    else:
        source = rows_for_part(estimator, X, sample_weight)
    check_networks(estimator, source.n_features)
    if not source.n_rows:
        return
    stream, part = take_in(estimator, stream, source)
    stream, part = wait_for_batch(estimator, stream, part)
    job = make_job(estimator, stream, source, part, former)
    old = None if former is None else job_codes(former, job)
    training = estimator._start(job)
    stream = train_part(estimator, stream, job, training)
    estimator._is_pca, estimator._trained = training.ends_at_pca, None
    estimator._settle(job)
    if old is not None:
        align(estimator, job_codes(estimator, job), old)
    if training.ends_at_pca and training.floor is not None:
        tell_variances(estimator, training.floor.whole)
    estimator._stream = stream


def take_in(estimator: Any, stream: Stream, source: Source) -> tuple[Stream, Source]:
    """Return the stream with a part's rows in its sums, and those of its rows that train."""
    share = estimator.validation_fraction if estimator.early_stopping else 0.0
    share = AUTO_SHARE if share == "auto" else float(share)
    which, keys, common = split_part(stream, source, share)
    part, held, reservoir = source.subset(np.flatnonzero(~which)), None, None
    if which.any():
        held = Scatter.of(source.subset(np.flatnonzero(which)))
        reservoir = Reservoir.of(source, which, keys)
    train = Scatter.of(part) if part.n_rows else None
    seen = replace(
        stream,
        n_calls=stream.n_calls + 1,
        train=merged(stream.train, train),
        held=merged(stream.held, held),
        reservoir=merged(stream.reservoir, reservoir),
        common=common,
    )
    return seen, part


def wait_for_batch(estimator: Any, stream: Stream, part: Source) -> tuple[Stream, Source]:
    """Keep the rows of small parts until they are a batch; return the rows that train now.

    Several steps on a row or two would lead the weights away from all others.
    """
    n_waiting = 0 if stream.waiting is None else len(stream.waiting.keys)
    size = resolve_batch_size(estimator, part.n_rows)
    # Random weights are worse than any that training on a few rows leaves.
    is_random = estimator.init == "random" and stream.iterate is None
    if is_random or (not n_waiting and part.n_rows >= size):
        return stream, part
    waiting = joined(rows_at(part, np.arange(part.n_rows)), stream.waiting)
    rows = waiting.source()
    if rows.n_rows >= size:
        return replace(stream, waiting=None), rows
    return replace(stream, waiting=waiting), rows.subset(np.arange(0))


def make_job(
    estimator: Any, stream: Stream, source: Source, part: Source, former: Any
) -> StreamJob:
    """Put together what a call needs; as long as the model is PCA it begins at PCA again.

    It does so whenever twice as many rows have been seen.
    """
    sample = sample_rows(source, stream)
    restarts = stream.iterate is None or (
        estimator._is_pca and stream.whole.total >= 2 * stream.total_at_start
    )
    if restarts:
        units, _ = estimator._make_units(stream.whole.moments(), None)
        stream = replace(stream, iterate=None, total_at_start=stream.whole.total)
    else:
        units = Units(estimator.mean_, estimator.scale_, estimator._spec.dtype)
    last = None
    if former is not None:
        weights = weights_to_arrays(former.net_.module_)
        last = Former(former._spec, weights, None, former._is_pca)
    generator, device = generator_of(stream), resolve_device(estimator.device)
    moments = Moments.of(sample)
    job = StreamJob(sample, moments, units, device, stream.seed, generator, last)
    job.part, job.stream = part, stream
    job.is_constant = estimator.learning_rate == "constant"
    return job


def train_part(estimator: Any, stream: Stream, job: StreamJob, training: Training) -> Stream:
    """Train on a part and choose the weights that stay; return the stream as it is after that."""
    assert job.stream is not None
    former = iterate = job.stream.iterate
    if iterate is not None:
        training.go_on_from(iterate)
    score = estimator._score(training)
    if job.n_training and estimator._may_train(training):
        with showing(training.net, f"{estimator._title()}, a part", score):
            reached = train_and_keep(training.net, training.train, training.validation)
        if iterate is None or training.best.epoch_:  # not where a part made the weights worse
            iterate = reached
    training.select()
    if former is not None and not training.ends_at_pca:
        former.widen_ranges(training.net.module_)
    if training.best.diverged_at_ is not None:
        iterate = former
    n_before, former_epoch = len(stream.loss_curve), getattr(estimator, "best_iter_", 0)
    estimator._report(training, score)
    curve = stream.loss_curve + estimator.loss_curve_
    scores = stream.validation_scores + (estimator.validation_scores_ or [])
    if estimator.best_iter_:
        estimator.best_iter_ += n_before
    elif not training.ends_at_pca:
        estimator.best_iter_ = former_epoch
    estimator.n_iter_, estimator.loss_curve_ = len(curve), curve
    estimator.validation_scores_ = scores or None
    return replace(job.stream, iterate=iterate, loss_curve=curve, validation_scores=scores)


def align(estimator: Any, codes: Any, old: Any) -> None:
    """Turn codes so that they come closest to older ones, and what is told of their variances."""
    rotation, shift = estimator.net_.module_.align_codes(codes, old)
    estimator._code_mean = estimator._code_mean @ rotation + shift
    # Of codes c that are uncorrelated, cR has the variances Σᵢ Rᵢⱼ² Var(cᵢ).
    estimator.explained_variance_ = estimator.explained_variance_ @ np.square(rotation)
    estimator.explained_variance_ratio_ = estimator.explained_variance_ratio_ @ np.square(rotation)


def tell_variances(estimator: Any, whole: PCA) -> None:
    """Tell the variances over all rows seen so far, which are known where the model is PCA."""
    module = estimator.net_.module_
    if module.loss.reconstructs:
        estimator._tell_variances(variances_along_codes(module, whole), whole.moments)


def job_codes(estimator: Any, job: StreamJob) -> Any:
    """Return the codes that an estimator gives the rows by which codes are turned."""
    with as_if_alone(inference=True):
        parts = [
            estimator.net_.module_.encode(x).cpu().numpy()
            for _, x in estimator._batches(job.source)
        ]
    return np.concatenate(parts)
