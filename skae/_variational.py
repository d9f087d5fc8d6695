"""The variational autoencoder."""

import math
import warnings
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from skae._data.sources import Array
from skae._data.units import widest_float
from skae._estimator.environment import as_if_alone
from skae._estimator.fit import BaseLatentModel
from skae._estimator.generative import Generative
from skae._estimator.impute import Imputing
from skae._estimator.like_pca.covariance import HasCovariance
from skae._estimator.missing import rows_for_use
from skae._estimator.parameters.rules import boolean, estimator, parameter, real
from skae._estimator.scores import LikelihoodScores
from skae._files.words import shown
from skae._model.codes import LinearCodes, OwnAxes, paired_draws, reparameterise, standard_normal
from skae._model.module import AutoEncoderModule
from skae._model.prior import require_untied
from skae.functional import linearly_explained, standard_normal_kl, standard_normal_log_density

# Pairs of draws ε, −ε by which the loss of a validation row is computed.
VALIDATION_PAIRS = 8
# In the module's units; below, float32 rounds more than the noise is.
MIN_NOISE_VARIANCE = 1e-10
# No posterior is much wider than the prior; a network's, far from its rows, would have no bound.
MAX_LOG_VAR = 1.0
# A code is in use if its posterior mean has a larger variance than this (Burda et al. 2016).
ACTIVE = 0.01


