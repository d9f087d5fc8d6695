"""The PCA that displays show beside an autoencoder."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.decomposition import PCA

from skae._data.sources import Array
from skae._files.words import shown
from skae.display._fitted import Rows

# PCA is fitted to the rows that are shown only where there are so many for each component: fewer
# it reconstructs much better than it would new ones.
ROWS_PER_COMPONENT = 10
# PCA is fitted to so many numbers at most, of a larger table to rows at equal distances.
MOST_NUMBERS = 2**26


@dataclass(frozen=True)
class Straight:
    """A fitted PCA: what it makes of rows."""

    name: str
    mean: Array
    components: Array

    def reconstruct(self, X: Array) -> Array:
        """Return PCA's reconstructions of rows without missing values."""
        x_hat: Array = (X - self.mean) @ self.components.T @ self.components + self.mean
        return x_hat


def choose_pca(rows: Rows, pca: Any, X_train: Any) -> Straight | None:
    """Return the PCA to show beside an autoencoder; None where there is to be none.

    Raises
    ------
    ValueError
        For a ``pca`` that is not fitted, is no PCA, or has other features.

    Warns
    -----
    UserWarning
        When X has too few rows for a PCA of them.
    """
    if pca is False:
        return None
    if pca is not True:
        return read_pca(pca, rows.source.n_features)
    k = rows.codes.shape[1]
    if X_train is None and rows.source.n_rows < ROWS_PER_COMPONENT * k:
        warnings.warn(
            f"PCA is left out: X has {rows.source.n_rows} rows, and a PCA({k}) fitted to so few "
            "reconstructs them better than it would new ones. Pass X_train, the rows that the "
            "autoencoder was fitted to, or a fitted pca; or pca=False.",
            stacklevel=3,
        )
        return None
    source = rows.source if X_train is None else rows.train(X_train)
    table, _ = source.spread(min(source.n_rows, max(2, MOST_NUMBERS // source.n_features)))
    fitted = PCA(min(k, *table.shape), random_state=0).fit(table)
    name = "PCA of these rows" if X_train is None else "PCA"
    return Straight(name, fitted.mean_, fitted.components_)


def read_pca(pca: Any, n_features: int) -> Straight:
    """Return a PCA that a user has fitted."""
    if not hasattr(pca, "components_") or not hasattr(pca, "mean_"):
        raise ValueError(
            f"pca={shown(pca)} is not valid: expected True, False or a fitted "
            "sklearn.decomposition.PCA."
        )
    if pca.components_.shape[1] != n_features:
        raise ValueError(
            f"pca was fitted to {pca.components_.shape[1]} features, and the autoencoder has "
            f"{n_features}; fit it to what the autoencoder is given."
        )
    return Straight("PCA", np.asarray(pca.mean_), np.asarray(pca.components_))
