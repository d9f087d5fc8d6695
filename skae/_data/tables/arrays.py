"""Arrays, lists and tensors as numbers."""

import sys
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array

from skae._data.tables.columns import Column, require_numbers, role_of


def from_numpy(X: NDArray[Any]) -> Any:
    """Return an array of numbers in this machine's byte order, with NaN for what is masked."""
    if X.dtype.names is not None:
        raise ValueError(
            f"X is a structured array with the fields {', '.join(X.dtype.names)}; pass "
            "numpy.lib.recfunctions.structured_to_unstructured(X), or pandas.DataFrame(X)."
        )
    if isinstance(X, np.ma.MaskedArray):
        data, mask = from_numpy(np.asarray(X.data)), np.ma.getmaskarray(X)
        dtype = np.float32 if data.dtype == np.float32 else np.float64
        return np.where(mask, dtype(np.nan), data) if mask.any() else data
    if X.dtype.kind in "OSUTMmV":
        return from_objects(X, range(X.shape[1])) if X.ndim == 2 else X
    if not X.dtype.isnative and not isinstance(X, np.memmap):  # a memory map is read in parts
        return X.astype(X.dtype.newbyteorder("="))
    if X.dtype == np.longdouble and X.dtype != np.float64:
        with np.errstate(over="ignore"):  # to infinity, for which there is an error in words
            return X.astype(np.float64)
    return X


def from_list(X: Any) -> Any:
    """Return a list of lists as an array."""
    table = np.asarray(X)
    if table.dtype.kind in "SU":  # in which numbers beside text would be text too
        table = np.asarray(X, dtype=object)
    return from_numpy(table)


def from_objects(X: NDArray[Any], names: Iterable[Any]) -> NDArray[np.float64]:
    """Return objects as numbers, None and pandas' NA as NaN; raise where there are others.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_columns) or (n_rows,)
        Of objects, text or dates.
    names : n_columns names
        Those that an error gives to the columns.
    """
    parts = X.T if X.ndim == 2 else [X]
    columns = [
        Column(name, str(X.dtype), role_of(part)) for name, part in zip(names, parts, strict=True)
    ]
    require_numbers(columns, "numpy")
    pandas = sys.modules.get("pandas")
    if pandas is not None:
        X = np.where(pandas.isna(X), np.nan, X)
    try:
        return X.astype(np.float64)
    except TypeError as error:
        raise TypeError(f"X holds objects that are no numbers: {error}") from error
    except OverflowError as error:
        raise ValueError("X holds an integer that float64 cannot hold; scale X.") from error


def from_torch(X: torch.Tensor) -> Any:
    """Return a tensor on any device as an array, or as CSR where it is sparse."""
    X = X.detach()
    if X.is_floating_point() and X.dtype not in (torch.float16, torch.float32, torch.float64):
        X = X.float()  # NumPy has no bfloat16
    if X.layout == torch.strided:
        return from_numpy(X.numpy(force=True))
    entries = X.cpu().to_sparse_coo().coalesce()
    if entries.sparse_dim() != 2 or entries.dense_dim():
        return entries.to_dense().numpy()
    position = tuple(entries.indices().numpy())
    return csr_array(coo_array((entries.values().numpy(), position), shape=tuple(X.shape)))
