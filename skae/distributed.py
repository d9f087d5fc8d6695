"""Fits over many processes and machines, in any group of torch.distributed.

Each process has some of the rows, and all leave with the same model. Start the processes with
torchrun, Slurm, Ray Train or Spark's TorchDistributor; of a table in Dask, :mod:`skae.dask` does
it by itself.
"""

from typing import Any

from skae._cluster.connect import join_group
from skae._cluster.processes import OtherProcessError, ProcessLostError

__all__ = ["OtherProcessError", "ProcessLostError", "fit"]


def fit(
    estimator: Any,
    X: Any,
    sample_weight: Any = None,
    *,
    groups: Any = None,
    process_group: Any = None,
    timeout: float = 300.0,
) -> Any:
    """Fit an estimator together with the other processes of a group.

    Parameters
    ----------
    estimator : estimator
        Any of skae that has a ``transform``, with the same parameters in all processes.
    X : array-like, sparse matrix or stored array of shape (n_samples, n_features)
        The rows of this process: each row of the table is in one process. A process may have any
        number of rows, or none, shape (0, n_features).
    sample_weight : array-like of shape (n_samples,) or None
        As in the estimator's ``fit``, for the rows of this process.
    groups : array-like of shape (n_samples,) or None
        As in the estimator's ``fit``; rows of a group may be in several processes.
    process_group : torch.distributed.ProcessGroup or None
        The processes that fit together; None means all. Only its members call this.
    timeout : float
        Seconds that a process waits for the others in one operation, such as a step. Raise it
        where processes reach ``fit`` at different times, or have very different numbers of rows.

    Returns
    -------
    estimator
        The one that was passed, fitted: the same in all processes.

    Raises
    ------
    RuntimeError
        Where torch.distributed has not been initialised.
    OtherProcessError
        Where another process raised an error: with its traceback.
    ProcessLostError
        Where another process has ended or did not answer within ``timeout``.
    ValueError
        As the estimator's ``fit``; and where processes disagree in parameters or columns.

    Notes
    -----
    The result is that of ``fit`` on all rows, but for what is drawn at random. Mean, variances and
    PCA are sums over rows, which are added up over processes. In a step each process has its
    share of ``batch_size`` rows; its gradients are in one piece of memory, which is added up over
    processes once. Losses of epochs and of validation rows are means over all rows, so that all
    processes stop at the same epoch and keep the same weights.

    ``batch_size`` counts rows of all processes together. "auto" is 128 for one process, and 128
    for each of many as long as that leaves as many steps as suit the number of rows (4,000 for more
    than 10,000 rows): fewer steps would make a worse model.

    Rows validate by their values and ``random_state``, so that equal rows are on one side,
    whichever process they are in. In a group of one process the result is that of ``fit``, bit for
    bit.

    Examples
    --------
    In a script that is started by ``torchrun --nproc-per-node 4 script.py``::

        import torch.distributed as dist
        from skae import AutoEncoder
        from skae.distributed import fit

        dist.init_process_group("gloo")
        model = fit(AutoEncoder(16), rows_of_rank(dist.get_rank()))
        dist.destroy_process_group()
    """
    if not hasattr(estimator, "_fit_together"):
        raise TypeError(
            f"estimator is a {type(estimator).__name__}, which cannot be fitted in several "
            "processes; pass an autoencoder of skae, and fit the other steps of a pipeline before."
        )
    world = join_group(process_group, timeout)
    with world.together():
        estimator._fit_together(X, sample_weight, groups, world)
    return estimator
