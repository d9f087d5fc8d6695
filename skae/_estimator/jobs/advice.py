"""Advice on rows, parameters and results with which an autoencoder is of little use.

Each piece is said once in a process, and only where a person is likely to read it: not in the
worker processes of a search. One switch turns all of it off, the filter of ``AdviceWarning``.
"""

import multiprocessing
import warnings
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from skae._data.sources import Array, Source
from skae._estimator.jobs.job import Job
from skae._files.caller import caller_level
from skae._files.words import shown
from skae._training.selection import Training

# Losses in the units of X, which features with large values dominate.
IN_UNITS = ("squared_error", "absolute_error", "huber")
# Where at most so many features hold at least this share, the loss hardly depends on the others.
FEW_FEATURES, MOST_VARIANCE = 3, 0.99
# How many numbers and rows of X are looked at, at most, in how many places.
N_LOOKED_AT, MOST_ROWS, N_PLACES = 200_000, 1000, 4
# Counts have many zeros, and their largest value is rare; codes of categories and pixels do not.
SHARE_OF_ZEROS, SHARE_OF_LARGEST = 0.2, 0.001
# The part of the gain over PCA that comes in the last fifth of a training that should go on. Of ten
# such trainings on digits, a swiss roll and a made table, nine gained 27 % or more from twice the
# epochs; fifteen with a smaller part gained 21 % at most.
LAST, STILL_GAINED = 0.2, 0.04
# A loss below this, in the module's units, is rounding.
NOTHING = 1e-5
# Whether fits in this thread are trials, on which no advice is given.
_QUIET: ContextVar[bool] = ContextVar("quiet", default=False)
# What has been said in this process.
_SAID: set[tuple[Any, ...]] = set()


class AdviceWarning(UserWarning):
    """Says that an autoencoder is of little use as it is, and what to change.

    Each piece of advice is given once in a process, and not in the worker processes of a search.
    ``warnings.filterwarnings("ignore", category=skae.AdviceWarning)`` turns all advice off.
    """


class TrainFurther(AdviceWarning, ConvergenceWarning):
    """Says that a training has ended while its model was still becoming better."""


def advise(text: str, *key: Any, category: type[AdviceWarning] = AdviceWarning) -> None:
    """Warn, unless this process has given advice with this key before, or nobody would read it."""
    if _QUIET.get() or key in _SAID or multiprocessing.parent_process() is not None:
        return
    _SAID.add(key)
    warnings.warn(text, category, stacklevel=caller_level())


@contextmanager
def without_advice() -> Iterator[None]:
    """Give no advice on fits inside this context."""
    token = _QUIET.set(True)
    try:
        yield
    finally:
        _QUIET.reset(token)


# -- before a training ---------------------------------------------------------------------


def advise_on_rows(estimator: Any, job: Job) -> None:
    """Advise on a table whose features, or whose values, the loss does not suit."""
    if job.source.world.rank > 0:
        return
    name = type(estimator).__name__
    if estimator.loss in IN_UNITS:
        few = dominant_features(job.moments.variances)
        if len(few):
            names = names_of(estimator, few)
            share = job.moments.variances[few].sum() / job.moments.variances.sum()
            others = job.source.n_features - len(few)
            advise(
                f"{names} of X {'hold' if len(few) > 1 else 'holds'} {shown_share(share)} of its "
                f"variance, so that {name} hardly sees the other {others} features. Where features "
                "have different units, standardise them: "
                f"make_pipeline(StandardScaler(), {name}(...)).",
                *("scale", columns_of(estimator, job.source), int(few[0])),
            )
    if estimator.loss == "squared_error":
        kind = kind_of_values(sample_values(job.source))
        remedy = {"zeros and ones": "binary_cross_entropy", "counts": "poisson"}.get(kind)
        if remedy is not None:
            advise(
                f"X is made of {kind}, for which loss={remedy!r} is meant: pass it to {name}, or "
                "keep loss='squared_error' where distances between rows are what counts.",
                *("values", kind, columns_of(estimator, job.source)),
            )


def columns_of(estimator: Any, rows: Any) -> Hashable:
    """Return what tells tables apart: the names of their columns, or how many there are."""
    names = getattr(estimator, "feature_names_in_", None)
    return rows.n_features if names is None else tuple(names)


