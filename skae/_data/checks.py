"""Checks of what users pass in, with errors that name the remedy."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_array, validate_data

from skae._data.tables import to_numbers, with_names

Array = NDArray[np.floating]


def check_rows(estimator: Any, X: Any, *, fitting: bool) -> Array:
    """Return X as a two-dimensional floating-point array, or raise ValueError.

    float32 stays float32, everything else becomes float64: rows are centred before they
    are cast, so that large offsets cost no precision.
    """
    table = check_array(
        to_numbers(X),
        dtype=[np.float64, np.float32],
        ensure_all_finite=False,
        ensure_min_samples=2 if fitting else 1,
        input_name="X",
        estimator=estimator,
    )
    # Names of columns are the frame's, and only scikit-learn knows where they are.
    validate_data(estimator, with_names(X, table), reset=fitting, skip_check_array=True)
    require_finite(estimator, table)
    return table


def check_codes(estimator: Any, codes: Any, n_components: int) -> Array:
    """Return codes as a float32 array of ``n_components`` columns, or raise ValueError."""
    codes = to_numbers(codes)
    codes = check_array(codes, dtype=np.float32, input_name="codes", estimator=estimator)
    if codes.shape[1] != n_components:
        raise ValueError(
            f"X has {codes.shape[1]} columns, but {type(estimator).__name__} has "
            f"n_components_={n_components}; pass what transform returned."
        )
    return codes


def require_finite(estimator: Any, X: Array) -> None:
    """Raise where X has a missing or infinite value, or one that float32 cannot hold."""
    name = type(estimator).__name__
    largest = np.finfo(np.float32).max
    with np.errstate(all="ignore"):
        if np.isfinite(X.sum()) and (X.dtype == np.float32 or max(X.max(), -X.min()) < largest):
            return
        if np.abs(X).max() < largest:  # only the sum is too large
            return
    missing = np.isnan(X)
    if missing.any():
        row, column = np.argwhere(missing)[0]
        raise ValueError(
            f"X contains NaN: {missing.sum()} missing values, the first in row {row}, column "
            f"{column}. {name} needs them filled in, as with sklearn.impute.SimpleImputer."
        )
    row, column = np.argwhere(~(np.abs(X) < largest))[0]
    raise ValueError(
        f"X contains infinity or a value too large for float32, X[{row}, {column}] = "
        f"{X[row, column]!s}; replace it or drop the row."
    )
