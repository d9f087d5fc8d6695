"""The formulas: pure functions of tensors.

Every loss is summed over features and given per row, shape ``(n_rows,)``: a mean over
features would make any penalty beside it dominate, and the rows are what the PCA floor
compares.
"""

import math
from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn.functional import (
    binary_cross_entropy_with_logits,
    huber_loss,
    l1_loss,
    mse_loss,
)

__all__ = [
    "absolute_error",
    "bernoulli_kl",
    "bernoulli_log_likelihood",
    "binary_cross_entropy",
    "gaussian_kl",
    "gaussian_log_likelihood",
    "huber",
    "kernel_sums",
    "mmd",
    "mmd_by_row",
    "own_axes",
    "poisson",
    "poisson_log_likelihood",
    "principal_axes",
    "squared_error",
    "standard_normal_kl",
    "standard_normal_log_density",
]


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


def gaussian_log_likelihood(x: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """Log density of each row under N(mean, σ²I), −½ Σₖ (xₖ − meanₖ)²/σ² + log 2πσ².

    Parameters
    ----------
    x, mean : Tensor of shape (n_rows, n_features)
    variance : Tensor of shape ()
        σ², the same for all features.

    Returns
    -------
    Tensor of shape (n_rows,)
        In nats.
    """
    normalizer = 0.5 * x.shape[1] * (2 * math.pi * variance).log()
    return -squared_error(x, mean) / variance - normalizer


def bernoulli_log_likelihood(x: Tensor, logits: Tensor) -> Tensor:
    """Log probability of each row of zeros and ones, Σₖ xₖ log pₖ + (1 − xₖ) log(1 − pₖ).

    Parameters and returns are as in :func:`binary_cross_entropy`, whose negative it is.
    """
    return -binary_cross_entropy(x, logits)


def poisson_log_likelihood(x: Tensor, log_rate: Tensor) -> Tensor:
    """Log probability of each row of counts, Σₖ xₖ log λₖ − λₖ − log xₖ!.

    Parameters and returns are as in :func:`poisson`, to whose negative it adds −log x!.
    """
    return -poisson(x, log_rate) - torch.lgamma(x.clamp(min=0) + 1).sum(dim=1)


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


def mmd(x: Tensor, y: Tensor, scales: Tensor) -> Tensor:
    """Squared maximum mean discrepancy of two samples, unbiased: zero in the mean if they agree.

    E k(x, x′) + E k(y, y′) − 2 E k(x, y) with inverse multiquadratic kernels, the mean over the
    scales C of k(a, b) = C / (C + ‖a − b‖²).

    Parameters
    ----------
    x, y : Tensor of shape (n, n_components) and (m, n_components)
        Of two rows at least each.
    scales : Tensor of shape (n_scales,)
        C, squares of the distances at which to compare.

    Returns
    -------
    Tensor of shape ()
        From 0 to 2 but for its error, which makes it negative where the samples agree.

    References
    ----------
    .. [1] Gretton, A., Borgwardt, K., Rasch, M., Schölkopf, B. and Smola, A., "A kernel two-sample
       test", JMLR 13, 2012.
    .. [2] Tolstikhin, I., Bousquet, O., Gelly, S. and Schölkopf, B., "Wasserstein auto-encoders",
       ICLR 2018.
    """
    return mmd_by_row(x, y, scales).mean()


def mmd_by_row(x: Tensor, y: Tensor, scales: Tensor, within: Tensor | None = None) -> Tensor:
    """What each row of a sample adds to the squared :func:`mmd`, which is the mean.

    2aᵢ − ā − 2bᵢ + E k(y, y′), where aᵢ is the mean kernel of row i with the other rows of x, bᵢ
    that with the rows of y. How these numbers spread says how far the distance can be trusted: but
    for the mean they are the projection of the estimate onto single rows.

    Parameters
    ----------
    x, y, scales
        As in :func:`mmd`.
    within : Tensor of shape () or None
        E k(y, y′), where it is known already.

    Returns
    -------
    Tensor of shape (n,)
    """
    if within is None:
        within = kernel_sums(y, y, scales, without_self=True).mean() / (len(y) - 1)
    a = kernel_sums(x, x, scales, without_self=True) / (len(x) - 1)
    b = kernel_sums(x, y, scales) / len(y)
    return 2 * a - a.mean() - 2 * b + within


def kernel_sums(x: Tensor, y: Tensor, scales: Tensor, *, without_self: bool = False) -> Tensor:
    """Sum of the kernel of :func:`mmd` over the rows of ``y``, for each row of ``x``.

    Parameters
    ----------
    x, y, scales
        As in :func:`mmd`.
    without_self : bool
        Whether ``y`` is ``x``, and a row's kernel with itself is left out.

    Returns
    -------
    Tensor of shape (n,)
    """
    origin = x[:1].detach()  # far from zero the squares would cancel
    x, y = x - origin, y - origin
    # Not torch.cdist, whose gradient at a distance of zero is none.
    squares = x.square().sum(dim=1)[:, None] + y.square().sum(dim=1) - 2 * x @ y.T
    squares = squares.clamp(min=0)
    kernels = torch.zeros_like(squares)
    for c in scales:
        kernels = kernels + c / (c + squares)
    if without_self:
        kernels = kernels * (1 - torch.eye(len(x), device=x.device, dtype=x.dtype))
    return kernels.sum(dim=1) / len(scales)


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


def principal_axes(covariance: Tensor, cross_covariance: Tensor) -> tuple[Tensor, Tensor]:
    """Rotation that makes codes uncorrelated, ordered by variance and fixed in sign.

    With C = Cov(z, z) = Q Λ Qᵀ, the rotated codes zQ have the covariance Λ. The sign of
    each axis is the one for which the largest entry of Cov(zQ, x), in absolute value, is
    positive; for a linear model that is the sign convention of
    :class:`sklearn.decomposition.PCA`.

    Parameters
    ----------
    covariance : Tensor of shape (n_components, n_components)
        Covariance of the codes z.
    cross_covariance : Tensor of shape (n_components, n_features)
        Covariance of the codes with the data x.

    Returns
    -------
    rotation : Tensor of shape (n_components, n_components)
        Orthogonal Q, one axis a column, the largest variance first.
    variances : Tensor of shape (n_components,)
        Λ, descending and not negative.
    """
    variances, rotation = torch.linalg.eigh(covariance)
    variances, rotation = variances.flip(0).clamp(min=0), rotation.flip(1)
    return rotation * signs(rotation.T @ cross_covariance), variances


def own_axes(covariance: Tensor, cross_covariance: Tensor) -> tuple[Tensor, Tensor]:
    """Permutation that orders codes by variance, with the signs of :func:`principal_axes`.

    For codes whose axes mean something, such as sparse ones: no two are mixed.

    Parameters and returns are as there; Q is a permutation matrix of columns ±1.
    """
    variances, order = covariance.diagonal().sort(descending=True, stable=True)
    rotation = torch.eye(len(order)).to(covariance)[:, order]
    return rotation * signs(rotation.T @ cross_covariance), variances.clamp(min=0)


def extremes(batches: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """Return the least and the largest value of each column over batches of rows."""
    low, high = zip(*(torch.aminmax(x, dim=0) for x in batches), strict=True)
    return torch.stack(low).amin(dim=0), torch.stack(high).amax(dim=0)


def signs(loadings: Tensor) -> Tensor:
    """Return for each row 1, or −1 where its largest entry in absolute value is negative."""
    largest = loadings.gather(1, loadings.abs().argmax(dim=1, keepdim=True)).squeeze(1)
    return torch.where(largest < 0, -1.0, 1.0).to(loadings)
