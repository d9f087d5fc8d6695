"""Checks of what users pass in, with errors that name the remedy."""

from typing import Any

import numpy as np
import torch
from scipy import sparse
from sklearn.utils.validation import check_array, validate_data

from skae._data.sources import Array, ArraySource, Source, SparseSource, StoredSource
from skae._data.tables import to_numbers, with_names
from skae._data.world import World

# Memory maps up to this size are read row by row, as arrays are: the system keeps them in memory.
MAX_MAPPED = 2**28
MAX_FLOAT32 = float(np.finfo(np.float32).max)


def read_shard(estimator: Any, X: Any, world: World) -> Source:
    """Return the rows of X for a fit, as those that this one of many processes has.

    It may have none. As :func:`read_rows`; raises ValueError too where processes have different
    columns, or fewer than two rows together.
    """
    source = read_rows(estimator, X, fitting=True, least=0 if world.size > 1 else 2)
    source.world = world
    shapes = world.gather((source.n_rows, source.n_features))
    if len({n_features for _, n_features in shapes}) > 1:
        told = ", ".join(f"{n} in process {rank}" for rank, (_, n) in enumerate(shapes))
        raise ValueError(
            f"X has not the same number of columns in all processes: {told}; a process without "
            "rows passes an array of shape (0, n_features)."
        )
    agree_on_names(estimator, world)
    n_rows = sum(n for n, _ in shapes)
    if n_rows < 2:
        raise ValueError(
            f"X has {n_rows} row(s) in all processes together; a minimum of 2 is required."
        )
    return source


def agree_on_names(estimator: Any, world: World) -> None:
    """Give all processes the names of columns that some have; raise ValueError if they differ."""
    names = [
        None if own is None else list(map(str, own))
        for own in world.gather(getattr(estimator, "feature_names_in_", None))
    ]
    known = [(rank, own) for rank, own in enumerate(names) if own is not None]
    for rank, own in known:
        if own != known[0][1]:
            place = next(i for i, (a, b) in enumerate(zip(own, known[0][1], strict=True)) if a != b)
            raise ValueError(
                f"X has other columns in process {rank} than in process {known[0][0]}: column "
                f"{place} is {own[place]!r}, not {known[0][1][place]!r}; give all the same."
            )
    if known and world.size > 1:
        estimator.feature_names_in_ = np.array(known[0][1], dtype=object)


def read_rows(estimator: Any, X: Any, *, fitting: bool, least: int = 1) -> Source:
    """Return the rows of X as a source of floating-point numbers, or raise ValueError.

    float32 stays float32, everything else becomes float64: rows are centred before they
    are cast, so that large offsets cost no precision. A fit in float64 has all rows in float64,
    so that sums over them have its precision. What is stored elsewhere stays there. NaN is a
    missing value. There are ``least`` rows. A source is what has been read already.
    """
    if isinstance(X, Source):
        if fitting:
            estimator.n_features_in_ = X.n_features
        return X
    wide = fitting and estimator.dtype == "float64"
    if is_stored(X):
        validate_data(estimator, X, reset=fitting, skip_check_array=True)
        return StoredSource(require_table(estimator, X, least), wide=wide)
    table = read_table(
        estimator, X, fitting=fitting, wide=wide, accept_sparse="csr", ensure_min_samples=least
    )
    if not sparse.issparse(table):
        return ArraySource(table)
    table = sparse.csr_array(table)
    if not table.has_canonical_format:
        table = table.copy()
        table.sum_duplicates()
    return SparseSource(table)


def read_table(estimator: Any, X: Any, *, fitting: bool, wide: bool = False, **checks: Any) -> Any:
    """Return a table of any kind as an array of float32 or float64, or raise ValueError.

    ``wide`` means float64 in any case. ``checks`` are those of scikit-learn's ``check_array``;
    values may be missing or infinite.
    """
    table = check_array(
        to_numbers(X),
        dtype=np.float64 if wide else [np.float64, np.float32],
        ensure_all_finite=False,
        input_name="X",
        estimator=estimator,
        **checks,
    )
    # Names of columns are the frame's, and only scikit-learn knows where they are.
    validate_data(estimator, with_names(X, table), reset=fitting, skip_check_array=True)
    return table


