"""A fit on Dask's workers, seen from the client: who trains, who is lost, and what is left then."""

import logging
import time
import uuid
import warnings
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from skae._cluster.dask.blocks import PAUSE, StoredBlocks
from skae._cluster.dask.client import Options, Workers
from skae._cluster.dask.collection import Beside
from skae._cluster.dask.here import StoppedError
from skae._cluster.dask.worker import Outcome, Part, Task, begin, end, fit_rank, stop
from skae._cluster.place import common_dtype, joined, n_bytes
from skae._cluster.processes import OtherProcessError, ProcessLostError

logger = logging.getLogger("skae.dask")

# Seconds that the other tasks have to end when one has failed.
GRACE = 15.0
# Seconds that the scheduler has to notice that a worker is lost, and a lost one to contradict.
NOTICE = 4.0
# The share of a worker's memory that its rows may take; beyond they stay on its disk.
SHARE = 0.25
# What a task raises because of another's failure.
SECONDARY = (ProcessLostError, OtherProcessError, StoppedError)


@dataclass(frozen=True)
class LostAttempt:
    """Why an attempt ended without a model, and without an error of the model."""

    message: str
    cause: BaseException | None = None


def fit_on_workers(
    client: Any, estimator: Any, X: Any, beside: list[Beside], options: Options
) -> Outcome:
    """Fit a copy of an estimator on the workers of a client, which keep their blocks of X.

    Parameters
    ----------
    client : distributed.Client
    estimator : estimator
    X : dask.array.Array or dask.dataframe.DataFrame
    beside : list of Beside
        Weights and groups.
    options : Options

    Raises
    ------
    ProcessLostError
        Where workers were lost, and no retry is left.
    Exception
        What a worker's fit raises.
    """
    fit = ClusterFit(client, estimator, options)
    try:
        return fit.run(X, beside)
    finally:
        fit.end()


