"""The Wasserstein autoencoder, and what it shares with the adversarial one."""

import math
from collections.abc import Iterable
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution

from skae._base import BaseAutoEncoder
from skae._generative import Generative
from skae._losses import Loss, Prepared
from skae._modules import AutoEncoderModule, LinearCodes, whitening
from skae._parameters import Rule, estimator, options, parameter, real
from skae._prior import PRIORS, Prior, PriorLike
from skae.functional import kernel_sum, mmd

# Of the prior's mean squared distance: where kernels compare. The least sees how thick a spiral is.
SCALES = (0.01, 0.05, 0.2, 1.0)
# Draws of the prior to which codes are compared, in each step the same.
N_DRAWS = 2000
# Codes of the last batches that count with those of a batch.
N_RECENT = 1024


class LossAtMean(Prepared):
    """What the mean in place of each row costs: a unit for weights of penalties."""

    value: Tensor

    def __init__(self, n_features: int, loss: Loss) -> None:
        super().__init__(n_features)
        self.loss = [loss]  # a list, because it is the module's and not a part of this
        self.register_buffer("value", torch.ones(()))

    def look_at(self, batches: Iterable[Tensor]) -> None:
        """Take the mean over the training rows."""
        losses = [self.loss[0].at_mean(x) - self.loss[0].at_best(x) for x in batches]
        self.value.copy_(torch.cat(losses).mean())


class PriorModule(AutoEncoderModule):
    """Base of modules whose codes, one for each row, are to be distributed like a prior."""

    principal_axes = False
    has_prior = True

    def __init__(self, *parts: Any, prior: PriorLike, alpha: float) -> None:
        super().__init__(*parts)
        self.alpha = alpha
        self.prior = Prior(prior, self.n_components)
        self.unit = LossAtMean(len(self.loss.center), self.loss)
        distance = 2 * self.prior.deviations.square().sum()
        self.register_buffer("scales", distance * torch.tensor(SCALES), persistent=False)

    scales: Tensor

    def linear_codes(self, variances: Tensor, noise_variance: float) -> LinearCodes:
        """Return codes with the prior's mean and deviations."""
        ratio = self.prior.deviations.to(variances) / whitening(variances)
        mean = self.prior.mean.to(variances)
        return LinearCodes(ratio, 1 / ratio, mean, mean[:0])

    def draw_prior(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw codes from the prior; without a generator, from that of the training."""
        return self.prior.sample(n, generator or self.host_draws())

    def mmd_to_prior(self, z: Tensor) -> Tensor:
        """Return the squared MMD of codes and draws of the prior; 0 of a single row."""
        if len(z) < 2:
            return 0 * z.sum()
        return mmd(z, self.draw_prior(max(N_DRAWS, len(z))).to(z), self.scales)


class WassersteinModule(PriorModule):
    """min over f and g of the mean of L(x, g(f(x))) + α L₀ MMD²(f(x), prior)."""

    def __init__(self, *parts: Any, **prior: Any) -> None:
        super().__init__(*parts, **prior)
        self.probes = self.draw_prior(N_DRAWS, torch.Generator().manual_seed(1))
        same = kernel_sum(self.probes, self.probes, self.scales) - N_DRAWS
        self.similarity = same.item() / (N_DRAWS * (N_DRAWS - 1))  # of two draws of the prior
        self.recent = self.probes[:0]

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Reconstruct ``x``, and compare its codes with the prior."""
        z = self.encoder(x)
        output = self.decoder(z)
        distance = self.mmd_of_batches(z) if self.training else self.mmd_to_prior(z)
        distance = self.alpha * self.unit.value * distance
        return output, {"reconstruction": self.loss(x, output), "prior": distance}

    def mmd_of_batches(self, z: Tensor) -> Tensor:
        """Return the squared MMD to the prior of these codes and those of the last batches.

        A batch alone is so small a sample that its noise moves codes more than the prior does,
        and so would draws that are new in each step.
        """
        n, recent, draws = len(z), self.recent.to(z), self.probes.to(z)
        among = kernel_sum(z, z, self.scales) - n
        across = kernel_sum(z, recent, self.scales)
        # Recent codes would move too: the gradient of a pair counts twice, its value once.
        within = (among + 2 * across - across.detach()) / (n * (n - 1 + len(recent)))
        between = kernel_sum(z, draws, self.scales) / (n * len(draws))
        self.recent = torch.cat([z.detach(), recent])[:N_RECENT]
        return within - 2 * between + self.similarity


prior_rule = options(*PRIORS) | Rule(
    "a torch.distributions.Distribution or callable (n, generator) -> Tensor",
    lambda value: isinstance(value, Distribution) or callable(value),
)
PRIOR_TEXT = """
    Distribution that codes are to have: "normal" is N(0, I); "uniform" is the cube from −1 to 1;
    "mixture", a ring of ten Gaussians, and "swiss_roll", a spiral, need ``n_components=2``. A
    torch distribution must give draws of ``n_components`` numbers; a function is given a
    number of draws and the torch.Generator to draw from, and returns a tensor
    (n, n_components).
    """


@estimator
class WassersteinAutoEncoder(Generative, BaseAutoEncoder):
    r"""Autoencoder whose codes are distributed like a prior, by their MMD.

    It is trained to minimise, over the training rows x,

    .. math:: \frac{1}{n} \sum_x L(x, g(f(x))) +
        \alpha L_0\, \mathrm{MMD}^2(f(x), z)

    where L is the loss, L₀ its value when each row is reconstructed by the mean, z is drawn
    from the prior, and MMD is the maximum mean discrepancy with inverse multiquadratic kernels
    at several scales. Training starts at PCA's codes, with the prior's mean and deviations. Codes
    keep the prior's axes: ``sample`` gives rows that belong to draws of it. The floor is a promise
    about the sum that is minimised.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    {attributes}

    See Also
    --------
    AdversarialAutoEncoder : Compares by a discriminator.
    VariationalAutoEncoder : Has a likelihood, and so a posterior.

    Notes
    -----
    A batch's codes are compared, together with those of the last batches, with 2,000 draws of the
    prior that stay the same: with new ones in each step noise spoils codes. Whichever of its axes
    has more variance comes first in ``transform``, and may have its sign changed.

    References
    ----------
    .. [1] Tolstikhin, I., Bousquet, O., Gelly, S. and Schölkopf, B., "Wasserstein auto-encoders",
       ICLR 2018.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skae import WassersteinAutoEncoder
    >>> X = load_digits().data / 16
    >>> model = WassersteinAutoEncoder(2, prior="uniform", max_iter=20, random_state=0).fit(X)
    >>> model.sample(5, random_state=0).shape
    (5, 64)
    """

    _module: ClassVar[type[AutoEncoderModule]] = WassersteinModule

    prior: PriorLike = parameter("normal", prior_rule, PRIOR_TEXT)
    alpha: float = parameter(
        10.0,
        real(0, math.inf, "[)"),
        """
        Weight of the distance to the prior, in units of the loss at the mean, L₀. Raise it when
        codes do not follow the prior, lower it for better reconstructions.
        """,
    )
