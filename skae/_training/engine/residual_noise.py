"""Noise for training rows, made of the residuals of other rows."""

import torch
from torch import Tensor, nn

from skae._model.module import AutoEncoderModule


class ResidualNoise:
    """Adds the residuals x − x̂ of the last batch to the rows of the next.

    Batches are drawn at random, so each row gets the residual of another.

    Parameters
    ----------
    share : float
        How much of a residual is added.

    Attributes
    ----------
    residuals : Tensor of shape (n_rows, n_features)
        x − x̂ of the last batch.
    """

    residuals: Tensor

    def __init__(self, share: float) -> None:
        self.share = share

    def start(self, module: AutoEncoderModule, x: Tensor) -> None:
        """Take the residuals that ``module`` leaves now, so that the first step has noise too."""
        module.eval()
        with torch.no_grad():
            self.residuals = x - module(x)[0]

    def add_to(self, x: Tensor) -> Tensor:
        """Return rows with noise."""
        noise = self.residuals
        if len(noise) != len(x):  # batches differ by one row
            noise = nn.functional.pad(noise, (0, 0, 0, len(x) - len(noise)))
        return torch.add(x, noise, alpha=self.share)
