"""Frames of pandas, polars and pyarrow as numbers."""

import sys
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import get_config

from skae._data.tables.arrays import from_numpy, from_objects
from skae._data.tables.columns import LOOKED_AT, Column, require_numbers, role_of

# Types of columns that float32 holds exactly, under the names that the libraries give them.
SMALL = {"bool", "boolean", "int8", "uint8", "int16", "uint16", "float16", "halffloat"}
FLOAT32 = {"float32", "float"}


def frames_of(estimator: Any) -> str | None:
    """Return the library whose frames ``set_output`` asks an estimator for; None means arrays."""
    # scikit-learn has a function for that, which is private and may go.
    own = getattr(estimator, "_sklearn_output_config", {})
    library: str = own.get("transform", get_config()["transform_output"])
    return None if library == "default" else library


def float_type(names: Iterable[str]) -> type[np.floating]:
    """Return float32 where columns of these types are float32 or smaller, else float64."""
    plain = {name.lower().removesuffix("[pyarrow]") for name in names}
    return np.float32 if plain & FLOAT32 and plain <= FLOAT32 | SMALL else np.float64


def from_pandas(X: Any) -> Any:
    """Return a frame of pandas as an array, or as CSR where all columns are sparse."""
    dtypes = list(X.dtypes)
    plain = dtypes and isinstance(dtypes[0], np.dtype) and dtypes[0].kind in "biufc"
    if plain and len(set(dtypes)) == 1:  # one block: no copy
        return from_numpy(X.to_numpy())
    columns = [pandas_column(X.iloc[:, i], name) for i, name in enumerate(X.columns)]
    require_numbers(columns, "pandas")
    inner = [getattr(dtype, "subtype", dtype) for dtype in dtypes]
    dtype = float_type(str(name) for name in inner)
    if dtypes and all(hasattr(kind, "subtype") and kind.fill_value == 0 for kind in dtypes):
        # one type for all columns, which to_coo would else store as objects
        sparse = sys.modules["pandas"].SparseDtype(dtype, 0)
        return X.astype(sparse).sparse.to_coo().tocsr()
    table = np.empty(X.shape, dtype=dtype)
    for i, name in enumerate(X.columns):
        series = X.iloc[:, i]
        if series.dtype == object:
            table[:, i] = from_objects(series.to_numpy(), [name])
        else:
            table[:, i] = series.to_numpy(dtype=dtype, na_value=np.nan)
    return table


def pandas_column(series: Any, name: Any) -> Column:
    """Describe a column of pandas."""
    dtype, pandas = series.dtype, sys.modules["pandas"]
    if isinstance(dtype, pandas.PeriodDtype):
        role = "period"
    elif isinstance(dtype, pandas.CategoricalDtype):
        role = "category"
    elif dtype.kind in "Mm":
        role = {"M": "date", "m": "duration"}[dtype.kind]
    elif dtype.kind == "c":
        role = "other"
    elif dtype.kind == "b" or pandas.api.types.is_numeric_dtype(dtype):
        role = "number"
    else:
        role = role_of(series.to_numpy(dtype=object))
        # what is not stored as an object is no number, even where Python can turn it into one
        role = "other" if role == "number" and not isinstance(dtype, np.dtype) else role
    return Column(name, str(dtype), role)


def from_polars(X: Any) -> Any:
    """Return a frame of polars as an array."""
    if hasattr(X, "collect"):
        raise ValueError("X is a polars.LazyFrame, whose rows are not there yet; pass X.collect().")
    require_numbers([polars_column(X[name]) for name in X.columns], "polars")
    polars = sys.modules["polars"]
    small = float_type(str(dtype) for dtype in X.dtypes) is np.float32
    numbers = X.select(polars.all().cast(polars.Float32 if small else polars.Float64))
    return numbers.to_numpy(order="c")


def polars_column(series: Any) -> Column:
    """Describe a column of polars."""
    dtype, polars = series.dtype, sys.modules["polars"]
    if dtype.is_numeric() or dtype in (polars.Boolean, polars.Null):
        role = "number"
    elif dtype in (polars.Categorical, polars.Enum):
        role = "category"
    elif dtype.is_temporal():
        role = "duration" if dtype == polars.Duration else "date"
    else:
        text = dtype == polars.String
        role = role_of(series.drop_nulls().head(LOOKED_AT).to_list()) if text else "other"
    return Column(series.name, str(dtype), role)


def from_arrow(X: Any) -> NDArray[Any]:
    """Return a table or a batch of pyarrow as an array."""
    fields = list(zip(X.schema, X.columns, strict=True))
    require_numbers([arrow_column(field, column) for field, column in fields], "pyarrow")
    table = np.empty((X.num_rows, X.num_columns), float_type(str(f.type) for f, _ in fields))
    to = {np.float32: "float32", np.float64: "float64"}[table.dtype.type]
    for i, column in enumerate(X.columns):
        # unsafe: integers above 2**53 lose digits
        part = column.cast(to, safe=False)
        table[:, i] = np.asarray(part.to_numpy(zero_copy_only=False))
    return table


def arrow_column(field: Any, column: Any) -> Column:
    """Describe a column of pyarrow."""
    of = sys.modules["pyarrow"].types
    kind, role = field.type, "other"
    numbers = of.is_integer, of.is_floating, of.is_boolean, of.is_decimal, of.is_null
    if any(is_kind(kind) for is_kind in numbers):
        role = "number"
    elif of.is_dictionary(kind):
        role = "category"
    elif of.is_duration(kind):
        role = "duration"
    elif of.is_timestamp(kind) or of.is_date(kind):
        role = "date"
    elif of.is_string(kind) or of.is_large_string(kind) or of.is_string_view(kind):
        role = role_of(column.drop_null()[:LOOKED_AT].to_pylist())
    return Column(field.name, str(kind), role)
