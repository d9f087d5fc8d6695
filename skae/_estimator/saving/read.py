"""How a fitted estimator is read: nothing is built before all of it has been checked."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import sklearn

from skae._estimator.environment import as_if_alone, resolve_device
from skae._estimator.parameters.rules import Rule, check_argument
from skae._estimator.saving.parts import ACTIVATION_CLASSES, restored_parameters
from skae._estimator.saving.savable import Savable
from skae._estimator.saving.schema import allows
from skae._estimator.saving.write import KIND, OF_A_MACHINE, may_be_set
from skae._files.format import ModelFileError, StoredFile, open_file
from skae._files.values import Array, Decoder
from skae._files.words import shown
from skae._model.distributions import is_plain_distribution, require_plain

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
        check_call(stored, cls, estimator, handed_in)
        with refusing(stored):
            require_parts(stored.document["parts"], cls, handed_in)
            # First with arrays that have no memory: what does not fit together is not read.
            stand_ins = {
                name: np.broadcast_to(np.zeros((), dtype), shape)
                for name, (dtype, shape) in stored.shapes.items()
            }
            Content.of(stored.document, stand_ins, handed_in).check(cls)
            content = Content.of(stored.document, stored.arrays(), handed_in)
    with refusing(stored), as_if_alone():
        return content.build(cls)


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


def check_call(
    stored: StoredFile,
    cls: type[Any],
    estimator: type[Savable] | None,
    handed_in: dict[str, Any],
) -> None:
    """Raise for what is handed in and is in the file, is no parameter, or breaks its rule."""
    if estimator is not None and estimator is not cls:
        raise ValueError(
            f"estimator={estimator.__name__} is not the class of {stored.path!r}, {cls.__name__}; "
            "leave it out."
        )
    rules = rules_of(cls)
    for name, value in handed_in.items():
        if name not in rules:
            raise TypeError(f"{cls.__name__} has no parameter {name!r}.")
        if name not in stored.document["parts"] and name != "device":
            raise ValueError(
                f"{name}={shown(value)} is handed in, and {stored.path!r} has its own; leave it "
                "out, and set it afterwards."
            )
        check_argument(name, value, rules[name])
        if name == "device":
            resolve_device(value)


def require_parts(parts: dict[str, Any], cls: type[Any], handed_in: dict[str, Any]) -> None:
    """Raise ValueError where parts of a file are missing, or are no parameters."""
    unknown = sorted(parts.keys() - rules_of(cls).keys())
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


def rules_of(cls: type[Any]) -> dict[str, Rule]:
    """Return the rules of a class's parameters, by name."""
    return {spec.name: spec.metadata["rule"] for spec in fields(cls)}


class Once(dict[str, Array]):
    """A mapping that gives each array once.

    So decoded values take no more memory than the file has.
    """

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        super().__init__(arrays)

    def __getitem__(self, name: str) -> Array:
        return self.pop(name)


