"""What a fit has been given, checked: rows, units, and the fit that it goes on from."""

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from skae._data.batches import RowDataset, place
from skae._data.sources import Array, Source
from skae._data.split import Keys, Split
from skae._data.sums.moments import Moments
from skae._data.units import Units
from skae._estimator.parameters.resolve import resolve_epochs
from skae._estimator.parameters.shared import SharedParameters
from skae._model.spec import ModelSpec
from skae._start.floor import PCAFloor
from skae._start.pca import PCA, fit_pca

# Between the seeds of processes; those of one fit are next to each other.
RANK_STRIDE = 2**33


@dataclass(frozen=True)
class Former:
    """The fit that a warm start goes on from.

    Attributes
    ----------
    spec : ModelSpec
        What its module was built from.
    weights : dict of str to ndarray
        The module's state.
    trained : ndarray of uint64 or None
        Keys of the rows that have trained these weights; None if that was not recorded.
    is_pca : bool
        Whether the weights are PCA of all rows, so that there is nothing to go on from.
    """

    spec: ModelSpec
    weights: dict[str, Array]
    trained: Keys | None
    is_pca: bool


@dataclass(frozen=True)
class TrainingRows:
    """The rows of a training, on its device.

    Attributes
    ----------
    table, train : RowDataset
        All rows, and those that train.
    validation : RowDataset or None
    groups : ndarray of int of shape (n_validation,)
        Numbers of the groups that validation rows belong to.
    """

    table: RowDataset
    train: RowDataset
    validation: RowDataset | None
    groups: NDArray[np.int64]


@dataclass
class Job:
    """What a fit has been given, checked.

    Attributes
    ----------
    source : Source
        The rows of X, filled where values are missing, and their weights.
    moments : Moments
        Moments of the rows of X.
    units : Units
        The units that the module will have.
    device : str
    seed : int
    generator : torch.Generator
        The source of every random draw.
    former : Former or None
        The fit whose sizes and units are kept.
    split : Split
        Which rows train, and which validate.
    goes_on : bool
        Whether the former weights may be the start: no validation row has trained them.
    trained : ndarray of uint64 or None
        Keys of the rows that will have trained the weights; None where that is not known.
    holds_out : bool
        Whether validation rows are to stand for new rows, so that they have no part in PCA either.
    by_keys : bool
        Whether rows validate by their keys, and not by position: by the same ones then in a fit
        that goes on with fewer processes.
    started : float
        When the fit began, on the clock of ``time.monotonic``.
    """

    source: Source
    moments: Moments
    units: Units
    device: str
    seed: int
    generator: torch.Generator
    former: Former | None
    split: Split = field(init=False)
    goes_on: bool = False
    trained: Keys | None = None
    holds_out: bool = False
    by_keys: bool = False
    started: float = field(default_factory=lambda: time.monotonic())

    @property
    def n_rows(self) -> int:
        """The size of the table of all processes, for what depends on it."""
        return self.moments.n_rows

    @property
    def n_counted(self) -> int:
        """Number of rows that the fit has been given, in all processes."""
        return self.moments.n_rows

    @property
    def rank(self) -> int:
        """The number of components that PCA of all rows has."""
        return min(self.n_counted, self.source.n_features)

    @property
    def n_training(self) -> int:
        """Number of rows that train, in all processes."""
        return self.split.n_training

    @property
    def n_seen(self) -> int:
        """Number of rows that have trained the weights, when this fit is over."""
        return self.n_training

    @property
    def net_options(self) -> dict[str, Any]:
        """What differs in how the net is trained from what the parameters say."""
        return {}

    @property
    def shuffling(self) -> torch.Generator:
        """The source of this process's draws in training; others draw otherwise."""
        rank = self.source.world.rank
        if rank == 0:
            return self.generator
        return torch.Generator("cpu").manual_seed(self.seed + RANK_STRIDE * rank)

    def epochs(self, estimator: SharedParameters, batch_size: int) -> tuple[int, int]:
        """Return the number of epochs, and after how many without progress training ends."""
        return resolve_epochs(estimator, self.n_training, batch_size)

    def pca(self, n_components: int | float) -> PCA:
        """Fit PCA of all rows, or of those that train where validation rows are held out."""
        if self.holds_out and self.split.n_validation:
            return self._pca_of_training(n_components)
        return fit_pca(self.source, self.moments, n_components, self.seed)

    def floor(self, n_components: int, whole: PCA | None) -> PCAFloor:
        """Return the PCA that may stay, which may be known already, and that of training rows."""
        whole = whole or self.pca(n_components)
        if self.holds_out or not self.split.n_validation:
            return PCAFloor(whole, whole)
        return PCAFloor(whole, self._pca_of_training(n_components))

    def _pca_of_training(self, n_components: int | float) -> PCA:
        source = self.source.subset(self.split.training)
        return fit_pca(source, Moments.of(source), n_components, self.seed)

    def rows(self, device: str) -> TrainingRows:
        """Return the rows for training on a device."""
        table, split = place(self.source, self.units, device), self.split
        training = torch.from_numpy(split.training)
        if table.weights is not None:
            table.weights = table.weights / table.subset(training).mean_weight
        validation = None
        if split.n_validation:
            validation = table.subset(torch.from_numpy(split.validation)).in_memory()
        return TrainingRows(table, table.subset(training), validation, split.groups)
