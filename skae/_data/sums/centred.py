"""Rows less their mean, and the products of matrices that PCA needs of them."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.linalg import eigh, qr

from skae._data.sources import PART_SIZE, Array, Source
from skae._data.sums.moments import Moments
from skae._data.units import Units


class Centred:
    """Rows less their mean, divided by their scale, times the roots of their weights.

    The scale keeps squares from overflowing and from vanishing in float32.

    Parameters
    ----------
    source : Source
    moments : Moments
        The source's.
    """

    def __init__(self, source: Source, moments: Moments) -> None:
        self.source, self.moments, self.world = source, moments, source.world
        self.varies = moments.variances > 0
        self.roots = None if source.weights is None else np.sqrt(source.weights)

    def scatter(self) -> Array:
        """Return the sums of products of columns, shape (n_features, n_features)."""
        products = np.zeros((self.source.n_features,) * 2)
        for part in self.parts():
            products += part.T @ part
        return self.world.sum(products)

    def gram(self) -> Array:
        """Return the sums of products of rows, shape (n_rows, n_rows)."""
        products = np.zeros((self.moments.n_rows,) * 2)
        for _, part in self.columns():
            part = self.world.concatenate(part)
            products += part @ part.T
        return products

    def combine(self, left: Array) -> Array:
        """Return the product of ``left``, shape (k, n_rows), and the rows."""
        combined, left = np.empty((len(left), self.source.n_features)), self.own(left)
        for columns, part in self.columns():
            combined[:, columns] = left @ part
        return self.world.sum(combined)

    def own(self, left: Array) -> Array:
        """Return those columns of a matrix, one for each row, that are of this process's rows."""
        counts = self.world.counts(self.source.n_rows)
        first = sum(counts[: self.world.rank])
        return left[:, first : first + self.source.n_rows]

    def apply_scatter(self, directions: Array) -> Array:
        """Return the product of :meth:`scatter`, which is not computed, and ``directions``.

        Parameters
        ----------
        directions : ndarray of shape (n_features, k)
        """
        image = np.zeros_like(directions)
        for part in self.parts():
            image += part.T @ (part @ directions.astype(part.dtype))
        return self.world.sum(image)

    def sample_products(self, n: int) -> Array:
        """Return rows of shape (m, n_features) with nearly the rows' products of columns.

        For few rows these are the rows. Otherwise n directions are found by three steps of
        subspace iteration, and the rows' products along them are returned.
        """
        if self.source.n_rows <= 2 * n:
            return self.combine(np.eye(self.source.n_rows))
        directions: Array = np.random.default_rng(0).normal(size=(self.source.n_features, n))
        for _ in range(3):
            directions, _ = qr(directions, mode="economic")
            image = self.apply_scatter(directions)
            directions, last = image, directions
        values, turn = eigh(last.T @ image)
        return np.sqrt(np.clip(values, 0, None))[:, None] * (turn.T @ last.T)

    def parts(self) -> Iterator[Array]:
        """Yield some rows at a time, in the source's precision."""
        units = Units(self.moments.mean, self.moments.scale)
        for rows, part in self.source.parts():
            if part.dtype == np.float32:
                centred = units.convert(part)
            else:
                centred = (part - self.moments.mean) / self.moments.scale
            if self.roots is not None:
                centred = centred * self.roots[rows, None].astype(centred.dtype)
            yield centred * self.varies.astype(centred.dtype)

    def columns(self) -> Iterator[tuple[slice, Array]]:
        """Yield some columns at a time, in float64, and which they are."""
        moments = self.moments
        for columns, part in self.source.columns(max(256, PART_SIZE // moments.n_rows)):
            centred = (part - moments.mean[columns]) / moments.scale
            if self.roots is not None:
                centred = centred * self.roots[:, None]
            yield columns, centred * self.varies[columns]


class SparseCentred(Centred):
    """Rows of a sparse matrix, from whose products the mean's part is subtracted."""

    def __init__(self, source: Source, moments: Moments) -> None:
        super().__init__(source, moments)
        factors = self.varies / moments.scale
        self.mean = moments.mean * factors
        self.ones = np.ones(source.n_rows) if self.roots is None else self.roots
        self.matrix: Any = source.matrix.multiply(factors).tocsr()
        if self.roots is not None:
            self.matrix = self.matrix.multiply(self.roots[:, None]).tocsr()

    def scatter(self) -> Array:
        """Return the sums of products of columns."""
        products: Array = (self.matrix.T @ self.matrix).toarray()
        at_mean = np.outer(self.matrix.T @ self.ones, self.mean)
        both = (self.ones @ self.ones) * np.outer(self.mean, self.mean)
        return self.world.sum(products - at_mean - at_mean.T + both)

    def gram(self) -> Array:
        """Return the sums of products of rows."""
        if self.world.size > 1:  # each process multiplies its rows by those of all
            return super().gram()
        at_mean = np.outer(self.matrix @ self.mean, self.ones)
        both = (self.mean @ self.mean) * np.outer(self.ones, self.ones)
        products: Array = (self.matrix @ self.matrix.T).toarray()
        return products - at_mean - at_mean.T + both

    def combine(self, left: Array) -> Array:
        """Return the product of ``left`` and the rows."""
        left = self.own(left)
        combined: Array = (self.matrix.T @ left.T).T
        return self.world.sum(combined - np.outer(left @ self.ones, self.mean))

    def apply_scatter(self, directions: Array) -> Array:
        """Return the product of the scatter and ``directions``."""
        rows = self.matrix @ directions - np.outer(self.ones, self.mean @ directions)
        image: Array = self.matrix.T @ rows
        return self.world.sum(image - np.outer(self.mean, self.ones @ rows))


def centre(source: Source, moments: Moments) -> Centred:
    """Return rows less their mean, without a copy of all."""
    return Centred(source, moments) if source.matrix is None else SparseCentred(source, moments)
