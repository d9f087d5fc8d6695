"""What fills missing values once it is fitted: a Gaussian, and a network where that is better."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from skae._data.batches import RowDataset
from skae._data.sources import Array, ArraySource, rows_at_once, slices
from skae._data.split import Split, group_rows, row_keys, split_rows
from skae._model.weights import load_arrays, weights_to_arrays
from skae._start.gaussian import Gaussian, fit_gaussian
from skae._training.defaults import AUTO_BATCH_SIZE, auto_rate
from skae._training.imputer.module import build
from skae._training.imputer.scores import NormalScores, to_network
from skae._training.imputer.training import (
    COPIES,
    MOST_NUMBERS,
    VALIDATION_COPIES,
    HiddenEntries,
    count_copies,
    train_imputer,
)
from skae._training.make_net import make_fitted_net
from skae._training.net import AutoEncoderNet

# Steps of the optimizer, rows that train at most, and features beyond which no network trains.
N_STEPS, MOST_ROWS, MOST_FEATURES = 1000, 50_000, 2000


@dataclass
class NetworkFiller:
    """Fills missing values with expectations: a Gaussian's, corrected by a network.

    Attributes
    ----------
    gaussian : Gaussian
    sizes : tuple of int
        Widths of the network's hidden layers.
    scores : NormalScores or None
    net : AutoEncoderNet or None
        Both None where the Gaussian is as good alone.
    best_iter, n_iter : int
        The epoch whose weights were kept, 0 for none; number of epochs.
    """

    gaussian: Gaussian
    sizes: tuple[int, ...] = ()
    scores: NormalScores | None = None
    net: AutoEncoderNet | None = None
    best_iter: int = 0
    n_iter: int = 0

    @torch.no_grad()
    def fill(self, X: Array) -> Array:
        """Return a copy of rows in which no value is NaN."""
        gaussian = self.gaussian
        filled = gaussian.fill(X)
        if self.net is None or self.scores is None:
            return filled
        module: Any = self.net.module_
        for part in slices(len(X), rows_at_once(X.shape[1])):
            missing = np.isnan(X[part])
            rows = np.flatnonzero(missing.any(axis=1))
            if not len(rows):
                continue
            missing, start = missing[rows], filled[part][rows]
            z = to_network(gaussian, start)
            inputs = np.hstack([z, self.scores.fill(X[part][rows])])
            output = module.predict(torch.from_numpy(inputs).to(self.net.device))
            # The network's part alone is in float32.
            change = (output.cpu().numpy() - z) * gaussian.scale
            expected = np.clip(start + change, gaussian.low, gaussian.high).astype(X.dtype)
            filled[part][rows] = np.where(missing, expected, start)
        return filled

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as numbers and arrays, so that whoever loads it need trust no class."""
        state = {**vars(self), "gaussian": vars(self.gaussian)}
        net = state.pop("net")
        if net is not None and self.scores is not None:
            state["scores"] = {**vars(self.scores), "gaussian": vars(self.scores.gaussian)}
            state["weights"] = weights_to_arrays(net.module_)
            state["history"] = [dict(row) for row in net.history]
        return state

    @classmethod
    def from_dict(cls, state: dict[str, Any], device: str) -> "NetworkFiller":
        """Return what :meth:`to_dict` was called on."""
        state = {**state, "gaussian": Gaussian(**state["gaussian"])}
        weights, history = state.pop("weights", None), state.pop("history", None)
        if weights is None:
            return cls(**state)
        scores = state["scores"]
        state["scores"] = NormalScores(**{**scores, "gaussian": Gaussian(**scores["gaussian"])})
        filler = cls(**state)
        draws = torch.Generator("cpu").manual_seed(0)
        module = build(len(filler.gaussian.mean), filler.sizes, draws)
        load_arrays(module, weights)
        filler.net = make_fitted_net(module, device)
        filler.net.module_.eval()
        filler.net.history.extend(history)
        return filler


def fit_filler(
    X: Array,
    weights: Array,
    seed: int,
    *,
    sizes: tuple[int, ...],
    max_iter: int | str,
    device: str,
    verbose: int,
) -> NetworkFiller:
    """Fit a Gaussian, and train a network on top of it; keep it where that is better.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_features)
        NaN is missing; each column has an observed entry.
    weights : ndarray of shape (n_rows,)
        All positive; their mean is 1.
    seed : int
    sizes : tuple of int
        Widths of the encoder's hidden layers; () means no network.
    max_iter : int or "auto"
    device : str
    verbose : int
    """
    generator = torch.Generator("cpu").manual_seed(seed)
    # Sorted, because rows are read in order of position.
    most = min(MOST_ROWS, MOST_NUMBERS // (4 * X.shape[1]))
    rows = np.sort(torch.randperm(len(X), generator=generator)[:most].numpy())
    split = split_for_filler(X, rows, generator) if sizes else None
    if split is not None:
        training, validation = np.sort(rows[split.training]), rows[split.validation]
        gaussian = fit_gaussian(ArraySource(X, training), seed, weights[training])
        scores = NormalScores.fit(X[training], weights[training], seed)
        filler = NetworkFiller(gaussian, sizes, scores)
        rng = np.random.default_rng((seed, 2))
        train, judges = (
            HiddenEntries(gaussian, scores, X[which].astype(np.float64), weights[which], rng)
            for which in (training, validation)
        )
        options = {"device": device, "generator": generator, "verbose": verbose}
        train_network(filler, train, judges, max_iter, options)
        if filler.best_iter:
            return filler
    n_iter = 0 if split is None else filler.n_iter
    return NetworkFiller(fit_gaussian(ArraySource(X), seed, weights), sizes, n_iter=n_iter)


def split_for_filler(X: Array, rows: NDArray[np.int64], generator: torch.Generator) -> Split | None:
    """Choose the validation rows; None where no network is to be trained."""
    if not 1 < X.shape[1] <= MOST_FEATURES:
        return None
    order = torch.randperm(len(rows), generator=generator).numpy()
    equal = group_rows(row_keys(ArraySource(X, rows), np.float64), None)
    split = split_rows(equal, "auto", order, np.zeros(len(rows), dtype=bool))
    return split if len(split.validation) else None


def train_network(
    filler: NetworkFiller,
    train: HiddenEntries,
    validation: HiddenEntries,
    max_iter: int | str,
    options: dict[str, Any],
) -> None:
    """Train the network of a filler, and note how that went."""
    (n, d), n_validation, device = train.X.shape, len(validation.X), options["device"]
    table = train.table(count_copies(n, d, COPIES), judges=False)
    copies = count_copies(n_validation, d, VALIDATION_COPIES)
    judges = validation.table(copies, judges=True)
    module = build(d, filler.sizes, options["generator"])
    module.start(table)
    rate, betas = auto_rate(filler.sizes, d, draws_codes=False)
    n_batches = math.ceil(len(table) / AUTO_BATCH_SIZE)
    auto = math.ceil(N_STEPS / n_batches)
    filler.net, filler.best_iter = train_imputer(
        module,
        RowDataset(table.to(device), device=device),
        RowDataset(judges.to(device), device=device),
        n_validation,
        n_epochs=auto if max_iter == "auto" else int(max_iter),
        batch_size=AUTO_BATCH_SIZE,
        lr=rate,
        learning_rate="one_cycle",
        optimizer__betas=betas,
        optimizer__weight_decay=0.01,
        **options,
    )
    filler.n_iter = len(filler.net.history)
