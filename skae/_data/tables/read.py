"""What kind of table it is, and who reads it.

No library of frames is imported here: where there is a frame, its library is in sys.modules.
"""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from skae._data.tables.arrays import from_list, from_numpy, from_torch
from skae._data.tables.frames import from_arrow, from_pandas, from_polars

FRAMES = {
    "pandas": {"DataFrame"},
    "polars": {"DataFrame", "LazyFrame"},
    "pyarrow": {"Table", "RecordBatch"},
}
READERS: dict[str | None, Callable[[Any], Any]] = {
    "pandas": from_pandas,
    "polars": from_polars,
    "pyarrow": from_arrow,
}


def to_numbers(X: Any) -> Any:
    """Return X, whatever kind of table it is, as something that check_array turns into floats.

    Parameters
    ----------
    X : table of shape (n_samples, n_features)
        An array, a list of lists, a frame of pandas, polars or pyarrow, a tensor. Anything else,
        such as a scipy sparse matrix, is returned as it is, and so is what has not two
        dimensions: scikit-learn has errors for that.

    Returns
    -------
    table : ndarray of shape (n_samples, n_features), scipy.sparse.csr_array, or X itself
        Missing values are NaN. float32 stays float32, without a copy where the numbers already
        lie in one block; frames of several types become float64, unless float32 holds all of them.
        Sparse tensors, and frames of pandas whose columns are all sparse, become CSR.

    Raises
    ------
    ValueError
        Where columns hold categories, text, dates or other things that are not numbers.
    TypeError
        Where an array of objects holds what Python cannot turn into a float.
    """
    if isinstance(X, np.ndarray):
        return from_numpy(X)
    if isinstance(X, torch.Tensor):
        return from_torch(X)
    if isinstance(X, list | tuple):
        return from_list(X)
    library = library_of(X)
    return READERS[library](X) if library in READERS else X


def with_names(X: Any, numbers: Any) -> Any:
    """Return the frame from which scikit-learn reads feature names, or else the numbers.

    Parameters
    ----------
    X : table
        What the user passed. Where names of columns are equal they name nothing: there are none.
    numbers : ndarray or sparse array
        The same table, checked.
    """
    library = library_of(X)
    if library == "pandas":
        return X if X.columns.is_unique else numbers
    if library == "pyarrow":
        arrow = sys.modules["pyarrow"]
        # scikit-learn does not know batches; as a table they cost nothing
        table = arrow.Table.from_batches([X]) if isinstance(X, arrow.RecordBatch) else X
        names = table.column_names
        return table if len(set(names)) == len(names) else numbers
    return X if library == "polars" else numbers


def library_of(X: Any) -> str | None:
    """Return the library whose frame X is, or an heir of it; None where X is no frame."""
    for kind in type(X).__mro__:
        library = kind.__module__.partition(".")[0]
        if kind.__name__ in FRAMES.get(library, ()):
            return library
    return None
