"""Data that come in parts: what partial_fit keeps between its calls, and one call."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from skae._data.batches import place
from skae._data.reservoir import Reservoir, scrambled_keys, validates
from skae._data.sources import ArraySource, Mask, Source
from skae._data.split import MAX_GROUP, MIN_VALIDATION, Keys
from skae._data.sums.scatter import Scatter
from skae._estimator.jobs.job import Job, TrainingRows
from skae._start.floor import PCAFloor
from skae._start.pca import PCA, pca_of_scatter
from skae._training.defaults import MANY_ROWS, stream_epochs
from skae._training.iterate import Iterate

# What of the rows validates: as much as of a large table.
AUTO_SHARE = 0.1
# So many numbers of a part are looked at for the axes of the codes.
SAMPLE_SIZE = 2**22
# Fewer rows than these do not show all axes of a code.
FEW_ROWS = 100


@dataclass(frozen=True)
class Stream:
    """What is kept of the parts seen so far.

    Attributes
    ----------
    seed : int
    n_calls : int
    train, held : Scatter or None
        Sums of the rows that train, and of those that validate; None before there are any.
    reservoir : Reservoir or None
        Validation rows.
    waiting : Reservoir or None
        Rows of small parts that have not trained yet, because they are fewer than a batch.
    common : ndarray of uint64
        Keys of rows that are so frequent that they train, whatever their keys.
    iterate : Iterate or None
        Where the training stands.
    total_at_start : float
        How many rows had been seen when the training last began at PCA.
    loss_curve, validation_scores : list of float
        Of all calls.
    """

    seed: int
    n_calls: int
    train: Scatter | None
    held: Scatter | None
    reservoir: Reservoir | None
    waiting: Reservoir | None
    common: Keys
    iterate: Iterate | None
    total_at_start: float
    loss_curve: list[float]
    validation_scores: list[float]

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as numbers and arrays, so that whoever loads it need trust no class."""
        parts = {name: vars(self)[name] for name in PARTS}
        return {**vars(self), **{n: None if p is None else vars(p) for n, p in parts.items()}}

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> "Stream":
        """Return what :meth:`to_dict` was called on."""
        parts = {n: None if state[n] is None else kind(**state[n]) for n, kind in PARTS.items()}
        return cls(**{**state, **parts})

    @property
    def whole(self) -> Scatter:
        """Sums of all rows."""
        parts = [part for part in (self.train, self.held) if part is not None]
        return parts[0] if len(parts) == 1 else parts[0].merge(parts[1])


# The parts of a stream that are more than numbers and arrays.
PARTS: dict[str, Any] = {
    "train": Scatter,
    "held": Scatter,
    "reservoir": Reservoir,
    "waiting": Reservoir,
    "iterate": Iterate,
}


def start_stream(seed: int) -> Stream:
    """Return a stream that has seen nothing."""
    return Stream(seed, 0, None, None, None, None, np.empty(0, np.uint64), None, 0.0, [], [])


def split_part(stream: Stream, source: Source, share: float) -> tuple[Mask, Keys, Keys]:
    """Return which rows of a part validate, the keys of all, and those of frequent rows."""
    keys = scrambled_keys(source, stream.seed)
    different, counts = np.unique(keys, return_counts=True)
    frequent = different[counts > max(1, MAX_GROUP * len(keys))]
    common = np.union1d(stream.common, frequent)
    if not share:
        return np.zeros(len(keys), dtype=bool), keys, common
    return validates(keys, share) & ~np.isin(keys, common), keys, common


def merged(one: Any, other: Any) -> Any:
    """Merge two of a kind, either of which may be None."""
    if one is None or other is None:
        return one if other is None else other
    return one.merge(other)


