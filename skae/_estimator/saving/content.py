"""What is in a file, as values, and whether they make an estimator."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import sklearn

from skae._estimator.parameters.rules import Rule
from skae._estimator.saving.parts import ACTIVATION_CLASSES, restored_parameters
from skae._estimator.saving.schema import allows
from skae._files.values import Array, Decoder
from skae._files.words import shown
from skae._model.distributions import is_plain_distribution, require_plain

# Parameters that belong to a machine, and are None in a file: whoever loads it would otherwise
# write into a folder that whoever made it has named.
OF_A_MACHINE = ("checkpoint",)


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
        wanted = names_of_parameters(cls)
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
                try:
                    getattr(model, f"set_{method}_request")(**requests)
                except (TypeError, ValueError) as error:
                    raise ValueError(
                        f"it has metadata requests that {method} does not take, "
                        f"{str(requests)[:200]}"
                    ) from error
        return model


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


def rules_of(cls: type[Any]) -> dict[str, Rule]:
    """Return the rules of a class's parameters, by name."""
    return {spec.name: spec.metadata["rule"] for spec in fields(cls)}


def may_be_set(cls: type, name: str) -> bool:
    """Tell whether a user may have given estimators of a class an attribute of this name."""
    return name.isidentifier() and not name.startswith("__") and not hasattr(cls, name)


def is_of_skae(cls: type) -> bool:
    """Tell whether a class is one of skae's estimators."""
    return cls.__module__.partition(".")[0] == "skae"
