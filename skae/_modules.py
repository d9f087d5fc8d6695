"""The module layer: networks, and the contract that every autoencoder module keeps."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from itertools import pairwise
from typing import Self, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "identity": nn.Identity,
    "logistic": nn.Sigmoid,
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "elu": nn.ELU,
}


def make_linear(n_inputs: int, n_outputs: int, generator: torch.Generator | None) -> nn.Linear:
    """Build a linear layer whose weights come from ``generator``, never from torch's own."""
    # nn.Linear() draws from the global generator when it is built.
    layer = cast(nn.Linear, skip_init(nn.Linear, n_inputs, n_outputs))
    bound = n_inputs**-0.5
    nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
    nn.init.zeros_(layer.bias)
    return layer


def make_mlp(
    sizes: tuple[int, ...], activation: str, generator: torch.Generator | None
) -> nn.Sequential:
    """Build a multilayer perceptron with the layer sizes ``sizes``, inputs and outputs included."""
    make_activation: Callable[[], nn.Module] = ACTIVATIONS[activation]
    layers: list[nn.Module] = []
    for n_inputs, n_outputs in pairwise(sizes):
        layers += [make_linear(n_inputs, n_outputs, generator), make_activation()]
    return nn.Sequential(*layers[:-1])


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
    network : nn.Sequential
        The network f; its last layer, a linear one, is set to zero.
    """

    scale: Tensor
    low: Tensor
    high: Tensor

    def __init__(self, linear: nn.Linear, network: nn.Sequential) -> None:
        super().__init__()
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
        if self.training:
            self._note_range(x.detach())
            inside = x
        else:
            inside = x.clamp(self.low, self.high)
        return torch.addcmul(self.linear(x), self.network(inside), self.scale)

    def _note_range(self, x: Tensor) -> None:
        low, high = x.aminmax(dim=0)
        if not self.range_is_stale:
            low, high = torch.minimum(self.low, low), torch.maximum(self.high, high)
        self.low.copy_(low)
        self.high.copy_(high)
        self.range_is_stale = False

    def train(self, mode: bool = True) -> Self:
        """Set the mode; training begins an epoch, whose rows set the range anew."""
        self.range_is_stale = mode
        return super().train(mode)


def make_network(
    sizes: tuple[int, ...], activation: str, floor: bool, generator: torch.Generator | None
) -> nn.Module:
    """Build an encoder or a decoder; with ``floor``, one that can start at PCA."""
    network = make_mlp(sizes, activation, generator)
    if not floor or len(sizes) == 2:
        return network
    return FlooredNetwork(make_linear(sizes[0], sizes[-1], generator), network)


def linear_part(network: nn.Module) -> nn.Linear:
    """Return the layer of an encoder or decoder that carries PCA."""
    return cast(nn.Linear, network.linear if isinstance(network, FlooredNetwork) else network[0])  # type: ignore[index]


class CodeFrame(nn.Module):
    """The axes in which codes are shown: c = (z − offset) A, and back.

    The network trains in whatever axes suit it (z); the frame turns its codes into
    centred, uncorrelated, ordered ones (c) without touching a reconstruction. ``metric``
    is what one unit of each component of z is worth in the data's units.
    """

    offset: Tensor
    metric: Tensor
    axes: Tensor
    inverse_axes: Tensor

    def __init__(self, n_components: int) -> None:
        super().__init__()
        self.register_buffer("offset", torch.zeros(n_components))
        self.register_buffer("metric", torch.ones(n_components))
        self.register_buffer("axes", torch.eye(n_components))
        self.register_buffer("inverse_axes", torch.eye(n_components))

    def set_metric(self, metric: Tensor) -> None:
        """Set the unit of each of the network's components; the axes become these."""
        self.metric.copy_(metric)
        self.offset.zero_()
        self.axes.copy_(metric.diag())
        self.inverse_axes.copy_(metric.reciprocal().diag())

    def turn(self, offset: Tensor, rotation: Tensor, divisor: Tensor) -> None:
        """Centre codes at ``offset``, turn them by ``rotation`` and divide them by ``divisor``."""
        metric = self.metric.to(rotation)
        self.offset.copy_(offset)
        self.axes.copy_(metric[:, None] * rotation / divisor)
        self.inverse_axes.copy_(divisor[:, None] * rotation.T / metric)

    def forward(self, z: Tensor) -> Tensor:
        """Turn the network's codes into those that users see."""
        return (z - self.offset) @ self.axes

    def inverse(self, codes: Tensor) -> Tensor:
        """Turn users' codes into the network's."""
        return torch.addmm(self.offset, codes, self.inverse_axes)


class AutoEncoderModule(nn.Module, ABC):
    """Base of every autoencoder module: networks, a code frame, named loss terms.

    A method implements :meth:`forward` and nothing else.

    Parameters
    ----------
    encoder : nn.Module
        Maps (n_rows, n_features) to (n_rows, n_components).
    decoder : nn.Module
        Maps (n_rows, n_components) to (n_rows, n_features).
    n_components : int
        Size of the code.
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module, n_components: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.frame = CodeFrame(n_components)

    @abstractmethod
    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Reconstruct ``x`` and say what it costs.

        Parameters
        ----------
        x : Tensor of shape (n_rows, n_features)
            Rows in the model's units.

        Returns
        -------
        x_hat : Tensor of shape (n_rows, n_features)
            The reconstruction.
        terms : dict of str to Tensor
            The loss by name, each term summed over features. A term has one number a row,
            shape (n_rows,), or is a scalar where it belongs to the batch as a whole.
            Training minimises the mean over rows of their sum.
        """

    def encode(self, x: Tensor) -> Tensor:
        """Return the codes of ``x`` in the user's frame, deterministic."""
        codes: Tensor = self.frame(self.encoder(x))
        return codes

    def decode(self, codes: Tensor) -> Tensor:
        """Return the reconstruction that belongs to codes in the user's frame."""
        x_hat: Tensor = self.decoder(self.frame.inverse(codes))
        return x_hat
