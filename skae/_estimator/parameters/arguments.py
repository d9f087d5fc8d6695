"""Checks of parameters that depend on each other, or on X."""

import hashlib
import math
import warnings
from collections.abc import Hashable
from itertools import pairwise
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skae._data.split import MIN_VALIDATION, Split
from skae._data.world import ALONE, World
from skae._estimator.parameters.rules import resolve_sizes
from skae._files.caller import caller_level
from skae._files.words import shown, without_address

# The most numbers of a matrix with a row for each component, where the code is larger than the
# rank of X: 2**27 take half a gigabyte.
MAX_IDLE_WEIGHTS = 2**27
# The most weights between two layers: 2**31 take eight gigabytes, and four times that in training.
MAX_WEIGHTS = 2**31


def require_same_parameters(estimator: Any, world: World) -> None:
    """Raise ValueError where processes that fit together have other parameters than the first."""
    parameters = {name: without_address(v) for name, v in estimator.get_params(deep=False).items()}
    if estimator.get_params(deep=False).get("warm_start") and hasattr(estimator, "net_"):
        state = estimator.net_.module_.state_dict()
        digest = hashlib.sha256(b"".join(v.cpu().numpy().tobytes() for v in state.values()))
        parameters["what was fitted before"] = digest.hexdigest()[:16]
    told = world.gather((type(estimator).__name__, parameters))
    for rank, (kind, others) in enumerate(told):
        if kind != told[0][0]:
            raise ValueError(
                f"process 0 fits {told[0][0]} and process {rank} {kind}; give all the same."
            )
        for name in {**told[0][1], **others}:
            value, other = told[0][1].get(name, "nothing"), others.get(name, "nothing")
            if other != value:
                raise ValueError(
                    f"{name} is {value} in process 0 and {other} in process {rank}; give "
                    "all processes the same."
                )


def check_size(n_components: int, shape: tuple[int, int]) -> None:
    """Raise ValueError for a code so much larger than the data that memory would run out."""
    n_rows, n_features = shape
    rank = min(n_rows, n_features)
    n_weights = n_components * max(n_components, n_features)
    if n_components > rank and n_weights > MAX_IDLE_WEIGHTS:
        raise ValueError(
            f"n_components={shown(n_components)} for {n_rows} rows of {n_features} features "
            f"needs matrices of {n_weights:,} numbers, and these "
            f"rows have no more than {rank} components; pass at most {rank}."
        )


def check_networks(estimator: Any, n_features: int) -> None:
    """Raise where the parameters that describe the networks do not go together, or with X."""
    shape = estimator.image_shape
    if shape is not None and math.prod(shape) != n_features:
        raise ValueError(
            f"image_shape={shown(shape)} has {math.prod(shape)} pixels, but X has {n_features} "
            "features; pass the shape of the images that the rows are."
        )
    check_layers("hidden_layer_sizes", estimator.hidden_layer_sizes, n_features)
    own = getattr(estimator, "discriminator_layer_sizes", ())
    check_layers("discriminator_layer_sizes", own, 1)
    if estimator.tied_weights:
        for name in ("image_shape", "encoder", "decoder"):
            if getattr(estimator, name) is not None:
                raise ValueError(
                    f"tied_weights=True needs dense networks, which have a transpose, and "
                    f"{name}={shown(getattr(estimator, name))} makes others; set one or the other."
                )


def check_layers(name: str, sizes: Any, n_inputs: int) -> None:
    """Raise ValueError for layers whose weights no memory would hold."""
    if isinstance(sizes, str):
        return
    for before, after in pairwise([n_inputs, *resolve_sizes(sizes)]):
        if before * after > MAX_WEIGHTS:
            raise ValueError(
                f"{name}={shown(sizes)} needs {before * after:,} weights between layers of "
                f"{before:,} and {after:,} units; make them smaller."
            )


