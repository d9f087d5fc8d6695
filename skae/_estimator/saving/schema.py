"""What a file's fitted state must be, before anything is built of it."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skae._data.sums.scatter import MAX_PRODUCTS
from skae._estimator.parameters.arguments import check_networks
from skae._estimator.parameters.rules import Rule, boolean, integer, is_integer
from skae._estimator.saving.numbers import (
    array_of,
    curve,
    is_within,
    not_negative,
    nothing,
    number,
    positive,
    variance,
)
from skae._files.words import shown
from skae._model.networks.shapes import Shape, dense_shapes, module_shapes
from skae._model.spec import ModelSpec

Schema = Rule | dict[str, Any]

AXES = ("transform",)
# What may be infinite of a module's state.
BOUNDS = ("low", "high", "highest")
# The parts of a stream that are dicts.
PARTS = ("train", "held", "reservoir", "waiting", "iterate")


rows_of_history = Rule(
    "a list of epochs",
    lambda v: (
        isinstance(v, list)
        and all(isinstance(row, dict) and is_list_of_dicts(row.get("batches")) for row in v)
    ),
)
configuration = Rule(
    "a container of set_output",
    lambda v: (
        isinstance(v, dict)
        and {*v} == {*AXES}
        and all(part in (None, "default", "pandas", "polars") for part in v.values())
    ),
)


def is_list_of_dicts(value: Any) -> bool:
    """Tell whether a value is a list of dicts."""
    return isinstance(value, list) and all(isinstance(each, dict) for each in value)


def check(where: str, value: Any, schema: Schema) -> None:
    """Raise ValueError where a value is not what a schema says."""
    if isinstance(schema, Rule):
        if not allows(schema, value):
            raise ValueError(f"{where} is {shown(value)}, expected {schema.expected}")
        return
    if not isinstance(value, dict) or value.keys() != schema.keys():
        keys = sorted(value) if isinstance(value, dict) else shown(value)
        differing = f"has {keys}"[:300]
        raise ValueError(f"{where} {differing}, expected {sorted(schema)}")
    for name, part in schema.items():
        check(f"{where}.{name}", value[name], part)


def allows(rule: Rule, value: Any) -> bool:
    """Tell whether a rule allows a value, whatever that is."""
    try:
        return rule.allows(value)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return False


def check_gaussian(where: str, value: Any, n: int) -> None:
    """Raise ValueError where a value is no Gaussian of n columns."""
    variances, bounds = array_of(n, low=0), array_of(n, infinite=True)
    schema: Schema = {
        **{"mean": array_of(n), "scale": variances, "low": bounds, "high": bounds},
        "matrix": array_of(n, None),
        "noise": array_of(0) | variances,
    }
    check(where, value, schema)
    if not len(value["noise"]):
        matrix = value["matrix"]
        check(f"{where}.matrix", matrix, array_of(n, n))
        check(f"{where}.matrix's diagonal", np.diagonal(matrix), array_of(n, low=0))


def check_model(state: dict[str, Any], diagnosed: tuple[str, ...]) -> ModelSpec:
    """Raise ValueError where ``state`` is no valid fitted state; return its ModelSpec."""
    spec = spec_of(state["_spec"])
    n, k = spec.n_features, spec.n_components
    count, losses = integer(0), curve(n_trainings(state["_stream"]))
    keys = array_of(None, dtype=np.uint64)
    # None in files of versions that did not have them.
    of_codes, variances = array_of(k) | nothing, array_of(k, low=0) | nothing
    schema: dict[str, Schema] = {
        "n_features_in_": Rule(f"{n}, as n_features", lambda v: is_integer(v) and v == n),
        "n_components_": Rule(f"{k}, as n_components", lambda v: is_integer(v) and v == k),
        **dict.fromkeys(("explained_variance_", "explained_variance_ratio_"), variances),
        "_code_mean": of_codes,
        "n_samples_": count | nothing,
        "mean_": array_of(n),
        "scale_": positive,
        "noise_variance_": variance,
        "pca_score_": number | nothing,
        "validation_scores_": losses | nothing,
        "loss_curve_": losses,
        "n_iter_": count,
        "best_iter_": epoch_of(state["n_iter_"]),
        "_is_pca": boolean,
        "_trained": keys | nothing,
        "_history": rows_of_history,
        **dict.fromkeys(diagnosed, count),
    }
    for name, rule in schema.items():
        check(name, state[name], rule)
    check_optional(state, n)
    check_gaussian("_gaussian", state["_gaussian"], n)
    return spec


def n_trainings(stream: Any) -> int:
    """Return of how many trainings the losses are that a fit has kept."""
    n_calls = stream.get("n_calls") if isinstance(stream, dict) else 1
    return int(n_calls) if isinstance(n_calls, int | np.integer) else 1


def epoch_of(n_iter: Any) -> Rule:
    """Allow the number of one of the epochs, or 0."""
    return Rule(
        f"an int from 0 to {shown(n_iter)}, n_iter_", lambda v: integer(0).allows(v) and v <= n_iter
    )


def check_optional(state: dict[str, Any], n: int) -> None:
    """Raise ValueError where what scikit-learn keeps of n columns is something else."""
    if "feature_names_in_" in state:
        check("feature_names_in_", state["feature_names_in_"], array_of(n, dtype=object))
    if "_sklearn_output_config" in state:
        check("_sklearn_output_config", state["_sklearn_output_config"], configuration)


def spec_of(values: Any) -> ModelSpec:
    """Return the description of a module that a file has, or raise ValueError."""
    if not isinstance(values, dict) or values.keys() != vars(ModelSpec(1, 1)).keys():
        raise ValueError(f"_spec is {shown(values)}, and describes no module")
    spec, size = ModelSpec(**values), integer(1)
    check("_spec.n_features", spec.n_features, size)
    check("_spec.n_components", spec.n_components, size)
    sizes = Rule("a tuple of int >= 1", is_sizes)
    check("_spec.hidden_layer_sizes", spec.hidden_layer_sizes, sizes)
    check("_spec.image_shape", spec.image_shape, sizes | nothing)
    check("_spec.parameters", spec.parameters, Rule("a dict", lambda v: isinstance(v, dict)))
    return spec


def is_sizes(value: Any) -> bool:
    """Tell whether a value is a tuple of sizes."""
    return isinstance(value, tuple) and all(map(integer(1).allows, value))


def check_weights(spec: ModelSpec, weights: Any, outputs_per_component: int) -> None:
    """Raise ValueError where weights are not those of the networks that a description asks for.

    So that building what it describes takes no more memory than the file.
    """
    check_networks(spec, spec.n_features)
    k = spec.n_components
    own = module_shapes(spec, k * outputs_per_component)
    names = check_shapes("_weights", weights, own, spec.dtype, paths_of_users(spec))
    asked = sum(
        math.prod(shape)
        for name, value in spec.parameters.items()
        if name.endswith("layer_sizes") and isinstance(value, tuple | list)
        # A discriminator's are codes; of what else the inputs are is not known.
        for _, shape in dense_shapes("", (k if name.startswith("discriminator") else 1, *value, 1))
    )
    left = [v for name, v in weights.items() if name not in names and v.dtype == spec.dtype]
    available = sum(v.size for v in left)
    if asked > available:
        raise ValueError(
            f"beside encoder and decoder, the networks described have at least {asked:,} numbers, "
            f"and _weights has {available:,}"
        )


def paths_of_users(spec: ModelSpec) -> tuple[str, ...]:
    """Return below which paths of a module there may be weights that users' classes have made."""
    users = not isinstance(spec.activation, str)
    return tuple(f"{kind}." for kind in ("encoder", "decoder") if users or getattr(spec, kind))


