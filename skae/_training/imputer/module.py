"""The module of the imputer."""

from dataclasses import replace
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from skae._data.units import Units
from skae._model.losses import make_loss
from skae._model.module import AutoEncoderModule
from skae._model.networks.floored import FlooredNetwork
from skae._model.networks.make_networks import make_networks
from skae._model.spec import ModelSpec

# The deviation of the noise that is added to standardised rows in training.
NOISE = 0.2


class ImputerModule(AutoEncoderModule):
    """min over f and g of the mean of ½ Σⱼ wⱼ (g(f(x̃, s̃))ⱼ − xⱼ)², x̃ being x with entries hidden.

    Its rows are [x̃ | s̃ | x | w], side by side: hidden and missing entries of x̃ are a Gaussian's
    expectations, s̃ are normal scores filled in the same way, and w is zero where x is missing.
    With networks at zero g(f(x̃, s̃)) is x̃.
    """

    has_noise = True

    def forward(self, rows: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Predict the entries of rows; see :meth:`AutoEncoderModule.forward`."""
        d = self.n_components
        filled, x, weights = rows.split([2 * d, d, d], dim=1)
        if self.training:
            draws = self.draws(rows)
            noise = torch.randn(
                filled.shape, generator=draws, device=rows.device, dtype=torch.float32
            )
            filled = torch.add(filled, noise, alpha=NOISE)
        x_hat = self.predict(filled)
        loss = 0.5 * (weights * (x_hat - x).square()).sum(dim=1)
        return x_hat, {"reconstruction": loss}

    def predict(self, filled: Tensor) -> Tensor:
        """Return what is expected of every entry, in standardised columns.

        Parameters
        ----------
        filled : Tensor of shape (n_rows, 2 * n_features)
            x̃ and s̃.
        """
        x_hat: Tensor = self.decoder(self.encoder(filled))
        return x_hat

    @torch.no_grad()
    def start(self, table: Tensor) -> None:
        """Let filled rows stay as they are, and give networks the size of the errors in them."""
        filled, _, x, weights = table.chunk(4, dim=1)
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
    encoder, _ = make_networks(replace(spec, n_features=2 * n_features), n_features, generator)
    _, decoder = make_networks(spec, n_features, generator)
    units = Units(np.zeros(n_features), 1.0)
    return ImputerModule(encoder, decoder, n_features, make_loss("squared_error", units))
