"""Reconstruction losses."""

from skae._model.losses.base import Loss, Prepared
from skae._model.losses.choose import LOSSES, loss_class, make_loss, require_valid, takes_any_row
from skae._model.losses.linked import LinkedLoss
from skae._model.losses.plain import SquaredError

__all__ = [
    "LOSSES",
    "LinkedLoss",
    "Loss",
    "Prepared",
    "SquaredError",
    "loss_class",
    "make_loss",
    "require_valid",
    "takes_any_row",
]
