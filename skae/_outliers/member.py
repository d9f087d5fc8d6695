"""One autoencoder of a detector: how it is fitted, and how far rows are from it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skae._data.sources import Array, FilledSource, Source
from skae._data.split import Split
from skae._data.sums.moments import Moments
from skae._estimator.environment import all_at_once, as_if_alone
from skae._estimator.jobs.advice import without_advice
from skae._estimator.jobs.job import Job
from skae._estimator.missing import filler_of
from skae._outliers.scaling import lacks_values
from skae._start.floor import PCAFloor
from skae._start.pca import PCA, fit_pca
from skae.functional import outlier_distance

# Variances of codes below this share of the largest, and errors below this share of the variance of
# the rows, are float32 rounding: rows differ from each other there by nothing that means anything.
ROUNDING = 1e-10


class HeldOutJob(Job):
    """A fit whose validation rows stay out of the model: where PCA stays, too.

    PCA of all rows is closer to its own rows than to new ones. On validation rows that are to
    stand for new rows, it has to be that of the training rows.
    """

    @classmethod
    def of(cls, job: Job, split: Split | None) -> Self:
        """Turn a job into one of this kind, whose rows may be split already."""
        own: Any = object.__new__(cls)
        own.__dict__ = dict(vars(job))
        own.split = job.split if split is None else split
        return own

    def pca(self, n_components: int | float) -> PCA:
        """Fit PCA of the rows that train."""
        source, moments = self.source, self.moments
        if self.split.n_validation:
            source = source.subset(self.split.training)
            moments = Moments.of(source)
        return fit_pca(source, moments, n_components, self.seed)

    def floor(self, n_components: int, whole: PCA | None) -> PCAFloor:
        """Return PCA of the rows that train, twice."""
        pca = whole or self.pca(n_components)
        return PCAFloor(pca, pca)


@dataclass(frozen=True)
class Member:
    """A fitted autoencoder, and what its codes and errors are on the rows that trained it.

    Attributes
    ----------
    model : estimator
        Fitted to the rows that the detector has scaled.
    mean : ndarray of shape (n_components,)
        Of the codes of the training rows, in the units of ``transform``.
    axes : ndarray of shape (n_components, n_components)
        Orthogonal; turns codes of the training rows so that they are uncorrelated.
    variances : ndarray of shape (n_components,)
        Of the turned codes of the training rows.
    error_variance : float
        Error of the training rows per dimension that the code leaves out, in the module's units.
    median : float
        Median of the distances of the training rows.
    """

    model: Any
    mean: Array
    axes: Array
    variances: Array
    error_variance: float
    median: float = 1.0

    @classmethod
    def of(cls, model: Any, training: Source) -> Self:
        """Look at the rows that have trained a fitted autoencoder."""
        k, d = model.n_components_, training.n_features
        weights = np.ones(training.n_rows) if training.weights is None else training.weights
        sums, products = np.zeros(k), np.zeros((k, k))
        errors = n_left = 0.0
        with as_if_alone(inference=True):
            for rows, codes, excess in passes(model, training):
                w, z = weights[rows], codes.cpu().numpy().astype(np.float64)
                known = training.observed(rows)
                n_known = np.full(len(z), d) if known is None else known.sum(axis=1)
                sums, products = sums + w @ z, products + (w * z.T) @ z
                errors += float(w @ excess.cpu().numpy().astype(np.float64))
                n_left += float(w @ n_known) * max(d - k, 1) / d
        total = weights.sum()
        mean = sums / total
        variances, axes = np.linalg.eigh(products / total - np.outer(mean, mean))
        variances = np.maximum(variances, ROUNDING * variances.max())
        variances = variances if variances.max() > 0 else np.ones(k)
        # In the module's units the mean variance of a feature is 1.
        own = cls(model, mean, axes, variances, max(errors / n_left, ROUNDING))
        return replace(own, median=weighted_median(own.distances(training), weights) or 1.0)

    def distances(self, source: Source) -> Array:
        """Return how far rows are from the model, over the median of the training rows."""
        distances, net = np.empty(source.n_rows), self.model.net_
        like = torch.empty(0, dtype=net.module_.units.tensor_dtype, device=net.device)
        numbers = (self.mean, self.axes, self.variances)
        with as_if_alone(inference=True):
            mean, axes, variances = (torch.from_numpy(each).to(like) for each in numbers)
            for rows, codes, excess in passes(self.model, source):
                turned = (codes - mean) @ axes
                each = outlier_distance(turned, variances, excess, self.error_variance)
                distances[rows] = each.cpu().numpy()
        return distances / self.median


def weighted_median(values: Array, weights: Array) -> float:
    """Return the value at which half of the weights is reached."""
    order = np.argsort(values)
    place = int(np.searchsorted(np.cumsum(weights[order]), 0.5 * weights.sum()))
    return float(values[order[min(place, len(order) - 1)]])


def passes(model: Any, source: Source) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Yield rows part by part: which they are, their codes and their errors.

    Codes are in the units of ``transform``. Errors are what the reconstructions cost in the loss
    more than perfect ones.
    """
    module = model.net_.module_
    for rows, x in model._batches(source):
        z = module.code(x)
        yield rows, module.frame(z), module.loss.excess(x, module.decoder(z))


def in_use(model: Any, source: Source) -> Source:
    """Return scaled rows as a fitted autoencoder sees new ones: missing values filled."""
    if not lacks_values(source):
        return source
    return FilledSource(source, filler_of(model))


def fit_member(
    estimator: Any,
    source: Source,
    groups: NDArray[np.int64] | None,
    split: Split | None = None,
) -> tuple[Member, Split]:
    """Fit an autoencoder; return it, and which rows trained and validated it.

    Parameters
    ----------
    estimator : estimator
        A copy of the user's, which is fitted.
    source : Source
        Scaled rows, with weights; none lacks all of its values.
    groups : ndarray of int of shape (n_rows,) or None
        Which rows belong together.
    split : Split or None
        Which rows are to train and validate; None lets the fit choose.
    """
    # A remedy for the estimator alone, such as a scaler before it, is none for a detector.
    with all_at_once(estimator) as fitted, without_advice():
        job = fitted._fit(
            source, source.weights, groups, change=lambda job: HeldOutJob.of(job, split)
        )
    training = in_use(estimator, source.subset(job.split.training))
    return Member.of(estimator, training), job.split
