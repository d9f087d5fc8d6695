"""Autoencoders over Dask arrays and DataFrames: fitted on the workers, used lazily.

``AutoEncoder().fit(X)`` of a Dask collection, and ``transform``, ``inverse_transform``,
``score_samples`` and ``score`` of one, are the functions of this module with default settings: here
a client, time-outs and retries can be passed. Needs ``pip install skae[dask]``.

::

    from distributed import Client
    from skae import AutoEncoder

    client = Client()  # or the address of a scheduler
    model = AutoEncoder(8).fit(X)  # on the client's workers
    codes = model.transform(X)  # a lazy dask.array
"""

from typing import Any, TypeVar

try:
    import dask as _dask  # noqa: F401
    import distributed as _distributed  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"skae.dask needs Dask ({error}); install it with pip install skae[dask]."
    ) from error

from skae._cluster.processes import ProcessLostError
from skae._estimator import collections as _collections

T = TypeVar("T")

__all__ = [
    "ProcessLostError",
    "fit",
    "inverse_transform",
    "score",
    "score_samples",
    "transform",
]


def fit(
    estimator: T,
    X: Any,
    *,
    sample_weight: Any = None,
    groups: Any = None,
    client: Any = None,
    timeout: float = 600.0,
    wait: float = 300.0,
    retries: int = 0,
) -> T:
    """Fit an autoencoder to a Dask collection, on the workers that hold its partitions.

    Each partition is computed once, and stored on the disk of the worker that computed it: its
    memory need not hold its rows. What workers hold already, as after ``X.persist()``, they store
    themselves. Then each worker with rows trains on these, and after each step the workers
    agree on the weights. No rows travel between workers, apart from those that validate.

    Without a client this process does both, in a temporary file.

    Parameters
    ----------
    estimator : estimator of skae
        Fitted in place, at the end and at once; a fit that fails changes nothing.
    X : dask.array.Array or dask.dataframe.DataFrame of shape (n_samples, n_features)
        Numbers of rows may be unknown, and partitions may be empty.
    sample_weight : array-like or Dask collection of shape (n_samples,), or None
        How much each row counts. A collection has the partitions of X.
    groups : array-like or Dask collection of shape (n_samples,), or None
        Which rows belong together, as in ``fit``.
    client : distributed.Client or None
        None means the current one.
    timeout : float
        Seconds that workers wait for each other in one step. A worker that dies is noticed at once;
        this bounds the wait for one that is cut off. Raise it where one worker has far more rows
        than another, for which it waits.
    wait : float
        Seconds to wait where there is no worker, and for all workers to begin: their
        threads may be busy with other tasks.
    retries : int
        How often to go on when workers were lost, from the state of the last epoch, with
        those that are left. Dask computes the lost partitions anew. 0 raises an error.

    Returns
    -------
    estimator
        The one that was passed.

    Raises
    ------
    skae.dask.ProcessLostError
        Where workers were lost and no retry is left, within seconds: it names them.
    ValueError
        For bad parameters or data, as ``fit``. What a worker raises ends the fit on all, and
        comes with that worker's traceback.
    KeyboardInterrupt
        Ctrl-C ends the tasks of all workers before it is raised.

    Notes
    -----
    The task of a worker that trains does not occupy one of its threads, so that fits at the same
    time do not wait for each other; it computes with as many threads as the worker has.
    Nothing is left of a fit on the workers when it has ended, nor when the client is gone.

    A result depends on the rows that each worker has, and with it on the number of workers.

    Examples
    --------
    >>> import dask.array as da
    >>> from skae import AutoEncoder
    >>> from skae.dask import fit
    >>> X = da.random.default_rng(0).normal(size=(200, 4), chunks=(50, 4))
    >>> model = fit(AutoEncoder(2, max_iter=2, random_state=0), X)
    >>> model.transform(X)
    dask.array<apply, shape=(200, 2), dtype=float32, chunksize=(50, 2), chunktype=numpy.ndarray>
    """
    options = {"client": client, "timeout": timeout, "wait": wait, "retries": retries}
    fitted: T = _collections.fit(estimator, X, None, sample_weight, groups=groups, **options)
    return fitted