def check_shapes(
    where: str, weights: Any, own: Iterable[Shape], dtype: str, users: tuple[str, ...]
) -> set[str]:
    """Raise ValueError where weights are not as skae's own parts have them; return their names.

    Below the paths of ``users`` there may be others.
    """
    if not isinstance(weights, dict) or not all(
        isinstance(v, np.ndarray) for v in weights.values()
    ):
        raise ValueError(f"{where} is not a dict of arrays")
    names = set()
    for name, shape in own:
        names.add(name)
        if name not in weights:
            raise ValueError(f"{where} lacks {name}, which the networks described have")
        found = weights[name]
        if found.shape != shape or found.dtype != dtype:
            raise ValueError(
                f"{where}.{name} is {shown(found)}, and the networks described need {dtype} of "
                f"shape {shape}"
            )
        check(f"{where}.{name}", found, weights_of(name, found))
    for name, found in weights.items():
        if name in names or name.startswith(users):
            continue
        if name.startswith(("encoder.", "decoder.", "frame.")):
            raise ValueError(f"{where} has {name[:60]}, which the networks described have not")
        if found.dtype.kind == "f" and found.dtype != dtype:
            raise ValueError(f"{where}.{name[:60]} is {shown(found)}, and the others are {dtype}")
        if name.startswith("loss."):
            check(f"{where}.{name[:60]}", found, weights_of(name, found))
    return names


