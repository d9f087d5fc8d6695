"""Which rows validate and which train, so that no validation row is a copy of a training row."""

import hashlib
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skae._data.sources import PART_SIZE, Source

Keys = NDArray[np.uint64]
Positions = NDArray[np.int64]

# A tenth of the rows validates; on small tables this many, but no more than a quarter of the rows:
# an improvement on fewer rows is often chance.
AUTO_VALIDATION = 50
# Fewer rows than this cannot show an improvement at the level of is_improvement.
MIN_VALIDATION = 10
# Groups of more than this share of the rows always train.
MAX_GROUP = 0.25


def count_validation(n_groups: int, fraction: float | str) -> int:
    """Return the number of groups that validate; 0 where it would be too few to decide.

    A group is a row, or several rows that are equal or belong together.
    """
    if fraction == "auto":
        few, least = min(AUTO_VALIDATION, 0.25 * n_groups), min(MIN_VALIDATION, n_groups // 2)
        n = math.ceil(max(0.1 * n_groups, few, least))
    else:
        n = math.ceil(min(float(fraction) * n_groups, n_groups - 2))
    return n if n >= MIN_VALIDATION else 0


@dataclass(frozen=True)
class Split:
    """The rows that train and those that validate.

    Attributes
    ----------
    training, validation : ndarray of int
        Their positions, in random order.
    groups : ndarray of shape (n_validation,)
        Number of the group that each validation row belongs to, from 0 on.
    n_groups : int
        Number of groups of all rows.
    trained : ndarray of uint64
        Keys of the groups that train, and of those that have trained before.
    """

    training: Positions
    validation: Positions
    groups: Positions
    n_groups: int
    trained: Keys


def split_rows(keys: Keys, fraction: float | str, order: Positions, trained: Keys) -> Split:
    """Choose the groups of rows that validate: the first in a random order.

    Parameters
    ----------
    keys : ndarray of uint64 of shape (n_rows,)
        Equal for rows of the same group.
    fraction : float or "auto"
        Share of the groups that validate; 0 means none.
    order : ndarray of shape (n_rows,)
        A random permutation.
    trained : ndarray of uint64
        Keys of groups that have trained the weights to go on from, and so cannot validate.
    """
    unique, first, inverse, sizes = np.unique(
        keys[order], return_index=True, return_inverse=True, return_counts=True
    )
    wanted = count_validation(len(unique), fraction) if fraction else 0
    allowed = ~np.isin(unique, trained) & (sizes <= MAX_GROUP * len(keys))
    by_order = np.argsort(first)
    chosen = by_order[allowed[by_order]][:wanted]
    chosen = chosen[np.cumsum(sizes[chosen]) <= len(keys) / 2]
    if len(chosen) < MIN_VALIDATION:
        chosen = chosen[:0]
    number = np.full(len(unique), -1)
    number[chosen] = np.arange(len(chosen))
    groups = number[inverse]
    validates = groups >= 0
    trained = np.union1d(trained, unique[number < 0])
    return Split(order[~validates], order[validates], groups[validates], len(unique), trained)


def row_keys(source: Source) -> Keys:
    """Return a key for every row: the same for equal rows, of any dtype and in any table.

    Multilinear hashing (Carter and Wegman 1979) of the halves of the float64 numbers: keys of
    different rows are equal by chance, once in four billion pairs.
    """
    rng = np.random.default_rng(0)
    multipliers = rng.integers(2**64, size=2 * source.n_features, dtype=np.uint64)
    keys = np.empty(source.n_rows, dtype=np.uint64)
    for rows, part in source.chunks(max(256, PART_SIZE // source.n_features)):
        numbers = np.ascontiguousarray(part, dtype=np.float64) + 0.0  # -0.0 is equal to 0.0
        keys[rows] = numbers.view(np.uint32).astype(np.uint64) @ multipliers
    return keys


def group_keys(groups: NDArray[Any]) -> Keys:
    """Return a key for every row: the same for rows whose group has the same label."""
    labels, inverse = np.unique(groups, return_inverse=True)
    digests = b"".join(
        hashlib.blake2b(str(label).encode(), digest_size=8).digest() for label in labels.tolist()
    )
    return np.frombuffer(digests, dtype=np.uint64)[inverse]
