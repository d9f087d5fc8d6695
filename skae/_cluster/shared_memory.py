"""Sums over the processes of one machine, through memory that they share."""

import mmap
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress

import torch
from torch import Tensor

from skae._data.world import World

# A file here is memory.
FOLDER = "/dev/shm"


class SharedMemory:
    """Memory of several processes, in which each leaves numbers for the others to read.

    Connections within a machine copy all numbers through the system several times; here each
    process adds up a share of them, in order of rank.

    Parameters
    ----------
    content : mmap.mmap
        The memory, which all processes have open.
    world : World
    meet : callable
        Waits for all processes.
    """

    def __init__(self, content: mmap.mmap, world: World, meet: Callable[[], None]) -> None:
        self.content, self.rank, self.size, self.meet = content, world.rank, world.size, meet

    def has_room_for(self, values: Tensor) -> bool:
        """Tell whether numbers of each process and their sums find room."""
        return values.nbytes <= len(self.content) // (self.size + 1)

    def add_up(self, values: Tensor, share: float) -> None:
        """Replace the numbers of a tensor, times a share, by their sums over all processes."""
        n = values.numel()
        # The regions are the same for tensors of any length: a process that is ahead writes into
        # its own, and never into the sums that others still read.
        region = len(self.content) // (self.size + 1)
        *each, total = (
            torch.frombuffer(self.content, dtype=values.dtype, count=n, offset=r * region)
            for r in range(self.size + 1)
        )
        mine = slice(n * self.rank // self.size, n * (self.rank + 1) // self.size)
        flat = values.view(-1)
        weigh(flat, share, out=each[self.rank])
        self.meet()
        torch.add(each[0][mine], each[1][mine], out=total[mine])
        for other in each[2:]:
            total[mine] += other[mine]
        self.meet()
        flat.copy_(total)


def weigh(values: Tensor, share: float, out: Tensor | None = None) -> None:
    """Multiply numbers by a share; a share of nothing makes zeros, of NaN too."""
    out = values if out is None else out
    if share == 0:
        out.zero_()
    elif share != 1:
        torch.mul(values, share, out=out)
    elif out is not values:
        out.copy_(values)


def share_memory(world: World, meet: Callable[[], None], n_bytes: int) -> SharedMemory | None:
    """Return memory that processes share, for so many bytes of each; None where there is none.

    The file has no name once all have opened it: nothing stays, whichever process ends how.
    """
    region = -(-n_bytes // 64) * 64
    size, path, content = (world.size + 1) * region, "", None
    if world.rank == 0:
        with suppress(OSError):
            file, path = tempfile.mkstemp(prefix="skae-", dir=FOLDER)
            try:
                os.posix_fallocate(file, 0, size)  # with too little memory, writing ends a process
            except OSError:
                os.remove(path)
                path = ""
            finally:
                os.close(file)
    try:
        path = world.agree(path)
        if path:
            with suppress(OSError):
                file = os.open(path, os.O_RDWR)
                content = mmap.mmap(file, size)
                os.close(file)
        is_missing = world.any(content is None)
    finally:
        if path and world.rank == 0:
            os.remove(path)
    return None if is_missing or content is None else SharedMemory(content, world, meet)
