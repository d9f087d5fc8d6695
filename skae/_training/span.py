"""Training on few rows of many features, in the space that the rows lie in.

A table of n rows spans no more than n dimensions. In an orthonormal basis B of these, rows x are
Bx, and every squared distance is what it was: of training rows and of validation rows, since B
spans them all. So a network trains there, on n numbers a row instead of n_features, from PCA as
everywhere. Then it becomes a network of n_features inputs and outputs again: Wx in the basis is
(WB)x. What a new row has outside the span no network sees, but for the clip of its inputs, and
none reconstructs; nor does PCA, whose components lie in the span too.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import torch
from torch import Tensor, nn

from skae._data.batch import counting, mean_over_rows
from skae._data.batches import RowDataset
from skae._data.sources import PART_SIZE
from skae._data.units import to_float64
from skae._model.module import AutoEncoderModule
from skae._model.networks.floored import FlooredNetwork
from skae._model.networks.mlp import MLP
from skae._model.weights import copy_weights
from skae._training.selection import Training

# Features for each row from which on the basis pays: see benchmarks/README.md.
MANY = 2
# Fewer features than these take no time worth saving.
FEWEST_FEATURES = 256
# Beyond so many rows their basis takes longer than it saves.
MAX_ROWS = 2000
# Directions along which rows have less than this share of the largest sum of squares are rounding.
ROUNDING = 1e-11


@contextmanager
def in_span(training: Training) -> Iterator[tuple[RowDataset, RowDataset | None]]:
    """Yield the rows on which to train a net, and those that validate it.

    Where there are few rows of many features, and nothing that the module computes depends on the
    axes in which rows are given, these are coordinates in the span of the rows, and inside this
    context the net's module has networks for these.
    """
    table, module = training.table, training.net.module_
    basis = None
    if is_wide(training) and has_no_axes(module):
        rows = table.take(torch.arange(len(table)))
        basis = find_basis(table.world.concatenate(rows))
        basis = table.world.agree(None if basis is None else basis.cpu())
    if basis is None:
        yield training.train, training.validation
        return
    basis = basis.to(rows)
    coordinates = RowDataset(
        rows @ basis.T, device=table.device, weights=table.weights, world=table.world
    )
    del rows
    train = coordinates.subset(training.train.index)
    validation = None
    if training.validation is not None:
        validation = coordinates.subset(training.validation.index)
    networks = NarrowNetworks(module, basis, train)
    training.net.initialize_optimizer()
    training.compare(train)
    training.networks = networks
    yield train, validation
    training.networks = None
    best = training.best
    if best.epoch_ > 0:
        best.restore(module)
    with counting(None, world=table.world):
        networks.widen(x for x, _ in training.net.get_iterator(training.train))
    if best.epoch_ > 0:
        best.weights_ = copy_weights(module)


def is_wide(training: Training) -> bool:
    """Tell whether a table has so many features for its rows that the basis pays."""
    n_rows, n_features = training.table.n_rows, training.table.n_features
    is_wide = FEWEST_FEATURES <= n_features > MANY * n_rows and n_rows <= MAX_ROWS
    is_wide = is_wide and training.table.is_whole
    # Weights of the last fit may read what these rows do not span.
    return is_wide and training.start.former is None


def has_no_axes(module: AutoEncoderModule) -> bool:
    """Tell whether a module trains in the same way in whatever axes rows are given."""
    parts = (module.encoder, module.decoder)
    dense = all(isinstance(p, FlooredNetwork) and isinstance(p.network, MLP) for p in parts)
    return dense and module.is_isotropic and module.loss.is_isotropic


def find_basis(rows: Tensor) -> Tensor | None:
    """Return orthonormal directions that span rows, shape (n_directions, n_features).

    None where all rows are zero.

    They are turned at random, because AdamW steps alike along all axes: along the principal ones,
    of which the last hold next to nothing, networks learn much less.
    """
    size = max(256, PART_SIZE // len(rows))
    parts = rows.split(size, dim=1)
    gram = sum((to_float64(p) @ to_float64(p).T for p in parts), start=torch.zeros(()))
    squares, vectors = torch.linalg.eigh(gram)
    kept = squares > ROUNDING * squares[-1]
    n = int(kept.sum())
    if n == 0:
        return None
    draws = torch.randn(n, n, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    turn = torch.linalg.qr(draws).Q.to(gram) @ (vectors[:, kept] / squares[kept].sqrt()).T
    return torch.hstack([(turn @ to_float64(p)).to(rows) for p in parts])


class NarrowNetworks:
    """Makes a module's networks ones of coordinates in a basis, and these ones of rows again.

    Parameters
    ----------
    module : AutoEncoderModule
        With dense networks beside linear maps; they are at zero.
    basis : Tensor of shape (n_directions, n_features)
        Orthonormal.
    train : RowDataset
        Coordinates of the training rows.
    """

    def __init__(self, module: AutoEncoderModule, basis: Tensor, train: RowDataset) -> None:
        self.basis = basis
        self.encoder = cast(FlooredNetwork, module.encoder)
        self.decoder = cast(FlooredNetwork, module.decoder)
        network, output = cast(MLP, self.encoder.network), cast(MLP, self.decoder.network)
        self.first, self.last = cast(nn.Linear, network[0]), cast(nn.Linear, output[-1])
        # What is replaced: the module's own tensors, by the part that has them and their name.
        self.replaced: list[tuple[nn.Module, str, Tensor]] = []
        with torch.no_grad():
            self._narrow()
            x = train.take(torch.arange(len(train)))
            z = self.encoder.linear(x)[:, : module.n_components]
            residuals = x - self.decoder.linear(z)
            with counting(None, None, train.world):
                variances = mean_over_rows(residuals.square())
            self._replace(self.decoder, "scale", variances.sqrt())

    def _narrow(self) -> None:
        n = len(self.basis)
        for layer in (self.encoder.linear, self.first):
            self._replace(layer, "weight", layer.weight @ self.basis.T)
        for layer in (self.decoder.linear, self.last):
            self._replace(layer, "weight", self.basis @ layer.weight)
            self._replace(layer, "bias", self.basis @ layer.bias)
        for name in ("low", "high"):
            self._replace(self.encoder, name, getattr(self.encoder, name)[:1].expand(n).clone())

    def _replace(self, part: nn.Module, name: str, value: Tensor) -> None:
        own = getattr(part, name)
        self.replaced.append((part, name, own))
        if isinstance(own, nn.Parameter):
            value = nn.Parameter(value, requires_grad=own.requires_grad)
        setattr(part, name, value)

    @contextmanager
    def widened(self, batches: Iterator[Tensor]) -> Iterator[None]:
        """Let the networks be ones of rows inside this context."""
        narrow = [(part, name, getattr(part, name)) for part, name, _ in self.replaced]
        try:
            self.widen(batches)
            yield
        finally:
            for part, name, own in narrow:
                setattr(part, name, own)

    def widen(self, batches: Iterator[Tensor]) -> None:
        """Make the networks ones of rows again; ``batches`` are the training rows."""
        first, last, scale = self.first.weight, self.last, self.decoder.scale
        with torch.no_grad():
            reads = first @ self.basis
            writes = self.basis.T @ (scale[:, None] * last.weight)
            bias = self.basis.T @ (scale * last.bias)
            for part, name, own in self.replaced:
                setattr(part, name, own)
            divisor = torch.where(self.decoder.scale > 0, self.decoder.scale, 1.0)
            self.decoder.scale.copy_(divisor)
            self.first.weight.copy_(reads)
            last.weight.copy_(writes / divisor[:, None])
            last.bias.copy_(bias / divisor)
            self.encoder.set_range(batches)
