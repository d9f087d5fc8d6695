"""Rows in the module's units, in batches, on the device."""

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from skae._data.batch import Batch
from skae._data.shares import count_batches, share_out
from skae._data.sources import PART_SIZE, Array, Source, rows_at_once
from skae._data.units import Units
from skae._data.world import ALONE, World

# The share of a GPU's free memory that the rows may take.
SHARE_OF_GPU = 0.5
# Of a table whose rows are stored, so many numbers are read at once and shuffled, in so many
# blocks of neighbouring rows.
BUFFER_SIZE, N_BLOCKS = 2**24, 32
# Stored rows of up to so many numbers that are read in each epoch are kept in memory.
MAX_COPY = 2**27


class RowDataset(Dataset[tuple[Tensor, Tensor]]):
    """Rows that a net trains on or is evaluated on, in the module's units.

    Parameters
    ----------
    table : Source or Tensor of shape (n, n_features)
        Rows in the units of X, of which a part is read when its turn comes; or a tensor that is
        in the module's already, on any device.
    units : Units or None
        The module's units, for a source.
    index : Tensor or None
        Which of the table's rows these are.
    device : str
        Where they are wanted.
    observed : Tensor of bool of shape (n, n_features) or None
        Which values of a tensor's rows are known; None means all. A source says so itself.
    weights : Tensor of shape (n,) or None
        Weights of all rows of the table; None means 1 each.
    world : World
        The processes each of which has some of the rows. ``len`` counts those of this one.
    """

    def __init__(
        self,
        table: Source | Tensor,
        units: Units | None = None,
        index: Tensor | None = None,
        device: str | torch.device = "cpu",
        observed: Tensor | None = None,
        weights: Tensor | None = None,
        world: World = ALONE,
    ) -> None:
        self.table, self.units, self.device = table, units, torch.device(device)
        self.observed, self.weights, self.world = observed, weights, world
        self._counts: list[int] | None = None
        if isinstance(table, Tensor):
            n_rows, self.n_features = table.shape
            index = torch.arange(n_rows) if index is None else index
            self.index = index.to(table.device)
        else:
            self.n_features = table.n_features
            self.index = torch.arange(table.n_rows) if index is None else index

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
        row = self.take(torch.tensor([i]))[0]
        return row, row

    @property
    def counts_by_rank(self) -> list[int]:
        """How many rows each process has."""
        # Not cached_property, whose lock threads that fit together would hold against each other.
        if self._counts is None:
            self._counts = self.world.counts(len(self))
        return self._counts

    @property
    def n_rows(self) -> int:
        """How many rows all processes have."""
        return sum(self.counts_by_rank)

    @property
    def X(self) -> Tensor:
        """All of the rows, copied: for callbacks that score them."""
        return self.take(torch.arange(len(self)))

    y = X

    @property
    def streams(self) -> bool:
        """Whether rows have yet to cross to the device."""
        return self.device.type == "cuda" and self.units is not None

    @property
    def is_whole(self) -> bool:
        """Whether all rows may be copied at once, and all of their values are known."""
        if isinstance(self.table, Tensor):
            is_whole = self.observed is None
        else:
            is_whole = self.table.may_be_copied and self.table.observed(slice(0, 1)) is None
        return not self.world.any(not is_whole)

    def mean(self, values: Array) -> float:
        """Return the mean of a number of each row of all processes, with their weights."""
        weights = None
        if self.weights is not None:
            weights = self.world.concatenate(self.weights[self.index.cpu()].numpy())
        mean = values.mean() if weights is None else np.average(values, weights=weights)
        # Machines of other kinds round otherwise, and all have to decide alike.
        return self.world.agree(float(mean))

    @property
    def mean_weight(self) -> float:
        """The mean of the weights of all processes' rows."""
        if self.weights is None:
            return 1.0
        own = self.weights[self.index.cpu()]
        if self.world.size == 1:
            return float(own.mean())
        total, n = self.world.sum(np.array([own.double().sum().item(), len(own)]))
        return float(total / n)

    @property
    def n_values(self) -> float:
        """How many values of a row are known, in the mean over all processes' rows."""
        n_known = []
        # A process without rows goes through this once, too.
        for which in torch.arange(len(self)).split(rows_at_once(self.n_features)):
            observed, _ = self.counts(which)
            if observed is None:
                return float(self.n_features)
            n_known.append(observed.sum(dim=1).cpu().numpy())
        return self.mean(self.world.concatenate(np.concatenate(n_known)))

    def subset(self, which: Tensor) -> "RowDataset":
        """Return the rows at these positions."""
        index = self.index[which.to(self.index.device)]
        return RowDataset(
            self.table, self.units, index, self.device, self.observed, self.weights, self.world
        )

    def in_memory(self) -> "RowDataset":
        """Return rows that are read in each epoch as a tensor, where they are stored elsewhere."""
        n_numbers = len(self) * self.n_features
        if isinstance(self.table, Tensor) or self.table.has_random_access or n_numbers > MAX_COPY:
            return self
        every = torch.arange(len(self))
        observed, _ = self.counts(every)
        weights = None if self.weights is None else self.weights[self.index.cpu()]
        x = self.take(every)
        return RowDataset(
            x, device=self.device, observed=observed, weights=weights, world=self.world
        )

    def spread(self, n: int) -> "RowDataset":
        """Return ``n`` of all processes' rows at equal distances, or all if there are no more."""
        return self.subset(torch.from_numpy(self.world.spread(n, len(self))))

    def take(self, which: Tensor) -> Tensor:
        """Copy the rows at these positions to the device."""
        return self.read(which).to(self.device)

    def read(self, which: Tensor) -> Tensor:
        """Copy the rows at these positions, where the table is."""
        which = self.index[which.to(self.index.device)]
        if isinstance(self.table, Tensor):
            return self.table.index_select(0, which)
        rows = self.table.take(which.numpy())
        return torch.from_numpy(rows if self.units is None else self.units.convert(rows, rows))

    def batch(self, which: Tensor) -> Batch:
        """Copy the rows at these positions to the device, with what is known of them."""
        return Batch(self.take(which), *self.counts(which))

    def counts(self, which: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Return which values of the rows at these positions are known, and their weights."""
        which = self.index[which.to(self.index.device)]
        if isinstance(self.table, Tensor):
            observed = None if self.observed is None else self.observed.index_select(0, which)
        else:
            known = self.table.observed(which.numpy())
            observed = None if known is None else torch.from_numpy(known)
        weights = None if self.weights is None else self.weights[which.cpu()].to(self.device)
        return None if observed is None else observed.to(self.device), weights

    def order(self, generator: torch.Generator, sizes: list[int]) -> Tensor:
        """Return the positions of all rows in a random order.

        Rows that are stored lie in blocks of neighbours, which are read in a random order; those
        that are read at once are shuffled.

        Parameters
        ----------
        generator : torch.Generator
        sizes : list of int
            How many rows are read at once, one after the other. If rows were shuffled across
            these, blocks would be read twice.
        """
        n_rows = len(self)
        n_at_once = max(N_BLOCKS, BUFFER_SIZE // self.n_features)
        if isinstance(self.table, Tensor) or self.table.has_random_access or n_rows <= n_at_once:
            return torch.randperm(n_rows, generator=generator)
        by_position = torch.argsort(self.index)
        blocks = by_position.split(n_at_once // N_BLOCKS)
        order = torch.cat([blocks[i] for i in torch.randperm(len(blocks), generator=generator)])
        parts = order.split(sizes)
        return torch.cat([p[torch.randperm(len(p), generator=generator)] for p in parts])

    @property
    def n_read_at_once(self) -> int:
        """How many numbers are read at once."""
        is_stored = not isinstance(self.table, Tensor) and not self.table.has_random_access
        return BUFFER_SIZE if is_stored else PART_SIZE


def place(source: Source, units: Units, device: str) -> RowDataset:
    """Return the rows of a source for training on ``device``.

    They move to a GPU once where it has the room. On the host a float32 table in C order is
    never copied whole; another one is, once, in float32. Sparse and stored rows are read and
    converted a batch at a time.
    """
    target, n_numbers, world = torch.device(device), source.n_rows * source.n_features, source.world
    weights = None
    if source.weights is not None:
        weights = torch.from_numpy(source.weights).to(units.tensor_dtype)
    if not source.may_be_copied:
        return RowDataset(source, units, device=target, weights=weights, world=world)
    fits = target.type == "cpu" or (
        target.type == "cuda"
        and units.dtype.itemsize * n_numbers < SHARE_OF_GPU * torch.cuda.mem_get_info(target)[0]
    )
    in_place = source.dtype == units.dtype and source.table.flags.c_contiguous
    if in_place and not (fits and target.type != "cpu"):
        return RowDataset(source, units, device=target, weights=weights, world=world)
    where = target if fits else torch.device("cpu")
    shape = (source.n_rows, source.n_features)
    table = torch.empty(shape, dtype=units.tensor_dtype, device=where)
    for rows, part in source.chunks(rows_at_once(source.n_features)):
        table[rows] = torch.from_numpy(units.convert(part))
    known = source.observed(slice(0, source.n_rows))
    observed = None if known is None else torch.from_numpy(known).to(where)
    return RowDataset(table, device=target, observed=observed, weights=weights, world=world)


class Batches:
    """Rows in batches whose sizes differ by one at most.

    Equal batches because a last batch of a few rows would give a step as large as any
    from a gradient much noisier than any. A process that has no rows of a batch gets rows that do
    not count, because all processes have to take part in all steps.

    Parameters
    ----------
    rows : RowDataset
    batch_size : int
        Upper bound of the size of a batch: of all processes together where rows are shuffled, and
        of this process otherwise.
    generator : torch.Generator or None
        Shuffles the rows anew in each pass; None leaves their order.
    """

    def __init__(
        self, rows: RowDataset, batch_size: int, generator: torch.Generator | None
    ) -> None:
        self.rows = rows
        self.generator = generator
        counts, world = rows.counts_by_rank, rows.world
        if generator is None:
            self.n_batches = max(1, math.ceil(max(counts) / batch_size))
        else:
            self.n_batches = count_batches(counts, batch_size)
        of_all = np.zeros(self.n_batches, dtype=np.int64)
        for rank, count in enumerate(counts):
            sizes = share_out(count, self.n_batches, rank, world.size)
            of_all += sizes
            if rank == world.rank:
                own = sizes
        self.sizes: list[int] = own.tolist()
        self.shares: list[float] = (own / np.maximum(1, of_all)).tolist()

    def __len__(self) -> int:
        return self.n_batches

    def __iter__(self) -> Iterator[Batch]:
        n_rows, shares = len(self.rows), iter(self.shares)
        # Many batches are gathered at once, and are views of that: far cheaper than each.
        largest = max(1, max(self.sizes)) * self.rows.n_features
        n_together = max(1, self.rows.n_read_at_once // largest)
        groups = [self.sizes[i : i + n_together] for i in range(0, self.n_batches, n_together)]
        together = [sum(group) for group in groups]
        order = torch.arange(n_rows)
        if self.generator is not None:
            order = self.rows.order(self.generator, together)
        orders = order.to(self.rows.index.device).split(together)
        read = self._read_ahead if self.rows.streams else self._read
        for part, group in zip(read(orders), groups, strict=True):
            for batch in part.split(group):
                batch.share = next(shares)
                is_there = batch.share or self.rows.world.size == 1
                yield batch if is_there else Batch.stand_in(batch.x)

    def _read(self, orders: tuple[Tensor, ...]) -> Iterator[Batch]:
        return map(self.rows.batch, orders)

    def _read_ahead(self, orders: tuple[Tensor, ...]) -> Iterator[Batch]:
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
            ready = None
            if order is not None and crossing is not None:
                crossing.record_stream(torch.cuda.current_stream(self.rows.device))
                ready = Batch(crossing, *self.rows.counts(order))
