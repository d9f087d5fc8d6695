"""Decoders that have their encoder's weights, transposed."""

from typing import cast

import torch
from torch import Tensor, nn

from skae._model.networks.mlp import MLP, Activation, make_activation
from skae._model.plain.exportable import Exportable, export, make_plain_linear


class TiedLinear(Exportable):
    """A linear layer whose weight is the transpose of its twin's; the bias is its own.

    Of a twin with more outputs than there are ``n_inputs`` it has the first ones' weights.
    """

    def __init__(self, twin: nn.Linear, n_inputs: int) -> None:
        super().__init__()
        self._twin = [twin]  # a list, so that torch does not count the weight twice
        self.bias = nn.Parameter(twin.weight.new_zeros(twin.in_features))
        self.in_features, self.out_features = n_inputs, twin.in_features

    @property
    def twin(self) -> nn.Linear:
        """The layer whose weight this one has."""
        return self._twin[0]

    @property
    def weight(self) -> Tensor:
        """The twin's weight, transposed; writing into it changes the twin's."""
        return self.twin.weight[: self.in_features].t()

    def forward(self, x: Tensor) -> Tensor:
        """Map (n_rows, in_features) to (n_rows, out_features)."""
        return nn.functional.linear(x, self.weight, self.bias)

    def to_torch(self) -> nn.Linear:
        """Return a layer with a weight of its own."""
        return make_plain_linear(self.weight, self.bias)


class TiedMLP(nn.Sequential, Exportable):
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

    @property
    def linear(self) -> TiedLinear:
        """The layer that is the whole network, where there is but one."""
        return cast(TiedLinear, self[0])

    def to_torch(self) -> nn.Sequential:
        """Return the layers, whose weights are no longer their twins'."""
        return nn.Sequential(*map(export, self))


def is_tied(decoder: nn.Module) -> bool:
    """Tell whether a decoder has its encoder's weights."""
    return any(isinstance(layer, TiedLinear) for layer in decoder.modules())
