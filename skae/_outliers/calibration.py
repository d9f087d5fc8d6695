"""What a score is worth: which rows calibrate, p-values, and thresholds."""

import math
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import false_discovery_control

from skae._data.sources import Array, Source
from skae._data.split import Split, count_validation, group_rows, row_keys, split_rows
from skae._files.caller import caller_level
from skae.functional import conformal_p_values

# Scores of a row, scored beside other rows, differ by about this share, because float32 rounds.
ROUNDING = 1e-5


# -- rows ----------------------------------------------------------------------------------


def split_at_random(
    estimator: Any, source: Source, labels: NDArray[np.int64] | None, seed: int
) -> Split:
    """Choose the validation rows at random: single rows, or groups of users.

    Conformal p-values need rows of the calibration that are drawn as new rows are. Fits of
    autoencoders keep equal rows on one side instead, and would so draw the frequent ones more
    rarely. Equal validation rows count once where they judge whether a network beats PCA.
    """
    n, equal = source.n_rows, group_rows(row_keys(source, np.float64), None)
    numbers = np.arange(n) if labels is None else np.unique(labels, return_inverse=True)[1]
    fraction = estimator.validation_fraction if estimator.early_stopping else 0
    if fraction and not count_validation(int(equal.max()) + 1, fraction):
        fraction = 0  # copies of a few rows are not many rows
    order, none = np.random.default_rng(seed).permutation(n), np.zeros(n, dtype=bool)
    split = split_rows(numbers, fraction, order, none, source.weights)
    if labels is not None:
        return split
    return replace(split, groups=np.unique(equal[split.validation], return_inverse=True)[1])


def rows_to_calibrate(
    source: Source, labels: NDArray[np.int64] | None, split: Split
) -> NDArray[np.int64]:
    """Return the positions of the rows that calibrate p-values: validation rows.

    Of a group of users they are one, because rows of a group are no independent evidence: the
    first, in the random order that validation rows have. Where no rows validate, they are different
    training rows.
    """
    rows, groups = split.validation, split.groups
    if not len(rows):
        rows, groups = np.arange(source.n_rows), group_rows(row_keys(source, np.float64), labels)
    elif labels is None:
        return rows
    return first_of_each(rows, groups)


def first_of_each(rows: NDArray[np.int64], groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the first of the rows of each group."""
    _, first = np.unique(groups, return_index=True)
    chosen: NDArray[np.int64] = rows[first]
    return chosen


def require_rows(detector: Any, kept: NDArray[np.bool_]) -> None:
    """Raise ValueError where a first fit calls nearly all training rows outliers."""
    if kept.sum() < 2:
        name = "false_alarm_rate" if detector.contamination == "auto" else "contamination"
        raise ValueError(
            f"refit=True leaves {kept.sum()} of {len(kept)} training rows, because with "
            f"{name}={getattr(detector, name):g} the others are outliers; lower {name}, or pass "
            "refit=False."
        )


def remaining(split: Split, kept: NDArray[np.bool_]) -> Split:
    """Return the split of the rows that are kept, by their new positions."""
    position = np.cumsum(kept) - 1
    trains, validates = kept[split.training], kept[split.validation]
    training, validation = split.training[trains], split.validation[validates]
    _, groups = np.unique(split.groups[validates], return_inverse=True)
    return replace(
        split,
        training=position[training],
        validation=position[validation],
        groups=groups,
        n_groups=int(kept.sum()),
        n_training=len(training),
        n_validation=len(validation),
    )


# -- p-values and thresholds -----------------------------------------------------------------


def p_values(scores: Array, calibration: Array) -> Array:
    """Return the share of rows like those of the calibration that score as low or lower."""
    # What differs by rounding alone is equal.
    distances, others = torch.from_numpy(-scores * (1 - ROUNDING)), torch.from_numpy(-calibration)
    values: Array = conformal_p_values(distances, others).numpy()
    return values


def adjusted(values: Array, adjust: str | None) -> Array:
    """Return p-values of a set of rows, adjusted by Benjamini and Hochberg's procedure for "bh"."""
    if adjust is None or not len(values):
        return values
    found: Array = false_discovery_control(values, method=adjust)
    return found


def threshold_of_alarms(calibration: Array, rate: float, role: str | None) -> float:
    """Return the score below which p is at most a rate; warn where too few rows calibrate.

    Parameters
    ----------
    calibration : ndarray of shape (n,)
        Scores of rows that did not train the model.
    rate : float
        α, the share of normal rows that may score lower.
    role : str or None
        What these rows did in the fit, for a warning; None gives no warning.
    """
    n = len(calibration)
    # α (n + 1) may be a whole number less a rounding error.
    k = min(math.floor(rate * (n + 1) * (1 + 1e-12)), n)
    least = np.ceil(1 / rate) - 1
    if k < 1 and role is not None:
        warnings.warn(
            f"false_alarm_rate={rate:g} needs {least:.10g} rows for calibration, and "
            f"{n} {role}: rows that score lower than all of these are called outliers, about "
            f"{1 / (n + 1):.2g} of the normal ones. Pass more rows, raise false_alarm_rate, or "
            "call calibrate() with normal rows that were not fitted.",
            stacklevel=caller_level(),
        )
    score = float(np.partition(calibration, max(k, 1) - 1)[max(k, 1) - 1])
    return score / (1 - ROUNDING)


def threshold_of_share(scores: Array, weights: Array | None, share: float) -> float:
    """Return the score below which a share of rows lies, at most, and one row at least.

    It lies halfway between the last row below it and the next one.

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
        f"X has {n_rows} rows, too few different ones for some to validate"
        if getattr(estimator, "early_stopping", True)
        else "early_stopping=False leaves no validation rows"
    )
    warnings.warn(
        f"{why}: p-values and the threshold of false_alarm_rate come from the training rows, to "
        "which the model is closer than to new ones. p-values of normal rows will be too small. "
        "Call calibrate() with normal rows that were not fitted.",
        stacklevel=caller_level(),
    )
