"""When a training leads nowhere, and what is said of one whose loss was not finite."""

import math
import statistics
import warnings
from collections.abc import Sequence

from sklearn.exceptions import ConvergenceWarning
from skorch import NeuralNet

from skae._files.caller import caller_level
from skae._model.networks.users import UsersNetwork

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


def report_divergence(net: NeuralNet, diverged_at: int, kept: int, *, has_start: bool) -> None:
    """Warn of a loss that was not finite; raise ValueError if no weights are worth keeping.

    Parameters
    ----------
    net : NeuralNet
    diverged_at : int
        The epoch of that loss.
    kept : int
        The epoch whose weights are kept, 0 for the start.
    has_start : bool
        Whether the weights of the start are worth keeping.
    """
    remedy = f"lower learning_rate_init, now {net.lr:g}, or scale X"
    users = [part.name for part in net.module_.modules() if isinstance(part, UsersNetwork)]
    if users:
        remedy += f"; or see whether the networks of {' and '.join(users)} return NaN in training"
    if kept == 0 and not has_start:
        raise ValueError(
            f"The loss was not finite in epoch {diverged_at}, and there are no "
            f"earlier weights to keep; {remedy}."
        )
    warnings.warn(
        f"The loss was not finite in epoch {diverged_at}: the weights of epoch "
        f"{kept} are kept (0 is the start). To train further, {remedy}.",
        ConvergenceWarning,
        stacklevel=caller_level(),
    )


def report_interrupt(net: NeuralNet, kept: int) -> None:
    """Warn that Ctrl-C has ended a training, of which the weights of an epoch are kept."""
    warnings.warn(
        f"Ctrl-C ended the training in epoch {len(net.history)} of {net.max_epochs}: the weights "
        f"of epoch {kept} are kept (0 is the start), because keep_interrupted=True.",
        stacklevel=caller_level(),
    )
