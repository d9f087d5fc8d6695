"""A fit to a collection: its blocks are stored where they are, and the workers fit together."""

import pickle
import tempfile
import warnings
from typing import Any

import numpy as np
from sklearn.utils.validation import validate_data

from skae._cluster.dask.client import Options, find_client
from skae._cluster.dask.cluster import fit_on_workers
from skae._cluster.dask.collection import Beside, as_table, blocks_of
from skae._cluster.place import Place, common_dtype, joined, n_bytes
from skae._data.tables import with_names
from skae._data.world import ALONE
from skae._files.caller import caller_level

# Rows of so many bytes are held in memory where this process fits alone.
IN_MEMORY = 2**30
# Names of Dask's scheduler that computes in the calling thread.
SYNCHRONOUS = ("sync", "synchronous", "single-threaded")


def fit_collection(
    estimator: Any, X: Any, sample_weight: Any, groups: Any, client: Any = None, **options: Any
) -> None:
    """Fit an estimator to a collection of Dask, in place.

    Parameters
    ----------
    estimator : estimator
        Left with the fitted attributes.
    X : dask.array.Array or dask.dataframe.DataFrame of shape (n_samples, n_features)
    sample_weight, groups : array-like or collection of Dask of shape (n_samples,), or None
    client : distributed.Client or None
        None means the current one; where there is none, this process fits.
    **options
        Fields of :class:`Options`.
    """
    checked = Options(**options)
    X = as_table(X)
    beside = [Beside.of("sample_weight", sample_weight, X), Beside.of("groups", groups, X)]
    with find_client(client) as found:
        if found is None:
            fit_here(estimator, blocks_of(X), beside)
        else:
            outcome = fit_on_workers(found, estimator, X, beside, checked)
            for category, message in outcome.caught:
                warnings.warn(message, category, stacklevel=caller_level())
            take_fit(estimator, pickle.loads(outcome.estimator))
    validate_data(
        estimator,
        with_names(X._meta, np.empty((0, int(X.shape[1])))),
        reset=True,
        skip_check_array=True,
    )


def take_fit(estimator: Any, fitted: Any) -> None:
    """Give an estimator what a fit of its copy has left; its parameters stay the same objects."""
    parameters = estimator.get_params(deep=False)
    own = {name: value for name, value in vars(estimator).items() if name in parameters}
    estimator.__dict__ = vars(fitted) | own


def fit_here(estimator: Any, blocks: list[Any], beside: list[Beside]) -> None:
    """Fit in this process: every block is computed once and stored in a temporary file."""
    import dask

    place = Place(dask.config.get("temporary-directory", None) or tempfile.gettempdir())
    try:
        task = dask.delayed(place.store, pure=False)
        # Threads or this one: other processes have no place.
        configured = dask.config.get("scheduler", None)
        scheduler = configured if configured in SYNCHRONOUS else "threads"
        tasks = (
            task(block, *(values.block(i) for values in beside)) for i, block in enumerate(blocks)
        )
        parts = dask.compute(*tasks, scheduler=scheduler)
        filled = [part for part in parts if part.n_rows] or list(parts)
        counts = [part.n_rows for part in filled]
        rows = place.rows(filled, common_dtype(filled), in_memory=n_bytes(filled) <= IN_MEMORY)
        own = place.beside(filled)
        weights, groups = (
            joined(list(values.cut(counts))) if mine is None else mine
            for values, mine in zip(beside, own, strict=True)
        )
        estimator._fit_together(rows, weights, groups, ALONE)
    finally:
        place.remove()
