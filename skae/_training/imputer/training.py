"""How a network learns to fill missing values: from values that are hidden from it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skae._data.batches import RowDataset
from skae._data.sources import Array, rows_at_once, slices
from skae._model.module import AutoEncoderModule
from skae._start.gaussian import Gaussian
from skae._training.imputer.scores import NormalScores, to_network
from skae._training.make_net import make_net
from skae._training.net import AutoEncoderNet
from skae._training.outside.progress import showing
from skae._training.selection import KeepBest, is_improvement

# Between which shares of a row's observed entries are hidden; one is drawn for each row.
HIDDEN, HIDDEN_FROM_JUDGES = (0.05, 0.6), (0.05, 0.3)
# Copies of each row, with other entries hidden in each: of those that train, of those that judge.
COPIES, VALIDATION_COPIES = 12, 8
# How many numbers the copies may have.
MOST_NUMBERS = 2**26


@dataclass(frozen=True)
class HiddenEntries:
    """Rows with missing values, of which more entries are hidden, for :class:`ImputerModule`.

    Attributes
    ----------
    gaussian : Gaussian
        Fills the rows, and standardises columns.
    scores : NormalScores
    X : ndarray of shape (n_rows, n_features), float64
        NaN is missing.
    weights : ndarray of shape (n_rows,)
        How much each row counts.
    rng : numpy.random.Generator
    """

    gaussian: Gaussian
    scores: NormalScores
    X: Array
    weights: Array
    rng: np.random.Generator

    def table(self, n_copies: int, *, judges: bool) -> Tensor:
        """Return each row as [filled | filled scores | true | weights of errors], standardised.

        Parameters
        ----------
        n_copies : int
            Of each row; copies of the whole table follow each other.
        judges : bool
            Whether the hidden entries alone count, and not all that were observed.

        Returns
        -------
        Tensor of shape (n_copies * n_rows, 4 * n_features)
        """
        n, d = self.X.shape
        between = HIDDEN_FROM_JUDGES if judges else HIDDEN
        table = np.empty((n_copies, n, 4, d), dtype=np.float32)
        for copy in table:
            for rows in slices(n, rows_at_once(d)):
                X = self.X[rows]
                observed = ~np.isnan(X)
                share = self.rng.uniform(*between, size=(len(X), 1))
                hidden = observed & (self.rng.random(X.shape) < share)
                known = np.where(hidden, np.nan, X)
                copy[rows, 0] = to_network(self.gaussian, self.gaussian.fill(known))
                copy[rows, 1] = self.scores.fill(known)
                copy[rows, 2] = to_network(self.gaussian, X)
                copy[rows, 3] = (hidden if judges else observed) * self.weights[rows, None]
        return torch.from_numpy(table.reshape(n_copies * n, 4 * d))


def count_copies(n_rows: int, n_features: int, most: int) -> int:
    """Return how many copies of each row there are to be: as many as fit into memory."""
    return max(1, min(most, MOST_NUMBERS // (4 * n_rows * n_features)))


def train_imputer(
    module: AutoEncoderModule,
    train: RowDataset,
    validation: RowDataset,
    n_validation: int,
    **options: Any,
) -> tuple[AutoEncoderNet, int]:
    """Train a module that starts at the Gaussian's expectations.

    Parameters
    ----------
    module : AutoEncoderModule
    train, validation : RowDataset
        What :meth:`HiddenEntries.table` returned.
    n_validation : int
        Number of validation rows, each of which has several copies.
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
    floor = losses_by_row(net, validation, n_validation)
    best.start(float(floor.mean()), module)
    with showing(net, "AutoEncoderImputer") as progress:
        net.train(train, validation)
    best.restore(module)
    trained = losses_by_row(net, validation, n_validation)
    if best.epoch_ and not is_improvement(floor, trained):
        best.restore_start(module)
    epoch = best.epoch_
    progress.conclude(net, epoch, is_pca=False)
    best.forget()
    module.eval()
    return net, epoch


def losses_by_row(net: AutoEncoderNet, validation: RowDataset, n_rows: int) -> Array:
    """Return the mean loss of the copies of each validation row."""
    losses, _ = net.losses(validation)
    means: Array = losses.reshape(-1, n_rows).mean(axis=0)
    return means
