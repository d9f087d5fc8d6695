"""How a fitted estimator is written."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from skae._estimator.parameters.rules import check_parameters
from skae._estimator.saving.content import (
    OF_A_MACHINE,
    content_of,
    is_of_skae,
    may_be_set,
    names_of_parameters,
)
from skae._estimator.saving.parts import (
    Unstorable,
    encode_parameter,
    plain_parameters,
    refuse,
)
from skae._estimator.saving.versions import versions_now
from skae._files.format import write_file
from skae._files.values import Array, Encoder
from skae._files.words import shown
from skae._training.outside.tasks import OWN_ATTRIBUTES

# What the file is for.
KIND = "model"
# What users know parts of a state as.
PUBLIC = {"_history": "net_.history", "_filler.history": "net_.history"}
# So many lists and dicts may be in each other; Python reads not many more.
DEEPEST = 150


@dataclass
class Pieces:
    """What of an estimator a document names, and does not hold.

    Attributes
    ----------
    arrays : dict of str to ndarray
        By where they are.
    parts : dict
        What users hand in again, by parameter.
    classes : dict of str to class
        Of the estimators that are parts of it.
    """

    arrays: dict[str, Array] = field(default_factory=dict)
    parts: dict[str, Any] = field(default_factory=dict)
    classes: dict[str, type] = field(default_factory=dict)


def write_model(model: Any, path: str | os.PathLike[str]) -> None:
    """Write a fitted estimator; see :meth:`Savable.save`."""
    cls, pieces = type(model), Pieces()
    if "estimator" in names_of_parameters(cls) and "estimator" not in cls._nested:
        raise ValueError(
            f"{cls.__name__} has a parameter named 'estimator', by which skae.load takes the class "
            "and could not be handed yours; give the parameter another name."
        )
    document = {
        "class": {"name": cls.__name__, "of_skae": is_of_skae(cls)},
        "versions": versions_now(),
        **encode_model(model, pieces),
        "parts": {name: shown(pieces.parts[name], 80) for name in sorted(pieces.parts)},
    }
    require_loadable(cls, document, pieces)
    write_file(path, KIND, document, pieces.arrays)


def encode_model(model: Any, pieces: Pieces, where: str = "") -> dict[str, Any]:
    """Return JSON for an estimator, whose values are called as they are below ``where``."""
    check_parameters(model)
    cls, net = type(model), vars(model).get("net_")
    if net is not None and not hasattr(net, "module_"):
        raise ValueError(f"net_={shown(net)} is not the net that fit has set; fit again.")
    state = cls._to_file(plain_parameters(model._get_state()))
    state |= {name: None for name in OF_A_MACHINE if name in state}
    state = {name: value for name, value in state.items() if name not in OWN_ATTRIBUTES}
    names, known = names_of_parameters(cls), set.union(*cls._names_of_state())
    requests = state.pop("_metadata_request", None)
    nested = {
        n: encode_nested(f"{where}{n}", state.pop(n), pieces) for n in cls._nested if n in state
    }
    # First what the fit has: parameters of users have to be the same.
    fitted = {n: encode_fitted(n, state[n], pieces, where) for n in state if n in known}
    arrays, parts = pieces.arrays, pieces.parts
    parameters = {
        n: encode_parameter(n, state[n], arrays, parts, f"{where}parameters.{n}")
        for n in sorted(names & state.keys())
    }
    users = {}
    for name in state.keys() - names - known:
        if not may_be_set(cls, name):
            raise ValueError(
                f"{name} hides what {cls.__name__} has by that name, and cannot be saved; delete "
                f"it, as in `del model.{name}`."
            )
        users[name] = encode_value(f"{where}{name}", state[name], arrays)
    return {
        "parameters": parameters | {n: v for n, v in nested.items() if n in names},
        "state": fitted | {n: v for n, v in nested.items() if n in known},
        "users": users,
        "requests": {} if requests is None else requests._serialize(),
    }


def encode_nested(where: str, value: Any, pieces: Pieces) -> Any:
    """Return JSON for a value that holds estimators."""

    def other(path: str, value: Any) -> Any:
        cls = type(value)
        if not hasattr(cls, "_names_of_state"):
            return refuse(path, value)
        if not is_of_skae(cls):
            raise ValueError(
                f"this estimator holds one of {cls.__name__}, a class of yours, and its file could "
                "name classes of skae only: keep it with pickle, joblib or cloudpickle."
            )
        pieces.classes[cls.__name__] = cls
        document = encode_model(value, pieces, f"{path}.")
        return {"estimator": {"class": cls.__name__, **document}}

    return Encoder(other, pieces.arrays).encode(value, where)


def require_loadable(cls: type, document: dict[str, Any], pieces: Pieces) -> None:
    """Raise ValueError where load would refuse the file, before it takes an older one's place."""
    try:
        content_of(cls, document, pieces.arrays, pieces.parts, pieces.classes).check()
    except ValueError as error:
        raise ValueError(
            f"this {cls.__name__} cannot be saved, because its file could not be loaded: "
            f"{str(error).rstrip('.')}. Set that back to what it was after the fit, or fit again."
        ) from error


def encode_fitted(name: str, value: Any, pieces: Pieces, where: str) -> Any:
    """Return JSON for what a fit has set."""
    path, arrays, parts = f"{where}{name}", pieces.arrays, pieces.parts
    if name != "_spec":
        return encode_value(path, value, arrays)
    own = value["parameters"]
    encode: Callable[..., Any] = encode_parameter
    coded = {
        n: encode(n, v, arrays, parts, f"{path}.{n}") for n, v in value.items() if n != "parameters"
    }
    path = f"{path}.parameters"
    coded["parameters"] = {n: encode(n, v, arrays, parts, f"{path}.{n}") for n, v in own.items()}
    return coded


def encode_value(name: str, value: Any, arrays: dict[str, Array]) -> Any:
    """Return JSON for an attribute, or raise ValueError."""
    encoder = Encoder(refuse, arrays)
    before = {*arrays}
    try:
        coded = encoder.encode(value, name)
        require_json(coded, arrays.keys() - before)
        return coded
    except (Unstorable, ValueError, RecursionError) as error:
        is_deep = isinstance(error, RecursionError)
        why = "it holds itself, or is nested too deeply" if is_deep else str(error)
        text = f"{name}={shown(value)} cannot be saved: {why}"
        for private, public in PUBLIC.items():
            text = text.replace(private, public)
        raise ValueError(
            f"{text}, and a file holds numbers, strings, arrays, and lists and dicts of these. "
            "Remove it, or put it in such terms; pickle saves more."
        ) from None


def require_json(coded: Any, names: set[str]) -> None:
    """Raise ValueError or RecursionError for what JSON, or a name of an array, cannot hold."""
    json.dumps(coded)  # such as integers of more than 4,300 digits
    for name in names:
        name.encode()  # such as half of a character
    if depth(coded) > DEEPEST:
        raise RecursionError


def depth(coded: Any) -> int:
    """Return how many lists and dicts are in each other."""
    if not isinstance(coded, list | dict):
        return 0
    return 1 + max(map(depth, coded if isinstance(coded, list) else coded.values()), default=0)
