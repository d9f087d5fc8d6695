"""The loss terms of a pass over rows."""

import torch
from skorch.history import History
from torch import Tensor

from skae._data.batch import Batch, counting, mean_over_rows, row_weights
from skae._data.units import to_float64
from skae._data.world import ALONE, World

NOTHING_TO_TRAIN = (
    "encoder and decoder leave nothing to train; let one of their networks have parameters that "
    "require a gradient, and compute its outputs with torch, without detach()."
)


class PassTerms:
    """Collects the loss terms of batches, and takes their means over all rows, with weights.

    Parameters
    ----------
    world : World
        The processes over whose rows the means are.
    """

    def __init__(self, world: World = ALONE) -> None:
        self.world = world
        self.by_name: dict[str, list[Tensor]] = {}
        self.weights: list[Tensor] = []

    def add(self, terms: dict[str, Tensor], batch: Batch) -> None:
        """Add the terms of a batch."""
        for name, term in terms.items():
            # Tensors, not numbers: .item() would wait for the device in each batch.
            values = term.detach().expand(len(batch.x))[: batch.n_rows]
            self.by_name.setdefault(name, []).append(values)
        if batch.weights is not None:
            self.weights.append(batch.weights[: batch.n_rows])

    def means(self, *, wide: bool = False) -> dict[str, float]:
        """Return the mean of each term; ``wide`` takes it in float64."""
        weights = torch.cat(self.weights) if self.weights else None
        rows = [torch.cat(batches) for batches in self.by_name.values()]
        if wide or self.world.size > 1:
            rows = [to_float64(values) for values in rows]
        if weights is not None and len(weights) < len(rows[0]):
            weights = None  # those of rows that stand in for none
        with counting(None, weights, self.world):
            means = torch.stack([mean_over_rows(values) for values in rows]).tolist()
        return dict(zip(self.by_name, means, strict=True))

    def totals(self) -> Tensor:
        """Return the sum of all terms of every row of all processes, in float64."""
        terms = [torch.cat(batches) for batches in self.by_name.values()]
        return self.world.concatenate(to_float64(torch.stack(terms).sum(dim=0)))


def step_loss(terms: dict[str, Tensor], *, training: bool = False) -> Tensor:
    """Return the sum of the means of loss terms: of terms of single rows with their weights.

    In training, ValueError is raised where nothing that is trained has brought the loss about.
    """
    weights = row_weights()
    means = [
        (term if weights is None or term.dim() == 0 else weights * term).mean()
        for term in terms.values()
    ]
    loss = means[0] if len(means) == 1 else torch.stack(means).sum()
    if training and not loss.requires_grad:
        raise ValueError(NOTHING_TO_TRAIN)
    return loss


def record_batch(history: History, prefix: str, loss: float, n_rows: int) -> None:
    """Record the loss of a batch of so many rows."""
    history.record_batch(f"{prefix}_loss", loss)
    history.record_batch(f"{prefix}_batch_size", n_rows)


def record_epoch(history: History, prefix: str, means: dict[str, float], lowest: float) -> float:
    """Record the mean loss of an epoch and of its terms; return the lowest loss until now."""
    loss = sum(means.values())
    for name, mean in {"loss": loss, **means}.items():
        history.record(f"{prefix}_{name}", mean)
    # skorch's Checkpoint and PrintLog look for this column.
    history.record(f"{prefix}_loss_best", loss < lowest)
    return min(lowest, loss)
