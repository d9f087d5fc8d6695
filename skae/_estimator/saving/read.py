"""How a fitted estimator is read: nothing is built before all of it has been checked."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from skae._estimator.environment import as_if_alone, resolve_device
from skae._estimator.parameters.rules import check_argument
from skae._estimator.saving.content import (
    content_of,
    is_of_skae,
    names_of_parameters,
    rules_of,
)
from skae._estimator.saving.savable import Savable
from skae._estimator.saving.write import KIND
from skae._files.format import ModelFileError, StoredFile, open_file
from skae._files.words import shown, shown_error
from skae._model.weights import OtherWeights

ENTRIES = {"class", "versions", "parameters", "parts", "state", "users", "requests"}


def read_model(
    path: str | os.PathLike[str],
    classes: Mapping[str, type[Savable]],
    estimator: type[Savable] | None,
    handed_in: dict[str, Any],
) -> Any:
    """Load a fitted estimator; see :func:`skae.load`, which knows the ``classes`` by name."""
    if estimator is not None and not is_savable(estimator):
        raise TypeError(
            f"estimator={shown(estimator)} is no class of an estimator of skae's kind; pass the "
            "class that was saved."
        )
    with open_file(path, KIND) as stored:
        with refusing(stored):
            cls = class_of(stored.document, classes, estimator)
        names = names_to_hand_in(cls, classes)
        check_call(stored, cls, estimator, names, handed_in)
        with refusing(stored):
            require_parts(stored.document["parts"], cls, names, handed_in)
            # First with arrays that have no memory: what does not fit together is not read.
            stand_ins = {
                name: np.broadcast_to(np.zeros((), dtype), shape)
                for name, (dtype, shape) in stored.shapes.items()
            }
            content_of(cls, stored.document, stand_ins, handed_in, classes).check()
            content = content_of(cls, stored.document, stored.arrays(), handed_in, classes)
            content.check()  # the numbers, now that there are any
    with refusing(stored), blaming(handed_in), as_if_alone():
        return content.build()


def is_savable(value: Any) -> bool:
    """Tell whether a value is a class of estimators that can be saved."""
    return isinstance(value, type) and issubclass(value, Savable)


@contextmanager
def refusing(stored: StoredFile) -> Iterator[None]:
    """Raise ModelFileError for whatever goes wrong with a file: it may hold anything."""
    try:
        yield
    except (ModelFileError, OSError):
        raise
    except Exception as error:
        stored.verify()
        raise ModelFileError(
            f"{stored.path!r} cannot be loaded: {str(error).rstrip('.') or type(error).__name__}."
        ) from error


@contextmanager
def blaming(handed_in: dict[str, Any]) -> Iterator[None]:
    """Raise ValueError that names a part of a user where it raises, or makes another network."""
    try:
        yield
    except OtherWeights as error:
        at_fault = [
            f"{name}={shown(value)}"
            for name, value in handed_in.items()
            if name == "activation" or any(n.startswith(f"{name}.") for n in error.names)
        ]
        if not at_fault:
            raise
        raise ValueError(
            f"{' or '.join(at_fault)} is not what the estimator was fitted with ({error}); hand "
            "in what it was fitted with"
        ) from error
    except Exception as error:
        who = getattr(error, "__notes__", None)  # a network maker that raised has one
        if not who:
            raise
        raise ValueError(f"{who[-1]}: {shown_error(error)}") from error


def class_of(
    document: dict[str, Any],
    classes: Mapping[str, type[Savable]],
    estimator: type[Savable] | None,
) -> type[Savable]:
    """Return the class of the estimator in a file: one of skae's by name, or the one handed in."""
    if document.keys() != ENTRIES or not all(isinstance(v, dict) for v in document.values()):
        raise ValueError(f"its document has the entries {sorted(document)}")
    name, of_skae = document["class"].get("name"), document["class"].get("of_skae")
    if not isinstance(name, str) or not isinstance(of_skae, bool):
        raise ValueError("it does not say of which class it is")
    if of_skae:
        if name not in classes:
            raise ValueError(f"it is of the class {name!r}, and this version of skae has none such")
        return classes[name]
    if estimator is None:
        raise ValueError(
            f"it is of the class {name!r}, which is not skae's; hand it in, as in "
            f"skae.load(path, estimator={name})"
        )
    return estimator


def names_to_hand_in(cls: type[Savable], classes: Mapping[str, type[Savable]]) -> set[str]:
    """Return the names of a class's parameters, and those of estimators that are parts of it."""
    nested = classes.values() if cls._nested else ()
    return names_of_parameters(cls).union(*map(names_of_parameters, nested))


def check_call(
    stored: StoredFile,
    cls: type[Any],
    estimator: type[Savable] | None,
    names: set[str],
    handed_in: dict[str, Any],
) -> None:
    """Raise for what is handed in and is in the file, is no parameter, or breaks its rule."""
    if estimator is not None and estimator is not cls:
        raise ValueError(
            f"estimator={estimator.__name__} is not the class of {stored.path!r}, {cls.__name__}; "
            "leave it out."
        )
    saved = stored.document["class"]
    if not saved["of_skae"] and (cls.__name__ != saved["name"] or is_of_skae(cls)):
        raise ValueError(
            f"estimator={cls.__name__} is not the class of {stored.path!r}, which was saved from "
            f"a class of yours named {saved['name'][:80]!r}; pass that class."
        )
    rules = rules_of(cls)
    for name, value in handed_in.items():
        if name not in names:
            raise TypeError(f"{cls.__name__} has no parameter {name!r}.")
        if name not in stored.document["parts"] and name != "device":
            raise ValueError(
                f"{name}={shown(value)} is handed in, and {stored.path!r} has its own; leave it "
                "out, and set it afterwards."
            )
        if name in rules:
            check_argument(name, value, rules[name])
        if name in stored.document["parts"] and is_built_in(name, value):
            raise ValueError(
                f"{name}={shown(value)} is handed in, and the estimator was saved with yours, "
                f"{str(stored.document['parts'][name])[:110]}; hand that in."
            )
        if name == "device":
            resolve_device(value)


def is_built_in(name: str, value: Any) -> bool:
    """Tell whether a value is one that a file holds; callbacks may be left out."""
    return isinstance(value, str) or (value is None and name != "callbacks")


def require_parts(
    parts: dict[str, Any], cls: type[Any], names: set[str], handed_in: dict[str, Any]
) -> None:
    """Raise ValueError where parts of a file are missing, or are no parameters."""
    unknown = sorted(parts.keys() - names)
    if unknown:
        raise ValueError(
            f"it names parts {str(unknown)[:200]}, which {cls.__name__} has no parameters for"
        )
    missing = [name for name in parts if name not in handed_in]
    if missing:
        looks = "; ".join(f"{name} was {str(parts[name])[:110]}" for name in missing)
        call = ", ".join(f"{name}=…" for name in missing)
        alone = missing == ["callbacks"]
        note = ", or callbacks=None to go on without" if alone else ""
        raise ValueError(
            f"the file does not hold your {', '.join(missing)} ({looks}); hand "
            f"{'them' if missing[1:] else 'it'} in, as in skae.load(path, {call}){note}"
        )
