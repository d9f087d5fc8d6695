"""What models with a prior can do."""

from inspect import isclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch.distributions import Distribution

from skae._data.sources import Array
from skae._estimator.environment import as_if_alone
from skae._estimator.parameters.resolve import draw_seed
from skae._estimator.parameters.rules import (
    Rule,
    boolean,
    check_argument,
    integer,
    options,
    random_state_rule,
)
from skae._estimator.use import FittedAutoEncoder
from skae._files.words import shown
from skae._model.prior import PRIORS

prior_rule = options(*PRIORS) | Rule(
    "a torch.distributions.Distribution or callable (n, generator) -> Tensor",
    lambda value: isinstance(value, Distribution) or (callable(value) and not isclass(value)),
)
PRIOR_TEXT = """
    Distribution that codes are to have: "normal" is N(0, I); "uniform" is the cube from −1 to 1;
    "mixture", a ring of ten Gaussians, and "swiss_roll", a spiral, need ``n_components=2``. A
    torch distribution must give draws of ``n_components`` numbers; a function is given a
    number of draws and the torch.Generator to draw from, and returns a tensor
    (n, n_components). Networks train best on codes of a few units around zero: give a prior of
    your own such a place and size.
    """


def make_generator(random_state: int | np.random.RandomState | None) -> torch.Generator:
    """Return the source of random draws that a ``random_state`` stands for, on the host."""
    return torch.Generator("cpu").manual_seed(draw_seed(random_state))


class Generative(FittedAutoEncoder):
    """An autoencoder whose codes have a prior, from which rows can be drawn."""

    _at_pca: ClassVar[str] = (
        "validation rows do not prefer a network, so that its codes are not brought closer to the "
        "prior, and sample() draws what a linear model makes of it. More rows help, or fewer "
        "components; init='random' trains without this guard."
    )

    def sample_codes(
        self, n_samples: int = 1, random_state: int | np.random.RandomState | None = None
    ) -> Array:
        """Draw codes from the prior.

        Parameters
        ----------
        n_samples : int
            How many codes to draw.
        random_state : int, RandomState or None
            Source of the draws. None draws from the operating system.

        Returns
        -------
        ndarray of shape (n_samples, n_components_), float32
            In the axes and units in which ``transform`` gives codes of rows.

        Raises
        ------
        ValueError
            For arguments that are not as described.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from skae import VariationalAutoEncoder
        >>> X, _ = load_iris(return_X_y=True)
        >>> vae = VariationalAutoEncoder(2, max_iter=2, random_state=0).fit(X)
        >>> vae.sample_codes(3, random_state=0).shape
        (3, 2)
        """
        fitted = self._fitted()
        check_draws(n_samples, random_state)
        return fitted._draw_codes(int(n_samples), make_generator(random_state))

    def sample(
        self,
        n_samples: int = 1,
        random_state: int | np.random.RandomState | None = None,
        *,
        noise: bool = False,
    ) -> Array:
        """Draw codes from the prior, and return the rows that belong to them.

        Parameters
        ----------
        n_samples : int
            How many rows to draw.
        random_state : int, RandomState or None
            As in ``sample_codes``, whose codes they are for the same ``random_state``.
        noise : bool
            Whether rows are drawn as the data are, and not their means given the codes, which
            vary less than the data. Noise is drawn from what ``loss`` stands for: "squared_error"
            from a Gaussian, whose variance is ``noise_variance_`` for each feature;
            "binary_cross_entropy" zeros and ones, with the decoder's probabilities; "poisson"
            counts, with its rates. Set it where draws are to stand for rows, as in tests of other
            software; leave it where they are looked at, as images are.

        Returns
        -------
        ndarray of shape (n_samples, n_features_in_), of ``dtype``
            What the decoder makes of the codes, in the units of the training data: the mean
            of the rows that the model expects there, and with ``noise=True`` a draw of them.

        Raises
        ------
        ValueError
            For ``noise=True`` and a loss that is no distribution: "absolute_error", "huber" and
            functions.

        Notes
        -----
        Variational autoencoders learn the noise variance, and draws with noise are draws of the
        model. Adversarial and Wasserstein autoencoders have no likelihood: ``noise_variance_`` is
        that of their residuals on the training rows, and the noise is the same everywhere.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from skae import VariationalAutoEncoder
        >>> X, _ = load_iris(return_X_y=True)
        >>> vae = VariationalAutoEncoder(2, max_iter=2, random_state=0).fit(X)
        >>> vae.sample(3, random_state=0).shape
        (3, 4)
        """
        fitted = self._fitted()
        check_draws(n_samples, random_state)
        check_argument("noise", noise, boolean)
        module = fitted.net_.module_
        if noise and not module.loss.is_likelihood:
            raise ValueError(
                "noise=True needs a loss that is a distribution, 'squared_error', "
                f"'binary_cross_entropy' or 'poisson', and got loss={shown(fitted._spec.loss)}; "
                "pass noise=False for means."
            )
        generator = make_generator(random_state)
        codes = fitted._draw_codes(int(n_samples), generator)
        if not noise:
            return fitted._decode(codes)
        with as_if_alone():
            seed = int(torch.randint(2**31, (1,), generator=generator))
        return fitted._decode(codes, torch.Generator(fitted.net_.device).manual_seed(seed))

    def _draw_codes(self, n_samples: int, generator: torch.Generator) -> Array:
        """Draw codes from the prior, and turn them as users see codes."""
        module = self.net_.module_
        with as_if_alone(inference=True):
            z = module.draw_prior(n_samples, generator).to(self.net_.device)
            codes: Array = module.frame(z).cpu().numpy()
        return codes


def check_draws(n_samples: Any, random_state: Any) -> None:
    """Raise ValueError for what is no number of draws, or no source of them."""
    check_argument("n_samples", n_samples, integer(1))
    check_argument("random_state", random_state, random_state_rule)
