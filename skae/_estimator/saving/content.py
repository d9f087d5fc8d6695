"""What is in a file, as values, and whether they make an estimator."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import sklearn

from skae._estimator.parameters.rules import Rule
from skae._estimator.saving.parts import ACTIVATION_CLASSES, restored_parameters
from skae._estimator.saving.schema import allows, check_optional
from skae._estimator.saving.versions import with_later_names
from skae._files.values import Array, Decoder
from skae._files.words import shown
from skae._model.distributions import is_plain_distribution, require_plain

# Parameters that belong to a machine, and are None in a file: whoever loads it would otherwise
# write into a folder that whoever made it has named.
OF_A_MACHINE = ("checkpoint",)
# What scikit-learn may keep of an estimator that is not fitted.
OF_UNFITTED = {"_sklearn_output_config"}
# The entries of the document of an estimator that is part of another one.
ENTRIES_OF_PART = {"class", "parameters", "state", "users", "requests"}


class Once(dict[str, Array]):
    """A mapping that gives each array once.

    So decoded values take no more memory than the file has.
    """

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        super().__init__(arrays)

    def __getitem__(self, name: str) -> Array:
        return self.pop(name)


@dataclass(repr=False)
class Content:
    """What is in a file of an estimator, as values.

    Attributes
    ----------
    cls : class
        Of the estimator.
    parameters, state, users : dict
        Of the constructor; what the fit has set; what the user has set. Where the class says so
        (``_nested``), there are estimators in them, each of which is a Content.
    requests : dict
        Of metadata, as set by set_fit_request.
    unused : list of str
        Arrays and parts that are in the file and belong nowhere.
    """

    cls: type[Any]
    parameters: dict[str, Any]
    state: dict[str, Any]
    users: dict[str, Any]
    requests: dict[str, Any]
    unused: list[str] = field(default_factory=list)

    def __repr__(self) -> str:
        return f"<{self.cls.__name__}>"

    def check(self, *, is_part: bool = False) -> None:
        """Raise ValueError where the values do not fit together, or are none of the class's.

        An estimator that is part of another one need not be fitted.
        """
        cls = self.cls
        needed, optional = cls._names_of_state()
        wanted = names_of_parameters(cls)
        is_fitted = not is_part or bool(needed & self.state.keys())
        least, most = (needed, needed | optional) if is_fitted else (set(), optional & OF_UNFITTED)
        self.check_names("parameters", self.parameters, set(), wanted)
        self.check_names("fitted attributes", self.state, least, most)
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
        for part in contents_in([*self._values_of(self.parameters), *self._values_of(self.state)]):
            part.check(is_part=True)
        check_by_rules(cls, defaults_of(cls) | self.parameters)
        if is_fitted:
            if "_spec" in needed and isinstance(self.state["_spec"], dict):
                check_spec_by_rules(cls, self.state["_spec"])
            cls._check_state(self.state)
        else:
            check_optional(self.state, 0)
        check_requests(cls, self.requests)

    def _values_of(self, values: dict[str, Any]) -> list[Any]:
        """Return those of the values in which there may be estimators."""
        return [values[name] for name in self.cls._nested if name in values]

    @staticmethod
    def check_names(what: str, found: dict[str, Any], least: set[str], most: set[str]) -> None:
        """Raise ValueError where names are missing, or are unknown."""
        missing, unknown = sorted(least - found.keys()), sorted(found.keys() - most)
        if missing or unknown:
            lacks = f"lacks {missing}" if missing else ""
            knows = f"has {str(unknown)[:200]}, which this version of skae does not know"
            parts = [part for part in (lacks, knows if unknown else "") if part]
            raise ValueError(f"of the {what} it {' and '.join(parts)}")

    def build(self) -> Any:
        """Return the estimator."""
        cls = self.cls
        known = defaults_of(cls) | self.parameters
        values = {**known, **cls._from_file(self.state)}
        values |= {name: built(values[name]) for name in cls._nested if name in values}
        state = restored_parameters(values)
        parameters = {name: state[name] for name in known}
        check_by_rules(cls, parameters)
        model = object.__new__(cls)
        model.__setstate__({**self.users, **state})
        with sklearn.config_context(enable_metadata_routing=True):
            for method, requests in self.requests.items():
                try:
                    getattr(model, f"set_{method}_request")(**requests)
                except (TypeError, ValueError) as error:
                    raise ValueError(
                        f"it has metadata requests that {method} does not take, "
                        f"{str(requests)[:200]}"
                    ) from error
        return model


@dataclass
class Reader:
    """Turns the documents of a file into values: the estimator's, and those of its parts.

    Attributes
    ----------
    arrays : dict of str to ndarray
        Those of the file that nothing has used.
    parts : set of str
        What the file asks users to hand in.
    handed_in : dict
        What they have handed in.
    classes : mapping of str to class
        Of the estimators that may be parts of another one.
    used : set of str
        The parts that were used.
    """

    arrays: Once
    parts: set[str]
    handed_in: dict[str, Any]
    classes: Mapping[str, type[Any]]
    used: set[str] = field(default_factory=set)

    def content(self, cls: type[Any], document: dict[str, Any]) -> Content:
        """Return the values of a document."""
        plain = Decoder(self.arrays, self._other)
        nested = Decoder(self.arrays, self._other_or_estimator)
        parameters, state, users = (
            {
                name: (nested if name in cls._nested else plain).decode(value)
                for name, value in document[entry].items()
            }
            for entry in ("parameters", "state", "users")
        )
        needed, _ = cls._names_of_state()
        if needed & state.keys():
            state = with_later_names(state, needed)
        if "device" in self.handed_in and "device" in rules_of(cls):
            parameters["device"] = self.handed_in["device"]
        return Content(cls, parameters, state, users, document["requests"])

    def _other(self, content: dict[str, Any]) -> Any:
        ((kind, name),) = content.items()
        if kind == "activation":
            return ACTIVATION_CLASSES[name]
        if kind == "part" and name in self.parts:
            self.used.add(name)
            return self.handed_in[name]
        raise ValueError(f"no value is {kind[:40]} of {str(name)[:40]!r}")

    def _other_or_estimator(self, content: dict[str, Any]) -> Any:
        ((kind, document),) = content.items()
        if kind != "estimator":
            return self._other(content)
        if document.keys() != ENTRIES_OF_PART:
            raise ValueError(f"an estimator in it has the entries {str(sorted(document))[:200]}")
        name = document["class"]
        if name not in self.classes:
            raise ValueError(
                f"an estimator in it is of the class {str(name)[:80]!r}, and this version of skae "
                "has none such"
            )
        if not all(isinstance(document[entry], dict) for entry in ENTRIES_OF_PART - {"class"}):
            raise ValueError(f"an estimator in it, of the class {name!r}, is none")
        return self.content(self.classes[name], document)


def content_of(
    cls: type[Any],
    document: dict[str, Any],
    arrays: Mapping[str, Array],
    handed_in: dict[str, Any],
    classes: Mapping[str, type[Any]],
) -> Content:
    """Turn a file's document and its arrays into values."""
    reader = Reader(Once(arrays), {*document["parts"]}, handed_in, classes)
    content = reader.content(cls, document)
    content.unused = sorted([*reader.arrays, *(reader.parts - reader.used)])
    return content


