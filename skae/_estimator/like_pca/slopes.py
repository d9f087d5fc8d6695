"""How rows change with their codes: what stands in the place of loadings."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import grad

from skae._data.sources import Array, Source, slices
from skae._estimator.environment import as_if_alone
from skae._estimator.missing import rows_for_use
from skae._model.module import AutoEncoderModule

# So many rows go through the networks at once.
MOST_ROWS = 256


class HasSlopes:
    """An autoencoder that says how its decoder changes with the code."""

    def jacobian(self: Any, X: Any) -> Array:
        """Return the derivative of the decoder at the codes of rows.

        Entry (i, j, c) says by how much feature j of the reconstruction of row i changes with
        number c of its code. PCA has the same for all rows: its ``components_``, transposed.

        Parameters
        ----------
        X : array-like, sparse matrix or stored array of shape (n_samples, n_features)
            NaN is a missing value, which is filled as in ``transform``.

        Returns
        -------
        ndarray of shape (n_samples, n_features_in_, n_components_), of ``dtype``
            In X's units per unit of the code that ``transform`` returns, inverse link included:
            derivatives of probabilities and rates where ``loss`` is cross-entropy and Poisson.
            The result takes ``n_components_`` times the memory of X, and what else is needed is
            bounded.

        Raises
        ------
        ValueError
            For rows with codes or derivatives that ``dtype`` cannot hold.

        See Also
        --------
        components_at : Its mean over rows, in PCA's shape.

        Examples
        --------
        >>> from sklearn.datasets import load_digits
        >>> from skae import AutoEncoder
        >>> X = load_digits().data
        >>> AutoEncoder(2, max_iter=5, random_state=0).fit(X).jacobian(X[:3]).shape
        (3, 64, 2)
        """
        fitted = self._fitted()
        source, k = rows_for_use(fitted, X), fitted.n_components_
        slopes = np.empty((source.n_rows, source.n_features, k), dtype=fitted._spec.dtype)
        with as_if_alone():
            for rows, x in small_batches(fitted, source):
                for c, slope in enumerate(columns(fitted.net_.module_, x, rows.start)):
                    slopes[rows, :, c] = slope.cpu().numpy()
        return slopes

    def components_at(self: Any, X: Any) -> Array:
        """Return the mean over rows of the decoder's derivative: the directions of the code there.

        A curved code has other directions at each row, so there is no ``components_``. Pass the
        rows that you ask about: all, for what a number of the code means on the whole; those of a
        class, for what it means there. A mean can hide that directions turn: compare it with
        ``jacobian``, or with the components at other rows.

        Parameters
        ----------
        X : array-like, sparse matrix or stored array of shape (n_samples, n_features)
            NaN is a missing value, which is filled as in ``transform``.

        Returns
        -------
        ndarray of shape (n_components_, n_features_in_), float64
            As ``PCA.components_``, which it is at PCA; with ``whiten=True``, and where codes have a
            prior's units, times the number that one unit of the code is in X's units.

        Raises
        ------
        ValueError
            As :meth:`jacobian`.

        Examples
        --------
        >>> from sklearn.datasets import load_digits
        >>> from skae import AutoEncoder
        >>> X = load_digits().data
        >>> AutoEncoder(2, max_iter=5, random_state=0).fit(X).components_at(X).shape
        (2, 64)
        """
        fitted = self._fitted()
        source = rows_for_use(fitted, X)
        total = np.zeros((fitted.n_components_, source.n_features))
        with as_if_alone():
            for rows, x in small_batches(fitted, source):
                for c, slope in enumerate(columns(fitted.net_.module_, x, rows.start)):
                    total[c] += slope.cpu().numpy().sum(axis=0, dtype=np.float64)
        return total / source.n_rows


def small_batches(fitted: Any, source: Source) -> Iterator[tuple[slice, Tensor]]:
    """Yield rows in parts so small that their passes through the networks take little memory."""
    for rows, x in fitted._batches(source):
        for part in slices(len(x), MOST_ROWS):
            yield slice(rows.start + part.start, rows.start + part.stop), x[part]


def columns(module: AutoEncoderModule, x: Tensor, first: int) -> Iterator[Tensor]:
    """Yield the derivative of reconstructions with respect to each number of the code in turn.

    Each is of shape (n_rows, n_features), in X's units. ``first`` is the position of the first
    row, for errors. Rows do not depend on each other, so that one pass with all rows gives a
    column of all their Jacobians J.
    """
    with torch.no_grad():
        codes = module.encode(x)
    require_finite(codes, first, "codes")
    codes.requires_grad_()
    x_hat = module.units.to_data(module.loss.reconstruct(module.decode(codes)))
    # v ↦ Jᵀv is linear, and its derivative in a direction is a column of J. torch.func.jvp would
    # be shorter; it makes torch import its compiler.
    v = torch.zeros_like(x_hat, requires_grad=True)
    (product,) = grad(x_hat, codes, v, create_graph=True, materialize_grads=True)
    for c in range(codes.shape[1]):
        direction = torch.zeros_like(codes)
        direction[:, c] = 1
        (slope,) = grad(product, v, direction, retain_graph=True, materialize_grads=True)
        require_finite(slope, first, "derivatives")
        yield slope


def require_finite(values: Tensor, first: int, what: str) -> None:
    """Raise ValueError where numbers of rows are infinite or NaN."""
    finite = values.isfinite().all(dim=1)
    if not finite.all():
        row = first + int(finite.logical_not().nonzero()[0, 0])
        raise ValueError(
            f"X has rows, the first of which is row {row}, whose {what} "
            f"{str(values.dtype).removeprefix('torch.')} cannot hold; drop such rows, or see what "
            "networks of your own return."
        )
