"""Which features make a row odd: what its distance to a model is made of."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from skae._data.batch import counting
from skae._data.sources import Array, Source
from skae._estimator.environment import as_if_alone
from skae._estimator.like_pca.slopes import columns, small_batches
from skae._outliers.member import Member

# In the place of squares that float32 does not hold.
LARGEST = 1e200


def contributions(member: Member, source: Source) -> Array:
    """Return what features contribute to the distances of rows: (2, n_rows, n_features).

    First by the residual, then by the code; as shares of the row's distance.
    """
    model, module = member.model, member.model.net_.module_
    found = np.zeros((2, source.n_rows, source.n_features))
    with as_if_alone():
        for rows, x in small_batches(model, source):
            known = source.observed(rows)
            observed = None if known is None else torch.from_numpy(known).to(x.device)
            with torch.no_grad(), counting(observed):
                z = module.code(x)
                codes, output = module.frame(z), module.decoder(z)
                residual = module.loss.excess_by_feature(x, output).cpu().double()
                residual = residual.clamp(min=0) / member.error_variance
            slopes = torch.stack([*columns(module, x, rows.start)], dim=2).cpu().double()
            in_code = through_decoder(member, codes.cpu().double(), slopes, observed)
            both = torch.stack([residual, in_code]).nan_to_num(posinf=LARGEST)
            total = both.sum(dim=(0, 2), keepdim=True)
            found[:, rows] = torch.where(total > 0, both / total, 0.0).numpy()
    return found


def through_decoder(
    member: Member, codes: Tensor, slopes: Tensor, observed: Tensor | None
) -> Tensor:
    """Return what features contribute to T², shape (n_rows, n_features).

    The decoder takes w, the turned code in standard deviations, to X by J D: its Jacobian J along
    the code's axes, times these deviations D. Of the singular value decomposition J D = U S Vᵀ the
    isometry U Vᵀ is next to it, and the squares of U Vᵀ w add up to ‖w‖² = T². Missing values have
    no part in it.
    """
    axes, deviations = torch.from_numpy(member.axes), torch.from_numpy(member.variances).sqrt()
    w = (codes - torch.from_numpy(member.mean)) @ axes / deviations
    left, _, right = torch.linalg.svd(slopes @ axes * deviations, full_matrices=False)
    squares = (left @ (right @ w[:, :, None])).squeeze(2).square()
    if observed is not None:
        squares = squares * observed.cpu()
    total = squares.sum(dim=1, keepdim=True)
    t2 = w.square().sum(dim=1, keepdim=True)
    return torch.where(total > 0, squares / total * t2, 0.0)


def require_pandas() -> Any:
    """Return pandas, or raise ImportError that says how to get it."""
    try:
        import pandas as pd
    except ImportError as error:
        raise ImportError(
            "explain returns a frame of pandas, which is not installed; install it with "
            "`pip install skae[dataframe]`."
        ) from error
    return pd