def is_stored(X: Any) -> bool:
    """Tell whether X is a table that is not in memory: a large memory map, or an array of a file.

    Such as those of h5py, zarr and blosc2, which have a shape, a dtype, and slices of rows.
    """
    if isinstance(X, np.ndarray):
        return isinstance(X, np.memmap) and X.nbytes > MAX_MAPPED
    library = type(X).__module__.partition(".")[0]
    if library == "dask":
        raise TypeError(
            f"X is a {type(X).__name__} of Dask, which skae.dask.fit takes for autoencoders; pass "
            "others, and partial_fit, rows in memory, such as X.partitions[0].compute()."
        )
    has_slices = all(hasattr(X, name) for name in ("shape", "dtype", "__getitem__"))
    is_in_memory = sparse.issparse(X) or isinstance(X, torch.Tensor)
    return has_slices and not is_in_memory and library not in ("pandas", "polars", "pyarrow")


def require_table(estimator: Any, X: Any, least: int) -> Any:
    """Raise ValueError where a stored table is no table of numbers with enough rows."""
    kind = np.dtype(str(X.dtype)) if not isinstance(X.dtype, np.dtype) else X.dtype
    if len(X.shape) != 2 or kind.kind not in "biuf":
        raise ValueError(
            f"X has the shape {tuple(X.shape)} and the dtype {X.dtype}; "
            f"{type(estimator).__name__} needs a 2D table of real numbers."
        )
    if X.shape[0] < least or X.shape[1] < 1:
        raise ValueError(
            f"Found array with {X.shape[0]} sample(s) and {X.shape[1]} feature(s), while a "
            f"minimum of {least} sample(s) and 1 feature is required by "
            f"{type(estimator).__name__}."
        )
    return X


def check_codes(estimator: Any, codes: Any, n_components: int, dtype: Any) -> Array:
    """Return codes as an array of ``n_components`` columns, or raise ValueError."""
    codes = to_numbers(codes)
    codes = check_array(codes, dtype=dtype, input_name="codes", estimator=estimator)
    if codes.shape[1] != n_components:
        raise ValueError(
            f"X has {codes.shape[1]} columns, but {type(estimator).__name__} has "
            f"n_components_={n_components}; pass what transform returned."
        )
    return codes


def has_missing(source: Source) -> bool:
    """Tell whether rows have missing values; raise ValueError for infinite and too large ones."""
    found = False
    parts = [(slice(0, source.n_rows), stored_numbers(source))] if in_memory(source) else None
    for rows, part in parts or source.parts():
        found |= part_has_missing(part, rows.start)
    return found


def in_memory(source: Source) -> bool:
    """Tell whether the numbers of all rows can be looked at at once."""
    return source.index is None and (source.may_be_copied or sparse.issparse(source.table))


def stored_numbers(source: Source) -> Array:
    """Return the numbers of a table, of a sparse one those that it stores."""
    numbers: Array = source.table.data if sparse.issparse(source.table) else source.table
    return numbers


def part_has_missing(part: Array, first: int = 0, largest: float = MAX_FLOAT32) -> bool:
    """Tell whether numbers are missing; raise ValueError for infinite and too large ones.

    ``first`` is the position of the part's first row.
    """
    with np.errstate(all="ignore"):
        if np.isfinite(part.sum()) and (
            part.dtype == np.float32 or not part.size or max(part.max(), -part.min()) < largest
        ):
            return False
        missing = np.isnan(part)
        bad = ~(np.abs(part) < largest) & ~missing
    if bad.any():
        place = np.argwhere(bad)[0]
        where = f"X[{place[0] + first}, {place[1]}] = " if part.ndim == 2 else ""
        raise ValueError(
            f"X contains infinity or a value too large for float32, {where}"
            f"{part[tuple(place)]!s}; replace it or drop the row."
        )
    return bool(missing.any())
