"""What runs on the workers: they store their blocks, and fit together."""

import os
import pickle
import sys
import threading
import time
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from skae._cluster.connect import join_store, open_store
from skae._cluster.dask.here import HERE, LOCK, FitHere, fit_here, host_of, memory_of, this_worker
from skae._cluster.place import Stored
from skae._cluster.processes import Processes, ProcessLostError

# Another process of a worker has another one: a worker that came back has lost its rows.
PROCESS = uuid.uuid4().hex
# Seconds between two looks at the store.
PAUSE = 0.02
# Seconds to connect to the store, and to the other workers when all have begun.
CONNECT = 15.0


@dataclass(frozen=True)
class Part:
    """A block of X, and the worker whose process has stored it.

    Attributes
    ----------
    stored : Stored
    worker, name : str
        Address and name of the worker.
    process : str
        Names its process.
    process_id : int
    memory : float
        Bytes that the worker may have.
    """

    stored: Stored
    worker: str
    name: str
    process: str
    process_id: int
    memory: float


@dataclass(frozen=True)
class Task:
    """What a worker is told of a fit.

    Attributes
    ----------
    fit : str
        Names the fit.
    attempt, rank, size : int
    process : str
        Names the process of the worker that has the rows.
    estimator : bytes
    parts : list of Stored
        Of this worker, in the order of X.
    dtype : str
        Of all rows of the fit.
    in_memory : bool
    weights, groups : array-like or None
        Of the rows; None where the worker has them, or nobody.
    timeout, wait : float
        Seconds for an operation of all workers, and until all have begun.
    """

    fit: str
    attempt: int
    rank: int
    size: int
    process: str
    estimator: bytes
    parts: list[Stored]
    dtype: str
    in_memory: bool
    weights: Any
    groups: Any
    timeout: float
    wait: float


@dataclass(frozen=True)
class Outcome:
    """What comes of a rank's task.

    Attributes
    ----------
    estimator : bytes
        The fitted estimator; empty from all ranks but the first.
    caught : list of (category, message)
        The warnings of the fit.
    interrupt : str or None
        What a KeyboardInterrupt in the fit said: as an exception it would end the worker.
    """

    estimator: bytes = b""
    caught: list[tuple[type[Warning], str]] = field(default_factory=list)
    interrupt: str | None = None


def store_block(block: Any, weights: Any, groups: Any, fit: str) -> Part:
    """Store a block of X on the worker that runs this."""
    worker, key = this_worker()
    stored = fit_here(fit, worker, key).place.store(block, weights, groups)
    name, memory = str(worker.name), memory_of(worker)
    return Part(stored, worker.address, name, PROCESS, os.getpid(), memory)


# -- called by client.run, beside the tasks ------------------------------------------------


def begin(fit: str, dask_worker: Any = None) -> tuple[str, int]:
    """Open the store through which workers find each other on this one; return host and port."""
    host = host_of(dask_worker)
    here = fit_here(fit, dask_worker)
    here.store, port = open_store(host)
    return host, port


def stop(fit: str, dask_worker: Any = None) -> None:
    """Stop the training."""
    here = HERE.get((fit, dask_worker.address))
    if here is not None:
        here.stop()


def end(fit: str, dask_worker: Any = None) -> bool:
    """End a fit and remove its rows; return whether its task still runs."""
    with LOCK:
        here = HERE.get((fit, dask_worker.address))
    if here is None:
        return False
    here.end()
    return here.n_running > 0


# -- the task of a rank --------------------------------------------------------------------


def fit_rank(task: Task, place: tuple[str, int]) -> Outcome:
    """Fit together with the other workers, on the rows that this one has stored.

    ``place`` is the host and the port of the store through which they find each other.
    """
    from distributed import secede

    if task.process != PROCESS:
        raise ProcessLostError(
            "a worker was lost, and another process has taken its place", [task.rank]
        )
    worker, key = this_worker()
    here = fit_here(task.fit, worker, key)
    # Tasks that wait for each other must not take the threads that the others wait for: two fits
    # on the same workers would never end.
    secede()
    give_back_memory()
    here.is_stopped, here.running = False, key
    here.n_running += 1
    try:
        return fit_with_others(task, place, here)
    except (KeyboardInterrupt, SystemExit) as interrupt:
        return Outcome(interrupt=str(interrupt))
    finally:
        here.n_running -= 1


