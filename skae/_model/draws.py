"""Draws of codes from Gaussian posteriors."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor


def reparameterise(mean: Tensor, log_var: Tensor, draws: Iterable[Tensor]) -> Iterator[Tensor]:
    """Yield codes z = mean + s ⊙ ε for each of the draws ε of N(0, I)."""
    deviation = (0.5 * log_var).exp()
    return (torch.addcmul(mean, deviation, draw) for draw in draws)


def standard_normal(like: Tensor, generator: torch.Generator) -> Tensor:
    """Draw from N(0, I), in the shape of ``like``."""
    return torch.randn(like.shape, generator=generator, device=like.device, dtype=like.dtype)


def paired_draws(n_pairs: int, shape: torch.Size, generator: torch.Generator) -> Tensor:
    """Draw from N(0, I) such that means over the draws are 0, and mean squares 1, exactly.

    With them the mean of log p(x|z) over a Gaussian posterior is exact for linear decoders
    with orthogonal columns, such as probabilistic PCA's.

    Returns
    -------
    Tensor of shape (2 * n_pairs, *shape)
    """
    half = torch.randn(
        (n_pairs, *shape), generator=generator, device=generator.device, dtype=torch.float32
    )
    half = half / half.square().mean(dim=0).sqrt()
    return torch.cat([half, -half])