def transform(estimator: Any, X: Any) -> Any:
    """Return the codes of the rows of a Dask collection, lazily.

    The model is one node of the graph, as bytes, so that it travels to each worker once and is
    unpickled there once. It is the model of now: fitting again changes no lazy result.

    Parameters
    ----------
    estimator : estimator of skae
        Fitted, to whatever kind of rows.
    X : dask.array.Array or dask.dataframe.DataFrame of shape (n_samples, n_features)
        Rows; numbers of rows may be unknown.

    Returns
    -------
    dask.array.Array of shape (n_samples, n_components_)
        In the chunks of X. After ``estimator.set_output(transform="pandas")`` a
        dask.dataframe.DataFrame, with the index of X where X has one.

    Examples
    --------
    >>> import dask.array as da
    >>> from skae import AutoEncoder
    >>> from skae.dask import fit, transform
    >>> X = da.random.default_rng(0).normal(size=(200, 4), chunks=(50, 4))
    >>> model = fit(AutoEncoder(2, max_iter=2, random_state=0), X)
    >>> transform(model, X).compute().shape
    (200, 2)
    """
    return _collections.by_row("transform")(estimator, X)


def inverse_transform(estimator: Any, X: Any) -> Any:
    """Return the rows that belong to codes, lazily.

    Parameters
    ----------
    estimator : estimator of skae
        Fitted, to whatever kind of rows.
    X : dask.array.Array or dask.dataframe.DataFrame of shape (n_samples, n_components_)
        Codes, as :func:`transform` returns them.

    Returns
    -------
    dask.array.Array of shape (n_samples, n_features_in_)
        Rows in the units of the training data, in the chunks of X.

    Examples
    --------
    >>> import dask.array as da
    >>> from skae import AutoEncoder
    >>> from skae.dask import fit, inverse_transform, transform
    >>> X = da.random.default_rng(0).normal(size=(200, 4), chunks=(50, 4))
    >>> model = fit(AutoEncoder(2, max_iter=2, random_state=0), X)
    >>> inverse_transform(model, transform(model, X)).compute().shape
    (200, 4)
    """
    return _collections.by_row("inverse_transform")(estimator, X)


def score_samples(estimator: Any, X: Any, **options: Any) -> Any:
    """Return for every row how normal it is, lazily.

    Parameters
    ----------
    estimator : estimator of skae
        Fitted, to whatever kind of rows.
    X : dask.array.Array or dask.dataframe.DataFrame of shape (n_samples, n_features)
        Rows; numbers of rows may be unknown.
    **options
        Further parameters of the estimator's ``score_samples``.

    Returns
    -------
    dask.array.Array of shape (n_samples,)
        In the units of the estimator's ``score_samples``, in the chunks of X.

    Examples
    --------
    >>> import dask.array as da
    >>> from skae import AutoEncoder
    >>> from skae.dask import fit, score_samples
    >>> X = da.random.default_rng(0).normal(size=(200, 4), chunks=(50, 4))
    >>> model = fit(AutoEncoder(2, max_iter=2, random_state=0), X)
    >>> bool(score_samples(model, X).max().compute() <= 0)
    True
    """
    return _collections.by_row("score_samples")(estimator, X, **options)


def score(estimator: Any, X: Any, *, sample_weight: Any = None) -> float:
    """Return how well the model describes rows: one number, which is computed at once.

    Parameters
    ----------
    estimator : estimator of skae
        Fitted, to whatever kind of rows.
    X : dask.array.Array or dask.dataframe.DataFrame of shape (n_samples, n_features)
        Rows; numbers of rows may be unknown.
    sample_weight : array-like or Dask collection of shape (n_samples,), or None
        How much each row counts.

    Returns
    -------
    float
        What the estimator's ``score`` returns.

    Examples
    --------
    >>> import dask.array as da
    >>> from skae import AutoEncoder
    >>> from skae.dask import fit, score
    >>> X = da.random.default_rng(0).normal(size=(200, 4), chunks=(50, 4))
    >>> model = fit(AutoEncoder(2, max_iter=2, random_state=0), X)
    >>> 0 < score(model, X) < 1
    True
    """
    return _collections.score(estimator, X, None, sample_weight)
