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
    variance : Tensor of shape ()
        σ², the same for all features.
    observed : Tensor of bool of shape (n_rows, n_features) or None
        Which values count; None means all.

    Returns
    -------
    Tensor of shape (n_rows,)
        In nats.
    """
    n_values = x.shape[1] if observed is None else observed.sum(dim=1, dtype=x.dtype)
    normalizer = 0.5 * n_values * (2 * math.pi * variance).log()
    return -squared_error(x, mean, observed) / variance - normalizer


def bernoulli_log_likelihood(x: Tensor, logits: Tensor, observed: Tensor | None = None) -> Tensor:
    """Log probability of each row of zeros and ones, Σₖ xₖ log pₖ + (1 − xₖ) log(1 − pₖ).

    Parameters and returns are as in :func:`binary_cross_entropy`, whose negative it is.
    """
    return -binary_cross_entropy(x, logits, observed)


def poisson_log_likelihood(x: Tensor, log_rate: Tensor, observed: Tensor | None = None) -> Tensor:
    """Log probability of each row of counts, Σₖ xₖ log λₖ − λₖ − log xₖ!.

    Parameters and returns are as in :func:`poisson`, to whose negative it adds −log x!.
    """
    log_factorials = torch.lgamma(x.clamp(min=0) + 1)
    return -poisson(x, log_rate, observed) - sum_observed(log_factorials, observed)


def standard_normal_log_density(z: Tensor) -> Tensor:
    """Log density of each row under N(0, I), −½ Σⱼ zⱼ² + log 2π.

    Parameters
    ----------
    z : Tensor of shape (..., n_components)

    Returns
    -------
    Tensor of shape (...)
        In nats.
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
    """
    log_ratio = log_var - log_var_2
    distance = (mean - mean_2).square() / log_var_2.exp()
    return 0.5 * (distance + log_ratio.exp() - 1 - log_ratio).sum(dim=1)


def bernoulli_kl(p: float, q: Tensor) -> Tensor:
    """KL(p ‖ q) = p log(p/q) + (1 − p) log((1 − p)/(1 − q)) of Bernoulli distributions.

    Parameters
    ----------
    p : float in (0, 1)
    q : Tensor of any shape
        From 0 to 1; kept a little away from both ends, where the divergence is infinite.

    Returns
    -------
    Tensor of the shape of ``q``
        In nats.
    """
    q = q.clamp(1e-6, 1 - 1e-6)
    return p * (math.log(p) - q.log()) + (1 - p) * (math.log1p(-p) - (-q).log1p())
