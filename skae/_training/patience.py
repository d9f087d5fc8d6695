"""When a training leads nowhere."""

import math
import statistics
from collections.abc import Sequence

# Evidence for these numbers: see benchmarks/README.md. A twentieth of the epochs, 20 at least,
# is a stretch; none ends a training within its first tenth.
STRETCH, MIN_STRETCH, FIRST = 0.05, 20, 0.1


def leads_nowhere(losses: Sequence[float], start: float, n_epochs: int) -> bool:
    """Tell whether a network has become worse than its start, and stays so.

    That is the case where every loss of the last twentieth of the epochs (20 at least) is above
    the start's, and they do not fall: their median is no lower in the second half of that stretch
    than in the first. Networks that overfit few rows show this early, and end at PCA. A loss
    that jumps, as one of few rows with very large errors does, now and then falls below the start.

    Parameters
    ----------
    losses : sequence of float
        Loss of the validation rows after each epoch so far.
    start : float
        Their loss at the start; infinite for random weights, which are worse than any.
    n_epochs : int
        Number of epochs of the whole training.
    """
    stretch = max(MIN_STRETCH, math.ceil(STRETCH * n_epochs))
    if len(losses) < max(stretch, math.ceil(FIRST * n_epochs)):
        return False
    last = losses[-stretch:]
    first, second = last[: stretch // 2], last[stretch // 2 :]
    return min(last) > start and statistics.median(second) >= statistics.median(first)
