"""What the fitted state of a detector in a file must be, before anything is built of it."""

import math
from typing import Any

import numpy as np

from skae._estimator.fit import BaseLatentModel
from skae._estimator.parameters.rules import Rule, integer
from skae._estimator.saving.content import Content
from skae._estimator.saving.numbers import array_of, is_finite, is_number, is_within, nothing
from skae._estimator.saving.schema import Schema, check, check_optional

# The names of a fitted state.
FITTED = {"_members", "calibration_scores_", "n_features_in_", "offset_", "scale_"}

SMALLEST = float(np.nextafter(0, 1))
positive = Rule("a finite number > 0", lambda v: is_finite(v) and v > 0)
scores_in_order = Rule(
    "an array of float64 of shape (n,), n >= 1, of numbers <= 0 in order",
    lambda v: (
        array_of(None, infinite=True).allows(v)
        and len(v) > 0
        and bool(v[-1] <= 0 and (v[:-1] <= v[1:]).all())
    ),
)
of_an_autoencoder = Rule(
    "a fitted autoencoder",
    lambda v: (
        isinstance(v, Content) and issubclass(v.cls, BaseLatentModel) and "_weights" in v.state
    ),
)


def check_detector(state: dict[str, Any]) -> None:
    """Raise ValueError where ``state`` is no valid fitted state of a detector.

    Its autoencoders have been checked, each for itself.
    """
    n, members = state["n_features_in_"], state["_members"]
    check("n_features_in_", n, integer(1))
    check("scale_", state["scale_"], positive_numbers(n) | nothing)
    check("calibration_scores_", state["calibration_scores_"], scores_in_order)
    offset = Rule("a number", lambda v: is_number(v) and not math.isnan(v))
    check("offset_", state["offset_"], offset)
    check_optional(state, n)
    check("_members", members, Rule("a list, not empty", lambda v: isinstance(v, list) and v != []))
    for i, member in enumerate(members):
        check_member(f"_members.{i}", member, n)


def check_member(where: str, member: Any, n: int) -> None:
    """Raise ValueError where a value is no autoencoder of a detector of n columns."""
    model: Any = member.get("model") if isinstance(member, dict) else None
    check(f"{where}.model", model, of_an_autoencoder)
    k, columns = model.state["n_components_"], model.state["n_features_in_"]
    schema: Schema = {
        "model": of_an_autoencoder,
        "mean": array_of(k),
        "axes": array_of(k, k, low=-1.001),  # orthogonal, but for rounding
        "variances": positive_numbers(k),
        "error_variance": positive,
        "median": positive,
    }
    check(where, member, schema)
    check(f"{where}.model.n_features_in_", columns, Rule(f"{n}, n_features_in_", lambda v: v == n))


def positive_numbers(n: int) -> Rule:
    """Allow arrays of n finite numbers above zero."""
    finite = array_of(n)
    return Rule(f"{finite.expected} > 0", lambda v: finite.allows(v) and is_within(v, SMALLEST))
