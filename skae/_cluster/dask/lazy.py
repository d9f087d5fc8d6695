"""What a fitted estimator makes of a collection: lazily, block by block."""

import hashlib
import pickle
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted, validate_data

from skae._cluster.dask.collection import ARRAY, Beside, as_table, blocks_of, kind_of, known_chunks
from skae._data.tables import to_numbers, with_names
from skae._data.tables.frames import frames_of

# So many models a process keeps unpickled.
MOST_MODELS = 4
# What a model in the blocks is without: blocks are arrays, and names are looked at once, before.
NOT_PACKED = ("feature_names_in_", "_sklearn_output_config")


class Models:
    """Models that this process has unpickled, by their names; the last few stay."""

    def __init__(self) -> None:
        self._models: dict[str, Any] = {}
        self._lock = threading.Lock()

    def get(self, name: str, content: bytes) -> Any:
        """Return the model of this name, unpickled once for all threads and blocks."""
        with self._lock:
            model = self._models.pop(name, None)
            if model is None:
                model = pickle.loads(content)
            self._models[name] = model  # the last used is the last to go
            while len(self._models) > MOST_MODELS:
                del self._models[next(iter(self._models))]
            return model


MODELS = Models()


@dataclass(frozen=True)
class Packed:
    """A fitted estimator as bytes: one node of a graph, which travels to each worker once."""

    name: str
    content: bytes

    @classmethod
    def of(cls, estimator: Any) -> "Packed":
        """Pack an estimator as it is now: a refit does not change what is lazy."""
        from cloudpickle import dumps  # for classes that are defined in a user's script

        content = dumps(bare(estimator))
        return cls(f"skae-model-{hashlib.sha256(content).hexdigest()[:32]}", content)

    def model(self) -> Any:
        """Return the estimator."""
        return MODELS.get(self.name, self.content)

    def node(self) -> Any:
        """Return the node of a graph that holds this."""
        from dask import delayed

        return delayed(self, pure=True, name=self.name)


def bare(estimator: Any) -> Any:
    """Return an estimator with the same attributes, but without what blocks do not need."""
    copy = object.__new__(type(estimator))
    copy.__dict__ = {n: v for n, v in vars(estimator).items() if n not in NOT_PACKED}
    return copy


def rows_of(estimator: Any, method: str, X: Any, **options: Any) -> Any:
    """Return what a method makes of each row of a collection, as a lazy collection.

    Parameters
    ----------
    estimator : estimator
        Fitted.
    method : {"transform", "inverse_transform", "score_samples"}
    X : dask.array.Array or dask.dataframe.DataFrame of shape (n_samples, n_features)
    **options
        Passed to the method.

    Returns
    -------
    dask.array.Array of shape (n_samples, n_outputs) or (n_samples,)
        With the chunks of X. Of ``transform`` with ``set_output(transform="pandas")`` a
        dask.dataframe.DataFrame, with the index of X where X has one.
    """
    check_is_fitted(estimator)
    X = as_table(X)
    like = probe(estimator, method, X, options)
    call = {"packed": Packed.of(estimator).node(), "method": method, "options": options}
    container = output_container(estimator) if method == "transform" else None
    if container is None:
        return lazy_array(X, apply, like, call)
    names = estimator.get_feature_names_out()
    if kind_of(X) == ARRAY:
        from dask.dataframe import from_dask_array

        return from_dask_array(lazy_array(X, apply, like, call), columns=list(names))
    import pandas as pd

    meta = pd.DataFrame(like, columns=names, index=X._meta.index)
    call |= {"like": like, "columns": names}
    return X.map_partitions(apply_to_frame, meta=meta, **call)


