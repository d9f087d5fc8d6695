"""The adversarial autoencoder."""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from skae._data.batch import mean_over_rows
from skae._estimator.fit import BaseAutoEncoder
from skae._estimator.generative import PRIOR_TEXT, Generative, prior_rule
from skae._estimator.parameters.rules import estimator, parameter, real, sizes
from skae._model.module import AutoEncoderModule
from skae._model.networks.mlp import MLP
from skae._model.prior import PriorLike, PriorModule

# Weight of the discriminator's squared gradient, for each number of the code, whose units are the
# prior's deviations: without it there is nothing to follow where the discriminator is sure.
GRADIENT_PENALTY = 0.005
# Weight of the MMD on validation rows, for each unit of alpha: the Wasserstein autoencoder's.
VALIDATION_WEIGHT = 20


class AdversarialModule(PriorModule):
    """min over f and g of the mean of L(x, g(f(x))) − α/k L₀ log D(f(x)); D trains against it."""

    is_isotropic = True

    discriminator: nn.Module

    def __init__(self, *parts: Any, discriminator_layer_sizes: tuple[int, ...], **prior: Any):
        super().__init__(*parts, **prior)
        widths = (self.n_components, *map(int, discriminator_layer_sizes), 1)
        # As a plain sequence, which trains in float32 and apart from the networks.
        self.discriminator = nn.Sequential(*MLP(widths, "silu", torch.Generator().manual_seed(0)))
        self.codes: Tensor | None = None

    def discriminate(self, z: Tensor) -> Tensor:
        """Return the log odds that codes are draws of the prior."""
        centred = (z - self.prior.mean.to(z)) / self.prior.deviations.to(z)
        odds: Tensor = self.discriminator(centred)
        return odds.squeeze(1)

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Reconstruct ``x``, and compare its codes with the prior.

        In training the discriminator compares: its loss is that of telling codes from draws of
        the prior. It changes as it trains, so that in evaluation mode the MMD compares.
        """
        z = self.encoder(x)
        output = self.decoder(z)
        if self.training:
            self.codes = z.detach()
            distance = mean_over_rows(softplus(-self.discriminate(z))) / self.n_components
        else:
            distance = VALIDATION_WEIGHT * self.mmd_to_prior(z)
        distance = self.alpha * self.unit.value * distance
        return output, {"reconstruction": self.loss(x, output), "prior": distance}

    def discriminator_loss(self) -> Tensor:
        """Return the cross-entropy of telling draws from codes, and the gradient penalty."""
        assert self.codes is not None
        fake = self.codes
        real = self.draw_prior(len(fake)).to(fake)
        both = torch.cat([real, fake]).requires_grad_()
        odds = self.discriminate(both)
        (slope,) = torch.autograd.grad(odds.sum(), both, create_graph=True)
        steepness = (slope * self.prior.deviations.to(fake)).square().sum(dim=1)
        n = len(fake)
        penalty = (steepness[:n].mean() + mean_over_rows(steepness[n:])) / 2
        of_fake = mean_over_rows(softplus(odds[n:]))
        cross_entropy = softplus(-odds[:n]).mean() + of_fake
        return cross_entropy + GRADIENT_PENALTY * self.n_components * penalty


@estimator
class AdversarialAutoEncoder(Generative, BaseAutoEncoder):
    r"""Autoencoder whose codes a discriminator cannot tell from draws of a prior.

    An encoder f and a decoder g are trained to minimise, over the training rows x,

    .. math:: \frac{1}{n} \sum_x L(x, g(f(x))) - \frac{\alpha}{k} L_0 \log D(f(x))

    where L is the loss, L₀ what it is more when each row is reconstructed by the mean than when
    by itself, and k the size of the code. The discriminator D is trained beside them, with an
    optimizer of its own, to give draws of the prior the probability 1 and codes 0. Training starts
    at PCA's codes, with the prior's mean and deviations; codes keep the prior's axes, and
    ``sample`` gives rows that belong to draws of it.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    {attributes}

    See Also
    --------
    WassersteinAutoEncoder : Compares by kernels, with nothing to balance.

    Notes
    -----
    ``net_.history`` has the encoder's loss against the discriminator as ``train_prior`` and the
    discriminator's as ``discriminator_loss``. The latter's changes make the former incomparable
    between epochs, so the loss of validation rows has the squared MMD to the prior in its place,
    ``valid_prior``, with the weight 20 α L₀. The result is no worse than PCA in that sum.

    Where validation rows show no improvement beyond chance, as on tables of few rows, the result
    is PCA (``best_iter_`` is 0): its codes have the prior's mean and deviations, not its shape.
    Pass ``early_stopping=False`` to train on all rows, without validation.

    What keeps the two in balance: the start, at which codes have the prior's moments already; a
    penalty on the discriminator's squared gradient [2]_, so that it gives a direction where it is
    sure; its learning rate, constant and high, so that it is never behind; and weights in
    units of the loss and of the size of the code, because a discriminator of more numbers is
    stronger.

    References
    ----------
    .. [1] Makhzani, A., Shlens, J., Jaitly, N., Goodfellow, I. and Frey, B., "Adversarial
       autoencoders", ICLR workshop 2016, arXiv 1511.05644.
    .. [2] Mescheder, L., Geiger, A. and Nowozin, S., "Which training methods for GANs do
       actually converge?", ICML 2018.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skae import AdversarialAutoEncoder
    >>> X = load_digits().data / 16
    >>> model = AdversarialAutoEncoder(2, prior="mixture", max_iter=20, random_state=0).fit(X)
    >>> model.sample(5, random_state=0).shape
    (5, 64)
    """

    _module: ClassVar[type[AutoEncoderModule]] = AdversarialModule

    prior: PriorLike = parameter("normal", prior_rule, PRIOR_TEXT)
    alpha: float = parameter(
        0.5,
        real(0, 1e6),
        """
        Weight of the discriminator's verdict, in units of the loss at the mean, L₀. Raise it
        when codes do not follow the prior, lower it for better reconstructions.
        """,
    )
    discriminator_layer_sizes: tuple[int, ...] = parameter(
        (128, 128),
        sizes,
        """Widths of the discriminator's hidden layers. Widen them for priors with fine parts.""",
    )
