"""Fits with codes of several sizes, scored on the same rows, which train none of them."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from skae._autoencoder import AutoEncoder
from skae._components.sizes import SizesJob
from skae._data.checks import has_missing
from skae._data.sources import Array, FilledSource, Source
from skae._data.split import MAX_VALIDATION, MIN_VALIDATION, Split, group_rows, row_keys, split_rows
from skae._data.world import ALONE
from skae._estimator.environment import snapshot
from skae._estimator.fit import BaseLatentModel
from skae._estimator.jobs.advice import advise_on_rows, without_advice
from skae._estimator.missing import DomainFiller, filled_for_fit, rows_that_count
from skae._estimator.parameters.resolve import resolve_batch_size, resolve_epochs
from skae._estimator.parameters.rules import check_parameters
from skae._estimator.scores import reconstruction_errors, share_of_means, share_text
from skae._files.words import shown
from skae._start.gaussian import Gaussian

# Of the rows, or of their groups, so many are held out.
HELD_OUT = 0.2
# Ten rows are held out, ten validate, and ten train.
MIN_GROUPS = 3 * MIN_VALIDATION
# A network that is zero, so that what remains is PCA.
NO_NETWORK: dict[str, Any] = {
    "hidden_layer_sizes": (),
    "image_shape": None,
    "encoder": None,
    "decoder": None,
    "tied_weights": False,
    "init": "pca",
}


@dataclass(frozen=True)
class Score:
    """The score of a model on the rows held out, and its standard error."""

    value: float
    error: float


@dataclass(frozen=True)
class Measure:
    """How models are scored.

    Attributes
    ----------
    terms : callable (fitted, source) -> ndarray of shape (n_terms, n_rows)
    score : callable (ndarray of shape (n_terms,)) -> float
        Of the means of the terms over rows.
    text : str
        What the score is.
    pca : estimator
        What is PCA where it is not trained, and has this score.
    """

    terms: Callable[[Any, Source], Array]
    score: Callable[[Array], float]
    text: str
    pca: Any

    @classmethod
    def of_share(cls, estimator: Any) -> "Measure":
        """Score by the share of the loss that reconstructions explain."""
        shared = {name: getattr(estimator, name) for name in ("loss", "dtype", "device")}
        pca = AutoEncoder(**shared, hidden_layer_sizes=())
        return cls(reconstruction_errors, share_of_means, share_text(estimator.loss), pca)

    @classmethod
    def of_estimator(cls, estimator: Any) -> "Measure":
        """Score by the estimator's own ``score``."""
        pca = clone(estimator).set_params(**NO_NETWORK)
        return cls(
            lambda fitted, rows: fitted._terms(rows),
            estimator._score_of,
            estimator._score_text,
            pca,
        )


@dataclass
class Trials:
    """Fits of an estimator with codes of any size.

    Attributes
    ----------
    estimator : estimator
        Whose parameters are checked, and which has looked at the rows.
    job : SizesJob
        The rows that every fit has.
    held_out : Source
        The rows that no fit has.
    groups : ndarray of int of shape (n_held_out,)
        Numbers of the groups that the rows held out belong to.
    measure : Measure
    scores, pca_scores : dict of int to Score
        Those known so far, of the fits and of PCA.
    """

    estimator: Any
    job: SizesJob
    held_out: Source
    groups: NDArray[np.int64]
    measure: Measure
    scores: dict[int, Score] = field(default_factory=dict)
    pca_scores: dict[int, Score] = field(default_factory=dict)

    def score(self, n_components: int) -> float:
        """Return the score of a fit with so many components."""
        if n_components not in self.scores:
            fitted = snapshot(self.estimator)
            fitted.n_components = n_components
            with without_advice():  # that of the fit to come
                fitted._train(self.job.anew(), None, None)
            self.scores[n_components] = self._score_of(fitted)
        return self.scores[n_components].value

    def score_pca(self, n_components: int) -> float:
        """Return the score of PCA of the rows of the fits, with so many components."""
        if n_components not in self.pca_scores:
            fitted = clone(self.measure.pca)
            fitted.n_components = n_components
            training = fitted._start(self.job.anew())
            training.floor.load_whole(training.net.module_, training.table)
            training.net.module_.eval()
            fitted.net_ = training.net
            self.pca_scores[n_components] = self._score_of(fitted)
        return self.pca_scores[n_components].value

    def _score_of(self, fitted: Any) -> Score:
        terms = self.measure.terms(fitted, self.held_out)
        return score_and_error(terms, self.held_out.weights, self.groups, self.measure.score)


