"""Columns that are not numbers: what they hold, and the error that says what to do with them."""

from dataclasses import dataclass
from typing import Any

import numpy as np

# An error names this many columns, and the text of a column is known from this many of its values.
NAMED = 8
LOOKED_AT = 1000


@dataclass(frozen=True)
class Column:
    """What an error says of a column: its name or position, its type, and what it holds.

    ``role`` is "number" or a key of `REMEDIES`.
    """

    name: Any
    dtype: str
    role: str


def role_of(values: Any) -> str:
    """Return what Python objects or an array's entries are: "number", or a key of `REMEDIES`."""
    kind = getattr(values, "dtype", np.dtype(object)).kind
    if kind in "Mm":
        return "date" if kind == "M" else "duration"
    names = {base.__name__ for found in set(map(type, values)) for base in found.__mro__}
    if names & {"str", "bytes"}:
        texts = [value for value in values if isinstance(value, str | bytes)]
        return "text" if all(map(is_number, texts[:LOOKED_AT])) else "category"
    if names & {"date", "datetime64"}:
        return "date"
    return "duration" if names & {"timedelta", "timedelta64"} else "number"


def is_number(text: str | bytes) -> bool:
    """Tell whether a text is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


# What to do with columns of a kind, by the library of the frame; {} is the first one's name.
REMEDIES: dict[str, dict[str, str]] = {
    "category": {},
    "text": {
        "pandas": "pandas.to_numeric(X[{}])",
        "polars": "X[{}].cast(polars.Float64)",
        "pyarrow": "X[{}].cast('float64')",
        "numpy": "X[:, {}].astype(float)",
    },
    "date": {
        "pandas": "pandas.DatetimeIndex(X[{}]).to_julian_date()",
        "polars": "X[{}].to_physical()",
        "pyarrow": "X[{}].cast('timestamp[us]').cast('int64')",
        "numpy": "X[:, {}].astype('datetime64[D]').astype(float)",
    },
    "period": {"pandas": "X[{}].dt.to_timestamp()"},
    "duration": {
        "pandas": "pandas.TimedeltaIndex(X[{}]).total_seconds()",
        "polars": "X[{}].dt.total_seconds()",
        "pyarrow": "X[{}].cast('int64')",
        "numpy": "X[:, {}].astype('timedelta64[s]').astype(float)",
    },
    "other": {},
}


def require_numbers(columns: list[Column], library: str) -> None:
    """Raise ValueError where columns are not numbers, with their names and what to do."""
    bad = [column for column in columns if column.role != "number"]
    if not bad:
        return
    named = ", ".join(f"{column.name!r} ({column.dtype})" for column in bad[:NAMED])
    more = f" and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
    roles = {role: [column.name for column in bad if column.role == role] for role in REMEDIES}
    remedies = "; ".join(remedy(role, names, library) for role, names in roles.items() if names)
    raise ValueError(f"X has columns that are not numbers: {named}{more}; {remedies}.")


def remedy(role: str, names: list[Any], library: str) -> str:
    """Return what to do with columns of a role, as a clause of an error."""
    if role == "category":
        # scikit-learn chooses no columns of pyarrow's tables
        frame = " on X.to_pandas()" if library == "pyarrow" else ""
        return (
            "encode categories, as with ColumnTransformer([('categories', OneHotEncoder("
            f"sparse_output=False), {names[:NAMED]!r})], remainder='passthrough'){frame}, "
            "and leave free text out"
        )
    if library not in REMEDIES[role]:
        return f"leave out {names[:NAMED]!r}"
    what = "numbers that are stored as text" if role == "text" else f"{role}s"
    return f"convert {what}, as with {REMEDIES[role][library].format(repr(names[0]))}"
