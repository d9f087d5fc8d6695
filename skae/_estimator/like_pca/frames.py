"""Rows of inverse_transform as frames, with the names that the columns of X had."""

import importlib
from typing import Any

from skae._data.sources import Array
from skae._data.tables.frames import frames_of


def with_names_of_X(estimator: Any, X_hat: Array, codes: Any) -> Any:
    """Return rows as the frame that ``set_output`` asks for, where the columns of X had names.

    scikit-learn's ``set_output`` is for codes alone, and leaves the way back without names. The
    rows of a frame of pandas have the index of the codes, where these are one.
    """
    kind = frames_of(estimator)
    names = getattr(estimator, "feature_names_in_", None)
    if kind is None or names is None:
        return X_hat
    library = importlib.import_module(kind)
    if kind == "polars":
        return library.DataFrame(X_hat, schema=list(names), orient="row")
    index = codes.index if isinstance(codes, library.DataFrame) else None
    return library.DataFrame(X_hat, columns=names, index=index, copy=False)
