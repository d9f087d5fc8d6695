"""The net layer: the callback that keeps the best weights, and what users' callbacks need."""

import copy
import math
from typing import Any

from skorch import NeuralNet
from skorch.callbacks import Callback, LRScheduler
from torch import nn

from skae._model.weights import copy_weights


class StopTraining(Exception):
    """Raised to end the training."""


class KeepBest(Callback):
    """Remember the weights with the lowest loss, and stop when no better ones come.

    ``monitor_``, the history's column to watch, and ``patience_``, the epochs without
    progress after which training stops, are set before the training.

    Parameters
    ----------
    tol : float
        The part of the lowest loss by which a loss must fall below it to be progress.

    Attributes
    ----------
    loss_, epoch_ : float, int
        The lowest loss and its epoch, 0 for the start.
    diverged_at_ : int or None
        The epoch in which the loss was not finite.
    """

    monitor_ = "valid_loss"
    patience_ = 10

    def __init__(self, tol: float) -> None:
        self.tol = tol

    def start(self, loss: float, module: nn.Module) -> None:
        """Take the weights as they are, and their loss, as the ones to beat."""
        self.diverged_at_: int | None = None
        self.progress_loss_, self.progress_epoch_ = loss, 0
        self.loss_, self.epoch_ = loss, 0
        self.weights_ = self.start_weights_ = copy_weights(module)

    def forget(self) -> None:
        """Drop the copies of the weights."""
        self.weights_ = self.start_weights_ = {}

    def restore(self, module: nn.Module) -> None:
        """Load the best weights."""
        module.load_state_dict(self.weights_)

    def restore_start(self, module: nn.Module) -> None:
        """Load the weights of the start, and call them the best."""
        self.epoch_ = 0
        module.load_state_dict(self.start_weights_)

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        epoch, row = len(net.history), net.history[-1]
        loss = row[self.monitor_]
        if not (math.isfinite(row["train_loss"]) and math.isfinite(loss)):
            self.diverged_at_ = epoch
            raise StopTraining
        if loss < self.loss_:
            self.loss_, self.epoch_ = loss, epoch
            self.weights_ = copy_weights(net.module_)
        least = self.tol * abs(self.progress_loss_) if math.isfinite(self.progress_loss_) else 0.0
        if loss < self.progress_loss_ - least:
            self.progress_loss_, self.progress_epoch_ = loss, epoch
        if epoch - self.progress_epoch_ >= self.patience_:
            raise StopTraining


def is_scheduler(callback: Any) -> bool:
    """Tell whether a callback, or its class, sets the learning rate."""
    kind = callback if isinstance(callback, type) else type(callback)
    return issubclass(kind, LRScheduler)


def copy_callback(callback: Any) -> Any:
    """Copy a skorch callback, given alone or as (name, callback)."""
    if isinstance(callback, tuple):
        return callback[0], copy.copy(callback[1])
    return copy.copy(callback)
