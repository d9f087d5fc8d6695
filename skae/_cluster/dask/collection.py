"""Collections of Dask: what they are, and their blocks of rows."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

ARRAY, FRAME, SERIES = "Array", "DataFrame", "Series"


def is_collection(X: Any) -> bool:
    """Tell whether X is a collection of Dask, without importing Dask."""
    return kind_of(X) is not None


def kind_of(X: Any) -> str | None:
    """Return the name of the class of Dask that X is; None where it is none."""
    for kind in type(X).__mro__:
        package, _, module = kind.__module__.partition(".")
        if package == "dask" and hasattr(kind, "__dask_graph__"):
            frames = module.startswith(("array", "dataframe"))
            return kind.__name__ if frames else f"{module}.{kind.__name__}"
    return None


def as_table(X: Any) -> Any:
    """Return X with all columns in each block, or raise ValueError for what is no table."""
    kind = kind_of(X)
    if kind is None:
        raise TypeError(
            f"X is a {type(X).__name__}, no collection of Dask; pass it to the estimator itself."
        )
    if kind not in (ARRAY, FRAME) or X.ndim != 2:
        shape = f" of {X.ndim} dimensions" if kind == ARRAY else ""
        raise ValueError(
            f"X is a Dask {kind}{shape}; expected a dask.array of two dimensions or a "
            "dask.dataframe.DataFrame, such as X.reshape(-1, 1) or X.to_frame()."
        )
    if kind == FRAME:
        return X
    if np.isnan(X.shape[1]):
        raise ValueError("X has an unknown number of columns; call X.compute_chunk_sizes() first.")
    return X.rechunk({1: -1}) if X.numblocks[1] > 1 else X


def blocks_of(X: Any) -> list[Any]:
    """Return the blocks of a collection as Delayed, in order of the rows."""
    blocks = X.to_delayed()
    return list(blocks.ravel()) if isinstance(blocks, np.ndarray) else list(blocks)


def known_chunks(X: Any) -> tuple[int, ...] | None:
    """Return the numbers of rows of the blocks; None where they are unknown."""
    if kind_of(X) != ARRAY or np.isnan(X.shape[0]):
        return None
    chunks: tuple[int, ...] = X.chunks[0]
    return chunks


@dataclass(frozen=True)
class Beside:
    """One value for each row, such as its weight.

    Attributes
    ----------
    name : str
        Of the parameter.
    blocks : list of Delayed or None
        A block of values for each block of rows; None where values are not a collection.
    local : array-like or None
        Values that are in this process; None where there are none.
    """

    name: str
    blocks: list[Any] | None = None
    local: Any = None

    @classmethod
    def of(cls, name: str, values: Any, X: Any) -> "Beside":
        """Return values in the blocks of X.

        Parameters
        ----------
        name : str
        values : array-like, collection of Dask or None
        X : collection of Dask
            As :func:`as_table` returned it.
        """
        if not is_collection(values):
            return cls(name, None, values)
        if values.ndim != 1:
            raise ValueError(
                f"{name} has {values.ndim} dimensions, expected 1: a value for each row of X."
            )
        rows, own = known_chunks(X), known_chunks(values)
        if rows is not None and own is not None and rows != own:
            require_equal(name, (sum(own),), sum(rows))
            values = values.rechunk((rows,))
        blocks = blocks_of(values)
        if len(blocks) != X.npartitions:
            raise ValueError(
                f"{name} has {len(blocks)} partitions, and X has {X.npartitions}; pass both in the "
                "same partitions."
            )
        return cls(name, blocks)

    def block(self, number: int) -> Any:
        """Return the values of a block of X."""
        return None if self.blocks is None else self.blocks[number]

    def cut(self, counts: list[int]) -> Iterator[Any]:
        """Yield the values in this process for each block of X; None where there are none.

        Parameters
        ----------
        counts : list of int
            How many rows the blocks have.
        """
        if self.local is None:
            yield from [None] * len(counts)
            return
        values = np.asarray(self.local)
        if self.name == "sample_weight" and not values.ndim:  # one weight for all
            values = np.full(sum(counts), values)
        require_equal(self.name, values.shape, sum(counts))
        yield from np.split(values, np.cumsum(counts)[:-1])


def require_equal(name: str, shape: tuple[int, ...], n_rows: int) -> None:
    """Raise ValueError where there is not one value for each row."""
    if shape != (n_rows,):
        raise ValueError(
            f"{name} has the shape {shape}, expected ({n_rows},): a value for each row of X."
        )