@dataclass
class StreamJob(Job):
    """One call of partial_fit. Its ``source`` is a sample of rows, by which codes are turned.

    Attributes
    ----------
    part : Source
        The rows of the call that train.
    stream : Stream
        This call's rows included.
    is_constant : bool
        Whether the user wants a constant learning rate, as schedulers among callbacks need.
    """

    part: Source | None = None
    stream: Stream | None = None
    is_constant: bool = False

    @property
    def n_rows(self) -> int:
        """That of a large table, which the parts will add up to."""
        assert self.stream is not None
        return max(MANY_ROWS, self.stream.whole.n_rows)

    @property
    def n_counted(self) -> int:
        """Number of rows seen so far."""
        assert self.stream is not None
        return self.stream.whole.n_rows

    @property
    def n_training(self) -> int:
        """Number of rows of this part that train."""
        assert self.part is not None
        return self.part.n_rows

    @property
    def n_seen(self) -> int:
        """Number of rows that have trained so far."""
        assert self.stream is not None
        return 0 if self.stream.train is None else self.stream.train.n_rows

    @property
    def net_options(self) -> dict[str, Any]:
        """How the net is trained where there is no end in sight."""
        return {"averages": True, **({} if self.is_constant else {"learning_rate": "warm_up"})}

    def epochs(self, estimator: Any, batch_size: int) -> tuple[int, int]:
        """Return the number of passes over the part, all of which are made."""
        n_batches = max(1, math.ceil(self.n_training / batch_size))
        auto = estimator.max_iter == "auto"
        n_epochs = stream_epochs(n_batches) if auto else int(estimator.max_iter)
        return n_epochs, n_epochs + 1

    def pca(self, n_components: int | float) -> PCA:
        """Return PCA of all rows seen so far."""
        assert self.stream is not None
        return pca_of_scatter(self.stream.whole, n_components)

    def floor(self, n_components: int, whole: PCA | None) -> PCAFloor:
        """Return PCA of all rows seen so far, and of those that train."""
        assert self.stream is not None
        train = self.stream.train or self.stream.whole
        return PCAFloor(whole or self.pca(n_components), pca_of_scatter(train, n_components))

    def rows(self, device: str) -> TrainingRows:
        """Return the part's training rows and the reservoir.

        Where all rows of the part validate, nothing is trained: what is computed of the training
        rows at the start is then of the sample.
        """
        assert self.part is not None and self.stream is not None
        part: Source = self.part if self.part.n_rows else self.source
        train, reservoir = place(part, self.units, device), self.stream.reservoir
        seen = self.stream.train
        mean = 1.0 if seen is None else seen.total / seen.n_rows
        if train.weights is not None:
            train.weights = train.weights / mean
        elif mean != 1:
            train.weights = torch.full((len(train),), 1 / mean, dtype=self.units.tensor_dtype)
        if reservoir is None or len(reservoir.keys) < MIN_VALIDATION:
            return TrainingRows(train, train, None, np.empty(0, np.int64))
        validation = place(reservoir.source(), self.units, device)
        return TrainingRows(train, train, validation, np.arange(len(reservoir.keys)))


def sample_rows(source: Source, stream: Stream) -> ArraySource:
    """Return some rows of a part, and the validation rows of all parts, as one source.

    Where these are few, rows along the principal components of all parts stand for older rows: the
    axes of codes would be arbitrary where no row shows them.
    """
    n = min(source.n_rows, max(1000, SAMPLE_SIZE // source.n_features))
    index = np.arange(n) * (source.n_rows - 1) // max(1, n - 1)
    rows = joined(rows_at(source, index), stream.reservoir)
    if len(rows.keys) < FEW_ROWS and stream.n_calls > 1:
        pca = pca_of_scatter(stream.whole, min(FEW_ROWS, *stream.whole.products.shape))
        spread = np.sqrt(pca.variances)[:, None] * pca.components
        usual = np.concatenate([pca.mean + spread, pca.mean - spread]).astype(rows.rows.dtype)
        rows = joined(Reservoir(usual, None, None, np.zeros(len(usual), np.uint64)), rows)
    return rows.source()


def rows_at(source: Source, index: Any) -> Reservoir:
    """Copy rows of a source, with what is known of them and their weights."""
    weights = None if source.weights is None else source.weights[index]
    keys = np.zeros(len(index), dtype=np.uint64)
    return Reservoir(source.take(index), source.observed(index), weights, keys)


def joined(rows: Reservoir, others: Reservoir | None) -> Reservoir:
    """Return the rows of both."""
    if others is None:
        return rows
    has_known = rows.known is not None or others.known is not None
    has_weights = rows.weights is not None or others.weights is not None
    known = np.concatenate([rows.all_known(), others.all_known()])
    weights = np.concatenate([rows.all_weights(), others.all_weights()])
    return Reservoir(
        np.concatenate([rows.rows, others.rows]),
        known if has_known else None,
        weights if has_weights else None,
        np.concatenate([rows.keys, others.keys]),
    )


def generator_of(stream: Stream) -> torch.Generator:
    """Return the source of the random draws of a call."""
    draws = np.random.default_rng((stream.seed, stream.n_calls))
    return torch.Generator("cpu").manual_seed(int(draws.integers(2**31)))
