"""Dense networks, and the layers that all networks are made of."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from skae._files.words import shown, shown_error
from skae._model.plain.exportable import Exportable, copy_as, export
from skae._model.seeding import Drawing, seed_draws
from skae._model.substitute import Substitutable

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


def make_activation(activation: Activation) -> nn.Module:
    """Build a nonlinearity, or raise ValueError where a class is none."""
    if isinstance(activation, str):
        return ACTIVATIONS[activation]()
    probe = torch.zeros(3, 2, dtype=torch.float32)
    other = torch.tensor([[0, 1]] * 3, dtype=torch.float32)
    try:
        layer = seed_draws(activation(), probe)
        output = layer.eval()(probe.clone())
        first, again = output[:, :1], layer(other.clone())[:, :1]
        shape, mixes = output.shape, not torch.allclose(first, again, equal_nan=True)
    except Exception as error:
        raise ValueError(
            f"activation={shown(activation)} is no activation: {shown_error(error)}"
        ) from error
    if shape != (3, 2):
        raise ValueError(
            f"activation={shown(activation)} changes the shape of its input; pass a function of "
            "each number, such as torch.nn.ReLU."
        )
    if mixes:
        raise ValueError(
            f"activation={shown(activation)} makes a unit depend on the others of its layer; pass "
            "a function of each number, such as torch.nn.ReLU, or a network as encoder."
        )
    return layer.train()


class Linear(nn.Linear, Exportable):
    """A linear layer whose weights are not drawn, as torch's are from its global generator."""

    def reset_parameters(self) -> None:
        """Leave the weights as they are: :func:`make_linear` draws them."""

    def to_torch(self) -> nn.Module:
        """Return a copy."""
        return copy_as(self, nn.Linear)


def make_linear(n_inputs: int, n_outputs: int, generator: torch.Generator | None) -> Linear:
    """Build a linear layer whose weights come from ``generator``."""
    layer = Linear(n_inputs, n_outputs, dtype=torch.float32)
    bound = n_inputs**-0.5
    nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
    # Wide, so that the bends of the units lie all over the rows and not in their centre.
    nn.init.uniform_(layer.bias, -1, 1, generator=generator)
    return layer


class MLP(Substitutable, nn.Sequential, Exportable):
    """Multilayer perceptron.

    Parameters
    ----------
    sizes : tuple of int
        Layer sizes, inputs and outputs included.
    activation : str or type
        Key of ``ACTIVATIONS``, or a class of modules.
    generator : torch.Generator or None
        Draws the weights.
    """

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

    @property
    def linear(self) -> nn.Linear:
        """The layer that is the whole network, where there is but one."""
        return cast(nn.Linear, self[0])

    def forward(self, x: Tensor) -> Tensor:
        """Map (n_rows, n_inputs) to (n_rows, n_outputs)."""
        return self.run(x)

    def compute(self, x: Tensor) -> Tensor:
        """Apply one layer after the other."""
        for layer in self:
            x = layer(x)
        return x

    def to_torch(self) -> nn.Sequential:
        """Return the layers."""
        return nn.Sequential(*map(export, self))


class Dropout(Drawing, Exportable):
    """Dropout whose draws come from the fit's generator; nn.Dropout's come from torch's own."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x``; in training a share of p at zero, and the rest larger for it."""
        if not self.training or self.p == 0:
            return x
        kept = torch.rand(x.shape, generator=self.generator, device=x.device, dtype=x.dtype)
        return x * (kept >= self.p) / (1 - self.p)

    def to_torch(self) -> nn.Module:
        """Return a layer that does nothing, as this one does in evaluation mode."""
        return nn.Identity()


def places(network: nn.Module) -> Iterator[tuple[nn.Module, str, nn.Module]]:
    """Yield every place of a layer in a network, in order: its parent, its name, the layer.

    A layer that is used twice has two places.
    """
    for name, layer in list(network._modules.items()):
        if layer is not None:
            yield network, name, layer
            yield from places(layer)


def replace_layers(network: nn.Module, replace: Callable[[nn.Module], nn.Module | None]) -> int:
    """Put other layers in the places where ``replace`` returns some; return how many."""
    n_replaced = 0
    for parent, name, layer in list(places(network)):
        other = replace(layer)
        if other is not None:
            setattr(parent, name, other)
            n_replaced += 1
    return n_replaced
