"""The loss terms of a pass over rows."""

import torch
from torch import Tensor

from skae._data.batch import weighted_mean
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
