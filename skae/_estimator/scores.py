"""The estimator layer: scores, from reconstructions or from likelihoods."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted

from skae._data.batches import Rows
from skae._data.checks import Array, as_if_alone, check_rows
from skae._estimator.parameters import check_argument, integer, options
from skae._estimator.use import FittedAutoEncoder
from skae._model.draws import paired_draws
from skae._model.losses import require_valid
from skae._training.net import AutoEncoderNet
from skae._training.selection import share_explained

# Pairs of draws z, −z of the code that a score is the mean over.
SCORING_PAIRS = 64


class ReconstructionScores(FittedAutoEncoder):
    """Scores that say how well rows are reconstructed."""

    def score_samples(self, X: Any) -> Array:
        """Return minus the error of every row's reconstruction.

        That is Σₖ (x̂ₖ − xₖ)² where ``loss="squared_error"``; otherwise what the reconstruction
        costs in the loss more than a perfect one.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,), float32
            In squared units of X for squared errors and ``"huber"``, in those of X for absolute
            ones, in nats for cross-entropy and counts; the higher, the more normal the row.
        """
        errors, _ = self._errors(X)
        loss = self.net_.module_.loss
        with np.errstate(over="ignore"):  # -inf says it
            return (-errors * loss.multiple * self.scale_**loss.power).astype(np.float32)

    def score(self, X: Any, y: Any = None) -> float:
        """Return the share of the loss that is explained: R² where that is the squared error.

        1 − E/E₀ of the errors of reconstructions and of ``mean_`` in their place, summed over
        rows; for other losses known as D².

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : ignored

        Returns
        -------
        float
            1 for perfect reconstructions, 0 for those no better than the mean.
        """
        errors, at_mean = self._errors(X)
        return share_explained(errors.mean(), at_mean.mean())

    def _errors(self, X: Any) -> tuple[Array, Array]:
        """Return what every row costs more than a perfect one: as it is, and at the mean."""
        check_is_fitted(self)
        X = check_rows(self, X, fitting=False)
        module = self.net_.module_
        require_valid(self._architecture["loss"], X)
        errors = np.empty((2, len(X)))
        with as_if_alone(inference=True):
            for rows, x in self._batches(X):
                output = module.decoder(module.encoder(x)).double()
                x = x.double()
                costs = torch.stack([module.loss(x, output), module.loss.at_mean(x)])
                errors[:, rows] = (costs - module.loss.at_best(x)).cpu().numpy()
        return errors[0], errors[1]

    def _scorer(self, net: AutoEncoderNet, judges: Rows) -> Callable[[dict[str, float]], float]:
        """Return what makes a score of the judges' mean loss terms."""
        at_mean, at_best = net.bounds(judges)
        return lambda terms: share_explained(terms["reconstruction"] - at_best, at_mean - at_best)

    def _diagnose(self, variances: Array) -> None:
        """Need no diagnosis."""


class LikelihoodScores(FittedAutoEncoder):
    """Scores that say how likely rows are, of models whose module has bounds of that."""

    beta: float

    def score_samples(self, X: Any, n_importance_samples: int | None = None) -> Array:
        """Return a lower bound of the log-likelihood of every row, estimated from fixed draws.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        n_importance_samples : int or None
            None gives the ELBO, the mean over 128 draws of the code. A number gives the
            importance-weighted bound with so many draws: the closer to log p(x), the more there
            are, and the longer it takes.

        Returns
        -------
        ndarray of shape (n_samples,), float32
            In nats; the higher, the more normal the row. Draws are the same for each row and
            in each call. Of binary cross-entropy it is a likelihood where rows are zeros and ones.
        """
        return self._bounds(X, n_importance_samples).astype(np.float32)

    def score(self, X: Any, y: Any = None) -> float:
        """Return the mean of ``score_samples``: comparable with ``PCA.score``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : ignored

        Returns
        -------
        float
            In nats a row.
        """
        return float(self._bounds(X, None).mean())

    def _bounds(self, X: Any, n_importance_samples: int | None) -> Array:
        check_is_fitted(self)
        n_draws = n_importance_samples
        check_argument("n_importance_samples", n_draws, integer(1) | options(None))
        X = check_rows(self, X, fitting=False)
        require_valid(self._architecture["loss"], X)
        module, shape = self.net_.module_, torch.Size((self.n_components_,))
        generator = torch.Generator().manual_seed(0)
        if n_draws is None:
            draws, bound = paired_draws(SCORING_PAIRS, shape, generator), module.elbo
        else:
            draws, bound = (
                torch.randn(n_draws, *shape, generator=generator),
                module.importance_bound,
            )
        bounds = np.empty(len(X))
        with as_if_alone(inference=True):
            draws = draws.to(self.net_.device)
            for rows, x in self._batches(X):
                bounds[rows] = bound(x, draws).cpu().numpy()
        return bounds

    def _scorer(self, net: AutoEncoderNet, judges: Rows) -> Callable[[dict[str, float]], float]:
        """Return what makes the ELBO of the judges' mean loss terms."""
        beta = self.beta
        return lambda terms: -(terms["reconstruction"] + terms["kl"] / beta)
