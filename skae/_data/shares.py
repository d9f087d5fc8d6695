"""Which share each process has of the rows of a batch."""

import math

import numpy as np
from numpy.typing import NDArray


def count_batches(counts: list[int], batch_size: int) -> int:
    """Return the number of batches of no more rows than a size, of which each process has a share.

    Parameters
    ----------
    counts : list of int
        How many rows each process has.
    batch_size : int
    """
    n = max(1, math.ceil(sum(counts) / batch_size))
    # Shares are rounded up. With more processes than rows in a batch that would never end.
    while (
        n < max(counts)
        and sum(largest_share(count, n, len(counts)) for count in counts) > batch_size
    ):
        n += 1
    return n


def largest_share(n_rows: int, n_batches: int, n_processes: int) -> int:
    """Return how many rows of a process a batch has at most."""
    if n_processes > 1 and 0 < n_rows < 2 * n_batches:
        return min(n_rows, 2 + n_rows % 2)
    return math.ceil(n_rows / n_batches)


def share_out(n_rows: int, n_batches: int, rank: int, n_processes: int) -> NDArray[np.int64]:
    """Return how many rows of a process each batch has: sizes that differ by one at most.

    The larger ones come first, with each rank somewhat later, so that batches of all processes
    together differ little too. A process with few rows gives two at a time: of one alone batch norm
    has no variance.
    """
    if n_processes > 1 and n_rows < 2 * n_batches:
        sizes = np.zeros(n_batches, dtype=np.int64)
        sizes[: n_rows // 2] = 2
        sizes[0] += n_rows % 2
    else:
        smallest, n_larger = divmod(n_rows, n_batches)
        sizes = np.full(n_batches, smallest)
        sizes[:n_larger] += 1
    return np.roll(sizes, rank * n_batches // n_processes)
