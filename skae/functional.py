"""The formulas: pure functions of tensors.

Every loss is summed over features and given per row, shape ``(n_rows,)``: a mean over
features would make any penalty beside it dominate, and the rows are what the PCA floor
compares.
"""

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

__all__ = ["principal_axes", "squared_error"]


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
    loadings = rotation.T @ cross_covariance
    largest = loadings.gather(1, loadings.abs().argmax(dim=1, keepdim=True)).squeeze(1)
    return rotation * torch.where(largest < 0, -1.0, 1.0).to(rotation), variances
