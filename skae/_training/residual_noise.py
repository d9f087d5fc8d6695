"""The net layer: noise for rows that train, made of what real rows differ by."""

import torch
from torch import Tensor, nn

from skae._model.module import AutoEncoderModule


class ResidualNoise:
    """Adds to rows the residuals that the last batch left.

    The rows of a batch are drawn at random, so the residuals are those of others.

    Parameters
    ----------
    share : float
        How much of a residual is added.

    Attributes
    ----------
    residuals : Tensor of shape (n_rows, n_features)
        What the last batch left.
    """

    residuals: Tensor

    def __init__(self, share: float) -> None:
        self.share = share

    def start(self, module: AutoEncoderModule, x: Tensor) -> None:
        """Take what ``module`` leaves of rows, so that the first step has noise too."""
        module.eval()
        with torch.no_grad():
            self.residuals = x - module(x)[0]

    def add_to(self, x: Tensor) -> Tensor:
        """Return rows with noise."""
        noise = self.residuals
        if len(noise) != len(x):  # batches differ by one row
            noise = nn.functional.pad(noise, (0, 0, 0, len(x) - len(noise)))
        return torch.add(x, noise, alpha=self.share)
