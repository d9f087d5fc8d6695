"""Which rows validate, and which train."""

import math

# A tenth of the rows validates, but so many where these are no more than a quarter: fewer are
# fooled by chance.
AUTO_VALIDATION = 50
# Fewer rows than this cannot show an improvement at the level of is_improvement.
MIN_VALIDATION = 10


def count_validation(n_rows: int, fraction: float | str) -> int:
    """Return the number of rows to hold out; 0 where it would be too few to decide."""
    if fraction == "auto":
        n = max(0.1 * n_rows, min(AUTO_VALIDATION, 0.25 * n_rows), min(MIN_VALIDATION, n_rows // 2))
    else:
        n = min(float(fraction) * n_rows, n_rows - 2)
    return math.ceil(n) if math.ceil(n) >= MIN_VALIDATION else 0
