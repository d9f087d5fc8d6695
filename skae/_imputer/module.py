"""The module of the imputer."""

from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from skae._data.units import Units
from skae._model.make_module import make_module
from skae._model.module import AutoEncoderModule
from skae._model.networks.floored import FlooredNetwork
from skae._model.spec import ModelSpec

# The deviation of the noise that is added to standardised rows in training.
NOISE = 0.2


class ImputerModule(AutoEncoderModule):
    """min over f and g of the mean of ½ Σⱼ wⱼ (g(f(x̃))ⱼ − xⱼ)², x̃ being x with entries hidden.

    Its rows are [x̃ | x | w], side by side: hidden and missing entries of x̃ are a Gaussian's
    expectations, and w is zero where x is missing. With networks at zero g(f(x̃)) is x̃.
    """

    has_noise = True

    def forward(self, rows: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Predict the entries of rows; see :meth:`AutoEncoderModule.forward`."""
        filled, x, weights = rows.chunk(3, dim=1)
        if self.training:
            draws = self.draws(rows)
            normal = torch.randn(
                filled.shape, generator=draws, device=rows.device, dtype=torch.float32
            )
            filled = torch.add(filled, normal, alpha=NOISE)
        x_hat = self.predict(filled)
        loss = 0.5 * (weights * (x_hat - x).square()).sum(dim=1)
        return x_hat, {"reconstruction": loss}

    def predict(self, filled: Tensor) -> Tensor:
        """Return what is expected of every entry, in standardised columns."""
        x_hat: Tensor = self.decoder(self.encoder(filled))
        return x_hat

    @torch.no_grad()
    def start(self, table: Tensor) -> None:
        """Let filled rows stay as they are, and give networks the size of the errors in them."""
        filled, x, weights = table.chunk(3, dim=1)
        squares = (weights * (filled - x).square()).sum(dim=0)
        hidden = weights * (filled != x)
        size = (squares / hidden.sum(dim=0).clamp(min=1e-6)).sqrt()
        for part in (self.encoder, self.decoder):
            floored = cast(FlooredNetwork, part)
            floored.scale.copy_(size)
            nn.init.eye_(floored.linear.weight)
            nn.init.zeros_(floored.linear.bias)


def build(
    n_features: int, hidden_layer_sizes: tuple[int, ...], generator: torch.Generator
) -> ImputerModule:
    """Build the module, with random weights."""
    spec = ModelSpec(n_features, n_features, hidden_layer_sizes)
    units = Units(np.zeros(n_features), 1.0)
    module = make_module(ImputerModule, spec, units, generator)
    assert isinstance(module, ImputerModule)
    return module
