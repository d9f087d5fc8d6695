"""Losses of reconstructions, one number a row; values that are not known may be left out."""

import torch
from torch import Tensor
from torch.nn.functional import (
    binary_cross_entropy_with_logits,
    huber_loss,
    l1_loss,
    mse_loss,
)


def squared_error(x: Tensor, x_hat: Tensor, observed: Tensor | None = None) -> Tensor:
    """Half the squared distance of each row to its reconstruction, ½ Σₖ (x̂ₖ − xₖ)².

    Parameters
    ----------
    x, x_hat : Tensor of shape (n_rows, n_features)
        Rows and their reconstructions.
    observed : Tensor of bool of shape (n_rows, n_features) or None
        Which values count; None means all.

    Returns
    -------
    Tensor of shape (n_rows,)
        In squared units of ``x``.

    Examples
    --------
    >>> import torch
    >>> from skae.functional import squared_error
    >>> x, x_hat = torch.tensor([[0.0, 2.0]]), torch.tensor([[1.0, 0.0]])
    >>> squared_error(x, x_hat)
    tensor([2.5000])
    >>> squared_error(x, x_hat, observed=torch.tensor([[True, False]]))
    tensor([0.5000])
    """
    return 0.5 * sum_observed(mse_loss(x_hat, x, reduction="none"), observed)


def absolute_error(x: Tensor, x_hat: Tensor, observed: Tensor | None = None) -> Tensor:
    """Sum of absolute differences of each row to its reconstruction, ``Σₖ |x̂ₖ − xₖ|``.

    Parameters
    ----------
    x, x_hat : Tensor of shape (n_rows, n_features)
        Rows and their reconstructions.
    observed : Tensor of bool of shape (n_rows, n_features) or None
        Which values count; None means all.

    Returns
    -------
    Tensor of shape (n_rows,)
        In the units of ``x``.

    Examples
    --------
    >>> import torch
    >>> from skae.functional import absolute_error
    >>> absolute_error(torch.tensor([[0.0, 2.0]]), torch.tensor([[1.0, 0.0]]))
    tensor([3.])
    """
    return sum_observed(l1_loss(x_hat, x, reduction="none"), observed)


def huber(x: Tensor, x_hat: Tensor, delta: float = 1.0, observed: Tensor | None = None) -> Tensor:
    """Squared up to δ and linear beyond: Σₖ ½d² where ``d = |x̂ₖ − xₖ|`` ≤ δ, else δ(d − ½δ).

    Parameters
    ----------
    x, x_hat : Tensor of shape (n_rows, n_features)
        Rows and their reconstructions.
    delta : float
        δ, in the units of ``x``.
    observed : Tensor of bool of shape (n_rows, n_features) or None
        Which values count; None means all.

    Returns
    -------
    Tensor of shape (n_rows,)
        In squared units of ``x``.

    References
    ----------
    .. [1] Huber, P. J., "Robust estimation of a location parameter", Annals of Mathematical
       Statistics 35, 1964.

    Examples
    --------
    >>> import torch
    >>> from skae.functional import huber
    >>> huber(torch.tensor([[0.0, 2.0]]), torch.tensor([[1.0, 0.0]]))
    tensor([2.])
    """
    return sum_observed(huber_loss(x_hat, x, reduction="none", delta=delta), observed)


def binary_cross_entropy(x: Tensor, logits: Tensor, observed: Tensor | None = None) -> Tensor:
    """Cross-entropy of each row, −Σₖ xₖ log pₖ + (1 − xₖ) log(1 − pₖ), p = 1/(1 + e^−logits).

    Parameters
    ----------
    x : Tensor of shape (n_rows, n_features)
        Rows in [0, 1].
    logits : Tensor of shape (n_rows, n_features)
        Log odds of the reconstruction.
    observed : Tensor of bool of shape (n_rows, n_features) or None
        Which values count; None means all.

    Returns
    -------
    Tensor of shape (n_rows,)
        In nats.

    Examples
    --------
    >>> import torch
    >>> from skae.functional import binary_cross_entropy
    >>> binary_cross_entropy(torch.tensor([[0.0, 1.0]]), torch.tensor([[0.0, 0.0]]))
    tensor([1.3863])
    """
    losses = binary_cross_entropy_with_logits(logits, x, reduction="none")
    return sum_observed(losses, observed)


def poisson(x: Tensor, log_rate: Tensor, observed: Tensor | None = None) -> Tensor:
    """Negative log-likelihood of each row's counts but for log x!, Σₖ λₖ − xₖ log λₖ.

    Parameters
    ----------
    x : Tensor of shape (n_rows, n_features)
        Counts, or rates; not negative.
    log_rate : Tensor of shape (n_rows, n_features)
        log λ.
    observed : Tensor of bool of shape (n_rows, n_features) or None
        Which values count; None means all.

    Returns
    -------
    Tensor of shape (n_rows,)
        In nats.

    Examples
    --------
    >>> import torch
    >>> from skae.functional import poisson
    >>> poisson(torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 0.0]]))
    tensor([2.])
    """
    return sum_observed(log_rate.exp() - x * log_rate, observed)


def sum_observed(losses: Tensor, observed: Tensor | None) -> Tensor:
    """Sum over the features of each row, of values that are observed.

    Parameters
    ----------
    losses : Tensor of shape (n_rows, n_features)
    observed : Tensor of bool of shape (n_rows, n_features) or None
        Which of them count; None means all.

    Returns
    -------
    Tensor of shape (n_rows,)
    """
    if observed is not None:
        losses = torch.where(observed, losses, 0)
    return losses.sum(dim=1)
