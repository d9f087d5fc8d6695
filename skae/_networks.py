"""The module layer: encoders and decoders."""

from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import TYPE_CHECKING, Self, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init

if TYPE_CHECKING:
    from skae._tape import Tape

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "identity": nn.Identity,
    "logistic": nn.Sigmoid,
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "elu": nn.ELU,
}

# How many numbers are kept before their range is taken.
RANGE_SIZE = 2**20


def make_linear(n_inputs: int, n_outputs: int, generator: torch.Generator | None) -> nn.Linear:
    """Build a linear layer whose weights come from ``generator``, never from torch's own."""
    # nn.Linear() draws from the global generator when it is built.
    layer = cast(nn.Linear, skip_init(nn.Linear, n_inputs, n_outputs))
    bound = n_inputs**-0.5
    nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
    # Wide, so that the bends of the units lie all over the rows and not in their centre.
    nn.init.uniform_(layer.bias, -1, 1, generator=generator)
    return layer


class MLP(nn.Sequential):
    """Multilayer perceptron.

    Parameters
    ----------
    sizes : tuple of int
        Layer sizes, inputs and outputs included.
    activation : str
        Key of ``ACTIVATIONS``.
    generator : torch.Generator or None
        Draws the weights.

    Attributes
    ----------
    tape : Tape or None
        Trains it instead of autograd, where a net has set one.
    in_bfloat16 : bool
        Whether training multiplies in bfloat16.
    """

    tape: "Tape | None" = None
    in_bfloat16 = False

    def __init__(
        self, sizes: tuple[int, ...], activation: str, generator: torch.Generator | None
    ) -> None:
        make_activation: Callable[[], nn.Module] = ACTIVATIONS[activation]
        layers: list[nn.Module] = []
        for n_inputs, n_outputs in pairwise(sizes):
            layers += [make_linear(n_inputs, n_outputs, generator), make_activation()]
        super().__init__(*layers[:-1])

    def forward(self, x: Tensor) -> Tensor:
        """Map (n_rows, n_inputs) to (n_rows, n_outputs)."""
        if self.training:
            if self.tape is not None:
                return self.tape.mlp(self, x)
            if self.in_bfloat16:
                with torch.autocast(x.device.type, torch.bfloat16):
                    return super().forward(x).float()
        return super().forward(x)


class FlooredNetwork(nn.Module):
    """A linear map plus a network that starts at zero: y = Ax + b + s ⊙ f(clip(x)).

    The linear map carries PCA and is not trained. Outside training, f sees its inputs
    clipped to the range they had in the last epoch: beyond it a network is no guide, and
    without the clip one row far outside can cost more than all others. ``scale`` (s) is
    the size that f's outputs have to reach, so that one learning rate serves every output:
    for a decoder it is the size of the error that PCA leaves in each feature.

    Parameters
    ----------
    linear : nn.Linear
        The linear map.
    network : MLP
        The network f; its last layer is set to zero.

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

    def __init__(self, linear: nn.Linear, network: MLP) -> None:
        super().__init__()
        self.seen: list[Tensor] = []  # inputs whose range is still to be taken
        self.range_is_stale = False
        self.linear = linear.requires_grad_(False)
        self.network = network
        self.register_buffer("scale", torch.ones(linear.out_features))
        self.register_buffer("low", torch.full((linear.in_features,), -torch.inf))
        self.register_buffer("high", torch.full((linear.in_features,), torch.inf))
        last = cast(nn.Linear, network[-1])
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n_rows, n_inputs) to (n_rows, n_outputs)."""
        if not self.training:
            inside = x.clamp(self.low, self.high)
            return torch.addcmul(self.linear(x), self.network(inside), self.scale)
        if self.notes_range:
            self.seen.append(x.detach())
            if len(self.seen) * x.numel() >= RANGE_SIZE:
                self._take_range()
        if self.network.tape is not None:
            return self.network.tape.mlp(self.network, x, self)
        return torch.addcmul(self.linear(x), self.network(x), self.scale)

    def set_range(self, batches: Iterable[Tensor]) -> None:
        """Let the range be that of these inputs."""
        low, high = zip(*(torch.aminmax(x, dim=0) for x in batches), strict=True)
        self.low.copy_(torch.stack(low).amin(dim=0))
        self.high.copy_(torch.stack(high).amax(dim=0))

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


def make_network(
    sizes: tuple[int, ...], activation: str, floor: bool, generator: torch.Generator | None
) -> nn.Module:
    """Build an encoder or a decoder; with ``floor``, one that can start at PCA."""
    network = MLP(sizes, activation, generator)
    if not floor or len(sizes) == 2:
        return network
    return FlooredNetwork(make_linear(sizes[0], sizes[-1], generator), network)


def linear_part(network: nn.Module) -> nn.Linear:
    """Return the layer of an encoder or decoder that carries PCA."""
    return cast(nn.Linear, network.linear if isinstance(network, FlooredNetwork) else network[0])  # type: ignore[index]
