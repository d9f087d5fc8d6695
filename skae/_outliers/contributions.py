"""Which features make a row odd: what its distance to a model is made of."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from skae._data.batch import counting
from skae._data.sources import Array, Source
from skae._estimator.environment import as_if_alone
from skae._estimator.like_pca.slopes import columns, small_batches
from skae._estimator.parameters.rules import check_argument, options
from skae._outliers.member import Member, in_use

# Replaces squares that overflow.
LARGEST = 1e200
# Directions in which the decoder moves a row by less than this share of its largest move are none.
NO_DIRECTION = 1e-6
# What `explain` tells: the whole score, what the reconstruction misses, or what the code has.
PARTS = ("all", "residual", "code")


class Explains:
    """A detector that says which features make rows odd."""

    def explain(self: Any, X: Any, *, part: str = "all") -> Any:
        """Return for every row which features make it odd, as shares of its score.

        Q/σ² is a sum over features. T² is a squared length in the code, ‖w‖², where wⱼ is number
        j of the code in standard deviations from its mean. The decoder says what directions of X
        these are: the matrix with orthonormal columns that is nearest to its Jacobian times the
        standard deviations, the polar factor U, and the squares of U w are the parts of the
        features. For PCA, U w is the row whitened by the symmetric root of its covariance (ZCA,
        [1]_).

        Parameters
        ----------
        X : array-like, sparse matrix or stored array of shape (n_samples, n_features)
            As in ``score_samples``; as few rows as you want to look at, because each needs the
            decoder's derivatives. Missing values have no share.
        part : {"all", "residual", "code"}
            "residual" gives the shares of the score that the reconstruction misses, Q/σ²;
            "code" those of unusual codes, T²; "all" their sum. A row with a large residual breaks a
            relation between features, and one with an unusual code is an extreme that keeps to it.

        Returns
        -------
        pandas.DataFrame of shape (n_samples, n_features)
            Not negative. "residual" and "code" add up to "all", whose rows add up to 1, or to 0
            where no value is known. Columns are the names of the features, or x0, x1, …; the index
            is that of X where X has one.

        Raises
        ------
        ImportError
            Without pandas.

        Notes
        -----
        Shares say how the score is made up, not what caused it: of two features that contradict
        each other both have a share. Of a loss of your own, features have the losses that they have
        when all others are reconstructed perfectly.

        References
        ----------
        .. [1] Kessy, A., Lewin, A. and Strimmer, K., "Optimal whitening and decorrelation", The
           American Statistician 72, 2018.
        .. [2] Alcala, C. and Qin, S., "Reconstruction-based contribution for process monitoring",
           Automatica 45, 2009: other shares of the same scores.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from skae import AutoEncoderOutlierDetector
        >>> X, _ = load_iris(return_X_y=True, as_frame=True)
        >>> detector = AutoEncoderOutlierDetector(random_state=0).fit(X)
        >>> odd = X[:1].copy()
        >>> odd["petal width (cm)"] = 9.0
        >>> detector.explain(odd).idxmax(axis=1)[0]
        'petal width (cm)'
        """
        check_argument("part", part, options(*PARTS))
        pandas, fitted = require_pandas(), self._fitted()
        residual, code = fitted._shares(fitted._rows(X))
        shares = {"all": residual + code, "residual": residual, "code": code}[part]
        names = getattr(fitted, "feature_names_in_", None)
        columns = [f"x{j}" for j in range(shares.shape[1])] if names is None else list(names)
        index = None
        if isinstance(X, pandas.DataFrame):  # its columns may have names that are no strings
            columns, index = list(X.columns), X.index
        return pandas.DataFrame(shares, columns=columns, index=index)

    def _shares(self: Any, source: Source) -> tuple[Array, Array]:
        """Return the shares of the residual's and of the code's features in the scores."""
        total = np.zeros((2, source.n_rows, source.n_features))
        for member in self._members:
            total += contributions(member, in_use(member.model, source))
        residual, code = total / len(self._members)
        return residual, code


def contributions(member: Member, source: Source) -> Array:
    """Return shares of features in the distances of rows, of shape (2, n_rows, n_features).

    [0] are shares by the residual and [1] by the code; together those of a row add up to 1.
    """
    model, module = member.model, member.model.net_.module_
    found = np.zeros((2, source.n_rows, source.n_features))
    with as_if_alone():
        for rows, x in small_batches(model, source):
            known = source.observed(rows)
            observed = None if known is None else torch.from_numpy(known).to(x.device)
            with torch.no_grad(), counting(observed):
                z = module.code(x)
                codes, output = module.frame(z), module.decoder(z)
                residual = module.loss.excess_by_feature(x, output).cpu().double()
                residual = residual.clamp(min=0) / member.error_variance
            slopes = torch.stack([*columns(module, x, rows.start)], dim=2).cpu().double()
            in_code = through_decoder(member, codes.cpu().double(), slopes, observed)
            both = torch.stack([residual, in_code]).nan_to_num(posinf=LARGEST)
            total = both.sum(dim=(0, 2), keepdim=True)
            found[:, rows] = torch.where(total > 0, both / total, 0.0).numpy()
    return found


def through_decoder(
    member: Member, codes: Tensor, slopes: Tensor, observed: Tensor | None
) -> Tensor:
    """Return what features contribute to T², shape (n_rows, n_features).

    The decoder takes w, the turned code in standard deviations, to X by J D: its Jacobian J along
    the code's axes, times these deviations D. With the singular value decomposition J D = U S Vᵀ,
    the nearest matrix with orthonormal columns is the polar factor U Vᵀ, so that the squares of
    U Vᵀ w add up to ‖w‖² = T². Missing values have no part in it.
    """
    axes, deviations = torch.from_numpy(member.axes), torch.from_numpy(member.variances).sqrt()
    w = (codes - torch.from_numpy(member.mean)) @ axes / deviations
    left, sizes, right = torch.linalg.svd(slopes @ axes * deviations, full_matrices=False)
    counts = sizes > NO_DIRECTION * sizes[:, :1]
    squares = (left @ (counts[:, :, None] * (right @ w[:, :, None]))).squeeze(2).square()
    known = torch.ones_like(squares) if observed is None else observed.cpu().double()
    squares = squares * known
    # Where the decoder has no direction left, all known features have the same part.
    total = squares.sum(dim=1, keepdim=True)
    squares = torch.where(total > 0, squares, known)
    t2 = w.square().sum(dim=1, keepdim=True)
    return squares / squares.sum(dim=1, keepdim=True).clamp(min=1e-300) * t2


def require_pandas() -> Any:
    """Return pandas, or raise ImportError that says how to get it."""
    try:
        import pandas as pd
    except ImportError as error:
        raise ImportError(
            "explain returns a frame of pandas, which is not installed; install it with "
            "`pip install skae[dataframe]`."
        ) from error
    return pd
