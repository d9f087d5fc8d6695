"""Rows in the module's units, in batches, on the device."""

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from skae._data.checks import Array
from skae._data.sources import PART_SIZE, rows_at_once, slices
from skae._data.units import Units

# The share of a GPU's free memory that the rows may take.
SHARE_OF_GPU = 0.5


class RowDataset(Dataset[tuple[Tensor, Tensor]]):
    """Rows that a net trains on or is evaluated on, in the module's units.

    Parameters
    ----------
    table : ndarray or Tensor of shape (n, n_features)
        An array in the units of X, float32, of which a part is copied when its turn comes;
        or a tensor that is in the module's already, on any device.
    units : Units or None
        The module's units, for an array.
    index : Tensor or None
        Which of the table's rows these are.
    device : str
        Where they are wanted.
    """

    def __init__(
        self,
        table: Array | Tensor,
        units: Units | None = None,
        index: Tensor | None = None,
        device: str | torch.device = "cpu",
    ) -> None:
        self.table, self.units, self.device = table, units, torch.device(device)
        index = torch.arange(len(table)) if index is None else index
        self.index = index.to(table.device) if isinstance(table, Tensor) else index
        self.n_features = table.shape[1]

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
        row = self.take(torch.tensor([i]))[0]
        return row, row

    @property
    def X(self) -> Tensor:
        """All of the rows, copied: for callbacks that score them."""
        return self.take(torch.arange(len(self)))

    y = X

    @property
    def streams(self) -> bool:
        """Whether rows have yet to cross to the device."""
        return self.device.type == "cuda" and self.units is not None

    def subset(self, which: Tensor) -> "RowDataset":
        """Return the rows at these positions."""
        return RowDataset(
            self.table, self.units, self.index[which.to(self.index.device)], self.device
        )

    def spread(self, n: int) -> "RowDataset":
        """Return ``n`` rows at equal distances, or all where there are no more."""
        # Integers: float32 counts no further than 2**24.
        n = min(n, len(self))
        return self.subset(torch.arange(n) * (len(self) - 1) // max(1, n - 1))

    def take(self, which: Tensor) -> Tensor:
        """Copy the rows at these positions to the device."""
        return self.read(which).to(self.device)

    def read(self, which: Tensor) -> Tensor:
        """Copy the rows at these positions, where the table is."""
        which = self.index[which.to(self.index.device)]
        if isinstance(self.table, Tensor):
            return self.table.index_select(0, which)
        rows = np.take(self.table, which.numpy(), axis=0)
        return torch.from_numpy(rows if self.units is None else self.units.convert(rows, rows))


def place(X: Array, units: Units, device: str) -> RowDataset:
    """Return the rows of X for training on ``device``.

    They move to a GPU once where it has the room. On the host a float32 table in C order is
    never copied whole; another one is, once, in float32.
    """
    target = torch.device(device)
    fits = target.type == "cpu" or (
        target.type == "cuda" and 4 * X.size < SHARE_OF_GPU * torch.cuda.mem_get_info(target)[0]
    )
    if X.dtype == np.float32 and X.flags.c_contiguous and not (fits and target.type != "cpu"):
        return RowDataset(X, units, device=target)
    table = torch.empty(X.shape, dtype=torch.float32, device=target if fits else "cpu")
    for rows in slices(len(X), rows_at_once(X.shape[1])):
        table[rows] = torch.from_numpy(units.convert(X[rows]))
    return RowDataset(table, device=target)


class Batches:
    """Rows in batches whose sizes differ by one at most.

    Equal batches because a last batch of a few rows would give a step as large as any
    from a gradient much noisier than any.

    Parameters
    ----------
    rows : RowDataset
    batch_size : int
        Upper bound of a batch's size.
    generator : torch.Generator or None
        Shuffles the rows anew in each pass; None leaves their order.
    """

    def __init__(
        self, rows: RowDataset, batch_size: int, generator: torch.Generator | None
    ) -> None:
        self.rows = rows
        self.generator = generator
        self.n_batches = max(1, math.ceil(len(rows) / batch_size))

    def __len__(self) -> int:
        return self.n_batches

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        n_rows = len(self.rows)
        if self.generator is None:
            order = torch.arange(n_rows)
        else:
            order = torch.randperm(n_rows, generator=self.generator)
        order = order.to(self.rows.index.device)
        # Many batches are gathered at once, and are views of that: far cheaper than each.
        smallest, n_larger = divmod(n_rows, self.n_batches)
        sizes = [smallest + 1] * n_larger + [smallest] * (self.n_batches - n_larger)
        n_together = max(1, PART_SIZE // (sizes[0] * self.rows.n_features))
        groups = [sizes[i : i + n_together] for i in range(0, self.n_batches, n_together)]
        orders = order.split([sum(group) for group in groups])
        read = self._read_ahead if self.rows.streams else self._read
        for part, group in zip(read(orders), groups, strict=True):
            for batch in part.split(group):
                yield batch, batch

    def _read(self, orders: tuple[Tensor, ...]) -> Iterator[Tensor]:
        return map(self.rows.take, orders)

    def _read_ahead(self, orders: tuple[Tensor, ...]) -> Iterator[Tensor]:
        """Yield parts on the GPU; while it works on one, the next crosses from pinned memory."""
        copying, ready = torch.cuda.Stream(self.rows.device), None
        for order in (*orders, None):
            crossing = None
            if order is not None:
                pinned = self.rows.read(order).pin_memory()
                with torch.cuda.stream(copying):
                    crossing = pinned.to(self.rows.device, non_blocking=True)
            if ready is not None:
                yield ready
            torch.cuda.current_stream(self.rows.device).wait_stream(copying)
            if crossing is not None:
                crossing.record_stream(torch.cuda.current_stream(self.rows.device))
            ready = crossing
