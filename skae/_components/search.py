"""Which sizes of a code are tried, and the smallest of them that passes."""

from collections.abc import Callable, Iterable

Passes = Callable[[int], bool]

# A size that passes may be larger than the smallest one by this share.
TOLERANCE = 0.1


def halves(top: int) -> list[int]:
    """Return 1, …, ⌈top/4⌉, ⌈top/2⌉, top."""
    sizes = [top]
    while sizes[-1] > 1:
        sizes.append((sizes[-1] + 1) // 2)
    return sizes[::-1]


def doubles(top: int, most: int) -> list[int]:
    """Return 2·top, 4·top, …, most: what is beyond ``top``."""
    sizes = []
    while top < most:
        top = min(2 * top, most)
        sizes.append(top)
    return sizes


def first_that_passes(passes: Passes, sizes: Iterable[int]) -> tuple[int, int | None]:
    """Return the size before the first one that passes, and the first one that passes.

    0 where the first of all passes, and None where none does. Sizes beyond are not asked.
    """
    below = 0
    for size in sizes:
        if passes(size):
            return below, size
        below = size
    return below, None


def halve(passes: Passes, top: int, most: int) -> tuple[int, int | None]:
    """Return a size that does not pass and one that does, near each other: halves or doubles.

    Of sizes up to ``top`` the larger are asked first: a size that passes by chance, below others
    that do not, is not found.

    Parameters
    ----------
    passes : callable
    top : int
        Where to begin.
    most : int
        The largest size.

    Returns
    -------
    below, size : int
        0 where 1 passes, and None where no size does.
    """
    below, size = first_that_passes(passes, [top, *doubles(top, most)])
    if size != top:
        return below, size
    for half in halves(top)[-2::-1]:
        if not passes(half):
            return half, size
        size = half
    return 0, size


def refine(passes: Passes, below: int, size: int, tolerance: float = TOLERANCE) -> int:
    """Return a size that passes, and is next to one that does not, by bisection.

    Parameters
    ----------
    passes : callable
    below, size : int
        One that does not pass, or 0, and a larger one that does.
    tolerance : float
        By which share the two may differ in the end, where that is more than 1.
    """
    while size - below > max(1, tolerance * size):
        middle = (below + size) // 2
        if passes(middle):
            size = middle
        else:
            below = middle
    return size
