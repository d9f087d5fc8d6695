"""Which rows a display of outliers shows, what they are called, and their reconstructions."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from skae._data.sources import Array, Source
from skae._data.tables.read import library_of
from skae._estimator.parameters.rules import Rule, integer
from skae._outliers.member import in_use

# Of the rows that a mask marks, so many are shown: the oddest.
MOST_MARKED = 10


def is_mask(value: Any) -> bool:
    """Tell whether a value is a sequence of bool."""
    return np.ndim(value) == 1 and np.asarray(value).dtype.kind == "b"


row_rule = Rule(
    "int >= 0, the position of a row, a sequence of them, a mask of bool, or None",
    lambda value: (
        value is None
        or integer(0).allows(value)
        or is_mask(value)
        or (
            np.ndim(value) == 1
            and len(value) > 0
            and np.asarray(value).dtype.kind in "iu"
            and min(value) >= 0
        )
    ),
)


def choose_rows(row: Any, scores: Array, X: Any) -> NDArray[np.int64]:
    """Return the positions of the rows to show, by default the oddest, or raise ValueError.

    Parameters
    ----------
    row : int, sequence of int, mask, or None
        As ``row_rule`` allows it.
    scores : ndarray of shape (n_rows,)
        Of all rows; the lowest is that of the oddest row.
    X : table of shape (n_rows, n_features)
        What the user passed, for the error.
    """
    if row is None:
        return np.array([scores.argmin()], dtype=np.int64)
    if is_mask(row):
        return oddest_marked(np.asarray(row), scores)
    n = len(scores)
    if np.max(row) < n:
        return np.atleast_1d(row).astype(np.int64)
    labels = ""
    if index_of(X) is not None:
        labels = "; row is a position, no label: X.index.get_indexer([…]) gives those of labels"
    if np.ndim(row) == 0:
        raise ValueError(f"row={row!r} is no row of X, which has {n}{labels}.")
    raise ValueError(f"row={row!r} names rows that X, with {n} rows, does not have{labels}.")


def oddest_marked(mask: NDArray[np.bool_], scores: Array) -> NDArray[np.int64]:
    """Return the positions of the rows that a mask marks, in order, or of the oddest of many."""
    if len(mask) != len(scores):
        raise ValueError(
            f"row is a mask of {len(mask)} rows, and X has {len(scores)}; pass one value for each."
        )
    marked = np.flatnonzero(mask)
    if not len(marked):
        raise ValueError("row is a mask that is True for no row; pass None for the oddest row.")
    return np.sort(marked[np.argsort(scores[marked], kind="stable")[:MOST_MARKED]])


def index_of(X: Any) -> Any:
    """Return the index of a frame of pandas, or None."""
    return X.index if library_of(X) == "pandas" else None


def row_names(positions: NDArray[np.int64], n_rows: int, *tables: Any) -> list[str] | None:
    """Return the labels of rows in the index of the first table that is a frame, or None."""
    for table in tables:
        index = index_of(table)
        if index is not None and len(index) == n_rows:
            labels = (index[i] for i in positions.tolist())
            return [", ".join(map(str, x)) if isinstance(x, tuple) else str(x) for x in labels]
    return None


def reconstruct(detector: Any, scaled: Source) -> Array:
    """Return what the first autoencoder of a detector makes of scaled rows, in units of X."""
    model = detector.estimator_
    codes = np.asarray(model.transform(in_use(model, scaled)))
    decoded = np.asarray(model.inverse_transform(codes), dtype=np.float64)
    x_hat: Array = decoded * (1.0 if detector.scale_ is None else detector.scale_)
    return x_hat
