"""What codes and rows are like as a whole: their axes, and their extremes."""

from collections.abc import Iterable

import torch
from torch import Tensor


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

    Examples
    --------
    >>> import torch
    >>> from skae.functional import principal_axes
    >>> covariance = torch.tensor([[1.0, 0.0], [0.0, 4.0]])
    >>> rotation, variances = principal_axes(covariance, covariance)
    >>> rotation
    tensor([[0., 1.],
            [1., 0.]])
    >>> variances
    tensor([4., 1.])
    """
    variances, rotation = torch.linalg.eigh(covariance)
    variances, rotation = variances.flip(0).clamp(min=0), rotation.flip(1)
    return rotation * signs(rotation.T @ cross_covariance), variances


def own_axes(covariance: Tensor, cross_covariance: Tensor) -> tuple[Tensor, Tensor]:
    """Permutation that orders codes by variance, with the signs of :func:`principal_axes`.

    For codes whose axes mean something, such as sparse ones: no two are mixed.

    Parameters
    ----------
    covariance : Tensor of shape (n_components, n_components)
        Covariance of the codes z.
    cross_covariance : Tensor of shape (n_components, n_features)
        Covariance of the codes with the data x.

    Returns
    -------
    rotation : Tensor of shape (n_components, n_components)
        A permutation matrix of columns ±1, the largest variance first.
    variances : Tensor of shape (n_components,)
        Variances of the codes, descending and not negative.

    Examples
    --------
    >>> import torch
    >>> from skae.functional import own_axes
    >>> covariance = torch.tensor([[1.0, 0.5], [0.5, 4.0]])
    >>> own_axes(covariance, covariance)[0]
    tensor([[0., 1.],
            [1., 0.]])
    """
    variances, order = covariance.diagonal().sort(descending=True, stable=True)
    rotation = torch.eye(len(order), dtype=covariance.dtype, device=covariance.device)[:, order]
    return rotation * signs(rotation.T @ cross_covariance), variances.clamp(min=0)


def linearly_explained(variances: Tensor, cross_covariance: Tensor) -> Tensor:
    """Return how much of the variance of the data x each code explains linearly by itself.

    That is the variance of the best linear prediction of x from one code c, whatever unit c
    has: Σₖ Cov(c, xₖ)² / Var(c). Of codes that do not vary beyond rounding it is 0.

    Parameters
    ----------
    variances : Tensor of shape (n_components,)
        Of the codes.
    cross_covariance : Tensor of shape (n_components, n_features)
        Covariance of the codes with x.

    Returns
    -------
    Tensor of shape (n_components,)
        In squared units of x.

    Examples
    --------
    >>> import torch
    >>> from skae.functional import linearly_explained
    >>> linearly_explained(torch.tensor([4.0, 0.0]), torch.tensor([[4.0, 2.0], [0.0, 0.0]]))
    tensor([5., 0.])
    """
    varies = variances > 1e-10 * variances.max()
    explained = cross_covariance.square().sum(dim=1) / torch.where(varies, variances, 1.0)
    return torch.where(varies, explained, 0.0)


def extremes(batches: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """Return the least and the largest value of each column over batches of rows.

    Parameters
    ----------
    batches : iterable of Tensor of shape (n_rows, n_features)
        One at least, none of them empty.

    Returns
    -------
    low, high : Tensor of shape (n_features,)
        In the units of the rows.

    Examples
    --------
    >>> import torch
    >>> from skae.functional import extremes
    >>> extremes([torch.tensor([[1.0, 5.0]]), torch.tensor([[3.0, 2.0]])])
    (tensor([1., 2.]), tensor([3., 5.]))
    """
    low, high = zip(*(torch.aminmax(x, dim=0) for x in batches), strict=True)
    return torch.stack(low).amin(dim=0), torch.stack(high).amax(dim=0)


def signs(loadings: Tensor) -> Tensor:
    """Return for each row 1, or −1 where its largest entry in absolute value is negative."""
    largest = loadings.gather(1, loadings.abs().argmax(dim=1, keepdim=True)).squeeze(1)
    return torch.where(largest < 0, -1.0, 1.0).to(loadings)