class VariationalModule(AutoEncoderModule):
    """min over q and p of the mean of −E_q log p(x|z) + β KL(q(z|x) ‖ N(0, I))."""

    is_isotropic = True

    axes = OwnAxes(rounding=1e-6)
    has_noise = True
    draws_codes = shrinks_codes = True
    outputs_per_component = 2

    def __init__(
        self, *parts: Any, beta: float, kl_warm_up: float, dynamic_binarization: bool
    ) -> None:
        super().__init__(*parts)
        self.beta, self.kl_warm_up = beta, kl_warm_up
        self.dynamic_binarization = dynamic_binarization
        require_untied(self.decoder)
        if not self.loss.is_likelihood:
            raise ValueError(
                "VariationalAutoEncoder needs a loss that is a likelihood, 'squared_error', "
                f"'binary_cross_entropy' or 'poisson', and got {type(self.loss).__name__}; take "
                "one of these, or AutoEncoder."
            )
        if self.loss.learns_noise:
            self.log_noise_variance = nn.Parameter(torch.zeros((), dtype=torch.float32))
        if dynamic_binarization and (self.loss.low, self.loss.high) != (0, 1):
            raise ValueError(
                "dynamic_binarization=True draws zeros and ones, and the loss is "
                f"{type(self.loss).__name__}; pass loss='binary_cross_entropy' too."
            )

    @property
    def code_unit(self) -> float:
        """1: codes are in the units of the prior, N(0, I)."""
        return 1.0

    @property
    def noise_variance(self) -> Tensor | None:
        """σ² in the module's units, where the loss has it."""
        return self.log_noise_variance.exp() if self.loss.learns_noise else None

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean and the logarithm of the variance of q(z|x)."""
        mean, log_var = self.encoder(x).split(self.n_components, dim=1)
        return mean, log_var.clamp(max=MAX_LOG_VAR)

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Reconstruct ``x`` from draws of its code, of which there are more outside training."""
        generator = self.draws(x)
        if self.dynamic_binarization:
            x = self.binarize(x, generator)
        mean, log_var = self.posterior(x)
        if self.training:
            draws = standard_normal(mean, generator)[None]
        else:
            draws = paired_draws(VALIDATION_PAIRS, mean.shape, generator).to(x)
        output, likelihood = torch.zeros_like(x), mean.new_zeros(len(x))
        noise = self.noise_variance
        for z in reparameterise(mean, log_var, draws):
            one = self.decoder(z)
            likelihood = likelihood + self.loss.log_likelihood(x, one, noise)
            output = output + one.detach()
        weight = self.beta
        if self.training and self.progress < self.kl_warm_up:
            weight *= self.progress / self.kl_warm_up
        terms = {
            "reconstruction": -likelihood / len(draws),
            "kl": weight * standard_normal_kl(mean, log_var),
        }
        return output / len(draws), terms

    def binarize(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Draw zeros and ones with the probabilities that the rows are."""
        ones = torch.bernoulli(self.units.to_data(x).clamp(0, 1), generator=generator)
        return self.units.from_data(ones)

    def draw_code(self, x: Tensor) -> Tensor:
        """Draw codes from the posterior."""
        mean, log_var = self.posterior(x)
        return next(reparameterise(mean, log_var, [standard_normal(mean, self.draws(x))]))

    def explained_variances(self, variances: Tensor, cross_covariance: Tensor) -> Tensor:
        """Return what codes, which have the prior's units, explain of X linearly."""
        return linearly_explained(variances, cross_covariance)

    def draw_prior(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw codes from N(0, I), on the host."""
        return torch.randn(n, self.n_components, generator=generator, dtype=torch.float32)

    def elbo(self, x: Tensor, draws: Tensor) -> Tensor:
        """Return E_q log p(x|z) − KL of every row, the mean taken over ``draws`` of N(0, I)."""
        mean, log_var = self.posterior(x)
        total, noise = (
            torch.zeros(len(x), dtype=widest_float(x.device), device=x.device),
            self.noise_variance,
        )
        for z in reparameterise(mean, log_var, draws):
            total += self.loss.log_likelihood(x, self.decoder(z), noise)
        return total / len(draws) - standard_normal_kl(mean, log_var)

    def importance_bound(self, x: Tensor, draws: Tensor) -> Tensor:
        """Return log of the mean of p(x, z) / q(z|x) over the draws of z, of every row."""
        total = torch.full((len(x),), -torch.inf, dtype=widest_float(x.device), device=x.device)
        for log_weight, _ in self.importance_draws(x, draws):
            total = torch.logaddexp(total, log_weight)
        return total - math.log(len(draws))

    def importance_draws(self, x: Tensor, draws: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield log p(x, z) / q(z|x) of every row, and the decoder's output, for each draw of z."""
        mean, log_var = self.posterior(x)
        noise = self.noise_variance
        for draw, z in zip(draws, reparameterise(mean, log_var, draws), strict=True):
            log_q = standard_normal_log_density(draw) - 0.5 * log_var.sum(dim=1)
            output = self.decoder(z)
            log_p = self.loss.log_likelihood(x, output, noise) + standard_normal_log_density(z)
            yield (log_p - log_q).to(widest_float(x.device)), output

    def calibrate(self, terms: dict[str, float], n_values: float) -> None:
        """Raise the noise variance to that of validation rows: training rows have less noise."""
        if not self.loss.learns_noise:
            return
        noise = self.log_noise_variance.exp().item()
        normalizer = 0.5 * math.log(2 * math.pi * noise) + self.units.scale.log().item()
        seen = 2 * noise * (terms["reconstruction"] / n_values - normalizer)
        if noise < seen < math.inf:
            with torch.no_grad():
                self.log_noise_variance.fill_(math.log(seen))

    def linear_codes(self, variances: Tensor, noise_variance: float, *, tied: bool) -> LinearCodes:
        """Return the posterior of probabilistic PCA, and start at its noise variance."""
        noise = self.loss.start_noise(max(noise_variance, MIN_NOISE_VARIANCE), variances)
        if self.loss.learns_noise:
            with torch.no_grad():
                self.log_noise_variance.fill_(math.log(noise))
        variances = variances.clamp(min=noise)
        share = (variances - noise) / variances  # of a component that is no noise
        return LinearCodes(
            encode=(share / variances).sqrt(),
            decode=(share * variances).sqrt(),
            offset=torch.zeros_like(variances),
            others=(noise / variances).log(),
            metric=torch.ones_like(variances),
        )


@estimator
class VariationalAutoEncoder(
    HasCovariance, Imputing, Generative, LikelihoodScores, BaseLatentModel
):
    r"""Variational autoencoder that starts at probabilistic PCA.

    A model p(x, z) of rows x with codes z, and the posterior q(z|x) = N(m(x), diag s(x)²) that
    takes the place of its own, are trained to maximise, over the training rows,

    .. math:: \frac{1}{n} \sum_x \mathrm{E}_{q(z|x)} \log p(x|z)
        - \beta\, \mathrm{KL}(q(z|x) \,\|\, N(0, I))

    With ``beta=1`` that is the evidence lower bound (ELBO): no more than log p(x), in nats.
    p(x|z) is N(g(z), σ²I) with a learned noise variance σ² for ``loss="squared_error"``,
    Bernoulli for "binary_cross_entropy" and Poisson for "poisson". m, log s² and g are those of
    probabilistic PCA plus networks that start at zero: there q is the exact posterior, and the ELBO
    is ``score`` of :class:`sklearn.decomposition.PCA` (with "squared_error"). Validation rows
    decide as in :class:`AutoEncoder`: if training does not raise their bound beyond chance, the
    result is probabilistic PCA of all rows.

    Codes are posterior means. They keep their own axes, in which the prior is N(0, I): they are
    ordered by variance and fixed in sign.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    active_units_ : int
        Number of codes in use: those whose posterior mean has a variance above 0.01 over the
        training rows [3]_. They are the first ones.
    {attributes}

    Warns
    -----
    UserWarning
        When less than half of the codes are in use.

    See Also
    --------
    sklearn.decomposition.PCA : Its ``score`` compares with this one's.

    Notes
    -----
    ``encoder``, where it is given, is asked for twice as many outputs as there are codes: the means
    and the logarithms of the variances. ``score_samples`` and ``score`` are the ELBO whatever
    ``beta`` is. For "squared_error" they are log densities, in the units of X.

    Training rows are reconstructed better than new ones, so that their noise variance is too
    small. At the end it is raised to that of the validation rows, unless these then prefer the
    start. ``validation_scores_`` are computed before that.

    The noise variance starts at no less than 1e-10 of ``scale_`` squared: the likelihood of a PCA
    that leaves no error is infinite, and is not reached.

    Under binary cross-entropy PCA's noise variance does not describe the data. Training starts at
    that of a fair coin, ¼: a code whose variance is smaller starts unused, and the decoder's
    linear part is fitted to draws of the codes.

    References
    ----------
    .. [1] Kingma, D. P. and Welling, M., "Auto-encoding variational Bayes", ICLR 2014.
    .. [2] Lucas, J., Tucker, G., Grosse, R. and Norouzi, M., "Don't blame the ELBO! A linear VAE
       perspective on posterior collapse", NeurIPS 2019.
    .. [3] Burda, Y., Grosse, R. and Salakhutdinov, R., "Importance weighted autoencoders",
       ICLR 2016.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.decomposition import PCA
    >>> from skae import VariationalAutoEncoder
    >>> X = load_digits().data / 16
    >>> train, test = X[:1300], X[1300:]
    >>> vae = VariationalAutoEncoder(5, max_iter=30, random_state=0).fit(train)
    >>> vae.score(test) > PCA(5).fit(train).score(test)
    True
    >>> vae.sample(3, random_state=0).shape
    (3, 64)
    """

    _module: ClassVar[type[AutoEncoderModule]] = VariationalModule
    _diagnosed: ClassVar[tuple[str, ...]] = ("active_units_",)

    beta: float = parameter(
        1.0,
        real(1e-6, 1e6),
        """
        Weight of the KL term. Above 1 the code is pushed towards the prior at the price of
        reconstruction; 1 is the evidence lower bound.
        """,
    )
    kl_warm_up: float = parameter(
        0.0,
        real(0, 1, "[]"),
        """
        Share of the training in which the weight of the KL term rises from 0 to ``beta``. Started
        at probabilistic PCA no code has to be rescued; raise it with ``init="random"``, or when
        codes collapse.
        """,
    )
    dynamic_binarization: bool = parameter(
        False,
        boolean,
        """
        Whether X holds probabilities, such as the brightness of pixels, from which each training
        step draws zeros and ones anew. With ``loss="binary_cross_entropy"``. Set it for grey
        images that are to be modelled as binary ones: pixels that are drawn once are overfitted.
        Validation rows are drawn once. ``transform`` and ``score_samples`` take rows as they are,
        so pass them binary ones.
        """,
    )

    def posterior(self, X: Any) -> tuple[Array, Array]:
        """Return the posterior of the codes of rows.

        Parameters
        ----------
        X : array-like, sparse matrix or stored array of shape (n_samples, n_features)
            NaN is a missing value, which is filled as in ``transform``.

        Returns
        -------
        mean, std : ndarray of shape (n_samples, n_components_), of ``dtype``
            Means, which ``transform`` returns too, and standard deviations.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from skae import VariationalAutoEncoder
        >>> X, _ = load_iris(return_X_y=True)
        >>> vae = VariationalAutoEncoder(2, max_iter=2, random_state=0).fit(X)
        >>> mean, std = vae.posterior(X)
        >>> std.shape
        (150, 2)
        """
        fitted = self._fitted()
        source, module = rows_for_use(fitted, X), fitted.net_.module_
        shape = (2, source.n_rows, fitted.n_components_)
        mean, std = np.empty(shape, dtype=fitted._spec.dtype)
        with as_if_alone(inference=True):
            for rows, x in fitted._batches(source):
                z, log_var = module.posterior(x)
                mean[rows] = module.frame(z).cpu().numpy()
                std[rows] = ((0.5 * log_var).exp() @ module.frame.axes.abs()).cpu().numpy()
        return mean, std

    def _diagnose(self, variances: Array) -> None:
        """Count the codes in use, and warn if most are not."""
        self.active_units_ = int((variances > ACTIVE).sum())
        if self.active_units_ < 0.5 * self.n_components_ and variances.any():
            warnings.warn(
                f"Of {self.n_components_} codes only {self.active_units_} are in use: the others "
                "are the same for every row, so that the model ignores them. Lower n_components to "
                f"{max(1, self.active_units_)}; or, for more codes in use, lower "
                f"beta={shown(self.beta)} or raise kl_warm_up={shown(self.kl_warm_up)}.",
                stacklevel=5,
            )
