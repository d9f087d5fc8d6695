"""The loss terms of a pass over rows."""

import torch
from skorch.history import History
from torch import Tensor

from skae._data.batch import row_weights, weighted_mean
from skae._data.units import to_float64


class PassTerms:
    """Collects the loss terms of batches, and takes their means over all rows, with weights."""

    def __init__(self) -> None:
        self.by_name: dict[str, list[Tensor]] = {}
        self.weights: list[Tensor] = []

    def add(self, terms: dict[str, Tensor], n_rows: int, weights: Tensor | None) -> None:
        """Add the terms of a batch of so many rows."""
        for name, term in terms.items():
            # Tensors, not numbers: .item() would wait for the device in each batch.
            self.by_name.setdefault(name, []).append(term.detach().expand(n_rows))
        if weights is not None:
            self.weights.append(weights)

    def means(self, *, wide: bool = False) -> dict[str, float]:
        """Return the mean of each term; ``wide`` takes it in float64."""
        weights = torch.cat(self.weights) if self.weights else None
        rows = [torch.cat(batches) for batches in self.by_name.values()]
        if wide:
            rows = [to_float64(values) for values in rows]
        means = torch.stack([weighted_mean(values, weights) for values in rows]).tolist()
        return dict(zip(self.by_name, means, strict=True))

    def totals(self) -> Tensor:
        """Return the sum of all terms of every row, in float64."""
        terms = [torch.cat(batches) for batches in self.by_name.values()]
        return to_float64(torch.stack(terms).sum(dim=0))


def step_loss(terms: dict[str, Tensor]) -> Tensor:
    """Return the sum of the means of loss terms: of terms of single rows with their weights."""
    weights = row_weights()
    means = [
        (term if weights is None or term.dim() == 0 else weights * term).mean()
        for term in terms.values()
    ]
    return means[0] if len(means) == 1 else torch.stack(means).sum()


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
