"""What is said of a training whose loss was not finite."""

import warnings

from sklearn.exceptions import ConvergenceWarning
from skorch import NeuralNet

from skae._model.networks.users import UsersNetwork


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
        stacklevel=5,
    )
