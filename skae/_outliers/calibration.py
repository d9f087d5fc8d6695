"""What a score is worth: p-values, and the threshold that holds a rate of false alarms."""

import math
import warnings
from typing import Any

import numpy as np
import torch
from scipy.stats import false_discovery_control

from skae._data.sources import Array
from skae._files.caller import caller_level
from skae.functional import conformal_p_values

# Scores of the same row, scored beside other rows, differ by less than this share in float32.
ROUNDING = 1e-5


def p_values(scores: Array, calibration: Array) -> Array:
    """Return the share of rows like those of the calibration that score as low or lower."""
    distances, others = torch.from_numpy(-scores), torch.from_numpy(-calibration)
    values: Array = conformal_p_values(distances, others).numpy()
    return values


def adjusted(values: Array, adjust: str | None) -> Array:
    """Return p-values of a set of rows, adjusted by Benjamini and Hochberg's procedure for "bh"."""
    if adjust is None or not len(values):
        return values
    found: Array = false_discovery_control(values, method=adjust)
    return found


def threshold_of_alarms(calibration: Array, rate: float, what: str | None) -> float:
    """Return the score below which p is at most a rate; warn where too few rows calibrate.

    Parameters
    ----------
    calibration : ndarray of shape (n,)
        Scores of rows that did not train the model.
    rate : float
        α, the share of normal rows that may score lower.
    what : str or None
        Which rows these are, for the warning; None gives none.
    """
    n = len(calibration)
    # α (n + 1) may be a whole number less a rounding error.
    k = math.floor(rate * (n + 1) * (1 + 1e-12))
    if k < 1 and what is not None:
        warnings.warn(
            f"false_alarm_rate={rate:g} needs {math.ceil(1 / rate) - 1} rows for calibration, and "
            f"{n} {what}: rows that score lower than all of these are called outliers, about "
            f"{1 / (n + 1):.2g} of the normal ones. Pass more rows, raise false_alarm_rate, or "
            "call calibrate() with normal rows that were not fitted.",
            stacklevel=caller_level(),
        )
    score = float(np.partition(calibration, max(k, 1) - 1)[max(k, 1) - 1])
    return score - ROUNDING * abs(score) if np.isfinite(score) else score


def threshold_of_share(scores: Array, weights: Array | None, share: float) -> float:
    """Return the score below which a share of rows lies: between two of them, one row at least.

    ``weights`` are those of the rows; None means 1 each.
    """
    order = np.argsort(scores)
    total = np.cumsum(np.ones(len(scores)) if weights is None else weights[order])
    k = int(np.searchsorted(total, share * total[-1] * (1 + 1e-12), side="right"))
    low, high = scores[order[max(k, 1) - 1]], scores[order[max(k, 1)]]
    # A row that is scored with others is rounded otherwise: the middle is next to no row.
    return float(0.5 * (low + high) if np.isfinite(low) else high)


def warn_of_training_rows(estimator: Any, n_rows: int) -> None:
    """Warn that no row validated, so that training rows take the place of new ones."""
    why = (
        f"X has {n_rows} rows, too few for some to validate"
        if getattr(estimator, "early_stopping", True)
        else "early_stopping=False leaves no validation rows"
    )
    warnings.warn(
        f"{why}: p-values and the threshold of false_alarm_rate come from the training rows, to "
        "which the model is closer than to new ones. p-values of normal rows will be too small. "
        "Call calibrate() with normal rows that were not fitted.",
        stacklevel=caller_level(),
    )