def weights_of(name: str, like: NDArray[Any]) -> Rule:
    """Allow weights of the shape and the format of others: finite, but for bounds."""
    is_bound = name.rpartition(".")[2] in BOUNDS
    return array_of(*like.shape, dtype=like.dtype, infinite=is_bound)


def check_stream(stream: Any, n: int, weights: dict[str, NDArray[Any]]) -> None:
    """Raise ValueError where a value is not what partial_fit keeps of n columns."""
    if stream is None:
        return
    if not isinstance(stream, dict):
        raise ValueError(f"_stream is {shown(stream)}, expected a dict or None")
    column, count = array_of(n), integer(0)
    scatter: Schema = {
        "n_rows": count,
        **dict.fromkeys(("total", "squared_weights", "deviation"), not_negative),
        **{"mean": column, "diagonal": array_of(n, low=0)},
        "products": array_of(n if n <= MAX_PRODUCTS else None, n),
    }
    check(
        "_stream",
        {name: None if name in PARTS else value for name, value in stream.items()},
        {
            **dict.fromkeys(PARTS, nothing),
            **dict.fromkeys(("seed", "n_calls"), count),
            "common": array_of(None, dtype=np.uint64),
            "total_at_start": not_negative,
            **dict.fromkeys(("loss_curve", "validation_scores"), curve(n_trainings(stream))),
        },
    )
    for name in ("train", "held"):
        if stream[name] is not None:
            check(f"_stream.{name}", stream[name], scatter)
    for name in ("reservoir", "waiting"):
        check_reservoir(f"_stream.{name}", stream[name], n)
    if stream["train"] is None and stream["held"] is None:
        raise ValueError("_stream has seen no rows")
    check_iterate(stream["iterate"], weights)


def check_reservoir(where: str, value: Any, n: int) -> None:
    """Raise ValueError where a value is no reservoir of rows of n columns."""
    if value is None:
        return
    m = len(value["keys"]) if isinstance(value, dict) and has_length(value.get("keys")) else None
    check(
        where,
        value,
        {
            "rows": array_of(m, n, dtype=(np.float32, np.float64)),
            "known": array_of(m, n, dtype=bool) | nothing,
            "weights": array_of(m, low=0) | nothing,
            "keys": array_of(m, dtype=np.uint64),
        },
    )


def has_length(value: Any) -> bool:
    """Tell whether a value is an array that has a length."""
    return isinstance(value, np.ndarray) and value.ndim > 0


def check_iterate(value: Any, weights: dict[str, NDArray[Any]]) -> None:
    """Raise ValueError where a value is not where a training of such weights stands."""
    if value is None:
        return
    against = {name for name in weights if name.startswith("discriminator.")}
    # What users' networks hold besides numbers, they hold in the weights, too.
    like = {
        name: weights_of(name, v)
        if name not in against and is_within(v)
        else array_of(*v.shape, dtype=v.dtype, low=None)
        for name, v in weights.items()
    }
    groups = Rule("a list of parameter groups", is_list_of_dicts)
    check("_stream.iterate", value, {"state": Rule("arrays", lambda v: True), "optimizer": groups})
    check("_stream.iterate.state", value["state"], like)
    for group in value["optimizer"]:
        m = len(group["values"]) if has_length(group.get("values")) else None
        # Squares of gradients may be infinite, and a discriminator's are nobody's loss.
        low = None if against else -math.inf
        flat = array_of(m, dtype=(np.float32, np.float64), low=low, infinite=True)
        names = ("values", "exp_avg", "exp_avg_sq", *(["average"] if "average" in group else []))
        step = array_of(dtype=(np.float32, np.float64), low=0)
        schema: Schema = {**dict.fromkeys(names, flat), "step": step}
        check("_stream.iterate.optimizer", group, schema)
