"""The module layer: distributions of codes that can be drawn from."""

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor
from torch.distributions import Distribution

from skae._architecture import seeded

PriorLike = str | Distribution | Callable[[int, Generator], Tensor]

# The ring of Gaussians, and the thickness of the spiral, in units of the prior's deviation.
N_GAUSSIANS, GAUSSIAN_DEVIATION, SPIRAL_DEVIATION = 10, 0.2, 0.2
# Draws from which the prior's own mean and deviations are taken.
N_PROBES = 10_000


def normal(n: int, k: int, generator: Generator) -> Tensor:
    """Draw from N(0, I)."""
    return torch.randn(n, k, generator=generator)


def uniform(n: int, k: int, generator: Generator) -> Tensor:
    """Draw from the cube [−1, 1]ᵏ."""
    return 2 * torch.rand(n, k, generator=generator) - 1


def mixture(n: int, k: int, generator: Generator) -> Tensor:
    """Draw from a ring of Gaussians of radius √2, so that each coordinate has unit variance."""
    angle = torch.randint(N_GAUSSIANS, (n,), generator=generator) * (2 * math.pi / N_GAUSSIANS)
    ring = math.sqrt(2) * torch.stack([angle.cos(), angle.sin()], dim=1)
    return ring + GAUSSIAN_DEVIATION * torch.randn(n, 2, generator=generator)


def swiss_roll(n: int, k: int, generator: Generator) -> Tensor:
    """Draw from a spiral of one and a half turns, scikit-learn's seen from above."""
    t = 1.5 * math.pi * (1 + 2 * torch.rand(n, generator=generator))
    # The root of the mean of ½t² is 7.0, which makes the variances about 1.
    spiral = t[:, None] / 7.0 * torch.stack([t.cos(), t.sin()], dim=1)
    return spiral + SPIRAL_DEVIATION * torch.randn(n, 2, generator=generator)


PRIORS: dict[str, Callable[[int, int, Generator], Tensor]] = {
    "normal": normal,
    "uniform": uniform,
    "swiss_roll": swiss_roll,
    "mixture": mixture,
}
PLANE = ("swiss_roll", "mixture")


class Prior:
    """A distribution of codes.

    Parameters
    ----------
    prior : str, torch.distributions.Distribution or callable
        As the estimators take it.
    n_components : int

    Attributes
    ----------
    mean, deviations : Tensor of shape (n_components,)
    """

    def __init__(self, prior: PriorLike, n_components: int) -> None:
        self.prior, self.n_components = prior, n_components
        if isinstance(prior, str) and prior in PLANE and n_components != 2:
            raise ValueError(
                f"prior={prior!r} is a distribution in the plane, and n_components is "
                f"{n_components}; set n_components=2 or take another prior."
            )
        probes = self.sample(N_PROBES, torch.Generator().manual_seed(0))
        self.mean, self.deviations = probes.mean(dim=0), probes.std(dim=0)
        if not (self.deviations > 0).all():
            raise ValueError(
                f"prior={prior!r} has a component that is always the same; pass a distribution "
                f"of n_components={n_components} numbers that vary."
            )

    def sample(self, n: int, generator: Generator) -> Tensor:
        """Return ``n`` draws, shape (n, n_components), on the host."""
        if isinstance(self.prior, str):
            return PRIORS[self.prior](n, self.n_components, generator)
        if isinstance(self.prior, Distribution):
            with seeded(generator):  # torch's distributions draw from its global generator
                draws = self.prior.sample((n,))
        else:
            draws = self.prior(n, generator)
        wanted = (n, self.n_components)
        if not isinstance(draws, Tensor) or draws.shape != wanted:
            got = tuple(draws.shape) if isinstance(draws, Tensor) else type(draws).__name__
            raise ValueError(
                f"prior={self.prior!r} must give {n} draws as a tensor of shape {wanted}, a column "
                f"for each of n_components={self.n_components}, and gave {got}."
            )
        if not draws.isfinite().all():
            raise ValueError(
                f"prior={self.prior!r} gave draws that are not finite; pass a distribution whose "
                "draws are."
            )
        return draws.detach().float().cpu()
