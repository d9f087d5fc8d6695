"""Priors of codes, and modules whose codes are to follow one."""

import functools
import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.distributions import Distribution

from skae._data.batch import counting, mean_over_rows, row_weights, rows_of_all, this_world
from skae._files.words import shown, shown_error
from skae._model.codes import LinearCodes, OwnAxes, whitening
from skae._model.losses import Loss, Prepared
from skae._model.module import AutoEncoderModule
from skae._model.networks.tied import TiedMLP
from skae._model.seeding import DrawsFrom
from skae.functional import kernel_sums, linearly_explained

PriorLike = str | Distribution | Callable[[int, Generator], Tensor]

# The ring of Gaussians, and the thickness of the spiral, in units of the prior's deviation.
N_GAUSSIANS, GAUSSIAN_DEVIATION, SPIRAL_DEVIATION = 10, 0.2, 0.2
# Scales of the kernels, as parts of the mean squared distance between two draws of the prior. The
# smallest resolve the thickness of the spiral.
SCALES = (0.002, 0.01, 0.05, 0.2, 1.0)
# Draws of the prior to which codes are compared, in each step the same.
N_DRAWS = 2000
# Number of draws for a prior's mean and deviations, and the largest ratio of the deviation of all
# to the median deviation of a hundred: 1 for a normal, 1.2 for Student's t with 3 degrees of
# freedom.
N_PROBES, MAX_SPREAD = 10_000, 4.0
# The least deviation of a component, as part of the largest.
MIN_DEVIATION = 1e-4


def normal(n: int, k: int, generator: Generator) -> Tensor:
    """Draw from N(0, I)."""
    return torch.randn(n, k, generator=generator, dtype=torch.float32)


def uniform(n: int, k: int, generator: Generator) -> Tensor:
    """Draw from the cube [−1, 1]ᵏ."""
    return 2 * torch.rand(n, k, generator=generator, dtype=torch.float32) - 1


def mixture(n: int, k: int, generator: Generator) -> Tensor:
    """Draw from a ring of Gaussians of radius √2, so that each coordinate has unit variance."""
    which = torch.randint(N_GAUSSIANS, (n,), generator=generator).to(torch.float32)
    angle = which * (2 * math.pi / N_GAUSSIANS)
    ring = math.sqrt(2) * torch.stack([angle.cos(), angle.sin()], dim=1)
    return ring + GAUSSIAN_DEVIATION * normal(n, 2, generator)


def swiss_roll(n: int, k: int, generator: Generator) -> Tensor:
    """Draw from a spiral of one and a half turns, scikit-learn's seen from above."""
    t = 1.5 * math.pi * (1 + 2 * torch.rand(n, generator=generator, dtype=torch.float32))
    # The root of the mean of ½t² is 7.0, which makes the variances about 1.
    spiral = t[:, None] / 7.0 * torch.stack([t.cos(), t.sin()], dim=1)
    return spiral + SPIRAL_DEVIATION * normal(n, 2, generator)


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
                f"prior={shown(prior)} is a distribution in the plane, and n_components is "
                f"{n_components}; set n_components=2 or take another prior."
            )
        probes, again = (self.sample(N_PROBES, Generator().manual_seed(0)) for _ in range(2))
        if not torch.equal(probes, again):
            raise ValueError(
                f"prior={shown(prior)} gives other draws in each call: draw from the "
                "torch.Generator that it is given, as in torch.randn(n, k, generator=generator)."
            )
        self.mean, self.deviations = probes.mean(dim=0), probes.std(dim=0)
        if not (self.deviations > MIN_DEVIATION * self.deviations.max()).all():
            raise ValueError(
                f"prior={shown(prior)} has a component that is always the same, or next to it; "
                f"pass a distribution of n_components={n_components} numbers that vary alike."
            )
        usual = probes.unflatten(0, (-1, 100)).std(dim=1).median(dim=0).values
        if (self.deviations > MAX_SPREAD * usual).any():
            raise ValueError(
                f"prior={shown(prior)} has tails so heavy, or is the same so often, that a few "
                "draws make its deviation; pass a distribution that varies more evenly."
            )

    def sample(self, n: int, generator: Generator) -> Tensor:
        """Return ``n`` draws, shape (n, n_components), on the host."""
        if isinstance(self.prior, str):
            return PRIORS[self.prior](n, self.n_components, generator)
        try:
            if isinstance(self.prior, Distribution):
                with DrawsFrom(generator):
                    draws = self.prior.sample((n,))
            else:
                draws = self.prior(n, generator)
        except Exception as error:
            raise ValueError(
                f"prior={shown(self.prior)} failed to give {n} draws: {shown_error(error)}; pass "
                "a torch distribution, or a function of a number of draws and a torch.Generator "
                "that returns a tensor."
            ) from error
        wanted = (n, self.n_components)
        if not isinstance(draws, Tensor) or draws.shape != wanted or draws.is_complex():
            got = type(draws).__name__
            if isinstance(draws, Tensor):
                got = f"{draws.dtype} {tuple(draws.shape)}"
            raise ValueError(
                f"prior={shown(self.prior)} must give {n} draws as a tensor of real numbers of "
                f"shape {wanted}, a column for each of n_components={self.n_components}, "
                f"and gave {got}."
            )
        draws = draws.detach().float().cpu()
        if not draws.isfinite().all():
            raise ValueError(
                f"prior={shown(self.prior)} gave draws that are not finite in float32; pass a "
                "distribution whose draws are."
            )
        return draws


