"""A Gaussian of standardised rows with a full covariance."""

from dataclasses import dataclass

import numpy as np

from skae._data.sources import Array
from skae._start.conjugate_gradients import expect
from skae._start.incomplete import Group, Incomplete

# For more features than this, expectations are found by conjugate gradients: to which relative
# size of the residuals and in how many steps, in EM and to fill.
MAX_DIRECT = 128
EM_PRECISION, FILL_PRECISION = (1e-2, 12), (1e-4, 60)


@dataclass(frozen=True)
class FullGaussian:
    """A normal distribution of rows, of which some entries are missing.

    Of each row, the block of the precision matrix for the missing entries is inverted, or that
    of the covariance for the observed ones, whichever is smaller.

    Attributes
    ----------
    mean : ndarray of shape (n_features,)
    covariance : ndarray of shape (n_features, n_features)
    """

    mean: Array
    covariance: Array

    @classmethod
    def start(cls, rows: Incomplete) -> "FullGaussian":
        """Return the distribution that knows nothing of how columns depend on each other."""
        d = rows.z.shape[1]
        return cls(np.zeros(d), np.eye(d))

    def fill(self, rows: Incomplete) -> Array:
        """Return rows with E[missing | observed] in place of what is missing."""
        u, precision = rows.centred(self.mean), np.linalg.inv(self.covariance)
        if len(self.mean) > MAX_DIRECT:
            return expect(u, rows.missing, precision, *FILL_PRECISION) + self.mean
        for group in rows.groups:
            blocks = group.blocks(precision if group.by_missing else self.covariance)
            right = self._right_side(u, group, precision)
            found = np.linalg.solve(blocks, right[:, :, None])[:, :, 0]
            self._put(u, rows, group, found)
        return u + self.mean

    def improve(self, rows: Incomplete, share: float) -> "FullGaussian":
        """Take a step of EM.

        Parameters
        ----------
        rows : Incomplete
        share : float
            Share of the covariance's diagonal in it, λ / (n + λ).
        """
        total, precision = rows.weights.sum(), np.linalg.inv(self.covariance)
        u = rows.centred(self.mean)
        if len(self.mean) > MAX_DIRECT:
            u = expect(u, rows.missing, precision, *EM_PRECISION)
            # Of what is unknown of a row, the variance of each entry given all others.
            unknown = np.diag(rows.weights @ rows.missing / precision.diagonal())
        else:
            unknown = self._fill_and_measure(u, rows, precision)
        shift = rows.weights @ u / total
        u -= shift
        covariance = ((u * rows.weights[:, None]).T @ u + unknown) / total
        return FullGaussian(self.mean + shift, shrink(covariance, share))

    def _fill_and_measure(self, u: Array, rows: Incomplete, precision: Array) -> Array:
        """Fill rows less their mean, and return the sum of what is unknown: their covariances.

        By its observed block A, that of a row is Σ − Σ A⁻¹ Σ; by its missing block of the
        precision, the inverse of that.
        """
        d = len(self.mean)
        unknown, explained, by_observed = np.zeros((d, d)), np.zeros((d, d)), 0.0
        for group in rows.groups:
            blocks = group.blocks(precision if group.by_missing else self.covariance)
            inverses, weights = np.linalg.inv(blocks), rows.weights[group.rows]
            right = self._right_side(u, group, precision)
            found = (inverses @ right[:, :, None])[:, :, 0]
            self._put(u, rows, group, found)
            added = group.add_up(inverses, weights, d)
            if group.by_missing:
                unknown += added
            else:
                explained += added
                by_observed += weights.sum()
        if by_observed:
            unknown += self.covariance * by_observed
            unknown -= self.covariance @ explained @ self.covariance
        return unknown

    @staticmethod
    def _right_side(u: Array, group: Group, precision: Array) -> Array:
        """Return the right sides of the systems of equations of a group, shape (n, m)."""
        some = u[group.rows]
        if group.by_missing:
            some = -(some @ precision)
        return np.take_along_axis(some, group.index, axis=1) * group.valid

    def _put(self, u: Array, rows: Incomplete, group: Group, found: Array) -> None:
        """Write expectations into rows less their mean, from the solutions of their systems."""
        some = u[group.rows]
        if group.by_missing:
            before = np.take_along_axis(some, group.index, axis=1)
            np.put_along_axis(some, group.index, np.where(group.valid, found, before), axis=1)
        else:
            spread = np.zeros_like(some)
            np.put_along_axis(spread, group.index, found * group.valid, axis=1)
            some = np.where(rows.missing[group.rows], spread @ self.covariance, some)
        u[group.rows] = some


def shrink(covariance: Array, share: float) -> Array:
    """Return a covariance, a share of it replaced by its diagonal."""
    covariance = (1 - share) * (covariance + covariance.T) / 2
    diagonal = covariance.diagonal() / (1 - share)
    # A column that never varies gets the unit variance of all others, and is independent of them.
    ridge = np.where(diagonal > 1e-9, share * diagonal, 1.0)
    covariance[np.diag_indices_from(covariance)] += ridge
    return covariance