def contents_in(value: Any) -> Iterator[Content]:
    """Yield the estimators that there are in a value."""
    if isinstance(value, Content):
        yield value
    elif isinstance(value, list | dict):
        for each in value.values() if isinstance(value, dict) else value:
            yield from contents_in(each)


def built(value: Any) -> Any:
    """Return a value with estimators in the place of what is in the file of them."""
    if isinstance(value, Content):
        return value.build()
    if isinstance(value, list):
        return [built(each) for each in value]
    return {k: built(each) for k, each in value.items()} if isinstance(value, dict) else value


def names_of_parameters(cls: type[Any]) -> set[str]:
    """Return the names of a class's parameters, which its own ``__init__`` may have none of."""
    return {*cls._get_param_names(), *rules_of(cls)}


def defaults_of(cls: type[Any]) -> dict[str, Any]:
    """Return the defaults of a class's parameters, for files of versions that lack some."""
    return {spec.name: spec.default for spec in fields(cls)}


def check_by_rules(cls: type[Any], values: dict[str, Any], where: str = "") -> None:
    """Raise ValueError for a value by the name of a parameter whose rule it breaks."""
    for name, rule in rules_of(cls).items():
        value = values.get(name)
        if is_plain_distribution(value):
            require_plain(value)  # its arrays may have no memory yet
            continue
        if isinstance(value, Content):
            value = object.__new__(value.cls)  # none is built yet, and rules ask for its class
        if name in values and not allows(rule, value):
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


def rules_of(cls: type[Any]) -> dict[str, Rule]:
    """Return the rules of a class's parameters, by name."""
    return {spec.name: spec.metadata["rule"] for spec in fields(cls)}


def may_be_set(cls: type, name: str) -> bool:
    """Tell whether a user may have given estimators of a class an attribute of this name."""
    return name.isidentifier() and not name.startswith("__") and not hasattr(cls, name)


def is_of_skae(cls: type) -> bool:
    """Tell whether a class is one of skae's estimators."""
    return cls.__module__.partition(".")[0] == "skae"