def lazy_array(X: Any, function: Callable, like: NDArray[Any], call: dict[str, Any]) -> Any:
    """Return the arrays that a function makes of the blocks, as a Dask array.

    ``like`` is an array of no rows like the result.
    """
    call = call | {"like": like}
    if kind_of(X) != ARRAY:
        return X.map_partitions(function, meta=like, **call)
    chunks = (X.chunks[0], *((n,) for n in like.shape[1:]))
    dropped = {"drop_axis": 1} if like.ndim == 1 else {}
    return X.map_blocks(function, chunks=chunks, meta=like, dtype=like.dtype, **dropped, **call)


def apply(
    block: Any, *, packed: Packed, method: str, options: dict[str, Any], like: NDArray[Any]
) -> NDArray[Any]:
    """Return what a method makes of a block; of an empty one, nothing of the same kind."""
    rows = to_numbers(block)
    if not rows.shape[0]:
        return like
    result: NDArray[Any] = np.asarray(getattr(packed.model(), method)(rows, **options))
    return result


def apply_to_frame(block: Any, *, columns: Any, **call: Any) -> Any:
    """Return what a method makes of a block, as a frame of pandas."""
    import pandas as pd

    return pd.DataFrame(apply(block, **call), columns=columns, index=block.index)


def probe(estimator: Any, method: str, X: Any, options: dict[str, Any]) -> NDArray[Any]:
    """Check columns and options, and return an array of no rows like the result."""
    n_columns = int(X.shape[1])
    numbers = to_numbers(X._meta) if kind_of(X) != ARRAY else X._meta
    if method == "inverse_transform":
        row = np.zeros((1, n_columns))
    else:
        table = with_names(X._meta, np.empty((0, n_columns)))
        validate_data(estimator, table, reset=False, skip_check_array=True)
        row = np.reshape(getattr(estimator, "mean_", np.zeros(n_columns)), (1, -1))
    row = row.astype(np.float32 if numbers.dtype == np.float32 else np.float64)
    result: NDArray[Any] = np.asarray(getattr(bare(estimator), method)(row, **options))
    return result[:0]


def output_container(estimator: Any) -> str | None:
    """Return the container that ``set_output`` asks for, or raise ValueError; None means arrays."""
    container = frames_of(estimator)
    if container not in (None, "pandas"):
        raise ValueError(
            f"set_output(transform={container!r}) asks for what Dask has no collections of; pass "
            "'pandas' or 'default'."
        )
    return container


def score_of(estimator: Any, X: Any, sample_weight: Any = None) -> float:
    """Return the score of all rows, which is computed at once, block by block."""
    import dask

    check_is_fitted(estimator)
    X = as_table(X)
    probe(estimator, "score_samples", X, {})
    weights = Beside.of("sample_weight", sample_weight, X)
    n_blocks, chunks = X.npartitions, known_chunks(X)
    if chunks is None and np.ndim(weights.local):
        raise ValueError(
            "sample_weight is in memory, and the partitions of X have unknown numbers of rows; "
            "pass a Dask collection in the partitions of X, or call X.compute_chunk_sizes() first."
        )
    local = [weights.local] * n_blocks if chunks is None else list(weights.cut(list(chunks)))
    beside = local if weights.blocks is None else weights.blocks
    task, node = dask.delayed(sums_of_block, pure=True), Packed.of(estimator).node()
    tasks = [task(node, block, own) for block, own in zip(blocks_of(X), beside, strict=True)]
    found = [sums for sums in dask.compute(*tasks) if sums is not None]
    total = sum(weight for _, weight in found)
    if not total:
        raise ValueError(
            "X has no rows with a weight that is not zero; pass at least one to score."
        )
    return float(estimator._score_of(sum(sums for sums, _ in found) / total))


def sums_of_block(packed: Packed, block: Any, weights: Any) -> Any:
    """Return the weighted sums over the rows of a block, of which scores are made, and the weight.

    None where the block is empty.
    """
    rows = to_numbers(block)
    if not rows.shape[0]:
        return None
    return packed.model()._sum_terms(rows, weights, may_be_zero=True)
