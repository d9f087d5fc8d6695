"""Missing values: filled with what the observed ones let expect."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skae._data.checks import has_missing, read_rows, read_shard
from skae._data.sources import (
    Array,
    ArraySource,
    FilledSource,
    Filler,
    Mask,
    Source,
    fill,
    is_filled_at_once,
)
from skae._data.world import ALONE, World
from skae._estimator.environment import resolve_device
from skae._estimator.parameters.arguments import check_groups, check_weights, require_two_rows
from skae._model.losses import loss_class, require_valid
from skae._start.gaussian import Gaussian, fit_gaussian
from skae._training.defaults import SHALLOW
from skae._training.imputer.filler import MOST_ROWS, fit_filler

# From so many numbers a network learns to fill.
MOST_NUMBERS = 2**26


@dataclass(frozen=True)
class DomainFiller:
    """Fills as another filler does, and moves values into the domain of a loss.

    Attributes
    ----------
    filler : Filler
    low, high : float
        What values X may have.
    """

    filler: Filler
    low: float
    high: float

    @classmethod
    def for_loss(cls, filler: Filler, loss: Any) -> "DomainFiller":
        """Return the filler for the parameter ``loss``."""
        kind = loss_class(loss)
        return cls(filler, kind.low, kind.high)

    def fill(self, X: Array) -> Array:
        """Return a copy of rows in which no value is NaN."""
        filled = self.filler.fill(X)
        if self.low == -np.inf and self.high == np.inf:
            return filled
        return np.where(np.isnan(X), filled.clip(self.low, self.high), X)


@dataclass(frozen=True)
class Observed:
    """Which rows and columns of a table have values at all.

    Attributes
    ----------
    rows : ndarray of bool of shape (n_rows,)
    columns : ndarray of bool of shape (n_features,)
        Over the rows of all processes.
    """

    rows: Mask
    columns: Mask

    @classmethod
    def of(cls, source: Source) -> "Observed":
        """Look at all rows."""
        rows = np.zeros(source.n_rows, dtype=bool)
        columns = np.zeros(source.n_features, dtype=bool)
        for which, part in source.parts():
            known = ~np.isnan(part)
            rows[which] = known.any(axis=1)
            columns |= known.any(axis=0)
        return cls(rows, source.world.largest(columns.astype(np.uint8)).astype(bool))

    def weigh(self, weights: Array | None, world: World = ALONE) -> Array | None:
        """Return the weights of rows, zero for those without any value; None means 1 each.

        In all processes where one has such rows.
        """
        if not world.any(not self.rows.all()):
            return weights
        return self.rows * (np.ones(len(self.rows)) if weights is None else weights)


def require_columns(observed: Observed, names: Any, where: str = "") -> None:
    """Raise ValueError for columns of which no value is known; ``where`` says in which rows."""
    empty = np.flatnonzero(~observed.columns)
    if not len(empty):
        return
    shown = [str(i) if names is None else repr(str(names[i])) for i in empty[:5]]
    more = f" and {len(empty) - 5} more" if len(empty) > 5 else ""
    raise ValueError(
        f"X has no value in {len(empty)} of its {len(observed.columns)} columns{where}: "
        f"{', '.join(shown)}{more}; drop them."
    )


def warn_of_empty_rows(observed: Observed, consequence: str, stacklevel: int = 5) -> None:
    """Warn of rows of which no value is known."""
    empty = np.flatnonzero(~observed.rows)
    if len(empty):
        warnings.warn(
            f"X has no value in {len(empty)} of its {len(observed.rows)} rows, the first of "
            f"which is row {empty[0]}: {consequence}.",
            stacklevel=stacklevel,
        )


def rows_for_fit(
    estimator: Any, X: Any, sample_weight: Any, groups: Any, seed: int, world: World
) -> tuple[Source, NDArray[np.int64] | None, Gaussian | None]:
    """Return the rows of X that count, their groups, and what filled their missing values.

    Where no value is missing, nothing did.
    """
    source, numbers, lacks = rows_that_count(estimator, X, sample_weight, groups, world)
    if not lacks:
        return source, numbers, None
    source, gaussian = filled_for_fit(estimator, source, seed)
    return source, numbers, gaussian


def rows_that_count(
    estimator: Any, X: Any, sample_weight: Any, groups: Any, world: World
) -> tuple[Source, NDArray[np.int64] | None, bool]:
    """Return the rows of X that count, their groups, and whether values are missing in X."""
    source = read_shard(estimator, X, world)
    numbers = check_groups(groups, source.n_rows, world)
    weights = weights_for_fit(sample_weight, source)
    lacks = world.any(has_missing(source))
    require_valid(estimator.loss, source)
    if lacks:
        observed = Observed.of(source)
        require_columns(observed, getattr(estimator, "feature_names_in_", None))
        warn_of_empty_rows(observed, "they are left out", stacklevel=6)
        weights = observed.weigh(weights, world)
    if weights is not None:
        source = source.weighted(weights)
        numbers = numbers if numbers is None else numbers[source.index]
        require_two_rows(sum(world.counts(source.n_rows)))
    return source, numbers, lacks


def filled_for_fit(estimator: Any, source: Source, seed: int) -> tuple[Source, Gaussian]:
    """Return the rows of a fit without missing values, and the Gaussian that fills new rows."""
    names = getattr(estimator, "feature_names_in_", None)
    require_columns(Observed.of(source), names, " in the rows that are fitted")
    filler, gaussian = learn_to_fill(source, seed, resolve_device(estimator.device, source.world))
    return fill(source, DomainFiller.for_loss(filler, estimator.loss)), gaussian


def weights_for_fit(sample_weight: Any, source: Source) -> Array | None:
    """Return the weights of rows, or raise ValueError; None where no process has any."""
    world, n = source.world, source.n_rows
    weights: Array | None = check_weights(sample_weight, n, may_be_zero=world.size > 1)
    if not world.any(weights is not None):
        return None
    return np.ones(n) if weights is None else weights


def learn_to_fill(source: Source, seed: int, device: str) -> tuple[Filler, Gaussian]:
    """Return what fills the rows of a fit, and the Gaussian that fills new rows.

    Rows that are filled once are filled as :class:`skae.AutoEncoderImputer` does, with a network
    beside a Gaussian, because from what is filled better the model learns better. Rows that are
    filled whenever they are read are filled by the Gaussian alone, which is faster.
    """
    world = source.world
    if world.any(not is_filled_at_once(source)):
        if world.size > 1:
            rows, weights = source.spread(MOST_ROWS)
            source = ArraySource(rows, None, weights)
        gaussian = world.agree(fit_gaussian(source, seed, source.weights))
        return gaussian, gaussian
    rows, weights = source.spread(min(MOST_ROWS, MOST_NUMBERS // source.n_features))
    filler = fit_filler(
        rows,
        weights / weights.mean(),
        seed,
        sizes=SHALLOW,
        max_iter="auto",
        device=device,
        verbose=0,
    )
    filler = world.agree(filler)
    return filler, filler.gaussian


def rows_for_part(estimator: Any, X: Any, sample_weight: Any) -> Source:
    """Return the rows of a later part that count, filled as in the first; there may be none."""
    source = read_rows(estimator, X, fitting=False)
    weights: Array | None = check_weights(sample_weight, source.n_rows, may_be_zero=True)
    require_valid(estimator.loss, source)
    if has_missing(source):
        observed = Observed.of(source)
        warn_of_empty_rows(observed, "they are left out")
        weights = observed.weigh(weights)
        source = fill(source, filler_of(estimator))
    return source if weights is None else source.weighted(weights)


def filler_of(estimator: Any) -> DomainFiller:
    """Return what fills missing values for a fitted estimator."""
    return DomainFiller.for_loss(Gaussian(**estimator._gaussian), estimator._spec.loss)


def rows_for_use(estimator: Any, X: Any) -> Source:
    """Return the rows of X for a fitted estimator, missing values filled when they are read."""
    source = read_rows(estimator, X, fitting=False)
    if not has_missing(source):
        return source
    warn_of_empty_rows(Observed.of(source), "they are taken for the mean")
    return FilledSource(source, filler_of(estimator))
