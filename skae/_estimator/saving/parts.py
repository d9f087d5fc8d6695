"""Parameters in files: those that a file stores, and those that are handed in again."""

import inspect
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.distributions import Distribution

from skae._files.values import Array, Encoder
from skae._files.words import shown
from skae._model.distributions import (
    distribution_from_plain,
    distribution_to_plain,
    is_plain_distribution,
)

# torch's activations that are built without arguments, by name.
ACTIVATION_CLASSES: dict[str, type[nn.Module]] = {
    name: kind
    for name, kind in vars(nn.modules.activation).items()
    if name in nn.modules.activation.__all__
    and all(p.default is not p.empty for p in [*inspect.signature(kind).parameters.values()])
}


class Unstorable(TypeError):
    """Raised for a value that no file can hold."""


def plain_parameters(state: dict[str, Any]) -> dict[str, Any]:
    """Return a state in which torch's distributions are numbers and arrays, where that is exact."""
    return map_parameters(state, to_plain)


def restored_parameters(state: dict[str, Any]) -> dict[str, Any]:
    """Return what :func:`plain_parameters` was given."""
    return map_parameters(
        state, lambda v: distribution_from_plain(v) if is_plain_distribution(v) else v
    )


def to_plain(value: Any) -> Any:
    """Return a distribution as numbers and arrays where that is exact, others as they are."""
    plain = distribution_to_plain(value) if isinstance(value, Distribution) else None
    return value if plain is None else plain


def map_parameters(state: dict[str, Any], change: Any) -> dict[str, Any]:
    """Change the values of a state, and the parameters in its description of the module."""
    changed = {name: change(value) for name, value in state.items()}
    spec = changed.get("_spec")
    if isinstance(spec, dict) and isinstance(spec.get("parameters"), dict):
        own = {name: change(value) for name, value in spec["parameters"].items()}
        changed["_spec"] = {**spec, "parameters": own}
    return changed


def encode_parameter(
    name: str, value: Any, arrays: dict[str, Array], parts: dict[str, Any], path: str
) -> Any:
    """Return JSON for a parameter; what no file can hold goes into ``parts`` by its name."""
    for known, kind in ACTIVATION_CLASSES.items():
        if value is kind:
            return {"$other": {"activation": known}}
    encoder = Encoder(refuse)
    try:
        coded = encoder.encode(value, path)
    except Unstorable:
        if name in parts and parts[name] is not value and not is_equal(parts[name], value):
            is_alike = shown(parts[name]) == shown(value)
            copies = " If these are copies of one object, give its class an __eq__, or pickle."
            raise ValueError(
                f"{name} was changed after the fit to {shown(value)}, and the fitted model "
                f"still has {shown(parts[name])}: a file cannot ask for both. Set {name} to "
                f"what it was when the model was fitted, or fit again.{copies if is_alike else ''}"
            ) from None
        parts[name] = value
        return {"$other": {"part": name}}
    arrays.update(encoder.arrays)
    return coded


def refuse(path: str, value: Any) -> Any:
    """Refuse a value of another kind."""
    raise Unstorable(f"{path[:200]} is {kind_of(value)}")


def kind_of(value: Any) -> str:
    """Return what kind of value no file holds, for an error."""
    kind = type(value).__name__
    if type(value) is dict:
        others = sorted({type(key).__name__ for key in value} - {"str"})
        return f"a dict with keys that are not str but {', '.join(others)}"
    if isinstance(value, np.ndarray):
        of_objects = value.dtype == object and value.ndim == 1
        what = "objects, not all of them str" if of_objects else f"{value.dtype}"
        return f"a {kind} of {what}, with {value.ndim} dimensions"
    if isinstance(value, torch.Tensor):
        return f"a {kind} of {value.dtype}, {value.layout}, on {value.device}"
    return f"{'an' if kind[0] in 'aeiouAEIOU' else 'a'} {kind}"


def is_equal(one: Any, other: Any) -> bool:
    """Tell whether two objects say that they are equal, or are copies of each other."""
    try:
        if one == other:
            return True
        if type(one) is not type(other) or isinstance(one, type):
            return False
        if isinstance(one, dict):
            one, other = [[*one], [*one.values()]], [[*other], [*other.values()]]
        if isinstance(one, list | tuple):
            return len(one) == len(other) and all(map(is_equal, one, other))
        # What pickle would make them of; a function has none.
        pieces, others = (each.__reduce_ex__(2) for each in (one, other))
        return isinstance(pieces, tuple) and is_equal(pieces[:3], others[:3])
    except Exception:  # such as of arrays
        return False
