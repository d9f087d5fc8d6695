"""The module layer: encoders and decoders."""

from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import TYPE_CHECKING, Self, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init

from skae.functional import extremes

if TYPE_CHECKING:
    from skae._training.tape import Tape

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "identity": nn.Identity,
    "logistic": nn.Sigmoid,
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "elu": nn.ELU,
}

# Its key in ACTIVATIONS, or a class to be built without arguments.
Activation = str | type[nn.Module]

# How many numbers are kept before their range is taken.
RANGE_SIZE = 2**20


def make_activation(activation: Activation) -> nn.Module:
    """Build a nonlinearity, or raise ValueError where a class is none."""
    if isinstance(activation, str):
        return ACTIVATIONS[activation]()
    try:
        layer = activation()
        shape = layer(torch.zeros(3, 2)).shape
    except Exception as error:
        raise ValueError(f"activation={activation!r} is no activation: {error}") from error
    if shape != (3, 2):
        raise ValueError(f"activation={activation!r} changes the shape of its input.")
    return layer


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
    activation : str or type
        Key of ``ACTIVATIONS``, or a class of modules.
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
        self, sizes: tuple[int, ...], activation: Activation, generator: torch.Generator | None
    ) -> None:
        layers: list[nn.Module] = []
        for n_inputs, n_outputs in pairwise(sizes):
            layers += [make_linear(n_inputs, n_outputs, generator), make_activation(activation)]
        super().__init__(*layers[:-1])

    @property
    def last(self) -> list[nn.Module]:
        """The layers whose sum are the outputs."""
        return [self[-1]]

    def forward(self, x: Tensor) -> Tensor:
        """Map (n_rows, n_inputs) to (n_rows, n_outputs)."""
        if self.training:
            if self.tape is not None:
                return self.tape.mlp(self, x)
            if self.in_bfloat16:
                with torch.autocast(x.device.type, torch.bfloat16):
                    return super().forward(x).float()
        return super().forward(x)


class Dropout(nn.Module):
    """Dropout whose draws come from the fit's generator; nn.Dropout's come from torch's own.

    Attributes
    ----------
    generator : torch.Generator or None
        Set by the net, on its device.
    """

    generator: torch.Generator | None = None

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x``; in training a share of p at zero, and the rest larger for it."""
        if not self.training or self.p == 0:
            return x
        kept = torch.rand(x.shape, generator=self.generator, device=x.device) >= self.p
        return x * kept / (1 - self.p)


def replace_layers(network: nn.Module, replace: Callable[[nn.Module], nn.Module | None]) -> int:
    """Replace layers inside a network where ``replace`` gives others; return how many."""
    found = 0
    for name, layer in list(network.named_children()):
        other = replace(layer)
        if other is None:
            found += replace_layers(layer, replace)
        else:
            setattr(network, name, other)
            found += 1
    return found


class TiedLinear(nn.Module):
    """A linear layer whose weight is the transpose of its twin's; the bias is its own.

    Of a twin with more outputs than there are ``n_inputs`` it has the first ones' weights.
    """

    def __init__(self, twin: nn.Linear, n_inputs: int) -> None:
        super().__init__()
        self._twin = [twin]  # a list, so that torch does not count the weight twice
        self.bias = nn.Parameter(twin.weight.new_zeros(twin.in_features))
        self.in_features, self.out_features = n_inputs, twin.in_features

    @property
    def weight(self) -> Tensor:
        """The twin's weight, transposed."""
        return self._twin[0].weight[: self.in_features].t()

    def forward(self, x: Tensor) -> Tensor:
        """Map (n_rows, in_features) to (n_rows, out_features)."""
        return nn.functional.linear(x, self.weight, self.bias)


class TiedMLP(nn.Sequential):
    """The decoder that has an encoder's weights, transposed, and biases of its own."""

    def __init__(
        self,
        twin: MLP,
        n_inputs: int,
        activation: Activation,
        generator: torch.Generator | None,
    ) -> None:
        layers: list[nn.Module] = []
        for linear in [layer for layer in twin if isinstance(layer, nn.Linear)][::-1]:
            tied = TiedLinear(linear, linear.out_features if layers else n_inputs)
            nn.init.uniform_(tied.bias, -1, 1, generator=generator)
            layers += [tied, make_activation(activation)]
        super().__init__(*layers[:-1])


class Gated(nn.Module):
    """A network of which nothing is known, behind a gate for each output that starts closed."""

    def __init__(self, network: nn.Module, n_outputs: int) -> None:
        super().__init__()
        self.network = network
        self.gate = nn.Parameter(torch.zeros(n_outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Map (n_rows, n_inputs) to (n_rows, n_outputs)."""
        gated: Tensor = self.gate * self.network(x)
        return gated


class FlooredNetwork(nn.Module):
    """A linear map plus a network that starts at zero: y = Ax + b + s ⊙ f(clip(x)).

    The linear map carries PCA and is not trained. Outside training, f sees its inputs
    clipped to their range: that of the training rows, or of the codes in an epoch. Beyond it
    a network is no guide, and without the clip one row far outside can cost more than all
    others. ``scale`` (s) is the size that f's outputs have to reach, so that one learning rate
    serves every output: for a decoder it is the size of the error that PCA leaves in each feature.

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
        self.register_buffer("scale", torch.ones(linear.out_features))
        self.register_buffer("low", torch.full((linear.in_features,), -torch.inf))
        self.register_buffer("high", torch.full((linear.in_features,), torch.inf))

    def forward(self, x: Tensor) -> Tensor:
        """Map (n_rows, n_inputs) to (n_rows, n_outputs)."""
        if not self.training:
            inside = x.clamp(self.low, self.high)
            return torch.addcmul(self.linear(x), self.network(inside), self.scale)
        if self.notes_range:
            self.seen.append(x.detach())
            if len(self.seen) * x.numel() >= RANGE_SIZE:
                self._take_range()
        if isinstance(self.network, MLP) and self.network.tape is not None:
            return self.network.tape.mlp(self.network, x, self)
        return torch.addcmul(self.linear(x), self.network(x), self.scale)

    def set_range(self, batches: Iterable[Tensor]) -> None:
        """Let the range be that of these inputs."""
        low, high = extremes(batches)
        self.low.copy_(low)
        self.high.copy_(high)

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


def linear_part(network: nn.Module) -> nn.Linear | TiedLinear:
    """Return the layer of an encoder or decoder that carries PCA."""
    return cast(nn.Linear, network.linear if isinstance(network, FlooredNetwork) else network[0])  # type: ignore[index]
