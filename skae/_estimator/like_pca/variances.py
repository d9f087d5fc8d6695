"""The share of variance that the first numbers of a code explain."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skae._data.batch import observed_values
from skae._data.sources import Array, rows_at_once, slices
from skae._estimator.environment import as_if_alone
from skae._estimator.missing import rows_for_use
from skae._model.module import AutoEncoderModule


class ExplainsVariance:
    """An autoencoder that says how much its first 1, 2, … numbers explain."""

    def cumulative_explained_variance(self: Any, X: Any) -> Array:
        """Return the share of variance that the first 1, 2, … numbers of the code explain.

        Codes are cut: number j + 1 and all after it are set to their mean over the training rows.
        What the reconstructions x̂ of cut codes explain is 1 − Var(x − x̂) / Var(x), variances
        being summed over features: ``explained_variance_score`` of scikit-learn with
        ``multioutput="variance_weighted"``. At PCA that is, over the training rows, the cumulative
        sum of PCA's ``explained_variance_ratio_``. Differences of neighbours are what a scree plot
        shows; they add up to the last value, which ``explained_variance_ratio_`` does not do where
        codes are curved.

        Parameters
        ----------
        X : array-like, sparse matrix or stored array of shape (n_samples, n_features)
            Two rows at least; new ones, for what codes keep of new rows. Missing values do not
            count.

        Returns
        -------
        ndarray of shape (n_components_,), float64
            The last value is what whole codes explain, for ``loss="squared_error"`` nearly
            ``score(X)``. Of a curved code the first values may be low, or below zero, and need not
            rise: where its numbers have a meaning together only, a cut one is no code of any row.

        Raises
        ------
        ValueError
            For a single row.

        Notes
        -----
        Networks are trained to use all numbers of a code together, so that a model with fewer
        ``n_components`` explains more than as many of the first numbers of a larger code: to choose
        a size, compare models of several sizes.

        Posterior means, the codes of a variational autoencoder, are nearer to zero than the rows
        are to their mean, and so are their reconstructions. There the change of the
        reconstruction that each number makes is multiplied by a factor, the same for all rows,
        with which the sum is closest to X (least squares): values then rise, and are PCA's at
        probabilistic PCA.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.datasets import load_digits
        >>> from skae import AutoEncoder
        >>> X = load_digits().data
        >>> model = AutoEncoder(4, max_iter=5, random_state=0).fit(X)
        >>> shares = model.cumulative_explained_variance(X)
        >>> scree = np.diff(shares, prepend=0)
        >>> bool(np.isclose(scree.sum(), model.score(X), atol=1e-3))
        True
        """
        fitted = self._fitted()
        source, module = rows_for_use(fitted, X), fitted.net_.module_
        k = fitted.n_components_
        mean = np.zeros(k) if fitted._code_mean is None else fitted._code_mean
        if source.n_rows < 2:
            raise ValueError("X has 1 sample, which has no variance; pass 2 rows at least.")
        sums = Sums(k, source.n_features)
        with as_if_alone(inference=True):
            start = torch.tensor(mean, dtype=module.units.tensor_dtype, device=fitted.net_.device)
            for _, x in fitted._batches(source):
                observed = observed_values()
                for rows in slices(len(x), rows_at_once((k + 1) * x.shape[1])):
                    known = None if observed is None else observed[rows]
                    sums.add(changes(module, x[rows], start), known)
        total, errors = sums.errors(fitted=module.shrinks_codes)
        return 1 - errors / total if total > 0 else np.ones(k)


def changes(module: AutoEncoderModule, x: Tensor, start: Tensor) -> Iterator[Tensor]:
    """Yield rows, and how each number of the code changes their reconstruction from ``start`` on.

    All in the module's units.
    """
    yield x
    codes = module.encode(x)
    cut = start.expand_as(codes).clone()
    before = module.loss.reconstruct(module.decode(cut))
    for j in range(codes.shape[1]):
        cut[:, j] = codes[:, j]
        now = module.loss.reconstruct(module.decode(cut))
        yield now - before
        before = now


class Sums:
    """Sums over rows, of products of the rows and the changes of their reconstructions.

    Parameters
    ----------
    n_components, n_features : int

    Attributes
    ----------
    products : ndarray of shape (n_components + 1, n_components + 1)
        Of rows, first, and changes, summed over features too.
    sums : ndarray of shape (n_components + 1, n_features)
    counts : ndarray of shape (n_features,)
        How many values are known.
    """

    def __init__(self, n_components: int, n_features: int) -> None:
        self.products = np.zeros((n_components + 1, n_components + 1))
        self.sums = np.zeros((n_components + 1, n_features))
        self.counts = np.zeros(n_features)

    def add(self, parts: Iterator[Tensor], observed: Tensor | None) -> None:
        """Add rows, and the changes of their reconstructions, where values are known."""
        values = torch.stack([*parts]).cpu().double()
        known = torch.ones_like(values[0]) if observed is None else observed.cpu().double()
        values *= known
        flat = values.flatten(1)
        self.products += (flat @ flat.T).numpy()
        self.sums += values.sum(dim=1).numpy()
        self.counts += known.sum(dim=0).numpy()

    def errors(self, *, fitted: bool) -> tuple[float, Array]:
        """Return the squares of rows about their mean, and those that each cut code leaves.

        ``fitted`` says whether changes are multiplied by the factors that explain most.
        """
        products = self.products - (self.sums / np.maximum(self.counts, 1)) @ self.sums.T
        errors = np.empty(len(products) - 1)
        for j in range(1, len(products)):
            among, across = products[1 : j + 1, 1 : j + 1], products[1 : j + 1, 0]
            factors = np.linalg.lstsq(among, across)[0] if fitted else np.ones(j)
            errors[j - 1] = products[0, 0] - factors @ (2 * across - among @ factors)
        return float(products[0, 0]), errors
