"""The maximum mean discrepancy of two samples."""

import torch
from torch import Tensor


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

    Examples
    --------
    >>> import torch
    >>> from skae.functional import mmd
    >>> draws = torch.Generator().manual_seed(0)
    >>> x, y = torch.randn(2, 500, 3, generator=draws)
    >>> scales = torch.tensor([1.0, 10.0])
    >>> bool(mmd(x, y, scales).abs() < 0.01 < mmd(x, y + 1, scales))
    True
    """
    return mmd_by_row(x, y, scales).mean()


def mmd_by_row(
    x: Tensor,
    y: Tensor,
    scales: Tensor,
    within: Tensor | None = None,
    weights: Tensor | None = None,
) -> Tensor:
    """What each row of a sample adds to the squared :func:`mmd`, which is the mean.

    2aᵢ − ā − 2bᵢ + E k(y, y′), where aᵢ is the mean kernel of row i with the other rows of x, bᵢ
    that with the rows of y. How these numbers spread says how far the distance can be trusted: but
    for the mean they are the projection of the estimate onto single rows.

    Parameters
    ----------
    x, y : Tensor of shape (n, n_components) and (m, n_components)
        Of two rows at least each.
    scales : Tensor of shape (n_scales,)
        C, squares of the distances at which to compare.
    within : Tensor of shape () or None
        E k(y, y′), where it is known already.
    weights : Tensor of shape (n,) or None
        Weights of the rows of x; None means 1 each. The squared MMD is then the weighted mean.

    Returns
    -------
    Tensor of shape (n,)
        One number for each row of ``x``, without a unit.

    Examples
    --------
    >>> import torch
    >>> from skae.functional import mmd, mmd_by_row
    >>> draws = torch.Generator().manual_seed(0)
    >>> x, y = torch.randn(2, 500, 3, generator=draws)
    >>> scales = torch.tensor([1.0, 10.0])
    >>> torch.allclose(mmd_by_row(x, y, scales).mean(), mmd(x, y, scales))
    True
    """
    if within is None:
        within = kernel_sums(y, y, scales, own=0).mean() / (len(y) - 1)
    b = kernel_sums(x, y, scales) / len(y)
    if weights is None:
        a = kernel_sums(x, x, scales, own=0) / (len(x) - 1)
        return 2 * a - a.mean() - 2 * b + within
    a = kernel_sums(x, x, scales, own=0, weights=weights) / (weights.sum() - weights)
    return 2 * a - weights @ a / weights.sum() - 2 * b + within


def kernel_sums(
    x: Tensor,
    y: Tensor,
    scales: Tensor,
    *,
    own: int | None = None,
    weights: Tensor | None = None,
) -> Tensor:
    """Sum of the kernel of :func:`mmd` over the rows of ``y``, for each row of ``x``.

    Parameters
    ----------
    x, y : Tensor of shape (n, n_components) and (m, n_components)
        Rows of two samples.
    scales : Tensor of shape (n_scales,)
        C, squares of the distances at which to compare.
    own : int or None
        The position in ``y`` of the first row of ``x``, where ``y`` has these too: a row's kernel
        with itself is then left out.
    weights : Tensor of shape (n_y,) or None
        Weights of the rows of ``y``; None means 1 each.

    Returns
    -------
    Tensor of shape (n,)
        Each from 0 to m, or to the sum of the weights.

    Examples
    --------
    >>> import torch
    >>> from skae.functional import kernel_sums
    >>> x = torch.tensor([[0.0], [1.0]])
    >>> kernel_sums(x, x, torch.tensor([1.0]))
    tensor([1.5000, 1.5000])
    >>> kernel_sums(x, x, torch.tensor([1.0]), own=0)
    tensor([0.5000, 0.5000])
    """
    origin = (x if len(x) else y)[:1].detach()  # far from zero the squares would cancel
    x, y = x - origin, y - origin
    # Not torch.cdist, whose gradient at a distance of zero is none.
    squares = x.square().sum(dim=1)[:, None] + y.square().sum(dim=1) - 2 * x @ y.T
    squares = squares.clamp(min=0)
    kernels = torch.zeros_like(squares)
    for c in scales:
        kernels = kernels + c / (c + squares)
    if own is not None:
        others = torch.ones_like(kernels)
        others[:, own : own + len(x)].fill_diagonal_(0)
        kernels = kernels * others
    sums = kernels.sum(dim=1) if weights is None else kernels @ weights
    return sums / len(scales)
