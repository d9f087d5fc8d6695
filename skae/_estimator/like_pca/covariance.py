"""The covariance of the rows that a model with a likelihood describes."""

from typing import Any

import numpy as np
import torch
from scipy.linalg import eigh

from skae._data.sources import Array, rows_at_once, slices
from skae._estimator.environment import as_if_alone
from skae._model.codes import moment_draws

# How many codes are drawn, or four for each number of the code where that is more.
N_DRAWS = 8192


class HasCovariance:
    """A model p(x) of rows: its covariance, exact where the decoder is linear."""

    def get_covariance(self: Any) -> Array:
        """Return the covariance of rows under the model.

        That is Cov(E[x|z]) + E[Var(x|z)], over codes z of the prior: the covariance of decoded
        codes, and the noise. At probabilistic PCA, where training starts, it is exact and
        is ``PCA.get_covariance()``. Elsewhere it is a mean over 8,192 draws of the code, or four
        for each number of the code where that is more. They are drawn from a generator with the
        seed 0, so that each call returns the same, and turned so that their mean is 0 and their
        covariance the identity exactly.

        Returns
        -------
        ndarray of shape (n_features_in_, n_features_in_), float64
            In squared units of X.

        Examples
        --------
        >>> from sklearn.datasets import load_digits
        >>> from skae import VariationalAutoEncoder
        >>> X = load_digits().data
        >>> model = VariationalAutoEncoder(3, max_iter=5, random_state=0).fit(X)
        >>> model.get_covariance().shape
        (64, 64)
        """
        fitted = self._fitted()
        module, k = fitted.net_.module_, fitted.n_components_
        n = fitted.n_features_in_
        mean, noise, products = np.zeros(n), np.zeros(n), np.zeros((n, n))
        with as_if_alone(inference=True):
            draws = moment_draws(max(N_DRAWS // 2, 2 * k), k, torch.Generator().manual_seed(0))
            draws = draws.to(module.units.tensor_dtype)
            for rows in slices(len(draws), rows_at_once(n)):
                output = module.decoder(draws[rows].to(fitted.net_.device))
                # In the module's units, in which no number is so large that digits are lost.
                x = module.loss.reconstruct(output).cpu().double().numpy()
                mean += x.sum(axis=0)
                products += x.T @ x
                variances = module.loss.variances(output, module.noise_variance)
                noise += variances.cpu().numpy().sum(axis=0)
        mean, noise, products = (part / len(draws) for part in (mean, noise, products))
        covariance: Array = products - np.outer(mean, mean) + np.diag(noise)
        return covariance * fitted.scale_**2

    def get_precision(self: Any) -> Array:
        """Return the inverse of ``get_covariance``.

        It is computed from the eigenvectors of the correlations, so that features of any scale
        may be together.

        Returns
        -------
        ndarray of shape (n_features_in_, n_features_in_), float64
            In units of 1 / X².

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.datasets import load_iris
        >>> from skae import VariationalAutoEncoder
        >>> X, _ = load_iris(return_X_y=True)
        >>> vae = VariationalAutoEncoder(2, max_iter=2, random_state=0).fit(X)
        >>> product = vae.get_covariance() @ vae.get_precision()
        >>> np.allclose(product, np.eye(4), atol=1e-6)
        True
        """
        covariance = self.get_covariance()
        deviations = np.sqrt(np.diagonal(covariance))
        # The precision of a feature that never varies is infinite; this one is large instead.
        deviations = np.where(deviations > 0, deviations, 1.0)
        values, vectors = eigh(covariance / np.outer(deviations, deviations))
        values = np.maximum(values, len(values) * np.finfo(np.float64).eps * values[-1])
        scaled = vectors / deviations[:, None]
        precision: Array = (scaled / values) @ scaled.T
        return precision
