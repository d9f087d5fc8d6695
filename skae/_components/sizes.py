"""Many fits of the same rows, with codes of other sizes."""

import time
from copy import copy
from dataclasses import dataclass
from typing import Any, Self

import torch

from skae._data.sources import Source
from skae._data.sums.moments import Moments
from skae._estimator.jobs.job import Job
from skae._start.floor import PCAFloor
from skae._start.pca import MAX_SPECTRUM, PCA, fit_pca, make_pca


@dataclass
class SizesJob(Job):
    """A job for codes of several sizes, whose two PCAs are computed once.

    Attributes
    ----------
    whole, start : PCA
        PCA of all rows, and of those that train, with the components of the largest code.
    """

    whole: PCA | None = None
    start: PCA | None = None

    @classmethod
    def of(cls, job: Job, largest: int) -> Self:
        """Compute the PCAs of a job for codes of up to ``largest`` numbers."""
        own: Any = object.__new__(cls)
        own.__dict__ = dict(vars(job))
        source, moments, seed = job.source, job.moments, job.seed
        own.whole = own.start = fit_pca(source, moments, largest, seed)
        if job.split.n_validation:
            training = source.subset(job.split.training)
            own.start = fit_pca(training, Moments.of(training), largest, seed)
        return own

    @property
    def largest(self) -> int:
        """Size of the largest code."""
        assert self.whole is not None
        return self.whole.n_components

    def anew(self) -> Self:
        """Return a copy with draws of its own, which are the same for every size."""
        own = copy(self)
        own.started = time.monotonic()
        own.generator = torch.Generator("cpu")
        own.generator.set_state(self.generator.get_state())
        return own

    def pca(self, n_components: int | float) -> PCA:
        """Return PCA of all rows."""
        assert self.whole is not None
        return first_components(self.whole, n_components)

    def floor(self, n_components: int, whole: PCA | None) -> PCAFloor:
        """Return PCA of all rows, which may be known already, and of those that train."""
        assert self.start is not None
        return PCAFloor(whole or self.pca(n_components), first_components(self.start, n_components))


def first_components(pca: PCA, n_components: int | float) -> PCA:
    """Return the PCA with fewer components, or padded with zeros, as in :func:`fit_pca`."""
    squares = pca.variances * (pca.moments.degrees_of_freedom or 1)
    if isinstance(n_components, int):
        kept = slice(n_components)
        return make_pca(pca.moments, squares[kept], pca.components[kept], n_components)
    return make_pca(pca.moments, squares, pca.components, n_components)


def most_components(source: Source) -> int:
    """Return how many components rows can have, or raise ValueError where these are too many."""
    most = min(source.n_rows, source.n_features)
    if most > MAX_SPECTRUM:
        raise ValueError(
            f"sizes='auto' needs all components of {source.n_rows:,} rows of "
            f"{source.n_features:,} features, too many to compute; pass the sizes to try, such "
            "as (8, 16, 32, 64)."
        )
    return most
