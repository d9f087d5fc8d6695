"""The blocks of X on the workers: stored once where they are, and anew where they were lost."""

import time
import uuid
from collections import defaultdict
from typing import Any

from skae._cluster.dask.client import Workers
from skae._cluster.dask.collection import Beside, blocks_of
from skae._cluster.dask.worker import Part, store_block

# Seconds between two looks at the tasks.
PAUSE = 0.05


class StoredBlocks:
    """The blocks of X, each stored by a worker.

    Dask keeps track of what is stored: each block is stored by a task, whose result stays with its
    worker. Where a worker is lost, so are its results, and Dask repeats these tasks elsewhere.

    Parameters
    ----------
    workers : Workers
    fit : str
        Names the fit.
    X : dask.array.Array or dask.dataframe.DataFrame
    beside : list of Beside
        Weights and groups.
    """

    def __init__(self, workers: Workers, fit: str, X: Any, beside: list[Beside]) -> None:
        self.workers, self.fit = workers, fit
        self.blocks, self.beside = blocks_of(X), beside
        self.futures: list[Any] = [None] * len(self.blocks)
        self.holders = self._find_holders(X)
        together: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for i in range(len(self.blocks)):
            together[self.holders.get(i, ())].append(i)
        for holders, numbers in together.items():
            self._store(numbers, list(holders))

    def _find_holders(self, X: Any) -> dict[int, tuple[str, ...]]:
        """Return the workers that have blocks in memory, by number of the block."""
        from distributed import futures_of

        futures = futures_of(X)
        if not futures:
            return {}
        held, graph = self.workers.client.who_has(futures), dict(self.blocks[0].dask)
        found = {}
        for i, block in enumerate(self.blocks):
            key = block.key
            while (node := graph.get(key)) is not None and hasattr(node, "target"):
                key = node.target  # another name of a task, such as frames have after persist()
            found[i] = tuple(held.get(key) or ())
        return {i: holders for i, holders in found.items() if holders}

    def _store(self, numbers: list[int], holders: list[str]) -> None:
        """Let workers store blocks; no holders means any worker."""
        from dask import delayed

        store, tasks = delayed(store_block, pure=False), []
        for i in numbers:
            key = f"{self.fit}-block-{i}-{uuid.uuid4().hex[:8]}"
            values = [values.block(i) for values in self.beside]
            tasks.append(store(self.blocks[i], *values, self.fit, dask_key_name=key))
        pinned = {"workers": holders, "allow_other_workers": False} if holders else {}
        for i, future in zip(numbers, self.workers.client.compute(tasks, **pinned), strict=True):
            self.futures[i] = future

    def _free(self, alive: set[str]) -> None:
        """Let any worker store the blocks whose holders are lost."""
        lost = [
            i
            for i, holders in self.holders.items()
            if self.futures[i].status != "finished" and not alive.intersection(holders)
        ]
        self._store_anew(lost)

    def _store_anew(self, numbers: list[int]) -> None:
        """Let any worker store blocks again."""
        if not numbers:
            return
        self.workers.client.cancel([self.futures[i] for i in numbers])
        self._store(numbers, [])
        for i in numbers:
            self.holders.pop(i, None)

    def wait(self) -> list[Part]:
        """Wait until all blocks are stored, and return where, in the order of X."""
        while True:
            alive = self.workers.alive()
            self._free(alive)
            for future in self.futures:
                if future.status in ("error", "cancelled"):
                    future.result()  # raises
            if alive and all(future.status == "finished" for future in self.futures):
                parts: list[Part] = self.workers.client.gather(self.futures)
                alive = self.workers.alive(now=True)
                gone = [i for i, part in enumerate(parts) if part.worker not in alive]
                if not gone:
                    return parts
                # A worker that was retired has left its results to others, but not its file.
                self._store_anew(gone)
            time.sleep(PAUSE)

    def release(self) -> None:
        """Tell Dask that the blocks are no longer wanted."""
        futures = [future for future in self.futures if future is not None]
        self.workers.client.cancel(futures)
        self.futures = []
