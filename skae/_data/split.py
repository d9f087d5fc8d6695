"""Which rows validate and which train, so that no validation row is a copy of a training row."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from skae._data.sources import Array, Source
from skae._data.world import World

Keys = NDArray[np.uint64]
Positions = NDArray[np.int64]

# A tenth of the rows validates; on small tables this many, but no more than a quarter of the rows:
# an improvement on fewer rows is often chance.
AUTO_VALIDATION = 50
# Fewer rows than this cannot show an improvement at the level of is_improvement.
MIN_VALIDATION = 10
# No more rows than this validate: they decide as well as any number.
MAX_VALIDATION = 20_000
# Groups of more than this share of the rows always train.
MAX_GROUP = 0.25
# From so many of the smallest keys the number of all is estimated, to 1 or 2 %.
N_SMALLEST = 4096
# Scrambles keys, which are then spread evenly over all numbers of 64 bits.
SCRAMBLER = np.uint64(0x9E3779B97F4A7C15)


def count_validation(n_groups: int, fraction: float | str) -> int:
    """Return the number of groups that validate; 0 where it would be too few to decide.

    A group is a row, or several rows that are equal or belong together.
    """
    if fraction == "auto":
        few, least = min(AUTO_VALIDATION, 0.25 * n_groups), min(MIN_VALIDATION, n_groups // 2)
        n = math.ceil(max(min(0.1 * n_groups, MAX_VALIDATION), few, least))
    else:
        n = math.ceil(min(float(fraction) * n_groups, n_groups - 2))
    return n if n >= MIN_VALIDATION else 0


@dataclass(frozen=True)
class Split:
    """The rows that train and those that validate.

    Attributes
    ----------
    training, validation : ndarray of int
        Their positions.
    groups : ndarray of shape (n_validation,)
        Number of the group that each validation row belongs to, from 0 on.
    n_groups : int
        Number of groups of all rows.
    n_training, n_validation : int
        How many rows train and validate in all processes together; ``groups`` has all of them.
    """

    training: Positions
    validation: Positions
    groups: Positions
    n_groups: int
    n_training: int
    n_validation: int


def split_rows(
    groups: Positions,
    fraction: float | str,
    order: Positions,
    has_trained: NDArray[np.bool_],
    weights: Array | None = None,
) -> Split:
    """Choose the groups of rows that validate: the first in a random order.

    Parameters
    ----------
    groups : ndarray of int of shape (n_rows,)
        Number of each row's group, from 0 on.
    fraction : float or "auto"
        Share of the groups that validate; 0 means none.
    order : ndarray of shape (n_rows,)
        A random permutation.
    has_trained : ndarray of bool of shape (n_rows,)
        Which rows have trained the weights to go on from: their groups do not validate.
    weights : ndarray of shape (n_rows,) or None
        Weights of the rows, which make large groups.
    """
    _, first = np.unique(groups[order], return_index=True)
    sizes, n_known = np.bincount(groups, weights), np.bincount(groups, has_trained)
    wanted = count_validation(len(sizes), fraction) if fraction else 0
    allowed = (n_known == 0) & (sizes <= MAX_GROUP * sizes.sum())
    by_order = np.argsort(first)
    chosen = by_order[allowed[by_order]][:wanted]
    chosen = chosen[np.cumsum(sizes[chosen]) <= sizes.sum() / 2]
    if len(chosen) < MIN_VALIDATION:
        chosen = chosen[:0]
    number = np.full(len(sizes), -1)
    number[chosen] = np.arange(len(chosen))
    numbers = number[groups[order]]
    validates = numbers >= 0
    training, validation = order[~validates], order[validates]
    n_training, n_validation = len(training), len(validation)
    return Split(training, validation, numbers[validates], len(sizes), n_training, n_validation)


def split_shards(
    keys: Keys,
    fraction: float | str,
    has_trained: NDArray[np.bool_],
    weights: Array | None,
    world: World,
) -> Split:
    """Choose the groups of rows that validate, where each process has some of the rows.

    They are those with the smallest keys: so it does not matter which process has a row, and
    processes tell each other no more than the keys of as many groups as validate.

    Parameters
    ----------
    keys : ndarray of uint64 of shape (n_rows,)
        Of the rows of this process: random, and equal for rows of a group.
    fraction, has_trained, weights
        As in :func:`split_rows`.
    world : World
    """
    different, group = np.unique(keys, return_inverse=True)
    sizes, n_known = np.bincount(group, weights), np.bincount(group, has_trained)
    n_groups = count_different(different, world)
    total = world.sum(np.array(sizes.sum(), dtype=np.float64))
    wanted = count_validation(n_groups, fraction) if fraction else 0
    # No more than three groups have more than a quarter of the rows.
    n_proposed = wanted + 3 if wanted else 0
    proposed = different[n_known == 0][:n_proposed]
    chosen = np.unique(world.concatenate(proposed))[:n_proposed]
    place = np.minimum(np.searchsorted(different, chosen), max(0, len(different) - 1))
    is_here = different[place] == chosen if len(different) else np.zeros(len(chosen), dtype=bool)
    own = np.zeros((2, len(chosen)))
    own[:, is_here] = np.array([sizes, n_known])[:, place[is_here]]
    all_sizes, all_known = world.sum(own)
    allowed = np.flatnonzero((all_sizes <= MAX_GROUP * total) & (all_known == 0))[:wanted]
    chosen, all_sizes = chosen[allowed], all_sizes[allowed]
    chosen = chosen[np.cumsum(all_sizes) <= total / 2]
    if len(chosen) < MIN_VALIDATION:
        chosen = chosen[:0]
    validates = np.isin(keys, chosen)
    training, validation = np.flatnonzero(~validates), np.flatnonzero(validates)
    groups = world.concatenate(np.searchsorted(chosen, keys[validates]).astype(np.int64))
    n_training, n_validation = (sum(world.counts(len(rows))) for rows in (training, validation))
    return Split(training, validation, groups, n_groups, n_training, n_validation)


def count_different(keys: Keys, world: World) -> int:
    """Return how many different keys all processes have, nearly where there are many.

    n keys that are spread evenly lie so densely that the smallest k of them end at k/n of the way
    (Bar-Yossef et al. 2002): that needs no more than the smallest keys of each process.

    Parameters
    ----------
    keys : ndarray of uint64
        Different ones of this process, in order.
    world : World
    """
    smallest = np.unique(world.concatenate(keys[:N_SMALLEST]))[:N_SMALLEST]
    if len(smallest) < N_SMALLEST:
        return len(smallest)
    return int((N_SMALLEST - 1) / (float(smallest[-1]) / 2.0**64))


def scramble(keys: Keys, seed: int) -> Keys:
    """Return keys that are spread evenly over all numbers of 64 bits, otherwise for each seed."""
    keys = (keys ^ (np.array([seed], dtype=np.uint64) * SCRAMBLER)) * SCRAMBLER
    keys ^= keys >> np.uint64(32)
    keys *= SCRAMBLER
    return keys ^ (keys >> np.uint64(29))


def group_rows(keys: Keys, labels: Positions | None) -> Positions:
    """Return the number of each row's group: of rows that are equal, or have the same label.

    Where both are given, groups that share equal rows become one.

    Parameters
    ----------
    keys : ndarray of uint64 of shape (n_rows,)
        Equal for equal rows.
    labels : ndarray of int of shape (n_rows,) or None
        Numbers of users' groups.
    """
    _, equal = np.unique(keys, return_inverse=True)
    if labels is None:
        return equal
    _, labels = np.unique(labels, return_inverse=True)
    n_equal, n_labels = equal.max() + 1, labels.max() + 1
    n = n_equal + n_labels
    pairs = coo_array((np.ones(len(keys)), (equal, n_equal + labels)), shape=(n, n))
    _, component = connected_components(pairs, directed=False)
    _, groups = np.unique(component[equal], return_inverse=True)
    return groups


def row_keys(source: Source, dtype: type[np.floating]) -> Keys:
    """Return a key for every row: equal for rows that are equal in float32 or float64.

    By what is known of a row, and not by what its missing values are filled with. Multilinear
    hashing (Carter and Wegman 1979) of the numbers' halves: keys of different rows are equal by
    chance, once in four billion pairs.
    """
    rng = np.random.default_rng(0)
    n_halves = source.n_features * np.dtype(dtype).itemsize // 4
    multipliers = rng.integers(2**64, size=n_halves, dtype=np.uint64)
    keys = np.empty(source.n_rows, dtype=np.uint64)
    if source.matrix is not None:  # zeros add nothing
        matrix = source.matrix
        halves = (matrix.data.astype(dtype) + dtype(0)).view(np.uint32).astype(np.uint64)
        factors = multipliers.reshape(source.n_features, -1)[matrix.indices]
        products = (halves.reshape(factors.shape) * factors).sum(axis=1)
        keys[:] = 0
        np.add.at(keys, np.repeat(np.arange(source.n_rows), np.diff(matrix.indptr)), products)
        return keys
    of_missing = rng.integers(2**64, size=source.n_features, dtype=np.uint64)
    for rows, part in source.parts():
        known = source.observed(rows)
        numbers = np.ascontiguousarray(part, dtype=dtype) + dtype(0)  # -0.0 is equal to 0.0
        if known is not None:
            numbers = np.where(known, numbers, dtype(0))
        keys[rows] = numbers.view(np.uint32).astype(np.uint64) @ multipliers
        if known is not None:
            keys[rows] += (~known).astype(np.uint64) @ of_missing
    return keys
