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
    """What a parameter may be: a phrase for people and a test.

    Parameters
    ----------
    expected : str
        What errors say was expected, such as "int >= 1".
    allows : callable (value) -> bool
        Tells whether a value is allowed; it is given values of any type.

    Examples
    --------
    >>> from skae.base import Rule, integer
    >>> rule = integer(1) | Rule("an even number of pixels", lambda value: value == "even")
    >>> rule.expected
    'int >= 1 or an even number of pixels'
    >>> rule.allows("even"), rule.allows(0)
    (True, False)
    """

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
    """Allow integers from ``minimum`` on.

    Parameters
    ----------
    minimum : int
        The least integer that is allowed.

    Returns
    -------
    Rule
        It refuses bool, and integers of more than 64 bits.

    Examples
    --------
    >>> from skae.base import integer
    >>> integer(1).allows(3), integer(1).allows(0), integer(1).allows(True)
    (True, False, False)
    """
    return Rule(
        f"int >= {minimum}", lambda value: is_integer(value) and minimum <= value < TOO_LARGE
    )


def real(low: float, high: float, closed: str = "[]") -> Rule:
    """Allow numbers in an interval, ``closed`` giving its brackets.

    Parameters
    ----------
    low, high : float
        The ends of the interval; ``math.inf`` leaves one open.
    closed : str
        "[" or "(" and "]" or ")": whether the ends are allowed.

    Returns
    -------
    Rule
        It refuses bool and NaN.

    Examples
    --------
    >>> from skae.base import real
    >>> rule = real(0, 1, "(]")
    >>> rule.expected
    'float in (0, 1]'
    >>> rule.allows(0), rule.allows(1)
    (False, True)
    """

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
    """Allow a few names, or None.

    Parameters
    ----------
    *names : str or None
        What is allowed.

    Returns
    -------
    Rule
        It allows exactly these.

    Examples
    --------
    >>> from skae.base import options
    >>> options("masking", "gaussian", None).expected
    "'masking', 'gaussian' or None"
    """
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


image_shape_rule = Rule(
    "(height, width), (height, width, channels) or None",
    lambda value: value is None or (sizes.allows(value) and len(value) in (2, 3)),
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
    """Declare a constructor parameter: its default, what it may be, and what it is for.

    Parameters
    ----------
    default : object
        Its default; nothing that can be changed in place, such as a list.
    rule : Rule
        What ``fit`` checks it against.
    doc : str
        The text of its entry in the docstring of the class: unit, and when to change it.

    Returns
    -------
    dataclasses.Field
        What :func:`estimator` makes a parameter of the constructor of.

    Examples
    --------
    :func:`estimator` has one, in its place.

    >>> from skae.base import parameter, real
    >>> parameter(1.0, real(0, 1), "Weight of the penalty.").default
    1.0
    """
    return field(default=default, metadata={"rule": rule, "doc": doc})


@dataclass_transform(eq_default=False, kw_only_default=True)
def estimator(cls: type[T]) -> type[T]:
    """Turn a class into an estimator: generate ``__init__`` and complete the docstring.

    Parameters
    ----------
    cls : type
        A subclass of :class:`BaseAutoEncoder`, whose parameters are declared by
        :func:`parameter`. In its docstring ``{parameters}`` and ``{attributes}`` are filled in.

    Returns
    -------
    type
        The same class, as a dataclass.

    Raises
    ------
    TypeError
        For a field that :func:`parameter` has not declared.

    Examples
    --------
    >>> from skae import AutoEncoder
    >>> from skae.base import estimator, integer, parameter
    >>> @estimator
    ... class MyAutoEncoder(AutoEncoder):
    ...     '''An autoencoder with a parameter of its own.
    ...
    ...     Parameters
    ...     ----------
    ...     {parameters}
    ...     '''
    ...
    ...     n_views: int = parameter(1, integer(1), "Number of views of a row.")
    >>> MyAutoEncoder(4, n_views=2)
    MyAutoEncoder(n_components=4, n_views=2)
    """
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
