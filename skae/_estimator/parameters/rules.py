"""Constructor parameters, written once: default, rule and documentation in one place.

A parameter is a dataclass field. Its rule is checked by ``fit`` and shown in errors, and
the class docstring's ``{parameters}`` are filled in from the fields, so that no default or
domain is stated twice.
"""

import inspect
import textwrap
from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields
from numbers import Integral, Real
from typing import Any, TypeVar, dataclass_transform

import numpy as np
from torch import nn

from skae._files.words import shown

T = TypeVar("T")

# Integers from here on do not fit into the 64 bits that torch and NumPy count with.
TOO_LARGE = 2**63


@dataclass(frozen=True)
class Rule:
    """What a parameter may be: a phrase for people and a test."""

    expected: str
    allows: Callable[[Any], bool]

    def __or__(self, other: "Rule") -> "Rule":
        """Allow what either rule allows."""
        return Rule(
            f"{self.expected} or {other.expected}",
            lambda value: self.allows(value) or other.allows(value),
        )


def is_integer(value: Any) -> bool:
    """Tell whether ``value`` is an integer, bool excluded."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_too_large(value: Any) -> bool:
    """Tell whether ``value``, or one of its items, is an integer that 64 bits do not hold."""
    if isinstance(value, tuple | list):
        return any(map(is_too_large, value))
    return is_integer(value) and not -TOO_LARGE <= value < TOO_LARGE


def integer(minimum: int) -> Rule:
    """Allow integers from ``minimum`` on."""
    return Rule(
        f"int >= {minimum}", lambda value: is_integer(value) and minimum <= value < TOO_LARGE
    )


def real(low: float, high: float, closed: str = "[]") -> Rule:
    """Allow numbers in an interval, ``closed`` giving its brackets."""

    def allows(value: Any) -> bool:
        if not isinstance(value, Real) or isinstance(value, bool) or is_too_large(value):
            return False
        try:
            number = float(value)
        except OverflowError:  # of a fraction
            return False
        return (number >= low if closed[0] == "[" else number > low) and (
            number <= high if closed[1] == "]" else number < high
        )

    return Rule(f"float in {closed[0]}{low:g}, {high:g}{closed[1]}", allows)


def options(*names: str | None) -> Rule:
    """Allow a few names, or None."""
    expected = " or ".join(
        [", ".join(map(repr, names[:-1])), repr(names[-1])] if names[1:] else [repr(names[0])]
    )
    # The type first: an array compared with a string is an array.
    return Rule(expected, lambda value: isinstance(value, str | None) and value in names)


boolean = Rule("bool", lambda value: isinstance(value, bool | np.bool_))
random_state_rule = Rule(
    "int in [0, 2**32), RandomState or None",
    lambda value: (
        value is None
        or isinstance(value, np.random.RandomState)
        or (is_integer(value) and 0 <= value < 2**32)
    ),
)
sizes = Rule(
    "tuple or list of int >= 1",
    lambda value: isinstance(value, tuple | list) and all(map(integer(1).allows, value)),
)


def resolve_sizes(value: Any) -> tuple[int, ...]:
    """Return widths of layers, of which an int is one, as a tuple of Python's int."""
    return (int(value),) if is_integer(value) else tuple(map(int, value))


def takes(value: Any, n_arguments: int) -> bool:
    """Tell whether ``value`` can be called with so many arguments, as far as is known."""
    if not callable(value):
        return False
    try:
        called = value.forward if isinstance(value, nn.Module) else value
        inspect.signature(called).bind(*range(n_arguments))
    except TypeError:
        return False
    except (ValueError, AttributeError):  # a function of C has no signature
        return True
    return True


def is_network_maker(value: Any) -> bool:
    """Tell whether ``value`` can build networks; a network that is built already cannot."""
    return takes(value, 2) and not isinstance(value, nn.Module)


network_maker = Rule(
    "callable (n_inputs, n_outputs) -> torch.nn.Module or None",
    lambda value: value is None or is_network_maker(value),
)


def parameter(default: Any, rule: Rule, doc: str) -> Any:
    """Declare a constructor parameter: its default, what it may be, and what it is for."""
    return field(default=default, metadata={"rule": rule, "doc": doc})


@dataclass_transform(eq_default=False, kw_only_default=True)
def estimator(cls: type[T]) -> type[T]:
    """Turn a class into an estimator: generate ``__init__`` and complete the docstring."""
    cls = dataclass(eq=False, repr=False, kw_only=True)(cls)
    complete_docstring(cls)
    return cls


def check_argument(name: str, value: Any, rule: Rule) -> None:
    """Raise ValueError for an argument of a method that breaks its rule."""
    if not rule.allows(value):
        raise ValueError(f"{name}={shown(value)} is not valid: {expectation(rule, value)}.")


def check_parameters(estimator: Any) -> None:
    """Raise ValueError for the first parameter of ``estimator`` that breaks its rule."""
    for spec in fields(estimator):
        value, rule = getattr(estimator, spec.name), spec.metadata["rule"]
        if not rule.allows(value):
            raise ValueError(
                f"{spec.name}={shown(value)} is not valid for {type(estimator).__name__}: "
                f"{expectation(rule, value)}."
            )


def expectation(rule: Rule, value: Any) -> str:
    """Return what an error says was expected in the place of ``value``."""
    limit = ", and no integer of more than 64 bits" if is_too_large(value) else ""
    return f"expected {rule.expected}{limit}"


def complete_docstring(cls: type) -> None:
    """Replace ``{parameters}`` and ``{attributes}`` in a dataclass's docstring by its own."""
    entries = []
    for spec in fields(cls):
        if spec.default is MISSING or "rule" not in spec.metadata:
            raise TypeError(
                f"{cls.__name__}.{spec.name} is no parameter; declare it with "
                "parameter(default, rule, text)."
            )
        text = textwrap.indent(inspect.cleandoc(spec.metadata["doc"]), "    ")
        entries.append(f"{spec.name} : {spec.metadata['rule'].expected}, default={spec.default!r}")
        entries.append(text)
    assert cls.__doc__ is not None
    doc = inspect.cleandoc(cls.__doc__).replace("{parameters}", "\n".join(entries))
    cls.__doc__ = doc.replace("{attributes}", inspect.cleandoc(getattr(cls, "_attributes", "")))
