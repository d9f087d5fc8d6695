"""Expectations of missing values by conjugate gradients: for tables of some hundred columns."""

import numpy as np
from numpy.typing import NDArray

from skae._data.sources import Array


def expect(u: Array, missing: NDArray[np.bool_], precision: Array, tol: float, most: int) -> Array:
    """Return rows with expectations in place of what is missing, all rows at once.

    For the missing entries m and the observed ones o of a row u, P being the precision matrix,
    P_mm u_m = −P_mo u_o is solved. Its matrix is the inverse of what the row leaves unknown, which
    is little, so that few steps suffice; they are products of matrices.

    Parameters
    ----------
    u : ndarray of shape (n_rows, n_features)
        Rows less the mean, zero where missing.
    missing : ndarray of bool of shape (n_rows, n_features)
    precision : ndarray of shape (n_features, n_features)
    tol : float
        Size of a row's residual, relative to the first, at which the row is left as it is.
    most : int
        Number of steps at most.
    """
    diagonal = precision.diagonal()
    found = np.zeros_like(u)
    residual = -(u @ precision) * missing
    scaled = residual / diagonal
    direction = scaled.copy()
    size = np.einsum("ij,ij->i", residual, scaled)
    enough = tol**2 * size
    for _ in range(most):
        goes_on = size > enough
        if not goes_on.any():
            break
        image = (direction @ precision) * missing
        curvature = np.einsum("ij,ij->i", direction, image)
        step = np.divide(size, curvature, out=np.zeros_like(size), where=goes_on & (curvature > 0))
        found += step[:, None] * direction
        residual -= step[:, None] * image
        scaled = residual / diagonal
        before, size = size, np.where(goes_on, np.einsum("ij,ij->i", residual, scaled), size)
        ratio = np.divide(size, before, out=np.zeros_like(size), where=goes_on & (before > 0))
        direction = scaled + ratio[:, None] * direction
    return u + found
