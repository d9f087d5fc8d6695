"""The last step of a fit: in which axes users see codes."""

from collections.abc import Iterable

import torch
from torch import Tensor

from skae._data.checks import Array
from skae._data.units import to_float64
from skae._model.module import AutoEncoderModule
from skae.functional import squared_error


def turn_codes(
    module: AutoEncoderModule, batches: Iterable[Tensor], whiten: bool
) -> tuple[float, Array]:
    """Turn a module's codes into the axes that its method has, by their moments over all rows.

    Returns
    -------
    squares : float
        Sum of the squared reconstruction errors, in the module's units.
    variances : ndarray of shape (n_components,)
        Of the codes, before whitening.
    """
    metric, scale = to_float64(module.frame.metric), module.units.exact_scale
    # Sums over the rows of [z, x, 1]ᵀ[z, 1], from which all that follows is computed in one pass.
    sums = torch.zeros((), dtype=torch.float64, device=metric.device)
    squares = 0.0
    for x in batches:
        z = module.code(x)
        x_hat = module.loss.reconstruct(module.decoder(z))
        squares += 2 * to_float64(squared_error(x, x_hat)).sum().item()
        z = to_float64(z) * metric
        z1 = torch.hstack([z, torch.ones_like(z[:, :1])])
        rows = torch.hstack([z, to_float64(x) * scale, torch.ones_like(z[:, :1])])
        sums = sums + rows.T @ z1
    k, n_rows = len(metric), round(sums[-1, -1].item())
    means = sums[:-1, -1] / n_rows
    covariance = (sums[:-1, :-1] - n_rows * means.outer(means[:k])) / (n_rows - 1)
    rotation, variances = module.axes.find(covariance[:k], covariance[k:].T)
    offset = module.axes.centre(means[:k] / metric)
    divisor = module.axes.divisor(variances, whiten=whiten)
    module.frame.turn(offset, rotation, divisor)
    return squares, variances.cpu().numpy()
