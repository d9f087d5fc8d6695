"""Processes that fit together, over torch.distributed: sums, and what happens when one fails."""

import math
import os
import pickle
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, NoReturn, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from skae._cluster.shared_memory import SharedMemory, share_memory, weigh
from skae._data.world import Value, Values, World

T = TypeVar("T")

# Seconds that processes wait for each other when one has failed: to read why, and for a sign of
# life.
GRACE = 2.0
# Seconds between two looks at the store.
PAUSE = 0.01
# So many bytes and more go through memory that the processes of one machine share.
MANY_BYTES = 2**18


class ProcessLostError(RuntimeError):
    """A process is gone, or did not answer in time.

    Parameters
    ----------
    message : str
        What happened, and what to do.
    ranks : list of int
        As the attribute.

    Attributes
    ----------
    ranks : list of int
        The numbers of the processes that gave no sign of life.
    """

    def __init__(self, message: str, ranks: list[int]) -> None:
        super().__init__(message, ranks)
        self.message, self.ranks = message, ranks

    def __str__(self) -> str:
        return self.message


class OtherProcessError(RuntimeError):
    """Another process raised an error; its traceback is the message."""


class Processes(World):
    """Processes that are connected over torch.distributed.

    The group is its own: whatever else a process does with torch.distributed is not touched, and
    closing it makes all that wait for this process fail at once.

    Parameters
    ----------
    store : torch.distributed.Store
        Shared by these processes and this fit alone, as by a prefix.
    rank, size : int
    timeout : float
        Seconds that a process waits for the others in one operation.
    address : str or None
        This machine's address for the others; None leaves it to torch, which takes that of the
        interface GLOO_SOCKET_IFNAME or of the machine's name.
    """

    def __init__(
        self, store: Any, rank: int, size: int, timeout: float, address: str | None = None
    ) -> None:
        self.store, self.rank, self.size, self.timeout = store, rank, size, timeout
        self.gpus: Any = None
        self.shared: SharedMemory | None = None
        self.may_share = False
        store.set(f"name/{rank}", f"{socket.gethostname()}, process id {os.getpid()}")
        self.group: Any = None
        try:
            self.group = self._connect(address)
        except RuntimeError as error:
            self._explain(error)
        hosts = self.gather(socket.gethostname())
        self.local_rank = hosts[:rank].count(hosts[rank])
        self.may_share = len(set(hosts)) == 1 and size > 1
        self.gpus = self._connect_gpus(hosts.count(hosts[rank]))

    def _connect(self, address: str | None) -> Any:
        """Return the group over gloo, in which all are connected with each other."""
        prefix, limit = dist.PrefixStore("gloo", self.store), timedelta(seconds=self.timeout)
        if address is None:  # torch looks at GLOO_SOCKET_IFNAME, too
            return dist.ProcessGroupGloo(prefix, self.rank, self.size, limit)
        options = dist.ProcessGroupGloo._Options()  # type: ignore[attr-defined]
        options._timeout = limit
        options._devices = [dist.ProcessGroupGloo.create_device(hostname=address)]
        return dist.ProcessGroupGloo(prefix, self.rank, self.size, options)

    # -- sums ------------------------------------------------------------------------------

    def sum(self, values: Values) -> Values:
        return self._reduced(values, dist.ReduceOp.SUM)

    def smallest(self, values: Values) -> Values:
        return self._reduced(values, dist.ReduceOp.MIN)

    def largest(self, values: Values) -> Values:
        return self._reduced(values, dist.ReduceOp.MAX)

    def add_up(self, values: Tensor, share: float = 1.0) -> None:
        if self._add_up_in_memory(values, share):
            return
        weigh(values, share)
        if values.is_cuda and self.gpus is not None:
            self._try(lambda _: self.gpus.allreduce([values]).wait())
        elif values.device.type == "cpu":
            self._reduce(values, dist.ReduceOp.SUM)
        else:
            values.copy_(self.sum(values))

    def take_first(self, values: Tensor) -> None:
        buffer = values.cpu()  # on the CPU these are the values themselves
        self._broadcast(buffer)
        if buffer is not values:
            values.copy_(buffer)

    def _reduced(self, values: Any, operation: Any) -> Any:
        if isinstance(values, Tensor):
            copy = values.detach().cpu().clone()
            self._reduce(copy, operation)
            return copy.to(values.device)
        array = np.array(values, order="C")
        self._reduce(torch.from_numpy(array.reshape(-1)), operation)
        return array

    def _reduce(self, values: Tensor, operation: Any) -> None:
        options = dist.AllreduceOptions()
        options.reduceOp = operation
        self._try(lambda group: group.allreduce([values], options).wait())

    def _add_up_in_memory(self, values: Tensor, share: float) -> bool:
        """Add up in memory that all processes share; return whether there is such."""
        if not self.may_share or values.device.type != "cpu" or values.nbytes < MANY_BYTES:
            return False
        if self.shared is None or not self.shared.has_room_for(values):
            self.shared = share_memory(self, self._meet, values.nbytes)
        self.may_share = self.shared is not None
        if self.shared is not None:
            self.shared.add_up(values, share)
        return self.may_share

    def _meet(self) -> None:
        """Wait until all processes are here."""
        self._reduce(torch.zeros(1, dtype=torch.float32), dist.ReduceOp.SUM)

    def _connect_gpus(self, n_here: int) -> Any:
        """Return a group over NCCL if each process has its own GPU; ``n_here`` share a machine.

        Gradients on a GPU are then added up there; all else goes through the host.
        """
        has_own = torch.cuda.is_available() and dist.is_nccl_available()
        if self.any(not (has_own and n_here <= torch.cuda.device_count())):
            return None
        options = dist.ProcessGroupNCCL.Options()
        options._timeout = timedelta(seconds=self.timeout)
        prefix = dist.PrefixStore("nccl", self.store)
        return dist.ProcessGroupNCCL(prefix, self.rank, self.size, options)

    # -- values ----------------------------------------------------------------------------

    def concatenate(self, rows: Values) -> Values:
        if isinstance(rows, Tensor):
            return torch.cat(self._rows_of_all(rows.detach().cpu())).to(rows.device)
        local = np.ascontiguousarray(rows)
        shape, kind = local.shape[1:], local.dtype
        # As bytes: gloo knows few kinds of numbers.
        width = kind.itemsize * int(np.prod(shape))
        flat = torch.from_numpy(local.reshape(-1).view(np.uint8).reshape(len(local), width))
        joined = torch.cat(self._rows_of_all(flat)).numpy()
        return joined.view(kind).reshape(-1, *shape)

    def _rows_of_all(self, rows: Tensor) -> list[Tensor]:
        """Return the rows of each process; they may differ in number."""
        told = torch.zeros(2, self.size, dtype=torch.int64)
        told[0, self.rank] = len(rows)
        told[1, self.rank] = rows.itemsize * math.prod(rows.shape[1:])
        self.add_up(told)
        counts, widths = told
        if (widths != widths[0]).any():  # gloo would abort the process
            raise ValueError(f"Rows of {widths.tolist()} bytes cannot be put together.")
        most = int(counts.max())
        padded = rows.new_zeros(most, *rows.shape[1:])
        padded[: len(rows)] = rows
        parts = [torch.empty_like(padded) for _ in range(self.size)]
        if padded.numel():
            self._try(lambda group: group.allgather([parts], [padded]).wait())
        return [part[:n] for part, n in zip(parts, counts.tolist(), strict=True)]

    def gather(self, value: Value) -> list[Value]:
        content = torch.frombuffer(bytearray(pickle.dumps(value)), dtype=torch.uint8)
        return [pickle.loads(part.numpy().tobytes()) for part in self._rows_of_all(content)]

    def agree(self, value: Value) -> Value:
        content = pickle.dumps(value) if self.rank == 0 else b""
        size = int(self.sum(np.array(len(content))))
        buffer = torch.zeros(size, dtype=torch.uint8)
        if self.rank == 0:
            buffer = torch.frombuffer(bytearray(content), dtype=torch.uint8)
        self._broadcast(buffer)
        result: Value = pickle.loads(buffer.numpy().tobytes())
        return result

    def _broadcast(self, values: Tensor) -> None:
        options = dist.BroadcastOptions()
        options.rootRank = 0
        self._try(lambda group: group.broadcast([values], options).wait())

    # -- failure ---------------------------------------------------------------------------

    @contextmanager
    def together(self) -> Iterator[None]:
        """End together: what is raised in this context by one process ends all.

        The others raise :class:`OtherProcessError` with its traceback. Afterwards no process
        waits for another, and the group is closed.
        """
        try:
            yield
            self._leave()
        except (ProcessLostError, OtherProcessError):
            raise
        except BaseException:
            self._tell(traceback.format_exc())
            raise
        finally:
            self.close()

    def close(self) -> None:
        """Close the connections: all that wait for this process fail at once."""
        self.group = self.gpus = self.shared = None

    def _try(self, operation: Callable[[Any], T]) -> T:
        """Do with the group what all processes do; raise the reason where it fails."""
        if self.group is None:
            self._explain(ConnectionError("this process has been told to end"))
        try:
            return operation(self.group)
        except RuntimeError as error:
            self.close()
            self._explain(error)

    def _tell(self, reason: str) -> None:
        """Let the others know why this process failed, and wait until they do."""

        def tell() -> None:
            self.store.compare_set("failed", "", f"{self.rank}\n{reason}")
            self.close()
            self._wait_until_told()

        # Without an answer the store is gone, and there is no one to tell.
        in_time(tell, 2 * GRACE)

    def _wait_until_told(self) -> None:
        """Wait until all have failed or been told: this process may have the store."""
        self.store.add("told", 1)
        deadline = time.monotonic() + GRACE
        while time.monotonic() < deadline and self.store.add("told", 0) < self.size:
            time.sleep(PAUSE)

    def _leave(self) -> None:
        """Wait until all processes are done, so that no connection is closed too early."""
        deadline = time.monotonic() + self.timeout
        try:
            self.store.add("done", 1)
            while self.store.add("done", 0) < self.size:
                if self.store.check(["failed"]) or time.monotonic() > deadline:
                    self._explain(TimeoutError("the others did not end"))
                time.sleep(PAUSE)
        except (dist.DistNetworkError, dist.DistStoreError):
            return  # the process that has the store was done, and left

    def _explain(self, error: BaseException) -> NoReturn:
        """Raise an error that says which process failed, and why."""
        found = in_time(self._find_out, 5 * GRACE)
        why = str(error).splitlines()[0]
        if found is None:
            raise ProcessLostError(
                f"The process that keeps the store, usually the first, does not answer: {why}", [0]
            ) from error
        if isinstance(found, OtherProcessError):
            raise found from error
        names = ", ".join(f"{rank} ({name})" for rank, name in found.items())
        which = f"process {names}" if found else "a process"
        raise ProcessLostError(
            f"{which} of {self.size} was lost, or did not answer within timeout={self.timeout:g} "
            f"seconds: {why}",
            list(found),
        ) from error

    def _find_out(self) -> OtherProcessError | dict[int, str]:
        """Return the error of another process, or the processes that give no sign of life."""
        deadline = time.monotonic() + GRACE / 2
        while not self.store.check(["failed"]):
            if time.monotonic() > deadline:
                break
            time.sleep(PAUSE)
        else:
            rank, _, text = self.store.get("failed").decode().partition("\n")
            name = self._name(int(rank))
            self._wait_until_told()
            return OtherProcessError(
                f"process {rank} of {self.size} ({name}) failed, and with it all others. "
                f"Its traceback:\n{text}"
            )
        self.store.set(f"alive/{self.rank}", "")
        time.sleep(GRACE)
        silent = [r for r in range(self.size) if not self.store.check([f"alive/{r}"])]
        return {rank: self._name(rank) for rank in silent}

    def _name(self, rank: int) -> str:
        if not self.store.check([f"name/{rank}"]):
            return "which has not come to fit"
        name: str = self.store.get(f"name/{rank}").decode()
        return name


def in_time(function: Callable[[], T], seconds: float) -> T | None:
    """Return what a function returns; None if it fails or takes longer, as without a network."""
    results: list[T] = []

    def run() -> None:
        with suppress(RuntimeError):  # torch's errors of networks and stores
            results.append(function())

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    return results[0] if results else None
