"""The processes that fit one model together, each on rows of its own."""

from typing import TypeVar

import numpy as np
from torch import Tensor

Values = TypeVar("Values", np.ndarray, Tensor)
Value = TypeVar("Value")


class World:
    """The processes that fit one model together. This one is a process alone.

    What is called here is called by all processes, in the same order; otherwise they would wait
    for each other. All get the same results, bit for bit, so that all decide alike.

    Attributes
    ----------
    rank, size : int
        The number of this process, from 0 on, and that of all.
    local_rank : int
        Its number among those on the same machine.
    """

    rank = 0
    size = 1
    local_rank = 0

    def sum(self, values: Values) -> Values:
        """Return the sums of numbers over all processes."""
        return values

    def smallest(self, values: Values) -> Values:
        """Return the smallest of numbers over all processes."""
        return values

    def largest(self, values: Values) -> Values:
        """Return the largest of numbers over all processes."""
        return values

    def add_up(self, values: Tensor, share: float = 1.0) -> None:
        """Replace the numbers of a tensor by their sums over all processes.

        Those of this process count as much as ``share``; with a share of 0 they may be NaN.
        """

    def take_first(self, values: Tensor) -> None:
        """Replace the numbers of a tensor by those of the first process."""

    def concatenate(self, rows: Values) -> Values:
        """Return the rows of all processes, in order of rank."""
        return rows

    def gather(self, value: Value) -> list[Value]:
        """Return a value of each process, in order of rank; any that can be pickled."""
        return [value]

    def agree(self, value: Value) -> Value:
        """Return the value of the first process: what all are to go by."""
        return value

    def any(self, flag: bool) -> bool:
        """Tell whether something is so in any process."""
        return bool(self.largest(np.array(int(flag))))

    def counts(self, n: int) -> list[int]:
        """Return a whole number of each process, in order of rank."""
        numbers: list[int] = self.concatenate(np.array([n])).tolist()
        return numbers

    def spread(self, n: int, n_rows: int) -> np.ndarray:
        """Return which rows of this process are among n of all, at equal distances.

        All where there are no more than n.

        Parameters
        ----------
        n : int
        n_rows : int
            Number of rows of this process.
        """
        counts = self.counts(n_rows)
        total, first = sum(counts), sum(counts[: self.rank])
        n = min(n, total)
        places = np.arange(n) * (total - 1) // max(1, n - 1) - first
        mine: np.ndarray = places[(places >= 0) & (places < n_rows)]
        return mine


ALONE = World()
