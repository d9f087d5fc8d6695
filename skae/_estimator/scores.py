"""Scores, from reconstructions or from likelihoods."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from skae._data.batches import RowDataset
from skae._data.sources import Array, Source
from skae._data.units import widest_float
from skae._estimator.environment import as_if_alone
from skae._estimator.missing import rows_for_use
from skae._estimator.parameters.arguments import check_weights
from skae._estimator.parameters.rules import check_argument, integer, options
from skae._estimator.use import FittedAutoEncoder
from skae._model.codes import paired_draws
from skae._model.losses import require_valid
from skae._training.net import AutoEncoderNet

# Pairs of draws z, −z of the code that a score is the mean over.
SCORING_PAIRS = 64
# Losses below this, in the module's units or in nats, are float32 rounding, not error.
ROUNDING = 1e-5
# Squares of scales from one over this to this are numbers that float32 holds well.
MAX_SQUARED_SCALE = 1e15


def share_explained(error: float, total: float) -> float:
    """Return 1 − error/total; where there is nothing to explain, 1 or 0 as in ``r2_score``.

    Both are means over rows, in the module's units or in nats.
    """
    if total <= ROUNDING:
        return 1.0 if error <= ROUNDING else 0.0
    return float(1 - error / total)


def share_of_means(means: Array) -> float:
    """Return the share that is explained, from the means of :func:`reconstruction_errors`."""
    return share_explained(float(means[0]), float(means[1]))


def share_text(loss: Any) -> str:
    """Return what the share is a share of, for the parameter ``loss``."""
    is_squared = isinstance(loss, str) and loss == "squared_error"
    return "share of variance explained" if is_squared else "share of the loss explained"


def scored_rows(fitted: Any, X: Any) -> Source:
    """Return the rows of X for a score, or raise ValueError where the loss cannot take them."""
    source = rows_for_use(fitted, X)
    require_valid(fitted._spec.loss, source)
    return source


def reconstruction_errors(fitted: Any, source: Source) -> Array:
    """Return every row's loss, and its loss if reconstructed by the mean: (2, n_rows).

    Both less the loss of a perfect reconstruction, which is not zero for every loss.
    """
    module = fitted.net_.module_
    errors = np.empty((2, source.n_rows))
    with as_if_alone(inference=True):
        for rows, x in fitted._batches(source):
            wide = widest_float(x.device)
            output, x = module.decoder(module.code(x)).to(wide), x.to(wide)
            costs = torch.stack([module.loss(x, output), module.loss.at_mean(x)])
            errors[:, rows] = (costs - module.loss.at_best(x)).cpu().numpy()
    return errors


def weighted_sums(terms: Array, sample_weight: Any, *, may_be_zero: bool) -> tuple[Array, float]:
    """Return the weighted sums of terms over rows, and the sum of the weights.

    ``terms`` is of shape (n_terms, n_rows).
    """
    weights = check_weights(sample_weight, terms.shape[1], may_be_zero=may_be_zero)
    if weights is None:
        return terms.sum(axis=1), float(terms.shape[1])
    return (terms * weights).sum(axis=1), float(weights.sum())


def score_of_rows(fitted: Any, X: Any, sample_weight: Any) -> float:
    """Return the score of rows, from the weighted means of the terms that it is made of."""
    sums, weight = fitted._sum_terms(X, sample_weight)
    score: float = fitted._score_of(sums / weight)
    return score


class ReconstructionScores(FittedAutoEncoder):
    """Scores that say how well rows are reconstructed."""

    _score_name = "explained"

    def score_samples(self, X: Any) -> Array:
        """Return minus the error of every row's reconstruction.

        That is Σₖ (x̂ₖ − xₖ)² where ``loss="squared_error"``; otherwise what the reconstruction
        costs in the loss more than a perfect one. How unusual the code is has no part in it: a row
        far from all others scores high if its reconstruction is good.

        Parameters
        ----------
        X : array-like, sparse matrix or stored array of shape (n_samples, n_features)
            Of missing values, NaN, no error counts: a row that misses all has none.

        Returns
        -------
        ndarray of shape (n_samples,), of ``dtype``
            In squared units of X for squared errors and ``"huber"``, in those of X for absolute
            ones, in nats for cross-entropy and counts; the higher, the more normal the row.
            float64 in any case where ``scale_`` is below 1e-15 or above 1e15, whose squares float32
            cannot hold.

        See Also
        --------
        skae.AutoEncoderOutlierDetector : Finds outliers by this error and by the code together.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.datasets import load_iris
        >>> from skae import AutoEncoder
        >>> X, _ = load_iris(return_X_y=True)
        >>> model = AutoEncoder(2, max_iter=2, random_state=0).fit(X)
        >>> X_hat = model.inverse_transform(model.transform(X))
        >>> np.allclose(model.score_samples(X), -np.square(X_hat - X).sum(axis=1), rtol=1e-3)
        True
        """
        fitted = self._fitted()
        errors, _ = reconstruction_errors(fitted, scored_rows(fitted, X))
        loss, scale = fitted.net_.module_.loss, fitted.scale_
        fits = 1 / MAX_SQUARED_SCALE <= scale <= MAX_SQUARED_SCALE
        scores: Array = -errors * loss.multiple * scale**loss.power
        return scores.astype(fitted._spec.dtype if fits else np.float64)

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Return the share of the loss that the model explains: R² where that is the squared error.

        That is 1 − E/E₀: E is the error of the reconstructions, E₀ that of ``mean_`` in the
        place of each, both summed over the rows of X. For other losses it is known as D². It is
        not what ``PCA.score`` is, a log-likelihood: compare with ``r2_score`` of PCA's
        reconstructions, ``multioutput="variance_weighted"``.

        Parameters
        ----------
        X : array-like, sparse matrix or stored array of shape (n_samples, n_features)
            Missing values, NaN, do not count.
        y : ignored
            For scikit-learn, which passes it.
        sample_weight : array-like of shape (n_samples,) or None
            How much each row counts; None means 1 each.

        Returns
        -------
        float
            1 for perfect reconstructions, 0 for those no better than the mean.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from skae import AutoEncoder
        >>> X, _ = load_iris(return_X_y=True)
        >>> 0.97 < AutoEncoder(2, max_iter=2, random_state=0).fit(X).score(X) < 1
        True
        """
        return score_of_rows(self._fitted(), X, sample_weight)

    def _sum_terms(
        self, X: Any, sample_weight: Any, *, may_be_zero: bool = False
    ) -> tuple[Array, float]:
        """Return the weighted sums over rows that a score is made of, and the sum of weights."""
        terms = self._terms(scored_rows(self, X))
        return weighted_sums(terms, sample_weight, may_be_zero=may_be_zero)

    def _terms(self, source: Source) -> Array:
        """Return what a score is made of, for every row of a source: (n_terms, n_rows)."""
        return reconstruction_errors(self, source)

    def _score_of(self, means: Array) -> float:
        """Return the score of rows from the means of their terms."""
        return share_of_means(means)

    @property
    def _score_text(self) -> str:
        """What ``score`` is, in words."""
        return share_text(self.loss)

    def _scorer(self, net: AutoEncoderNet, rows: RowDataset) -> Callable[[dict[str, float]], float]:
        """Return the function that makes ``score`` of rows from the means of their loss terms."""
        at_mean, at_best = net.bounds(rows)
        return lambda terms: share_explained(terms["reconstruction"] - at_best, at_mean - at_best)

    def _diagnose(self, variances: Array) -> None:
        """Need no diagnosis."""


