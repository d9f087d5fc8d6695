"""A Gaussian of standardised rows whose covariance is that of some factors and of noise."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh

from skae._data.sources import Array, slices
from skae._start.incomplete import Incomplete

# How many factors there are at most, and rows whose equations are solved at once.
MOST_FACTORS, ROWS_AT_ONCE = 64, 128
# The least variance of noise in a standardised column.
LEAST_NOISE = 1e-4


@dataclass(frozen=True)
class FactorGaussian:
    """Rows W z + e with independent standard normal factors z and noise e: for wide tables.

    Attributes
    ----------
    mean : ndarray of shape (n_features,)
    loadings : ndarray of shape (n_features, n_factors)
        W.
    noise : ndarray of shape (n_features,)
        Variances of e.
    """

    mean: Array
    loadings: Array
    noise: Array

    @classmethod
    def start(cls, rows: Incomplete, seed: int) -> "FactorGaussian":
        """Return a distribution that knows next to nothing: with loadings in random directions."""
        n, d = rows.z.shape
        k = max(1, min(MOST_FACTORS, n - 1, d))
        directions = np.random.default_rng(seed).normal(size=(d, k))
        for _ in range(3):  # subspace iteration, which `improve` goes on with
            directions, _ = np.linalg.qr(rows.z.T @ (rows.z @ directions))
        return cls(np.zeros(d), 1e-3 * directions, np.ones(d))

    @classmethod
    def of_complete(cls, rows: Incomplete, share: float) -> "FactorGaussian":
        """Return the distribution of rows that miss nothing, fewer than about a thousand.

        The factors are their first principal components; ``share`` is as in :meth:`improve`.
        """
        n, d = rows.z.shape
        k = max(1, min(MOST_FACTORS, n - 1, d))
        u = rows.z * np.sqrt(rows.weights / rows.weights.sum())[:, None]
        _, left = eigh(u @ u.T, subset_by_index=[n - k, n - 1])
        loadings = u.T @ left * np.sqrt(1 - share)
        variances = np.square(u).sum(axis=0)
        variances = np.where(variances > 1e-9, variances, 1.0)
        noise = variances - np.square(loadings).sum(axis=1)
        return cls(np.zeros(d), loadings, np.maximum(noise, LEAST_NOISE))

    def fill(self, rows: Incomplete) -> Array:
        """Return rows with E[missing | observed] in place of what is missing."""
        factors, _ = self._factors(rows)
        return np.where(rows.missing, self.mean + factors @ self.loadings.T, rows.z)

    def improve(self, rows: Incomplete, share: float) -> "FactorGaussian":
        """Take a step of EM, in which what is unknown of a row enters variances alone.

        Parameters
        ----------
        rows : Incomplete
        share : float
            Share of the covariance's diagonal in it, λ / (n + λ).
        """
        total = rows.weights.sum()
        factors, unknown = self._factors(rows)
        filled = np.where(rows.missing, self.mean + factors @ self.loadings.T, rows.z)
        mean = rows.weights @ filled / total
        u = filled - mean
        u *= np.sqrt(rows.weights / total)[:, None]
        part = np.einsum("jk,kl,jl->j", self.loadings, unknown, self.loadings) + self.noise
        variances = np.square(u).sum(axis=0) + part * (rows.weights @ rows.missing / total)
        directions, _ = np.linalg.qr(u.T @ (u @ self.loadings) + 1e-12 * self.loadings)
        _, sizes, turn = np.linalg.svd(u @ directions, full_matrices=False)
        loadings = np.zeros_like(self.loadings)
        loadings[:, : len(sizes)] = directions @ turn.T * sizes * np.sqrt(1 - share)
        variances = np.where(variances > 1e-9, variances, 1.0)
        noise = variances - np.square(loadings).sum(axis=1)
        return FactorGaussian(mean, loadings, np.maximum(noise, LEAST_NOISE))

    def _factors(self, rows: Incomplete) -> tuple[Array, Array]:
        """Return the factors' expectations, (n_rows, k), and their mean covariance, (k, k)."""
        n, d = rows.z.shape
        k = self.loadings.shape[1]
        whitened = self.loadings / np.sqrt(self.noise)[:, None]
        right = rows.centred(self.mean) / np.sqrt(self.noise) @ whitened
        every, nothing = np.eye(k) + whitened.T @ whitened, np.eye(k)
        factors, unknown = np.empty((n, k)), np.zeros((k, k))
        for part in slices(n, ROWS_AT_ONCE):
            systems = np.empty((part.stop - part.start, k, k))
            for system, missing in zip(systems, rows.missing[part], strict=True):
                few = 2 * missing.sum() <= d
                some = whitened[missing if few else ~missing]
                system[:] = every - some.T @ some if few else nothing + some.T @ some
            inverses = np.linalg.inv(systems)
            factors[part] = (inverses @ right[part][:, :, None])[:, :, 0]
            unknown += np.tensordot(rows.weights[part], inverses, axes=1)
        return factors, unknown / rows.weights.sum()