def fit_with_others(task: Task, place: tuple[str, int], here: FitHere) -> Outcome:
    """Fit the estimator of a task, and return what comes of it."""
    store = dist.PrefixStore(f"{task.fit}/{task.attempt}", join_store(*place, CONNECT))
    wait_for_all(store, task, here)
    world = here.world = connect(store, task, host_of(here.worker))
    estimator = pickle.loads(task.estimator)
    with world.together(), threads(here.worker.state.nthreads), COLLECTOR.collected() as caught:
        here.check()
        rows = here.place.rows(
            task.parts, np.dtype(task.dtype), in_memory=task.in_memory, check=here.check
        )
        own = here.place.beside(task.parts)
        weights = own[0] if task.weights is None else task.weights
        groups = own[1] if task.groups is None else task.groups
        estimator._fit_together(rows, weights, groups, world, here.kept)
    here.world = None
    if task.rank:
        return Outcome()
    from cloudpickle import dumps

    return Outcome(dumps(estimator), caught)


def give_back_memory() -> None:
    """Give back what pyarrow keeps of blocks that it has read: a tenth of a gigabyte."""
    pyarrow = sys.modules.get("pyarrow")
    if pyarrow is not None:
        pyarrow.default_memory_pool().release_unused()


def connect(store: Any, task: Task, host: str) -> Processes:
    """Connect to the other workers: in less time than a step may take, for all have begun."""
    world = Processes(store, task.rank, task.size, min(CONNECT, task.timeout), address=host)
    world.timeout = task.timeout
    for group in (world.group, world.gpus):
        if group is not None:
            group._set_default_timeout(timedelta(seconds=task.timeout))
    return world


def wait_for_all(store: Any, task: Task, here: FitHere) -> None:
    """Wait until the tasks of all workers have begun: one may have to wait for a thread."""
    store.set(f"begun/{task.rank}", "")
    store.add("n_begun", 1)
    deadline = time.monotonic() + task.wait
    while store.add("n_begun", 0) < task.size:
        here.check()
        if time.monotonic() > deadline:
            missing = [rank for rank in range(task.size) if not store.check([f"begun/{rank}"])]
            raise ProcessLostError(
                f"{len(missing)} of {task.size} workers did not begin within wait={task.wait:g} "
                "seconds",
                missing,
            )
        time.sleep(PAUSE)


@contextmanager
def threads(n: int) -> Iterator[None]:
    """Let torch compute with so many threads: all of a worker, where Dask gives each task one."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Collector:
    """Collects the warnings of threads that ask for it; those of others go on as before.

    Python has one place for all threads where warnings go: this takes it when the first thread
    asks, and gives it back when the last is done, whatever the order.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._caught: dict[int, list[tuple[type[Warning], str]]] = {}
        self._context: Any = None
        self._show: Any = warnings.showwarning

    def _collect(self, message: Any, category: Any, *place: Any, **more: Any) -> None:
        own = self._caught.get(threading.get_ident())
        if own is None:
            self._show(message, category, *place, **more)
        else:
            own.append((category, str(message)))

    @contextmanager
    def collected(self) -> Iterator[list[tuple[type[Warning], str]]]:
        """Collect the warnings of this thread."""
        caught: list[tuple[type[Warning], str]] = []
        with self._lock:
            if not self._caught:
                self._context = warnings.catch_warnings()
                self._context.__enter__()
                self._show = warnings.showwarning
                warnings.showwarning = self._collect
                warnings.simplefilter("always")
            self._caught[threading.get_ident()] = caught
        try:
            yield caught
        finally:
            with self._lock:
                del self._caught[threading.get_ident()]
                if not self._caught:
                    self._context.__exit__(None, None, None)


COLLECTOR = Collector()
