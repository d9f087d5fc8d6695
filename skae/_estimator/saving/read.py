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


class WrongCall(Exception):
    """Raised for what a user has handed in; the error to raise is its cause."""


def read_model(
    path: str | os.PathLike[str],
    classes: Mapping[str, type[Savable]],
    estimator: type[Savable] | None,
    handed_in: dict[str, Any],
) -> Any:
    """Load a fitted estimator; see :func:`skae.load`, which knows the ``classes`` by name."""
    with open_file(path, KIND) as stored, refusing(stored):
        cls = class_of(stored, classes, estimator)
        require_handed_in(stored, cls, handed_in)
        # First with arrays that have no memory: what does not fit together is not read.
        stand_ins = {
            name: np.broadcast_to(np.zeros((), dtype), shape)
            for name, (dtype, shape) in stored.shapes.items()
        }
        Content.of(stored.document, stand_ins, handed_in).check(cls)
        content = Content.of(stored.document, stored.arrays(), handed_in)
    with refusing(stored), as_if_alone():
        return content.build(cls)


@contextmanager
def refusing(stored: StoredFile) -> Iterator[None]:
    """Raise ModelFileError for whatever goes wrong with a file: it may hold anything."""
    try:
        yield
    except WrongCall as error:
        assert error.__cause__ is not None
        raise error.__cause__ from None
    except (ModelFileError, OSError):
        raise
    except Exception as error:
        stored.verify()
        raise ModelFileError(
            f"{stored.path!r} cannot be loaded: {str(error).rstrip('.') or type(error).__name__}."
        ) from error


def class_of(
    stored: StoredFile, classes: Mapping[str, type[Savable]], estimator: Any
) -> type[Savable]:
    """Return the class of the estimator in a file, which is one of skae's or the one given."""
    document = stored.document
    if document.keys() != ENTRIES or not all(isinstance(v, dict) for v in document.values()):
        raise ValueError(f"its document has the entries {sorted(document)}")
    name, of_skae = document["class"].get("name"), document["class"].get("of_skae")
    if not isinstance(name, str) or not isinstance(of_skae, bool):
        raise ValueError("it does not say of which class it is")
    if estimator is None:
        if not of_skae:
            raise ValueError(
                f"it is of the class {name!r}, which is not skae's; hand it in, as in "
                f"skae.load(path, estimator={name})"
            )
        if name not in classes:
            raise ValueError(f"it is of the class {name!r}, and this version of skae has none such")
        return classes[name]
    if not isinstance(estimator, type) or not issubclass(estimator, Savable):
        wrong = f"estimator={estimator!r} is no class of an estimator of skae's kind"
        raise WrongCall from TypeError(f"{wrong}; pass the class that was saved.")
    if of_skae and estimator is not classes.get(name):
        wrong = f"estimator={estimator.__name__} is not the class of {stored.path!r}, {name!r}"
        raise WrongCall from ValueError(f"{wrong}; leave it out.")
    return estimator


def require_handed_in(stored: StoredFile, cls: type[Any], handed_in: dict[str, Any]) -> None:
    """Raise for parts that are missing, for others, and for those that break their rule."""
    parts, rules = stored.document["parts"], rules_of(cls)
    for name, value in handed_in.items():
        if name not in rules:
            raise WrongCall from TypeError(f"{cls.__name__} has no parameter {name!r}.")
        if name not in parts and name != "device":
            wrong = f"{name}={shown(value)} is handed in, and {stored.path!r} has its own"
            raise WrongCall from ValueError(f"{wrong}; leave it out, and set it afterwards.")
        try:
            check_argument(name, value, rules[name])
            if name == "device":
                resolve_device(value)
        except ValueError as error:
            raise WrongCall from error
    if not parts.keys() <= rules.keys():
        raise ValueError(f"it lacks {sorted(parts)}, of which some are no parameters")
    missing = [name for name in parts if name not in handed_in]
    if missing:
        looks = "; ".join(f"{name} was {str(parts[name])[:110]}" for name in missing)
        call = ", ".join(f"{name}=…" for name in missing)
        alone = missing == ["callbacks"]
        note = ", or callbacks=None to go on without" if alone else ""
        raise ValueError(
            f"{', '.join(missing)} of yours are not in the file ({looks}); hand them in, as in "
            f"skae.load(path, {call}){note}"
        )


def rules_of(cls: type[Any]) -> dict[str, Rule]:
    """Return the rules of a class's parameters, by name."""
    return {spec.name: spec.metadata["rule"] for spec in fields(cls)}


class Once(dict[str, Array]):
    """Arrays each of which is asked for once: a file cannot have more of them than it holds."""

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
                raise ValueError(f"it has an attribute {name[:60]!r} that none of yours can be")
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
            raise ValueError(f"it has requests of {method[:40]!r}, which has none")