def check_groups(groups: Any, n_rows: int, world: World = ALONE) -> NDArray[np.int64] | None:
    """Return the number of each row's group, or raise ValueError for bad labels.

    Rows with the same label have the same number in all processes.
    """
    has_groups = world.gather(groups is not None)
    if not all(has_groups):
        if any(has_groups):
            without = ", ".join(str(r) for r, has in enumerate(has_groups) if not has)
            raise ValueError(f"groups is None in process {without}, and not in others.")
        return None
    labels = list(groups) if hasattr(groups, "__iter__") else [groups]
    if len(labels) != n_rows or isinstance(groups, str | bytes):
        raise ValueError(
            f"groups must have one label for each of the {n_rows} rows of X, and has "
            f"{len(labels)}; pass an array of shape ({n_rows},)."
        )
    missing = [i for i, label in enumerate(labels) if is_missing(label)]
    if missing:
        raise ValueError(
            f"groups has no label for {len(missing)} rows, the first of which is row "
            f"{missing[0]}; give every row a label."
        )
    try:
        numbers = {label: number_of(label) for label in dict.fromkeys(labels)}
        return np.array([numbers[label] for label in labels], dtype=np.int64)
    except TypeError as error:
        raise ValueError(
            f"groups must have labels such as numbers or strings: {error}; pass an array of shape "
            f"({n_rows},)."
        ) from error


def number_of(label: Any) -> int:
    """Return a number of 64 bits for a label, the same in all processes."""
    if isinstance(label, Real):  # labels that are equal are one, such as 1 and 1.0
        try:
            value = float(label)
            label = int(label) if value.is_integer() else value  # type: ignore[call-overload]
        except OverflowError:  # an int that is larger than any float
            pass
    digest = hashlib.blake2b(repr(label).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


def check_weights(
    sample_weight: Any, n_rows: int, *, may_be_zero: bool = False
) -> NDArray[np.float64] | None:
    """Return the weights of rows as an array, or raise ValueError for bad ones."""
    if sample_weight is None:
        return None
    try:
        if isinstance(sample_weight, Real):
            weights = np.full(n_rows, float(sample_weight))
        else:
            weights = np.asarray(sample_weight, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"sample_weight must be numbers: {error}.") from error
    if weights.shape != (n_rows,):
        raise ValueError(
            f"sample_weight has the shape {weights.shape}, expected ({n_rows},): a weight for "
            "each row of X."
        )
    bad = np.flatnonzero(~(weights >= 0) | np.isinf(weights))
    if len(bad):
        raise ValueError(
            f"sample_weight has {weights[bad[0]]} in row {bad[0]}; weights are finite and not "
            "negative."
        )
    extreme = np.flatnonzero((weights > 0) & ((weights < 1e-30) | (weights > 1e30)))
    if len(extreme):
        raise ValueError(
            f"sample_weight has {weights[extreme[0]]} in row {extreme[0]}; weights are zero or "
            "from 1e-30 to 1e30: divide them by their mean."
        )
    if not weights.any() and not may_be_zero:
        raise ValueError(
            "sample_weight is zero for all rows; pass at least one weight that is not zero."
        )
    return weights


def require_two_rows(n_rows: int) -> None:
    """Raise ValueError where fewer than two rows count."""
    if n_rows < 2:
        raise ValueError(
            f"X has {n_rows} sample with a weight that is not zero and a value; a minimum of 2 is "
            "required."
        )


def is_missing(label: Any) -> bool:
    """Tell whether a label is None, NaN or pandas' NA."""
    try:
        return label is None or (isinstance(label, Hashable) and bool(label != label))
    except TypeError:  # pandas' NA has no truth value
        return True


def warn_of_few_rows(estimator: Any, split: Split) -> None:
    """Warn that too few rows can validate, so that an estimator stays at PCA."""
    n_rows, n_groups = split.n_training, split.n_groups
    different = "" if n_groups == n_rows else f" in {n_groups} groups (of equal rows, or yours)"
    warnings.warn(
        f"X has {n_rows} rows{different}, of which "
        f"validation_fraction={shown(estimator.validation_fraction)} holds out fewer than "
        f"{MIN_VALIDATION}, too few to validate a network: {type(estimator).__name__} stays at "
        "PCA. Raise validation_fraction, or pass early_stopping=False to train on all rows "
        "without a guard.",
        stacklevel=caller_level(),
    )


def warn_of_known_rows(estimator: Any) -> None:
    """Warn that a warm start begins anew, because no rows can validate the former weights."""
    warnings.warn(
        f"warm_start=True starts {type(estimator).__name__} anew: fewer than {MIN_VALIDATION} "
        "rows of X are known to be new to the weights of the last fit, too few to validate what "
        "comes of them. Set warm_start=True before the first fit, so that it keeps validation "
        "rows, and pass rows that have not trained; or early_stopping=False to go on without.",
        stacklevel=caller_level(),
    )
