"""Log-likelihoods and divergences of distributions."""

import math

import torch
from torch import Tensor

from skae.functional._losses import (
    binary_cross_entropy,
    poisson,
    squared_error,
    sum_observed,
)


def gaussian_log_likelihood(
    x: Tensor, mean: Tensor, variance: Tensor, observed: Tensor | None = None
) -> Tensor:
    """Log density of each row under N(mean, σ²I), −½ Σₖ (xₖ − meanₖ)²/σ² + log 2πσ².

    Parameters
    ----------
    x, mean : Tensor of shape (n_rows, n_features)
        Rows, and the means of their distributions.
    variance : Tensor of shape ()
        σ², the same for all features.
    observed : Tensor of bool of shape (n_rows, n_features) or None
        Which values count; None means all.

    Returns
    -------
    Tensor of shape (n_rows,)
        In nats.

    Examples
    --------
    >>> import torch
    >>> from skae.functional import gaussian_log_likelihood
    >>> gaussian_log_likelihood(torch.zeros(1, 2), torch.zeros(1, 2), torch.tensor(1.0))
    tensor([-1.8379])
    """
    n_values = x.shape[1] if observed is None else observed.sum(dim=1, dtype=x.dtype)
    normalizer = 0.5 * n_values * (2 * math.pi * variance).log()
    return -squared_error(x, mean, observed) / variance - normalizer


def bernoulli_log_likelihood(x: Tensor, logits: Tensor, observed: Tensor | None = None) -> Tensor:
    """Log probability of each row of zeros and ones, Σₖ xₖ log pₖ + (1 − xₖ) log(1 − pₖ).

    It is the negative of :func:`binary_cross_entropy`.

    Parameters
    ----------
    x : Tensor of shape (n_rows, n_features)
        Zeros and ones.
    logits : Tensor of shape (n_rows, n_features)
        Log odds: p = 1/(1 + e^−logits).
    observed : Tensor of bool of shape (n_rows, n_features) or None
        Which values count; None means all.

    Returns
    -------
    Tensor of shape (n_rows,)
        In nats.

    Examples
    --------
    >>> import torch
    >>> from skae.functional import bernoulli_log_likelihood
    >>> bernoulli_log_likelihood(torch.tensor([[0.0, 1.0]]), torch.zeros(1, 2))
    tensor([-1.3863])
    """
    return -binary_cross_entropy(x, logits, observed)


def poisson_log_likelihood(x: Tensor, log_rate: Tensor, observed: Tensor | None = None) -> Tensor:
    """Log probability of each row of counts, Σₖ xₖ log λₖ − λₖ − log xₖ!.

    It is the negative of :func:`poisson` plus −log x!.

    Parameters
    ----------
    x : Tensor of shape (n_rows, n_features)
        Counts; not negative.
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
    >>> from skae.functional import poisson_log_likelihood
    >>> poisson_log_likelihood(torch.tensor([[2.0]]), torch.tensor([[0.0]])).exp()
    tensor([0.1839])
    """
    log_factorials = torch.lgamma(x.clamp(min=0) + 1)
    return -poisson(x, log_rate, observed) - sum_observed(log_factorials, observed)


def standard_normal_log_density(z: Tensor) -> Tensor:
    """Log density of each row under N(0, I), −½ Σⱼ zⱼ² + log 2π.

    Parameters
    ----------
    z : Tensor of shape (..., n_components)
        Codes.

    Returns
    -------
    Tensor of shape (...)
        In nats.

    Examples
    --------
    >>> import torch
    >>> from skae.functional import standard_normal_log_density
    >>> standard_normal_log_density(torch.zeros(3, 2))
    tensor([-1.8379, -1.8379, -1.8379])
    """
    return -0.5 * (z.square() + math.log(2 * math.pi)).sum(dim=-1)


def standard_normal_kl(mean: Tensor, log_var: Tensor) -> Tensor:
    """KL(N(mean, diag σ²) ‖ N(0, I)) = ½ Σⱼ meanⱼ² + σⱼ² − 1 − log σⱼ² of each row.

    Parameters
    ----------
    mean, log_var : Tensor of shape (n_rows, n_components)
        Means, and logarithms of the variances σ².

    Returns
    -------
    Tensor of shape (n_rows,)
        In nats.

    References
    ----------
    .. [1] Kingma, D. P. and Welling, M., "Auto-encoding variational Bayes", ICLR 2014, appendix B.

    Examples
    --------
    >>> import torch
    >>> from skae.functional import standard_normal_kl
    >>> standard_normal_kl(torch.tensor([[0.0, 0.0], [1.0, 0.0]]), torch.zeros(2, 2))
    tensor([0.0000, 0.5000])
    """
    return 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum(dim=1)


def gaussian_kl(mean: Tensor, log_var: Tensor, mean_2: Tensor, log_var_2: Tensor) -> Tensor:
    """KL(N₁ ‖ N₂) = Σⱼ log(σ₂/σ₁) + (σ₁² + (μ₁ − μ₂)²)/(2σ₂²) − ½ of diagonal Gaussians, each row.

    Parameters
    ----------
    mean, log_var, mean_2, log_var_2 : Tensor of shape (n_rows, n_components)
        Means μ and logarithms of the variances σ² of both.

    Returns
    -------
    Tensor of shape (n_rows,)
        In nats.

    Examples
    --------
    >>> import torch
    >>> from skae.functional import gaussian_kl
    >>> zero, one = torch.zeros(1, 1), torch.ones(1, 1)
    >>> gaussian_kl(one, zero, zero, zero)
    tensor([0.5000])
    """
    log_ratio = log_var - log_var_2
    distance = (mean - mean_2).square() / log_var_2.exp()
    return 0.5 * (distance + log_ratio.exp() - 1 - log_ratio).sum(dim=1)


def bernoulli_kl(p: float, q: Tensor) -> Tensor:
    """KL(p ‖ q) = p log(p/q) + (1 − p) log((1 − p)/(1 − q)) of Bernoulli distributions.

    Parameters
    ----------
    p : float in (0, 1)
        Probability under the first distribution.
    q : Tensor of any shape
        From 0 to 1; kept a little away from both ends, where the divergence is infinite.

    Returns
    -------
    Tensor of the shape of ``q``
        In nats.

    Examples
    --------
    >>> import torch
    >>> from skae.functional import bernoulli_kl
    >>> bernoulli_kl(0.5, torch.tensor([0.5, 0.1]))
    tensor([0.0000, 0.5108])
    """
    q = q.clamp(1e-6, 1 - 1e-6)
    return p * (math.log(p) - q.log()) + (1 - p) * (math.log1p(-p) - (-q).log1p())
