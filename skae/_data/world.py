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
    """

    rank = 0
    size = 1

    def sum(self, values: Values) -> Values:
        """Return the sums of numbers over all processes."""
        return values

    def smallest(self, values: Values) -> Values:
        """Return the smallest of numbers over all processes."""
        return values

    def largest(self, values: Values) -> Values:
        """Return the largest of numbers over all processes."""
        return values

    def add_up(self, values: Tensor) -> None:
        """Replace the numbers of a tensor by their sums over all processes."""

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

    def count(self, n: int) -> int:
        """Return the sum of a whole number over all processes."""
        return int(self.sum(np.array(n)))


ALONE = World()