class ClusterFit:
    """One fit on the workers of a client; the parameters are those of `fit_on_workers`."""

    def __init__(self, client: Any, estimator: Any, options: Options) -> None:
        from cloudpickle import dumps

        self.client, self.options = client, options
        self.workers = Workers(client, options.wait)
        self.name, self.kind = f"skae-{uuid.uuid4().hex[:12]}", type(estimator).__name__
        self.estimator: bytes = dumps(estimator)
        self.blocks: StoredBlocks | None = None
        # Of each worker that trains: its task's future, and a part by which to know it.
        self.futures: dict[str, Any] = {}
        self.parts: dict[str, Part] = {}
        self.involved: set[str] = set()

    def run(self, X: Any, beside: list[Beside]) -> Outcome:
        """Store the blocks, and fit: anew from the last epoch as often as retries allow."""
        self.blocks = StoredBlocks(self.workers, self.name, X, beside)
        result: Outcome | LostAttempt | None = None
        for attempt in range(self.options.retries + 1):
            parts = self.blocks.wait()
            self.involved |= {part.worker for part in parts}
            result = self._attempt(self._plan(parts, beside, attempt))
            if isinstance(result, Outcome):
                return result
            if attempt < self.options.retries:
                logger.warning("%s; the fit goes on from its last epoch", result.message)
        assert isinstance(result, LostAttempt)
        raise ProcessLostError(
            f"{result.message}. No attempt is left (retries={self.options.retries}); pass more to "
            "skae.dask.fit to go on from the last epoch with the workers that are left. Where the "
            "log of a worker says that it exceeded its memory, give workers more.",
            [],
        ) from result.cause

    def _plan(self, parts: list[Part], beside: list[Beside], attempt: int) -> list[Task]:
        """Return the task of each worker that has rows."""
        counts = [part.stored.n_rows for part in parts]
        local = list(zip(*(values.cut(counts) for values in beside), strict=True))
        by_worker: dict[str, list[int]] = defaultdict(list)
        for i, part in enumerate(parts):
            if part.stored.n_rows:
                by_worker[part.worker].append(i)
        # Where there are no rows at all, the estimator has words for it.
        owned = list(by_worker.values()) or [[0]]
        self.parts = {parts[numbers[0]].worker: parts[numbers[0]] for numbers in owned}
        stored = [[parts[i].stored for i in numbers] for numbers in owned]
        dtype = common_dtype([part for own in stored for part in own])
        in_memory = all(
            n_bytes(own) <= SHARE * part.memory
            for own, part in zip(stored, self.parts.values(), strict=True)
        )
        return [
            Task(
                fit=self.name,
                attempt=attempt,
                rank=rank,
                size=len(owned),
                process=parts[numbers[0]].process,
                estimator=self.estimator,
                parts=stored[rank],
                dtype=str(dtype),
                in_memory=in_memory,
                weights=joined([local[i][0] for i in numbers]),
                groups=joined([local[i][1] for i in numbers]),
                timeout=self.options.timeout,
                wait=self.options.wait,
            )
            for rank, numbers in enumerate(owned)
        ]

    # -- an attempt ------------------------------------------------------------------------

    def _attempt(self, tasks: list[Task]) -> Outcome | LostAttempt:
        """Run the task of each worker; return what comes of them, or why nothing does."""
        first, self.futures = next(iter(self.parts)), {}
        place = self.workers.run(begin, self.name, on=[first]).get(first)
        if place is None:
            return LostAttempt(f"Dask lost {self._names([first])} before the training began")
        for task, worker in zip(tasks, self.parts, strict=True):
            self.futures[worker] = self._submit(worker, task, place)
        while statuses := {future.status for future in self.futures.values()} - {"finished"}:
            if statuses & {"error", "cancelled"} or self._gone():
                return self._explain()
            time.sleep(PAUSE)
        outcomes = [future.result() for future in self.futures.values()]
        require_no_interrupt(outcomes)
        return outcomes[0]

    def _submit(self, worker: str, task: Task, place: tuple[str, int]) -> Any:
        """Give a worker its task, and return the future."""
        with warnings.catch_warnings():
            # Weights and a former model are sent to one worker only, and once.
            warnings.filterwarnings("ignore", message="Sending large graph")
            return self.client.submit(
                fit_rank,
                task,
                place,
                key=f"{self.name}-rank-{task.attempt}-{task.rank}",
                workers=[worker],
                allow_other_workers=False,
                pure=False,
                priority=10,
            )

    def _gone(self, *, now: bool = False) -> list[str]:
        """Return the workers of this attempt that are lost."""
        alive = self.workers.alive(now=now)
        return [worker for worker in self.futures if worker not in alive]

    def _explain(self) -> LostAttempt:
        """Wait until all tasks have ended; raise what one of them raised of its own, if any did."""
        started, told = time.monotonic(), False
        while (waited := time.monotonic() - started) < GRACE:
            for future in self.futures.values():
                if future.status == "cancelled" or is_own_error(future):
                    future.result()  # raises, with the worker's traceback
                if future.status == "finished":
                    require_no_interrupt([future.result()])
            gone = self._gone()
            lost = {*gone, *self._silent()} if waited > NOTICE else {*gone}
            if all(future.done() for worker, future in self.futures.items() if worker not in lost):
                break
            if gone and not told:  # those that compute for themselves do not notice yet
                self.workers.run(stop, self.name, on=self.futures)
                told = True
            time.sleep(PAUSE)
        return self._find_lost()

    def _errors(self) -> list[BaseException]:
        return [f.exception() for f in self.futures.values() if f.status == "error"]

    def _silent(self) -> set[str]:
        """Return the workers of which others say that they do not answer."""
        ranks = {r for e in self._errors() if isinstance(e, ProcessLostError) for r in e.ranks}
        return {worker for rank, worker in enumerate(self.futures) if rank in ranks}

    def _find_lost(self) -> LostAttempt:
        """Say which workers are lost, as soon as the scheduler knows."""
        errors, deadline = self._errors(), time.monotonic() + NOTICE
        told = next((e for e in errors if isinstance(e, OtherProcessError)), None)
        while not (gone := self._gone(now=True)) and not told and time.monotonic() < deadline:
            time.sleep(PAUSE)
        if not gone and told is not None:
            raise told
        for future in self.futures.values():
            future.cancel()
        cause = next(iter(errors), None)
        if not gone:
            silent = sorted(self._silent())
            of = f" by {self._names(silent)}" if silent else ""
            return LostAttempt(f"{self.kind} was not fitted{of}: {cause}", cause)
        of = f"of {len(self.futures)} that fitted {self.kind}"
        return LostAttempt(f"Dask lost {self._names(gone)}, {of}", cause)

    def _names(self, workers: list[str]) -> str:
        parts = [self.parts[worker] for worker in workers]
        return "the worker " + " and the worker ".join(
            f"{part.worker} (name {part.name}, process id {part.process_id})" for part in parts
        )

    # -- the end ---------------------------------------------------------------------------

    def end(self) -> None:
        """Leave no task and no file, whatever has happened: nothing here may hide an error."""
        with suppress(Exception):
            for future in self.futures.values():
                future.cancel()
            if self.blocks is not None:
                self.blocks.release()
        with suppress(Exception):
            deadline = time.monotonic() + GRACE
            involved = self.involved or self.workers.alive(now=True)
            while any(self.workers.run(end, self.name, on=involved).values()):
                if time.monotonic() > deadline:
                    break
                time.sleep(PAUSE)


def require_no_interrupt(outcomes: list[Outcome]) -> None:
    """Raise the KeyboardInterrupt that a callback has raised on a worker."""
    for outcome in outcomes:
        if outcome.interrupt is not None:
            raise KeyboardInterrupt(outcome.interrupt)


def is_own_error(future: Any) -> bool:
    """Tell whether a task has failed, and not because of another's failure."""
    from distributed.scheduler import KilledWorker

    if future.status != "error":
        return False
    return not isinstance(future.exception(), (*SECONDARY, KilledWorker))