class LossAtMean(Prepared):
    """L₀, the unit of weights of terms beside the loss.

    That is the mean loss of training rows that are all reconstructed by the mean, less the loss
    of perfect reconstructions.
    """

    value: Tensor

    def __init__(self, loss: Loss) -> None:
        super().__init__(loss.units)
        self.loss = [loss]  # a list, because it is the module's and not a part of this
        self.register_buffer("value", torch.ones((), dtype=torch.float32))

    def look_at(self, batches: Iterable[Tensor]) -> None:
        """Take the mean over the training rows."""
        losses, weights = [], []
        for x in batches:
            losses.append(self.loss[0].at_mean(x) - self.loss[0].at_best(x))
            weights.append(row_weights())
        every = None
        if any(w is not None for w in weights):
            pairs = zip(losses, weights, strict=True)
            every = torch.cat([torch.ones_like(v) if w is None else w for v, w in pairs])
        with counting(None, every, this_world()):
            self.value.copy_(mean_over_rows(torch.cat(losses)))


class PriorDraws(nn.Module):
    """Draws of a prior that stay the same, for codes to be compared to.

    Parameters
    ----------
    prior : Prior
    seed : int

    Attributes
    ----------
    draws : Tensor of shape (N_DRAWS, n_components)
    scales : Tensor of shape (n_scales,)
        Of the kernels that compare.
    """

    draws: Tensor
    scales: Tensor
    _similarity: Tensor | None

    def __init__(self, prior: Prior, seed: int) -> None:
        super().__init__()
        self.prior, self.seed = prior, seed
        draws = prior.sample(N_DRAWS, Generator().manual_seed(seed))
        self.register_buffer("draws", draws, persistent=False)
        distance = 2 * prior.deviations.square().sum()
        self.register_buffer(
            "scales", distance * torch.tensor(SCALES, dtype=torch.float32), persistent=False
        )
        self.register_buffer("_similarity", None, persistent=False)

    @property
    def similarity(self) -> Tensor:
        """E k(y, y′), the mean kernel over pairs of draws; computed when it is first used."""
        if self._similarity is None:
            name = self.prior.prior
            if isinstance(name, str):
                self._similarity = similarity_of(name, self.prior.n_components, self.seed)
            else:
                self._similarity = mean_kernel(self.draws, self.scales)
            self._similarity = self._similarity.to(self.draws)
        return self._similarity


def mean_kernel(draws: Tensor, scales: Tensor) -> Tensor:
    """Return the mean kernel of two different draws."""
    return kernel_sums(draws, draws, scales, own=0).mean() / (len(draws) - 1)


@functools.lru_cache(maxsize=64)
def similarity_of(prior: str, n_components: int, seed: int) -> Tensor:
    """Return the mean kernel of draws of a named prior, which takes longer than a small fit."""
    draws = PriorDraws(Prior(prior, n_components), seed)
    return mean_kernel(draws.draws, draws.scales)


def require_untied(decoder: nn.Module) -> None:
    """Raise ValueError for a tied linear decoder, whose codes cannot have the prior's units."""
    if isinstance(decoder, TiedMLP) and len(decoder) == 1:
        raise ValueError(
            "tied_weights=True needs hidden layers where codes have a prior, because the "
            "units of its codes have no transpose; give hidden_layer_sizes or set "
            "tied_weights=False."
        )


class PriorModule(AutoEncoderModule):
    """Base of modules whose codes, one for each row, are to be distributed like a prior."""

    axes = OwnAxes(rounding=1e-6)

    def __init__(self, *parts: Any, prior: PriorLike, alpha: float) -> None:
        super().__init__(*parts)
        require_untied(self.decoder)
        self.alpha = alpha
        self.prior = Prior(prior, self.n_components)
        self.unit = LossAtMean(self.loss)
        self.validation_draws = PriorDraws(self.prior, seed=0)

    @property
    def code_unit(self) -> float:
        """1: codes are in the prior's units."""
        return 1.0

    def linear_codes(self, variances: Tensor, noise_variance: float, *, tied: bool) -> LinearCodes:
        """Return codes with the prior's mean and deviations."""
        ratio = self.prior.deviations.to(variances) / whitening(variances)
        mean = self.prior.mean.to(variances)
        return LinearCodes(ratio, 1 / ratio, mean, mean[:0], metric=torch.ones_like(mean))

    def explained_variances(self, variances: Tensor, cross_covariance: Tensor) -> Tensor:
        """Return what codes, which have the prior's units, explain of X linearly."""
        return linearly_explained(variances, cross_covariance)

    def draw_prior(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw codes from the prior; without a generator, from that of the training."""
        return self.prior.sample(n, generator or self.host_draws())

    def mmd_to_prior(self, z: Tensor) -> Tensor:
        """Return the squared MMD of codes and draws of the prior, by row; 0 of a single row.

        As :func:`skae.functional.mmd_by_row`, of the codes of all processes.
        """
        prior, everyone = self.validation_draws, rows_of_all(z)
        n, first, n_own = len(everyone.rows), everyone.first, everyone.n_own
        if n < 2:
            return z.new_zeros(len(z))
        w = everyone.weights
        others: Tensor | int = n - 1
        if w is not None:
            others = w.sum() - w[first : first + n_own]
        own = z[:n_own]
        a = kernel_sums(own, everyone.rows, prior.scales, own=first, weights=w) / others
        b = kernel_sums(own, prior.draws, prior.scales) / len(prior.draws)
        by_row = 2 * a - mean_over_rows(a) - 2 * b + prior.similarity
        return by_row if n_own else z.new_zeros(len(z))
