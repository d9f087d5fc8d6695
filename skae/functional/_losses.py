"""Losses of reconstructions, one number a row."""

from torch import Tensor
from torch.nn.functional import (
    binary_cross_entropy_with_logits,
    huber_loss,
    l1_loss,
    mse_loss,
)


def squared_error(x: Tensor, x_hat: Tensor) -> Tensor:
    """Half the squared distance of each row to its reconstruction, ½ Σₖ (x̂ₖ − xₖ)².

    Parameters
    ----------
    x, x_hat : Tensor of shape (n_rows, n_features)
        Rows and their reconstructions.

    Returns
    -------
    Tensor of shape (n_rows,)
    """
    return 0.5 * mse_loss(x_hat, x, reduction="none").sum(dim=1)


def absolute_error(x: Tensor, x_hat: Tensor) -> Tensor:
    """Sum of absolute differences of each row to its reconstruction, Σₖ |x̂ₖ − xₖ|.

    Parameters
    ----------
    x, x_hat : Tensor of shape (n_rows, n_features)
        Rows and their reconstructions.

    Returns
    -------
    Tensor of shape (n_rows,)
    """
    return l1_loss(x_hat, x, reduction="none").sum(dim=1)


def huber(x: Tensor, x_hat: Tensor, delta: float = 1.0) -> Tensor:
    """Squared up to δ and linear beyond: Σₖ ½d² where d = |x̂ₖ − xₖ| ≤ δ, else δ(d − ½δ).

    Parameters
    ----------
    x, x_hat : Tensor of shape (n_rows, n_features)
        Rows and their reconstructions.
    delta : float
        δ, in the units of ``x``.

    Returns
    -------
    Tensor of shape (n_rows,)

    References
    ----------
    .. [1] Huber, P. J., "Robust estimation of a location parameter", Annals of Mathematical
       Statistics 35, 1964.
    """
    return huber_loss(x_hat, x, reduction="none", delta=delta).sum(dim=1)


def binary_cross_entropy(x: Tensor, logits: Tensor) -> Tensor:
    """Cross-entropy of each row, −Σₖ xₖ log pₖ + (1 − xₖ) log(1 − pₖ), p = 1/(1 + e^−logits).

    Parameters
    ----------
    x : Tensor of shape (n_rows, n_features)
        Rows in [0, 1].
    logits : Tensor of shape (n_rows, n_features)
        Log odds of the reconstruction.

    Returns
    -------
    Tensor of shape (n_rows,)
        In nats.
    """
    return binary_cross_entropy_with_logits(logits, x, reduction="none").sum(dim=1)


def poisson(x: Tensor, log_rate: Tensor) -> Tensor:
    """Negative log-likelihood of each row's counts but for log x!, Σₖ λₖ − xₖ log λₖ.

    Parameters
    ----------
    x : Tensor of shape (n_rows, n_features)
        Counts, or rates; not negative.
    log_rate : Tensor of shape (n_rows, n_features)
        log λ.

    Returns
    -------
    Tensor of shape (n_rows,)
        In nats.
    """
    return (log_rate.exp() - x * log_rate).sum(dim=1)
