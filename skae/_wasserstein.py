"""The Wasserstein autoencoder."""

from typing import Any, ClassVar

import torch
from torch import Tensor

from skae._data.batch import rows_of_all, weighted_mean, weighted_sum
from skae._estimator.fit import BaseAutoEncoder
from skae._estimator.generative import PRIOR_TEXT, Generative, prior_rule
from skae._estimator.parameters.rules import estimator, parameter, real
from skae._model.module import AutoEncoderModule
from skae._model.prior import PriorDraws, PriorLike, PriorModule
from skae.functional import kernel_sums

# Codes of the last batches that count with those of a batch.
N_RECENT = 1024


class WassersteinModule(PriorModule):
    """min over f and g of the mean of L(x, g(f(x))) + α L₀ MMD²(f(x), prior)."""

    is_isotropic = True

    recent: Tensor
    recent_weights: Tensor | None

    def __init__(self, *parts: Any, **prior: Any) -> None:
        super().__init__(*parts, **prior)
        self.training_draws = PriorDraws(self.prior, seed=1)
        # Buffers, so that a checkpoint has them.
        self.register_buffer("recent", self.training_draws.draws[:0], persistent=False)
        self.register_buffer("recent_weights", None, persistent=False)

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
        z, w, *_ = rows_of_all(z)
        n, recent, prior = len(z), self.recent.to(z), self.training_draws
        recent_w = self.recent_weights
        among = weighted_sum(kernel_sums(z, z, prior.scales, own=0, weights=w), w)
        across = weighted_sum(kernel_sums(z, recent, prior.scales, weights=recent_w), w)
        n_others = max(1, n - 1 + len(recent))  # none in the first of batches of one row
        # Recent codes would move too: the gradient of a pair counts twice, its value once.
        within = (among + 2 * across - across.detach()) / (n * n_others)
        between = weighted_mean(kernel_sums(z, prior.draws, prior.scales), w) / len(prior.draws)
        self.recent = torch.cat([z.detach(), recent])[:N_RECENT]
        if w is not None:
            both = w if recent_w is None else torch.cat([w, recent_w])
            self.recent_weights = both[:N_RECENT]
        return within - 2 * between + prior.similarity


@estimator
class WassersteinAutoEncoder(Generative, BaseAutoEncoder):
    r"""Autoencoder whose codes are distributed like a prior, by their MMD.

    It is trained to minimise, over the training rows x,

    .. math:: \frac{1}{n} \sum_x L(x, g(f(x))) +
        \alpha L_0\, \mathrm{MMD}^2(f(x), z)

    where L is the loss, L₀ what it is more when each row is reconstructed by the mean than when
    by itself, z is drawn from the prior, and MMD is the maximum mean discrepancy with inverse
    multiquadratic kernels at several scales. Training starts at PCA's codes, with the prior's mean
    and deviations. Codes keep the prior's axes: ``sample`` gives rows that belong to draws of it.
    The result is no worse than PCA in the sum that is minimised.

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
    The codes of a batch and of the last batches are compared with 2,000 draws of the prior, the
    same in each step: new draws would add noise to the gradient. ``transform`` orders the prior's
    axes by the variance of the codes along them, and may change their signs.

    Where validation rows show no improvement beyond chance, as on tables of few rows, the result
    is PCA (``best_iter_`` is 0): its codes have the prior's mean and deviations, not its shape.
    Pass ``early_stopping=False`` to train on all rows, without validation.

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
        real(0, 1e6),
        """
        Weight of the distance to the prior, in units of the loss at the mean, L₀. Raise it when
        codes do not follow the prior, lower it for better reconstructions.
        """,
    )
