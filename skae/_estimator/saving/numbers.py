"""Rules for the numbers and arrays of a file."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skae._estimator.parameters.rules import Rule, is_integer, options

# float32 cannot hold rows of a scale below this, or above its inverse.
MIN_SCALE = 1e-30


def is_number(value: Any) -> bool:
    """Tell whether a value is a real number, bool excluded."""
    return is_integer(value) or isinstance(value, float | np.floating)


def is_finite(value: Any) -> bool:
    """Tell whether a value is a real number that is neither NaN nor infinite."""
    return is_number(value) and math.isfinite(value)


nothing = options(None)
number = Rule("a finite number", is_finite)
not_negative = Rule("a finite number >= 0", lambda v: is_finite(v) and v >= 0)
# Of rows of a tiny scale a fit's variance may be more than a float holds.
variance = Rule("a number >= 0", lambda v: is_number(v) and v >= 0)
positive = Rule(
    "a number from 1e-30 to 1e30", lambda v: is_number(v) and MIN_SCALE < v < 1 / MIN_SCALE
)


def curve(n_trainings: int) -> Rule:
    """Allow a number for each epoch; a training ends at the first that is not finite."""

    def allows(value: Any) -> bool:
        if not isinstance(value, list) or not all(map(is_number, value)):
            return False
        bad = [i for i, number in enumerate(value) if not math.isfinite(number)]
        return len(bad) <= n_trainings if n_trainings > 1 else bad in ([], [len(value) - 1])

    return Rule("a list of numbers, finite but for the last of a training", allows)


def array_of(
    *shape: int | None,
    dtype: Any = np.float64,
    low: float | None = -math.inf,
    infinite: bool = False,
) -> Rule:
    """Allow arrays of a shape, of which None is any length, and of numbers from ``low`` on.

    Floats are not NaN, and infinite only where ``infinite`` allows it; all where ``low`` is None.
    """
    dtypes = [np.dtype(each) for each in (dtype if isinstance(dtype, tuple) else (dtype,))]

    def allows(value: Any) -> bool:
        return (
            isinstance(value, np.ndarray)
            and value.dtype in dtypes
            and value.ndim == len(shape)
            and all(n in (None, m) for n, m in zip(shape, value.shape, strict=True))
            and (low is None or is_within(value, low, infinite=infinite))
        )

    sizes = ", ".join("n" if n is None else str(n) for n in shape)
    words = f"an array of {' or '.join(map(str, dtypes))} of shape ({sizes})"
    if low is not None and any(each.kind == "f" for each in dtypes):
        words += f" {'without NaN' if infinite else 'of finite numbers'}"
        words += f" >= {low:g}" if low > -math.inf else ""
    return Rule(words, allows)


def is_within(array: NDArray[Any], low: float = -math.inf, *, infinite: bool = False) -> bool:
    """Tell whether an array's floats are numbers, finite or not, and none is below ``low``."""
    is_stand_in = array.ndim > 0 and not any(array.strides)
    if array.dtype.kind != "f" or not array.size or is_stand_in:
        return True
    least, most = array.min(), array.max()  # NaN, where there is one
    return bool(least >= low and (infinite or (np.isfinite(least) and np.isfinite(most))))