@dataclass
class Content:
    """What is in a file, as values.

    Attributes
    ----------
    parameters, state, users : dict
        Of the constructor; what the fit has set; what the user has set.
    requests : dict
        Of metadata, as set by set_fit_request.
    unused : list of str
        Arrays and parts that are in the file and belong nowhere.
    """

    parameters: dict[str, Any]
    state: dict[str, Any]
    users: dict[str, Any]
    requests: dict[str, Any]
    unused: list[str]

    @classmethod
    def of(
        cls, document: dict[str, Any], arrays: Mapping[str, Array], handed_in: dict[str, Any]
    ) -> "Content":
        """Turn a document and its arrays into values."""
        used: set[str] = set()

        def other(content: dict[str, Any]) -> Any:
            ((kind, name),) = content.items()
            if kind == "activation":
                return ACTIVATION_CLASSES[name]
            if kind == "part" and name in document["parts"]:
                used.add(name)
                return handed_in[name]
            raise ValueError(f"no value is {kind[:40]} of {str(name)[:40]!r}")

        left = Once(arrays)
        names = ("parameters", "state", "users")
        decoder = Decoder(left, other)
        values = {n: {k: decoder.decode(v) for k, v in document[n].items()} for n in names}
        unused = sorted([*left, *(document["parts"].keys() - used)])
        if "device" in handed_in:
            values["parameters"]["device"] = handed_in["device"]
        return cls(**values, requests=document["requests"], unused=unused)

    def check(self, cls: type[Any]) -> None:
        """Raise ValueError where the values do not fit together, or are none of the class's."""
        needed, optional = cls._names_of_state()
        wanted = {*cls._get_param_names()}
        self.check_names("parameters", self.parameters, set(), wanted)
        self.check_names("fitted attributes", self.state, needed, needed | optional)
        if self.unused:
            raise ValueError(f"it has {self.unused[:5]}, which belong nowhere")
        known = wanted | needed | optional
        for name in self.users:
            if name in known or not may_be_set(cls, name):
                raise ValueError(
                    f"it has an attribute {name[:60]!r}, which is no name that a user may set"
                )
        if any(self.parameters.get(name) is not None for name in OF_A_MACHINE):
            raise ValueError(f"it has values of {OF_A_MACHINE}, which save does not write")
        check_by_rules(cls, defaults_of(cls) | self.parameters)
        if "_spec" in needed and isinstance(self.state["_spec"], dict):
            check_spec_by_rules(cls, self.state["_spec"])
        cls._check_state(self.state)
        check_requests(cls, self.requests)

    @staticmethod
    def check_names(what: str, found: dict[str, Any], least: set[str], most: set[str]) -> None:
        """Raise ValueError where names are missing, or are unknown."""
        missing, unknown = sorted(least - found.keys()), sorted(found.keys() - most)
        if missing or unknown:
            lacks = f"lacks {missing}" if missing else ""
            knows = f"has {str(unknown)[:200]}, which this version of skae does not know"
            parts = [part for part in (lacks, knows if unknown else "") if part]
            raise ValueError(f"of the {what} it {' and '.join(parts)}")

    def build(self, cls: type[Any]) -> Any:
        """Return the estimator."""
        known = defaults_of(cls) | self.parameters
        state = restored_parameters({**known, **cls._from_file(self.state)})
        parameters = {name: state[name] for name in known}
        check_by_rules(cls, parameters)
        model = object.__new__(cls)
        model.__setstate__({**self.users, **state})
        with sklearn.config_context(enable_metadata_routing=True):
            for method, requests in self.requests.items():
                getattr(model, f"set_{method}_request")(**requests)
        return model


def defaults_of(cls: type[Any]) -> dict[str, Any]:
    """Return the defaults of a class's parameters, for files of versions that lack some."""
    return {spec.name: spec.default for spec in fields(cls)}


def check_by_rules(cls: type[Any], values: dict[str, Any], where: str = "") -> None:
    """Raise ValueError for a value by the name of a parameter whose rule it breaks."""
    for name, rule in rules_of(cls).items():
        value = values.get(name)
        if is_plain_distribution(value):
            require_plain(value)  # its arrays may have no memory yet
        elif name in values and not allows(rule, value):
            raise ValueError(f"{where}{name}={shown(value)} is not valid: expected {rule.expected}")


def check_spec_by_rules(cls: type[Any], spec: dict[str, Any]) -> None:
    """Raise ValueError where a module is described by what is no parameter of a class."""
    own = spec.get("parameters")
    if not isinstance(own, dict) or not own.keys() <= rules_of(cls).keys():
        raise ValueError(f"_spec.parameters are {shown(own)}")
    check_by_rules(cls, spec, "_spec.")
    check_by_rules(cls, own, "_spec.parameters.")


def check_requests(cls: type[Any], requests: dict[str, Any]) -> None:
    """Raise ValueError for requests of metadata that a class's methods do not have."""
    for method, wanted in requests.items():
        plain = isinstance(wanted, dict) and all(
            v is None or isinstance(v, bool | str) for v in wanted.values()
        )
        if not plain or not method.isidentifier() or not hasattr(cls, f"set_{method}_request"):
            raise ValueError(
                f"it has metadata requests for {method[:40]!r}, a method that takes none"
            )
