"""The loss that a user's parameter stands for, and what X it takes."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor

from skae._data.sources import Source
from skae._data.units import Units
from skae._files.words import shown
from skae._model.losses.base import Loss
from skae._model.losses.linked import BinaryCrossEntropy, Poisson
from skae._model.losses.plain import AbsoluteError, CustomLoss, Huber, SquaredError

LOSSES: dict[str, type[Loss]] = {
    "squared_error": SquaredError,
    "binary_cross_entropy": BinaryCrossEntropy,
    "absolute_error": AbsoluteError,
    "huber": Huber,
    "poisson": Poisson,
}


def loss_class(loss: Any) -> type[Loss]:
    """Return the class of loss that the parameter ``loss`` stands for, whatever its value."""
    return LOSSES.get(loss, CustomLoss) if isinstance(loss, str) else CustomLoss


def make_loss(loss: str | Callable[[Tensor, Tensor], Tensor], units: Units) -> Loss:
    """Build the loss that the parameter ``loss`` stands for."""
    return LOSSES[loss](units) if isinstance(loss, str) else CustomLoss(units, loss)


def takes_any_row(loss: Any) -> bool:
    """Tell whether the parameter ``loss`` takes all rows, those with noise included."""
    return loss_class(loss).low == -math.inf


def require_valid(loss: Any, source: Source) -> None:
    """Raise ValueError for rows that the parameter ``loss`` cannot take."""
    if takes_any_row(loss):
        return
    low, high = math.inf, -math.inf
    for _, part in source.parts():
        known = part[~np.isnan(part)] if np.isnan(part.sum()) else part
        if known.size:
            low, high = min(low, float(known.min())), max(high, float(known.max()))
    kind = loss_class(loss)
    slack = 1e-6  # what scaling leaves of rounding
    if kind.low - slack <= low and high <= kind.high + slack:
        return
    domain = f"in [{kind.low:g}, {kind.high:g}]" if kind.high < math.inf else ">= 0"
    got = f"got a maximum of {high:.7g}"
    if low < kind.low - slack:  # scikit-learn's checks look for the words in brackets
        got = f"got a minimum of {low:.7g} (Negative values in data)"
    raise ValueError(f"loss={shown(loss)} needs X {domain}, {got}; {kind.remedy}.")
