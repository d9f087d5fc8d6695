"""The training of a network that trains against the loss."""

from typing import Any

import torch
from torch import Tensor

from skae._data.batch import Batch, counting
from skae._data.world import World
from skae._model.module import AutoEncoderModule
from skae._training.engine.optimizer import FlatAdamW

# The discriminator's optimizer, at a constant rate: see benchmarks/README.md.
RATE, BETAS = 1e-2, (0.5, 0.95)


class DiscriminatorTraining:
    """Trains a module's discriminator, beside the module, on the codes of each batch.

    Parameters
    ----------
    module : AutoEncoderModule
        With a discriminator.
    world : World
        The processes that train together.

    Attributes
    ----------
    optimizer : FlatAdamW
    """

    def __init__(self, module: AutoEncoderModule, world: World) -> None:
        assert module.discriminator is not None
        self.module: Any = module
        self.world = world
        self.optimizer = FlatAdamW(module.discriminator.parameters(), RATE, BETAS, weight_decay=0)
        self.losses: list[Tensor] = []

    def step(self, batch: Batch) -> None:
        """Train on the codes that the module has just given a batch."""
        self.optimizer.zero_grad()
        with counting(None, batch.weights, self.world, batch.share):
            loss = self.module.discriminator_loss()
            loss.backward()
        self.optimizer.join_gradients(self.world, batch.share)
        self.optimizer.update()
        # Means over no rows are no numbers.
        self.losses.append(batch.share * loss.detach() if batch.share else torch.zeros_like(loss))

    def mean_loss(self) -> float:
        """Return the mean of the losses since this was last asked for, over all processes."""
        mean = self.world.sum(torch.stack(self.losses)).mean().item()
        self.losses = []
        return mean
