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
from skae._data.units import widest_float
from skae._estimator.environment import all_at_once, as_if_alone
from skae._estimator.jobs.advice import without_advice
from skae._estimator.missing import filler_of
from skae._outliers.scaling import lacks_values
from skae.functional import outlier_distance

# Differences of codes whose variance is below this share of the largest one are rounding.
LEAST_VARIANCE = 1e-10
# Errors below this share of a feature's mean variance are rounding, too.
LEAST_ERROR = 1e-9


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
        variances = np.maximum(variances, LEAST_VARIANCE * variances.max())
        variances = variances if variances.max() > 0 else np.ones(k)
        # In the module's units the mean variance of a feature is 1.
        own = cls(model, mean, axes, variances, max(errors / n_left, LEAST_ERROR))
        median = weighted_median(own.distances(training), weights)
        if not np.isfinite([own.error_variance, median, *variances]).all():
            raise ValueError(
                "X has rows whose distance to the autoencoder is infinite, most of the training "
                "rows among them; scale X, or see what a loss or network of your own returns."
            )
        return replace(own, median=median or 1.0)

    def distances(self, source: Source) -> Array:
        """Return how far rows are from the model, over the median of the training rows."""
        distances, device = np.empty(source.n_rows), torch.device(self.model.net_.device)
        numbers, wide = (self.mean, self.axes, self.variances), widest_float(device)
        with as_if_alone(inference=True):
            mean, axes, variances = (torch.from_numpy(a).to(device, wide) for a in numbers)
            for rows, codes, excess in passes(self.model, source):
                turned = (codes.to(wide) - mean) @ axes
                each = outlier_distance(turned, variances, excess, self.error_variance)
                distances[rows] = each.cpu().numpy()
        # A loss of a user's may be lower than at a perfect reconstruction.
        return np.nan_to_num(distances.clip(min=0) / self.median, nan=np.inf, posinf=np.inf)


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
    estimator: Any, source: Source, groups: NDArray[np.int64] | None, split: Split
) -> Member:
    """Fit an autoencoder, and look at the rows that have trained it.

    Parameters
    ----------
    estimator : estimator
        A copy of the user's, which is fitted.
    source : Source
        Scaled rows, with weights; none lacks all of its values.
    groups : ndarray of int of shape (n_rows,) or None
        Which rows belong together.
    split : Split
        Which rows train. The others stay out of the model, and only choose its epoch.
    """
    # Advice to an autoencoder, such as a scaler before it, would mislead users of a detector.
    with all_at_once(estimator) as fitted, without_advice():
        fitted._fit(source, source.weights, groups, split=split)
    return Member.of(estimator, in_use(estimator, source.subset(split.training)))
