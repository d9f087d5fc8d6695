"""How odd rows are: distances to a model of normal rows, and what they are worth as evidence."""

import torch
from torch import Tensor


def hotelling_t2(codes: Tensor, variances: Tensor) -> Tensor:
    """Squared distance of each code to the mean, in standard deviations: T² = Σⱼ zⱼ² / λⱼ.

    Parameters
    ----------
    codes : Tensor of shape (n_rows, n_components)
        Codes z less their mean, uncorrelated or nearly so.
    variances : Tensor of shape (n_components,)
        λ, the variances of the codes of normal rows, all of them positive.

    Returns
    -------
    Tensor of shape (n_rows,)
        Without unit. Of Gaussian codes it is χ² distributed, with n_components degrees of freedom.

    References
    ----------
    .. [1] Hotelling, H., "The generalization of Student's ratio", Annals of Mathematical
       Statistics 2, 1931.

    Examples
    --------
    >>> import torch
    >>> from skae.functional import hotelling_t2
    >>> hotelling_t2(torch.tensor([[4.0, 1.0]]), torch.tensor([4.0, 1.0]))
    tensor([5.])
    """
    return (codes.square() / variances).sum(dim=1)


def outlier_distance(
    codes: Tensor, variances: Tensor, errors: Tensor, error_variance: Tensor | float
) -> Tensor:
    """Distance of each row to the rows of a model: T² + Q/σ², inside the code and outside it.

    T² is :func:`hotelling_t2` of the code, and Q = ‖x̂ − x‖² the squared error of the
    reconstruction. With the codes, variances and noise variance of probabilistic PCA the sum is
    the squared Mahalanobis distance (x − μ)ᵀ C⁻¹ (x − μ) of its covariance C.

    Parameters
    ----------
    codes : Tensor of shape (n_rows, n_components)
        Codes less their mean.
    variances : Tensor of shape (n_components,)
        λ, the variances of the codes of normal rows, all of them positive.
    errors : Tensor of shape (n_rows,)
        Q, or what the reconstruction costs in another loss more than a perfect one.
    error_variance : Tensor of shape () or float
        σ², the error of normal rows per dimension that the code leaves out, in the unit of
        ``errors``.

    Returns
    -------
    Tensor of shape (n_rows,)
        Without unit; of Gaussian rows about n_features in the mean.

    References
    ----------
    .. [1] Yue, H. and Qin, S., "Reconstruction-based fault identification using a combined
       index", Industrial & Engineering Chemistry Research 40, 2001.
    .. [2] Tipping, M. and Bishop, C., "Probabilistic principal component analysis", Journal of the
       Royal Statistical Society B 61, 1999.

    Examples
    --------
    >>> import torch
    >>> from skae.functional import outlier_distance
    >>> codes, variances = torch.tensor([[4.0, 1.0]]), torch.tensor([4.0, 1.0])
    >>> outlier_distance(codes, variances, errors=torch.tensor([6.0]), error_variance=2.0)
    tensor([8.])
    """
    return hotelling_t2(codes, variances) + errors / error_variance


def conformal_p_values(distances: Tensor, calibration: Tensor) -> Tensor:
    """Share of normal rows that are at least as odd: p = (1 + #{s ≥ sᵢ}) / (n + 1).

    Where a normal row and the n rows of the calibration are exchangeable, and the model has not
    seen them, p is at most α with a probability of at most α, whatever the distribution is.

    Parameters
    ----------
    distances : Tensor of shape (n_rows,)
        How odd the rows are; larger is odder.
    calibration : Tensor of shape (n,)
        How odd n normal rows are that did not train the model, in any order.

    Returns
    -------
    Tensor of shape (n_rows,), float64
        From 1/(n + 1) to 1.

    References
    ----------
    .. [1] Vovk, V., Gammerman, A. and Shafer, G., "Algorithmic learning in a random world", 2005.
    .. [2] Bates, S., Candès, E., Lei, L., Romano, Y. and Sesia, M., "Testing for outliers with
       conformal p-values", Annals of Statistics 51, 2023, arXiv 2104.08279.

    Examples
    --------
    >>> import torch
    >>> from skae.functional import conformal_p_values
    >>> conformal_p_values(torch.tensor([0.5, 2.5, 9.0]), torch.tensor([1.0, 2.0, 3.0]))
    tensor([1.0000, 0.5000, 0.2500], dtype=torch.float64)
    """
    below = torch.searchsorted(calibration.sort().values, distances.contiguous())
    return (1 + len(calibration) - below).double() / (1 + len(calibration))