def dominant_features(variances: Array) -> NDArray[np.int64]:
    """Return the few features that hold nearly all of the variance; none where it takes many.

    A few are up to three, but no more than a quarter of those that vary.
    """
    n = min(FEW_FEATURES, np.count_nonzero(variances) // 4)
    largest: NDArray[np.int64] = np.argsort(-variances, kind="stable")[:n]
    shares = np.cumsum(variances[largest]) / (variances.sum() or 1.0)
    enough = np.flatnonzero(shares >= MOST_VARIANCE)
    return largest[: enough[0] + 1] if len(enough) else largest[:0]


def names_of(estimator: Any, features: NDArray[np.int64]) -> str:
    """Return some features by name, or by number where X has no names."""
    names = getattr(estimator, "feature_names_in_", None)
    which = ", ".join(str(j) if names is None else shown(str(names[j])) for j in features)
    return f"Feature{'s' if len(features) > 1 else ''} {which}"


def shown_share(share: float) -> str:
    """Return a share that is near 1 in per cent, with the digits that tell it from 1."""
    digits = 1 if share < 0.999 else 2
    return f"{min(share, 0.9999):.{digits}%}"


def sample_values(source: Source) -> Array:
    """Return rows from some places of a table as they were given; NaN is missing."""
    n = max(1, min(source.n_rows, MOST_ROWS, N_LOOKED_AT // source.n_features))
    size = max(1, n // N_PLACES)
    starts = np.unique(np.linspace(0, source.n_rows - size, min(N_PLACES, n)).astype(int))
    return np.vstack([given_rows(source, slice(start, start + size)) for start in starts])


def given_rows(source: Source, rows: slice) -> Array:
    """Return rows as they were given, before missing values were filled."""
    X, observed = source.given(rows), source.observed(rows)
    return X if observed is None else np.where(observed, X, np.nan)


def kind_of_values(X: Array) -> str:
    """Return "zeros and ones", "counts", or "" for numbers of any other kind."""
    known = X[~np.isnan(X)]
    if not known.size or (known < 0).any() or (known != np.floor(known)).any():
        return ""
    largest, zeros = known.max(), (known == 0).mean()
    if largest <= 1:
        return "zeros and ones" if 0 < zeros < 1 else ""
    rare = (known == largest).mean() <= SHARE_OF_LARGEST
    return "counts" if rare and zeros >= SHARE_OF_ZEROS else ""


# -- after a training ----------------------------------------------------------------------


def advise_on_size(estimator: Any, training: Training) -> None:
    """Advise on a code that keeps all of each row, so that there is nothing to learn."""
    module, start = training.net.module_, training.start
    if start.pca_terms is None or module.has_noise or training.net.world.rank > 0:
        return
    k, n_features = estimator.n_components_, training.table.n_features
    if k >= n_features > 1 and sum(start.pca_terms.values()) <= NOTHING:
        advise(
            f"n_components={k} numbers keep all of the {n_features} features of X: PCA loses "
            f"nothing, and {type(estimator).__name__} has nothing to learn. Pass fewer; "
            "skae.select_n_components(X) finds how many are needed.",
            *("size", k, columns_of(estimator, training.table)),
        )


def advise_on_result(estimator: Any, training: Training) -> None:
    """Advise on a training that ended too early, and on codes that a prior has not shaped."""
    net, is_pca = training.net, training.ends_at_pca
    if net.world.rank > 0 or net.limits.interrupted or not net.history:
        return
    name, cut = type(estimator).__name__, net.limits.ended
    told = name, columns_of(estimator, training.table)
    if is_pca and cut:
        now = net.limits.max_time
        advise(
            f"max_time={now:g} seconds were over in epoch {len(net.history)} of {net.max_epochs}, "
            f"so that {name} has stayed at PCA. Raise max_time; filling missing values takes of "
            "it too.",
            *("time", *told, now),
            category=TrainFurther,
        )
    elif is_pca and estimator._at_pca:
        advise(f"{name} has stayed at PCA: {estimator._at_pca}", "prior", *told)
    elif not is_pca and (cut or len(net.history) >= net.max_epochs):
        advise_on_gains(name, training, told, cut=cut)


def advise_on_gains(name: str, training: Training, told: tuple[Any, ...], *, cut: bool) -> None:
    """Advise on a training that was ended, by ``max_time`` if it was cut, while it still gained."""
    net, best = training.net, training.best
    gained = gained_last(best.losses_, best.start_loss_)
    if gained <= STILL_GAINED or best.diverged_at_ is not None:
        return
    how, now = ("max_time", net.limits.max_time) if cut else ("max_iter", net.max_epochs)
    advise(
        f"{gained:.0%} of what {name} gained came in the last fifth of its {len(net.history)} "
        f"epochs: training was still making it better. Raise {how}, now {now:g}.",
        *("epochs", *told, how, now),
        category=TrainFurther,
    )


def gained_last(losses: list[float], start: float) -> float:
    """Return the part of the gain over the start that the last fifth of the epochs brought."""
    n_before = len(losses) - int(LAST * len(losses))
    if n_before == len(losses) or not np.isfinite(start):
        return 0.0
    before, lowest = min(start, *losses[:n_before]), min(losses)
    return (before - lowest) / (start - lowest) if lowest < start else 0.0