def score_and_error(
    terms: Array,
    weights: Array | None,
    groups: NDArray[np.int64],
    score: Callable[[Array], float],
) -> Score:
    """Return a score of rows, and its standard error by the jackknife over groups of rows.

    Parameters
    ----------
    terms : ndarray of shape (n_terms, n_rows)
    weights : ndarray of shape (n_rows,) or None
    groups : ndarray of int of shape (n_rows,)
        From 0 on.
    score : callable
        Gives the score from the weighted means of the terms.
    """
    each = np.ones(terms.shape[1]) if weights is None else weights
    sums = np.stack([np.bincount(groups, each * term) for term in terms])
    totals = np.bincount(groups, each)
    whole, total = sums.sum(axis=1), totals.sum()
    without = (whole[:, None] - sums) / (total - totals)
    others = np.array([score(means) for means in without.T])
    squares = np.square(others - others.mean()).sum() * (1 - 1 / len(others))
    return Score(score(whole / total), math.sqrt(squares))


def make_trials(
    estimator: Any,
    X: Any,
    sample_weight: Any,
    groups: Any,
    *,
    seed: int,
    steps: float,
    largest: Callable[[Source], int],
    measure: Measure,
) -> Trials:
    """Hold out rows, and prepare fits of the others.

    Parameters
    ----------
    estimator : estimator
        A copy, which is changed.
    X, sample_weight, groups
        As in ``fit``.
    seed : int
    steps : float
        The share of the estimator's epochs, and of ``max_time``, that each fit takes.
    largest : callable
        Gives the size of the largest code from the rows of the fits.
    measure : Measure
    """
    check_parameters(estimator)
    source, labels, lacks = rows_that_count(estimator, X, sample_weight, groups, ALONE)
    numbers = group_rows(row_keys(source, np.float64), labels)
    split = hold_out(numbers, seed, source.weights)
    train, gaussian = source.subset(split.training), None
    if lacks:
        train, gaussian = filled_for_fit(estimator, train, seed)
    own_groups = None if labels is None else labels[split.training]
    job = estimator._check(train, own_groups, gaussian, seed, False)
    advise_on_rows(estimator, job)
    batch_size = resolve_batch_size(estimator, job.n_training)
    n_epochs, _ = resolve_epochs(estimator, job.n_training, batch_size)
    estimator.max_iter = math.ceil(steps * n_epochs)
    if estimator.max_time is not None:
        estimator.max_time *= steps
    held_out = source.subset(split.validation)
    if has_missing(held_out):
        filler = DomainFiller.for_loss(Gaussian(**estimator._gaussian), estimator.loss)
        held_out = FilledSource(held_out, filler)
    return Trials(estimator, SizesJob.of(job, largest(train)), held_out, split.groups, measure)


def hold_out(groups: NDArray[np.int64], seed: int, weights: Array | None) -> Split:
    """Choose the groups of rows that no fit has, or raise ValueError where they are too few."""
    n_rows, n_groups = len(groups), int(groups.max()) + 1
    wanted = min(max(HELD_OUT * n_groups, MIN_VALIDATION), MAX_VALIDATION)
    order = np.random.default_rng(seed).permutation(n_rows)
    none = np.zeros(n_rows, dtype=bool)
    split = split_rows(groups, wanted / n_groups, order, none, weights)
    if not split.n_validation or n_groups < MIN_GROUPS:
        different = "" if n_groups == n_rows else f" in {n_groups} groups (of equal rows, or yours)"
        raise ValueError(
            f"X has {n_rows} rows{different}, and {MIN_GROUPS} are the fewest of which some can be "
            "held out from every fit; pass more rows, or choose n_components yourself."
        )
    return split


def require_autoencoder(estimator: Any) -> None:
    """Raise TypeError for what is no estimator with a code."""
    if isinstance(estimator, type) or not isinstance(estimator, BaseLatentModel):
        raise TypeError(
            f"estimator={shown(estimator)} is not an autoencoder of skae; pass one such as "
            "AutoEncoder(), and X as the steps of a pipeline before it return it."
        )
