"""Which rows validate and which train, so that no validation row is a copy of a training row."""

import hashlib
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skae._data.sources import PART_SIZE, Source

Keys = NDArray[np.uint64]
Positions = NDArray[np.int64]

# A tenth of the rows validates, but so many where these are no more than a quarter: an
# improvement on fewer rows is often chance.
AUTO_VALIDATION = 50
# Fewer rows than this cannot show an improvement at the level of is_improvement.
MIN_VALIDATION = 10
# Groups of more than this share of the rows always train.
MAX_GROUP = 0.25


def count_validation(n_groups: int, fraction: float | str) -> int:
    """Return the number of groups to hold out; 0 where it would be too few to decide.

    A group is a row, or several rows that are equal or belong together.
    """
    if fraction == "auto":
        few, least = min(AUTO_VALIDATION, 0.25 * n_groups), min(MIN_VALIDATION, n_groups // 2)
        n = math.ceil(max(0.1 * n_groups, few, least))
    else:
        n = math.ceil(min(float(fraction) * n_groups, n_groups - 2))
    return n if n >= MIN_VALIDATION else 0


@dataclass(frozen=True)
class Memory:
    """Which rows have trained a model's weights, by the keys of their groups.

    Attributes
    ----------
    salt : int
        Makes the keys, over all fits of warm starts.
    limit : int
        Groups with larger keys have trained; -1 means all groups.
    passed : ndarray of uint64
        Keys up to ``limit`` of groups that have trained nevertheless.
    """

    salt: int
    limit: int = -1
    passed: Keys = field(default_factory=lambda: np.empty(0, dtype=np.uint64))

    @classmethod
    def of_nothing(cls, salt: int) -> "Memory":
        """Return the memory of weights that no row has trained."""
        return cls(salt, 2**64 - 1)

    def new(self, keys: Keys) -> NDArray[np.bool_]:
        """Tell which groups have not trained."""
        if self.limit < 0:
            return np.zeros(len(keys), dtype=bool)
        return (keys <= np.uint64(self.limit)) & ~np.isin(keys, self.passed)


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
    memory : Memory
        Which rows have trained once this fit is over.
    """

    training: Positions
    validation: Positions
    groups: Positions
    n_groups: int
    memory: Memory


def split_rows(keys: Keys, fraction: float | str, order: Positions, former: Memory) -> Split:
    """Choose validation rows by the keys of their groups: those with the smallest keys.

    The choice is random because keys are, and lasts: with the same salt a group that was held
    out of one fit is held out of the next, whatever other rows come with it.

    Parameters
    ----------
    keys : ndarray of uint64 of shape (n_rows,)
        Equal for rows of the same group.
    fraction : float or "auto"
        Share of the groups to hold out; 0 holds out none.
    order : ndarray of shape (n_rows,)
        A random permutation.
    former : Memory
        Groups that have trained do not validate.
    """
    unique, inverse, sizes = np.unique(keys, return_inverse=True, return_counts=True)
    wanted = count_validation(len(unique), fraction) if fraction else 0
    allowed = former.new(unique) & (sizes <= MAX_GROUP * len(keys))
    chosen = np.flatnonzero(allowed)[:wanted]
    chosen = chosen[np.cumsum(sizes[chosen]) <= len(keys) / 2]
    if len(chosen) < max(1, min(wanted, MIN_VALIDATION)):
        everything = Memory(former.salt)
        return Split(order, order[:0], order[:0], len(unique), everything)
    number = np.full(len(unique), -1)
    number[chosen] = np.arange(len(chosen))
    numbers = number[inverse[order]]
    validates = numbers >= 0
    below = unique[: chosen[-1] + 1]
    passed = below[number[: chosen[-1] + 1] < 0]
    memory = Memory(former.salt, int(unique[chosen[-1]]), np.union1d(former.passed, passed))
    return Split(order[~validates], order[validates], numbers[validates], len(unique), memory)


def row_keys(source: Source, salt: int) -> Keys:
    """Return a key for every row, which is random but the same for equal rows.

    Multilinear hashing (Carter and Wegman 1979) of the halves of the float64 numbers.
    """
    multipliers = random_numbers(2 * source.n_features, salt)
    keys = np.empty(source.n_rows, dtype=np.uint64)
    for rows, part in source.chunks(max(256, PART_SIZE // source.n_features)):
        numbers = np.ascontiguousarray(part, dtype=np.float64) + 0.0  # -0.0 is equal to 0.0
        keys[rows] = numbers.view(np.uint32).astype(np.uint64) @ multipliers
    return keys


def group_keys(groups: NDArray[Any], salt: int) -> Keys:
    """Return a key for every row, which is random but the same for rows of one group."""
    labels, inverse = np.unique(groups, return_inverse=True)
    digests = b"".join(
        hashlib.blake2b(str(label).encode(), digest_size=8, key=str(salt).encode()).digest()
        for label in labels.tolist()
    )
    return np.frombuffer(digests, dtype=np.uint64)[inverse]


def random_numbers(n: int, salt: int) -> Keys:
    """Return n random numbers that depend on the salt alone."""
    return np.random.default_rng(salt).integers(2**64, size=n, dtype=np.uint64)
