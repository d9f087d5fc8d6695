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
    check_argument,
    integer,
    options,
    random_state_rule,
)
from skae._estimator.use import FittedAutoEncoder
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
        random_state : int, RandomState or None
            Source of the draws. None draws from the operating system.

        Returns
        -------
        ndarray of shape (n_samples, n_components_), float32
            In the axes and units in which ``transform`` gives codes of rows.
        """
        fitted = self._fitted()
        check_argument("n_samples", n_samples, integer(1))
        check_argument("random_state", random_state, random_state_rule)
        generator = make_generator(random_state)
        module = fitted.net_.module_
        with as_if_alone(inference=True):
            z = module.draw_prior(int(n_samples), generator).to(fitted.net_.device)
            codes: Array = module.frame(z).cpu().numpy()
        return codes

    def sample(
        self, n_samples: int = 1, random_state: int | np.random.RandomState | None = None
    ) -> Array:
        """Draw codes from the prior, and return the rows that belong to them.

        Parameters
        ----------
        n_samples, random_state
            As in ``sample_codes``, whose codes they are for the same ``random_state``.

        Returns
        -------
        ndarray of shape (n_samples, n_features_in_), float32
            What the decoder makes of the codes, in the units of the training data: the mean
            of the rows that the model expects there, without their noise.
        """
        fitted = self._fitted()
        codes: Any = fitted.sample_codes(n_samples, random_state)
        return fitted.inverse_transform(codes)
