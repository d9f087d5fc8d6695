"""Completions of rows with missing values, by models that have a likelihood."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from skae._data.batch import observed_values
from skae._data.sources import Array
from skae._estimator.environment import as_if_alone
from skae._estimator.generative import make_generator
from skae._estimator.missing import rows_for_use
from skae._estimator.parameters.rules import (
    check_argument,
    integer,
    options,
    random_state_rule,
)
from skae._estimator.use import FittedAutoEncoder
from skae._model.losses import require_valid


class Imputing(FittedAutoEncoder):
    """A model that knows how likely rows are, and so what their missing values may be."""

    def impute(
        self,
        X: Any,
        n_samples: int | None = None,
        n_importance_samples: int = 200,
        random_state: int | np.random.RandomState | None = 0,
    ) -> Array:
        """Fill missing values, given the observed ones, by importance sampling of the code.

        Codes are drawn from the posterior that the encoder gives, and weighted by how likely the
        observed values and the code are under the model [1]_: weighted so, they are draws of the
        exact posterior in the limit of many.

        Parameters
        ----------
        X : array-like, sparse matrix or stored array of shape (n_rows, n_features)
            NaN is missing.
        n_samples : int or None
            None fills with expectations. A number draws so many completions, in which values
            vary as they do in the data: noise included, and all values of a row together.
        n_importance_samples : int
            How many codes are drawn for each row. More come closer, and take longer.
        random_state : int, RandomState or None
            Source of the draws. None draws from the operating system.

        Returns
        -------
        ndarray of shape (len(X), n_features_in_), or (n_samples, len(X), n_features_in_)
            Of ``dtype``. Observed values are as they were, but for that.

        References
        ----------
        .. [1] Mattei, P.-A. and Frellsen, J., "MIWAE: deep generative modelling and imputation of
           incomplete data sets", ICML 2019.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.datasets import load_iris
        >>> from skae import VariationalAutoEncoder
        >>> X, _ = load_iris(return_X_y=True)
        >>> vae = VariationalAutoEncoder(2, max_iter=2, random_state=0).fit(X)
        >>> X_with_nan = np.where(np.arange(4) == 1, np.nan, X[:3])
        >>> bool(np.isfinite(vae.impute(X_with_nan)).all())
        True
        >>> vae.impute(X_with_nan, n_samples=5).shape
        (5, 3, 4)
        """
        fitted = self._fitted()
        check_argument("n_samples", n_samples, integer(1) | options(None))
        check_argument("n_importance_samples", n_importance_samples, integer(1))
        check_argument("random_state", random_state, random_state_rule)
        generator = make_generator(random_state)
        source = rows_for_use(fitted, X)
        require_valid(fitted._spec.loss, source)
        module, m = fitted.net_.module_, n_samples or 1
        filled = np.empty((m, source.n_rows, source.n_features), dtype=fitted._spec.dtype)
        with as_if_alone(inference=True):
            for rows, x in fitted._batches(source):
                given = source.given(rows)
                shape = (n_importance_samples, len(x), fitted.n_components_)
                draws = torch.randn(shape, generator=generator, dtype=x.dtype).to(x.device)
                if n_samples is None:
                    found = [module.units.to_array(expectation(module, x, draws))]
                else:
                    found = completions(module, x, draws, n_samples, generator)
                missing = observed_values() is not None
                for values, one in zip(filled, found, strict=True):
                    values[rows] = np.where(np.isnan(given), one, given) if missing else given
        return filled[0] if n_samples is None else filled


def expectation(module: Any, x: Tensor, draws: Tensor) -> Tensor:
    """Return the weighted mean of reconstructions, in the module's units."""
    total, highest = torch.zeros(len(x)).to(x), torch.full((len(x),), -torch.inf).to(x)
    mean = torch.zeros_like(x)
    for log_weight, output in module.importance_draws(x, draws):
        # Weights are kept in units of the largest so far.
        now = torch.maximum(highest.to(log_weight), log_weight)
        # A weight of zero has a logarithm of −∞, whose difference to another is NaN.
        shrunk = (highest - now).exp().nan_to_num(0).to(x)
        weight = (log_weight - now).exp().nan_to_num(0).to(x)
        total, highest = total * shrunk + weight, now
        mean = mean * shrunk[:, None] + weight[:, None] * module.loss.reconstruct(output)
    return mean / total[:, None]


def completions(
    module: Any, x: Tensor, draws: Tensor, n_samples: int, generator: torch.Generator
) -> list[Array]:
    """Return draws of rows in X's units, each of shape (n_rows, n_features).

    Each of them takes the output of one of the draws of the code, chosen by weight: the output of
    each draw in turn takes the place of the one before with its share of the weight so far.
    """
    chosen = torch.zeros((n_samples, *x.shape), dtype=x.dtype, device=x.device)
    total = torch.full((len(x),), -torch.inf, dtype=x.dtype, device=x.device)
    for log_weight, output in module.importance_draws(x, draws):
        total = torch.logaddexp(total.to(log_weight), log_weight)
        chance = torch.rand((n_samples, len(x)), generator=generator, dtype=torch.float32)
        takes = chance.to(x.device) < (log_weight - total).exp()
        chosen = torch.where(takes[:, :, None], output, chosen)
    seed = int(torch.randint(2**31, (1,), generator=generator))
    noise = torch.Generator(x.device).manual_seed(seed)
    return [module.loss.draw(one, module.noise_variance, noise) for one in chosen]
