"""What values are and hold, in words that are the same in every process."""

import hashlib
import json
import sys
import sysconfig
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from skae._estimator.parameters.arguments import without_address
from skae._files.values import Encoder

# Where code lies that its version describes, and not its text.
LIBRARIES = [Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib", "platlib")]
WRAPPERS = (staticmethod, classmethod, property)


def digest(*parts: bytes) -> str:
    """Return what is different for different bytes."""
    found = hashlib.sha256()
    for part in parts:
        found.update(len(part).to_bytes(8, "little") + part)
    return found.hexdigest()[:16]


def digest_of(array: Any) -> str | None:
    """Return the digest of an array; None stays None."""
    if array is None:
        return None
    array = np.ascontiguousarray(array)
    return digest(f"{array.dtype} {array.shape}".encode(), array.tobytes())


class Describer:
    """Describes values as JSON: functions by their code, objects by what a pickle would hold.

    Functions and classes of the user's own files are described with all that they refer to, in
    whatever module that is; those of installed packages by their names.
    """

    def __init__(self) -> None:
        # What has been described, and in which order: it may refer to itself.
        self.seen: dict[int, tuple[Any, int]] = {}

    def describe(self, value: Any) -> Any:
        """Return JSON for a value."""
        if isinstance(value, np.generic):  # 8 of NumPy is 8
            value = value.item()
        try:
            coded, arrays = (encoder := Encoder()).encode(value), encoder.arrays
            if not arrays:
                return coded
            return [coded, {name: digest_of(array) for name, array in arrays.items()}]
        except TypeError:
            pass
        if id(value) in self.seen:
            return f"again {self.seen[id(value)][1]}"
        self.seen[id(value)] = value, len(self.seen)
        if isinstance(value, list | tuple):
            return [self.describe(each) for each in value]
        if isinstance(value, dict):
            return [self.describe(pair) for pair in value.items()]
        if isinstance(value, set | frozenset):
            return sorted(json.dumps(Describer().describe(each)) for each in value)
        if isinstance(value, types.FunctionType | type):
            return self._describe_code(value)
        if isinstance(value, types.BuiltinFunctionType | types.ModuleType):
            return without_address(value)
        return self._describe_object(value)

    def _describe_object(self, value: Any) -> list[Any]:
        try:
            reduced = value.__reduce_ex__(4)
        except Exception:  # what cannot be pickled
            reduced = (type(value), getattr(value, "__dict__", without_address(value)))
        if isinstance(reduced, tuple):  # iterators of items stand behind the state
            reduced = [list(part) if i > 2 and part else part for i, part in enumerate(reduced)]
        return [name_of(type(value)), self.describe(type(value)), self.describe(reduced)]

    def _describe_code(self, value: Any) -> Any:
        if not is_of_user(value):
            return name_of(value)
        members = members_of(value) if isinstance(value, type) else read_by(value)
        return [name_of(value), *([name, self.describe(held)] for name, held in members)]


def name_of(value: Any) -> str:
    """Return where a function or class is."""
    return f"{value.__module__}.{value.__qualname__}"


def is_of_user(value: Any) -> bool:
    """Tell whether a function, class or module is in a file that no package has installed."""
    name = value.__name__ if isinstance(value, types.ModuleType) else value.__module__
    module = sys.modules.get(str(name))
    file = getattr(module, "__file__", None)
    if name == "__main__" or module is None:
        return True
    top = str(name).partition(".")[0]
    if file is None or top == "skae":
        return False
    return not any(Path(file).is_relative_to(folder) for folder in LIBRARIES)


def members_of(kind: type) -> Iterator[tuple[str, Any]]:
    """Yield what a class and its bases define, as far as these are the user's."""
    for base in kind.__mro__:
        if not is_of_user(base):
            yield "base", base
            continue
        for name, held in vars(base).items():
            if isinstance(held, WRAPPERS):
                parts = [getattr(held, part, None) for part in ("__func__", "fget", "fset")]
                yield name, [part for part in parts if part is not None]
            elif isinstance(held, types.FunctionType) or not name.startswith(("__", "_abc_")):
                yield name, held


def read_by(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    """Yield a function's code, and the values that it reads elsewhere."""
    codes = list(all_code(function.__code__))
    names = {name for code in codes for name in code.co_names}
    yield "code", [[code.co_code.hex(), code.co_names, constants(code)] for code in codes]
    yield "defaults", [function.__defaults__, function.__kwdefaults__]
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        yield name, value_of(cell)
    for name in sorted(names & function.__globals__.keys()):
        held = function.__globals__[name]
        yield name, held
        if isinstance(held, types.ModuleType) and is_of_user(held):
            yield name, [getattr(held, member, None) for member in sorted(names)]


def all_code(code: types.CodeType) -> Iterator[types.CodeType]:
    """Yield the code of a function and of the functions inside it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from all_code(constant)


def constants(code: types.CodeType) -> list[Any]:
    """Return the constants of code, but for the code of functions inside it."""
    return [constant for constant in code.co_consts if not isinstance(constant, types.CodeType)]


def value_of(cell: types.CellType) -> Any:
    """Return the value of a variable of a closure; None where it has none yet."""
    try:
        return cell.cell_contents
    except ValueError:
        return None
