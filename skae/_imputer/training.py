"""How a network learns to fill missing values: from values that are hidden from it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skae._data.batches import RowDataset
from skae._data.sources import Array, rows_at_once, slices
from skae._model.module import AutoEncoderModule
from skae._start.gaussian import Gaussian, standardise
from skae._training.make_net import make_net
from skae._training.net import AutoEncoderNet
from skae._training.selection import KeepBest, is_improvement

# Between which shares of a row's observed entries are hidden; one is drawn for each row.
HIDDEN, HIDDEN_FROM_JUDGES = (0.05, 0.6), (0.05, 0.3)
# How much an error of an entry that is not hidden counts in training.
SEEN_WEIGHT = 1.0
# Copies of each row, with other entries hidden in each: of those that train, of those that judge.
COPIES, VALIDATION_COPIES = 12, 4
# How many numbers the copies may have.
MOST_NUMBERS = 2**26
# Standardised values beyond are cut for the network.
FARTHEST = 1e6


@dataclass(frozen=True)
class HiddenEntries:
    """Rows with missing values, of which more entries are hidden, for :class:`ImputerModule`.

    Attributes
    ----------
    gaussian : Gaussian
        Fills the rows, and standardises columns.
    X : ndarray of shape (n_rows, n_features), float64
        NaN is missing.
    weights : ndarray of shape (n_rows,)
        How much each row counts.
    rng : numpy.random.Generator
    """

    gaussian: Gaussian
    X: Array
    weights: Array
    rng: np.random.Generator

    def table(self, n_copies: int, *, judges: bool) -> Tensor:
        """Return each row as [filled | true | weight of the entries' errors], standardised.

        Parameters
        ----------
        n_copies : int
            Of each row; copies of the whole table follow each other.
        judges : bool
            Whether the hidden entries alone count, and not all that were observed.

        Returns
        -------
        Tensor of shape (n_copies * n_rows, 3 * n_features)
        """
        n, d = self.X.shape
        between, seen = (HIDDEN_FROM_JUDGES, 0.0) if judges else (HIDDEN, SEEN_WEIGHT)
        table = np.empty((n_copies, n, 3, d), dtype=np.float32)
        for copy in table:
            for rows in slices(n, rows_at_once(d)):
                X = self.X[rows]
                observed = ~np.isnan(X)
                share = self.rng.uniform(*between, size=(len(X), 1))
                hidden = observed & (self.rng.random(X.shape) < share)
                filled = self.gaussian.fill(np.where(hidden, np.nan, X))
                copy[rows, 0] = to_network(self.gaussian, filled)
                copy[rows, 1] = to_network(self.gaussian, X)
                copy[rows, 2] = np.where(hidden, 1, seen * observed) * self.weights[rows, None]
        return torch.from_numpy(table.reshape(n_copies * n, 3 * d))


def to_network(gaussian: Gaussian, X: Array) -> NDArray[np.float32]:
    """Return standardised rows that float32 can hold; zeros for NaN."""
    z = standardise(X, gaussian.mean, gaussian.scale)
    return np.clip(z, -FARTHEST, FARTHEST).astype(np.float32)


def count_copies(n_rows: int, n_features: int) -> int:
    """Return how many copies of each row fit into memory."""
    return max(1, min(COPIES, MOST_NUMBERS // (3 * n_rows * n_features)))


def train_imputer(
    module: AutoEncoderModule, train: RowDataset, validation: RowDataset, **options: Any
) -> tuple[AutoEncoderNet, int]:
    """Train a module that starts at the Gaussian's expectations.

    Parameters
    ----------
    module : AutoEncoderModule
    train, validation : RowDataset
        What :meth:`HiddenEntries.table` returned; the rows that validate in
        ``VALIDATION_COPIES`` copies.
    **options
        Of the net; ``n_epochs`` says how long it is trained.

    Returns
    -------
    net : AutoEncoderNet
    epoch : int
        The epoch whose weights it has; 0 where none predicts the hidden entries of the validation
        rows better than the Gaussian beyond chance.
    """
    best = KeepBest(tol=1e-4)
    n_epochs = options.pop("n_epochs")
    net = make_net(module, best=best, **options)
    net.max_epochs = best.patience_ = n_epochs
    floor = losses_by_row(net, validation)
    best.start(float(floor.mean()), module)
    net.train(train, validation)
    best.restore(module)
    trained = losses_by_row(net, validation)
    if best.epoch_ and not is_improvement(floor, trained):
        best.restore_start(module)
    epoch = best.epoch_
    best.forget()
    module.eval()
    return net, epoch


def losses_by_row(net: AutoEncoderNet, validation: RowDataset) -> Array:
    """Return the mean loss of the copies of each validation row."""
    losses, _ = net.losses(validation)
    means: Array = losses.reshape(VALIDATION_COPIES, -1).mean(axis=0)
    return means