class LikelihoodScores(FittedAutoEncoder):
    """Scores that say how likely rows are, of models whose module has bounds of that."""

    beta: float
    _score_name = "ELBO"

    def score_samples(self, X: Any, n_importance_samples: int | None = None) -> Array:
        """Return a lower bound of the log-likelihood of every row, estimated from fixed draws.

        Parameters
        ----------
        X : array-like, sparse matrix or stored array of shape (n_samples, n_features)
            Of missing values, NaN, no likelihood counts: it is that of the observed ones.
        n_importance_samples : int or None
            None gives the ELBO, the mean over 128 draws of the code. A number gives the
            importance-weighted bound with so many draws: the closer to log p(x), the more there
            are, and the longer it takes.

        Returns
        -------
        ndarray of shape (n_samples,), of ``dtype``
            In nats; the higher, the more normal the row. Draws are the same for each row and
            in each call. Of binary cross-entropy it is a likelihood where rows are zeros and ones.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from skae import VariationalAutoEncoder
        >>> X, _ = load_iris(return_X_y=True)
        >>> vae = VariationalAutoEncoder(2, max_iter=2, random_state=0).fit(X)
        >>> vae.score_samples(X, n_importance_samples=10).shape
        (150,)
        """
        fitted = self._fitted()
        check_argument("n_importance_samples", n_importance_samples, integer(1) | options(None))
        bounds = fitted._bounds(scored_rows(fitted, X), n_importance_samples)
        return bounds.astype(fitted._spec.dtype)

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Return the mean of ``score_samples``: comparable with ``PCA.score``.

        Parameters
        ----------
        X : array-like, sparse matrix or stored array of shape (n_samples, n_features)
            Of missing values, NaN, no likelihood counts.
        y : ignored
            For scikit-learn, which passes it.
        sample_weight : array-like of shape (n_samples,) or None
            How much each row counts; None means 1 each.

        Returns
        -------
        float
            In nats a row.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from sklearn.decomposition import PCA
        >>> from skae import VariationalAutoEncoder
        >>> X, _ = load_iris(return_X_y=True)
        >>> vae = VariationalAutoEncoder(2, max_iter=2, random_state=0).fit(X)
        >>> vae.score(X) > PCA(2).fit(X).score(X) - 0.1
        True
        """
        return score_of_rows(self._fitted(), X, sample_weight)

    def _sum_terms(
        self, X: Any, sample_weight: Any, *, may_be_zero: bool = False
    ) -> tuple[Array, float]:
        """Return the weighted sums over rows that a score is made of, and the sum of weights."""
        terms = self._terms(scored_rows(self, X))
        return weighted_sums(terms, sample_weight, may_be_zero=may_be_zero)

    def _terms(self, source: Source) -> Array:
        """Return what a score is made of, for every row of a source: (n_terms, n_rows)."""
        return self._bounds(source, None)[None]

    @property
    def _score_text(self) -> str:
        """What ``score`` is, in words."""
        return "bound of the log-likelihood, nats a row"

    def _score_of(self, means: Array) -> float:
        """Return the score of rows from the means of their terms."""
        return float(means[0])

    def _bounds(self, source: Source, n_draws: int | None) -> Array:
        module, shape = self.net_.module_, torch.Size((self.n_components_,))
        generator = torch.Generator("cpu").manual_seed(0)
        bounds = np.empty(source.n_rows)
        with as_if_alone(inference=True):
            if n_draws is None:
                draws, bound = paired_draws(SCORING_PAIRS, shape, generator), module.elbo
            else:
                draws = torch.randn(n_draws, *shape, generator=generator, dtype=torch.float32)
                bound = module.importance_bound
            draws = draws.to(self.net_.device)
            for rows, x in self._batches(source):
                bounds[rows] = bound(x, draws).cpu().numpy()
        return bounds

    def _scorer(self, net: AutoEncoderNet, rows: RowDataset) -> Callable[[dict[str, float]], float]:
        """Return the function that makes the ELBO from the means of rows' loss terms."""
        beta = self.beta
        return lambda terms: -(terms["reconstruction"] + terms["kl"] / beta)
