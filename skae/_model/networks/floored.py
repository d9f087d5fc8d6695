"""Networks that start at a linear map, such as PCA's."""

from collections.abc import Iterable
from typing import Self

import torch
from torch import Tensor, nn

from skae._data.batch import extremes_over_rows
from skae._data.world import World
from skae._model.plain.exportable import Exportable, export
from skae._model.plain.layers import Clip, Scale, Sum
from skae._model.substitute import Substitutable

# How many numbers are kept before their range is taken.
RANGE_SIZE = 2**20
# The buffers that bound its inputs.
RANGE = ("low", "high")


class Gated(Exportable):
    """A network of which nothing is known, behind a gate for each output that starts closed."""

    def __init__(self, network: nn.Module, n_outputs: int) -> None:
        super().__init__()
        self.network = network
        self.gate = nn.Parameter(torch.zeros(n_outputs, dtype=torch.float32))

    def forward(self, x: Tensor) -> Tensor:
        """Map (n_rows, n_inputs) to (n_rows, n_outputs)."""
        gated: Tensor = self.gate * self.network(x)
        return gated

    def to_torch(self) -> nn.Module:
        """Return the network and its gate."""
        return nn.Sequential(export(self.network), Scale(scale=self.gate))


class FlooredNetwork(Substitutable, Exportable):
    """A linear map plus a network that starts at zero: y = Ax + b + s ⊙ f(clip(x)).

    The linear map carries PCA and is not trained. In evaluation mode, f's inputs are clipped:
    the encoder's to the range of the training rows, the decoder's to that of the codes in the
    epoch. Without the clip one row far outside can have a larger error than all others together.
    ``scale`` (s) is the size that f's outputs have to reach, so that one learning rate serves every
    output: for a decoder it is the size of the error that PCA leaves in each feature.

    Parameters
    ----------
    linear : nn.Linear
        The linear map.
    network : nn.Module
        The network f, whose outputs are zero.

    Attributes
    ----------
    notes_range : bool
        Whether its inputs in training set the range, as those of a decoder, whose codes
        change with each epoch.
    """

    notes_range = False

    scale: Tensor
    low: Tensor
    high: Tensor

    def __init__(self, linear: nn.Linear, network: nn.Module) -> None:
        super().__init__()
        self.seen: list[Tensor] = []  # inputs whose range is still to be taken
        self.range_is_stale = False
        self.linear = linear.requires_grad_(False)
        self.network = network
        n_inputs, n_outputs = linear.in_features, linear.out_features
        self.register_buffer("scale", torch.ones(n_outputs, dtype=torch.float32))
        for name, bound in zip(RANGE, (-torch.inf, torch.inf), strict=True):
            self.register_buffer(name, torch.full((n_inputs,), bound, dtype=torch.float32))

    def forward(self, x: Tensor) -> Tensor:
        """Map (n_rows, n_inputs) to (n_rows, n_outputs)."""
        if not self.training:
            inside = x.clamp(self.low, self.high)
            return torch.addcmul(self.linear(x), self.network(inside), self.scale)
        if self.notes_range and torch._C._functorch.peek_interpreter_stack() is None:
            self.seen.append(x.detach())
            if len(self.seen) * x.numel() >= RANGE_SIZE:
                self._take_range()
        return self.run(x)

    def compute(self, x: Tensor) -> Tensor:
        """Add the network to the linear map, in training."""
        return torch.addcmul(self.linear(x), self.network(x), self.scale)

    def to_torch(self) -> nn.Module:
        """Return the linear map, whose weights can be trained, plus the network."""
        clip = Clip(low=self.low, high=self.high)
        network = nn.Sequential(clip, export(self.network), Scale(scale=self.scale))
        return Sum(export(self.linear).requires_grad_(True), network)

    def set_range(self, batches: Iterable[Tensor]) -> None:
        """Let the range be that of these inputs."""
        low, high = extremes_over_rows(batches)
        self.low.copy_(low)
        self.high.copy_(high)

    def join_range(self, world: World, n_rows: int) -> None:
        """Let the range be that of the inputs of all processes; this one has so many rows."""
        if world.size == 1:
            return
        for bound, extreme, none in (
            (self.low, world.smallest, torch.inf),
            (self.high, world.largest, -torch.inf),
        ):
            bound.copy_(extreme(bound if n_rows else torch.full_like(bound, none)))

    def widen_range(self, low: Tensor, high: Tensor) -> None:
        """Let the range be that of other inputs too, if they have one."""
        if low.isfinite().all() and high.isfinite().all():
            self.low.copy_(torch.minimum(self.low, low.to(self.low)))
            self.high.copy_(torch.maximum(self.high, high.to(self.high)))

    def _take_range(self) -> None:
        low, high = torch.aminmax(torch.cat(self.seen), dim=0)
        if not self.range_is_stale:
            low, high = torch.minimum(self.low, low), torch.maximum(self.high, high)
        self.low.copy_(low)
        self.high.copy_(high)
        self.range_is_stale = False
        self.seen.clear()

    def train(self, mode: bool = True) -> Self:
        """Set the mode; training begins an epoch, whose rows set the range anew."""
        if self.seen:
            self._take_range()
        self.range_is_stale = mode
        return super().train(mode)


def inner_network(network: nn.Module) -> nn.Module:
    """Return the network beside the linear map and behind the gate, where there are these."""
    while isinstance(network, FlooredNetwork | Gated):
        network = network.network
    return network
