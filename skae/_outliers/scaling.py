"""Columns of unit variance: what the autoencoders of a detector see where units differ."""

from typing import Any

import numpy as np
from scipy import sparse

from skae._data.checks import has_missing
from skae._data.sources import Array, ArraySource, Source, SparseSource, StoredSource
from skae._data.sums.moments import Moments

# Features with names, and so few without, are columns of a table, whose units are their own. Many
# features without names are pixels, times of a curve, or numbers that a network has made.
FEW_FEATURES = 50
# Of these, units differ where the largest standard deviation is more than so many times the median.
MOST_DIFFERENT = 5.0


class ScaledTable:
    """A table whose columns are divided by numbers when rows are read.

    Parameters
    ----------
    source : Source
        All of its rows.
    scale : ndarray of shape (n_features,)
    """

    def __init__(self, source: Source, scale: Array) -> None:
        self.source, self.scale = source, scale.astype(source.dtype)
        self.shape, self.dtype = (source.n_rows, source.n_features), source.dtype

    def __getitem__(self, rows: slice) -> Array:
        return self.source.given(rows) / self.scale


def column_deviations(source: Source, *, lacks: bool) -> Array:
    """Return the standard deviation of each column, over the known values and with rows' weights.

    It is zero for columns whose values differ by rounding alone. ``lacks`` says whether values are
    missing.
    """
    if lacks:
        mean, variances = moments_of_known(source)
    else:
        moments = Moments.of(source)
        mean, variances = moments.mean, moments.variances
    deviations = np.sqrt(variances)
    return np.where(deviations > np.finfo(source.dtype).eps * np.abs(mean), deviations, 0.0)


def moments_of_known(source: Source) -> tuple[Array, Array]:
    """Return mean and variance of each column over the known values; 0 where none is known."""
    total, sums, squares = np.zeros((3, source.n_features))
    weights = np.ones(source.n_rows) if source.weights is None else source.weights
    for rows, part in source.parts():
        w = np.where(np.isnan(part), 0.0, weights[rows, None])
        total, sums = total + w.sum(axis=0), sums + (w * np.nan_to_num(part)).sum(axis=0)
    total = np.maximum(total, np.finfo(np.float64).tiny)
    mean = sums / total
    for rows, part in source.parts():
        w = np.where(np.isnan(part), 0.0, weights[rows, None])
        squares += (w * np.square(np.nan_to_num(part) - mean)).sum(axis=0)
    return mean, squares / total


def units_differ(deviations: Array, *, have_names: bool) -> bool:
    """Tell whether features look as if their units were different."""
    if have_names or len(deviations) < FEW_FEATURES:
        return True
    varies = deviations[deviations > 0]
    return len(varies) > 0 and bool(varies.max() > MOST_DIFFERENT * np.median(varies))


def scaled_for_fit(source: Source, scale: Array | None) -> Source:
    """Return rows with divided columns, for a fit, which reads them often: copies in memory."""
    if scale is None:
        return source
    if isinstance(source, SparseSource):
        return SparseSource(divided(source.table, scale), source.index, source._weights)
    if isinstance(source, ArraySource):
        table = source.table / scale.astype(source.dtype)
        return ArraySource(table, source.index, source._weights)
    return StoredSource(ScaledTable(source, scale), None, source.weights)


def scaled_for_use(source: Source, scale: Array | None) -> Source:
    """Return rows with divided columns, for what reads them once: part by part."""
    if scale is None:
        return source
    if isinstance(source, SparseSource):
        return SparseSource(divided(source.table, scale))
    return StoredSource(ScaledTable(source, scale))


def divided(table: Any, scale: Array) -> Any:
    """Return a sparse table whose columns are divided by numbers."""
    return sparse.csr_array(table @ sparse.diags_array((1 / scale).astype(table.dtype)))


def lacks_values(source: Source) -> bool:
    """Tell whether values are missing in a table of which a source has rows, divided or not."""
    table = source.table
    return has_missing(table.source if isinstance(table, ScaledTable) else source)
