"""What a fit depends on: its parameters, its rows, and what it goes on from."""

import hashlib
import json
import types
from dataclasses import fields
from typing import Any

import numpy as np

from skae._data.sources import Source
from skae._data.split import row_keys
from skae._estimator.environment import resolve_device
from skae._estimator.parameters.arguments import without_address
from skae._files.values import Encoder
from skae._model.weights import weights_to_arrays

# Parameters that change no number of a fit.
IDLE = ("checkpoint", "verbose")
# How deep users' objects are looked into.
DEPTH = 8


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


def describe_parameters(estimator: Any) -> dict[str, Any]:
    """Return what an estimator's fit depends on beside its rows: JSON, in readers' words."""
    names = [spec.name for spec in fields(estimator) if spec.name not in IDLE]
    described = {name: describe(getattr(estimator, name)) for name in names}
    described["device"] = resolve_device(estimator.device)
    former = None
    if estimator.warm_start and hasattr(estimator, "net_"):
        weights = weights_to_arrays(estimator.net_.module_)
        former = digest(*(f"{n} {digest_of(v)}".encode() for n, v in weights.items()))
    described["the model that warm_start goes on from"] = former
    return described


def describe_rows(source: Source, groups: Any) -> dict[str, Any]:
    """Return what tells the rows of a fit from others."""
    shape = [source.n_rows, source.n_features]
    return {
        "the shape of X": str(tuple(shape)),
        "the number format of X": f"{np.dtype(source.dtype).name} ({type(source).__name__})",
        "the values of X": digest_of(row_keys(source, np.float64)),
        "sample_weight": digest_of(source.weights),
        "groups": digest_of(groups),
    }


def describe(value: Any, depth: int = DEPTH) -> Any:
    """Return JSON that is the same for the same value in another process.

    Of functions and classes it has the code, of objects what a pickle would hold.
    """
    try:
        coded, arrays = (encoder := Encoder()).encode(value), encoder.arrays
        if not arrays:
            return coded
        return [coded, {name: digest_of(array) for name, array in arrays.items()}]
    except TypeError:
        pass
    if depth == 0:
        return without_address(value)
    if isinstance(value, list | tuple):
        return [describe(each, depth) for each in value]
    if isinstance(value, dict):
        return [describe(pair, depth - 1) for pair in value.items()]
    if isinstance(value, set | frozenset):
        return sorted(json.dumps(describe(each, depth - 1)) for each in value)
    if isinstance(value, types.BuiltinFunctionType | types.ModuleType):
        return without_address(value)
    if isinstance(value, types.FunctionType):
        return f"{name_of(value)} {digest_of_code(value, depth)}"
    if isinstance(value, type):
        return f"{name_of(value)} {digest_of_class(value, depth)}"
    return describe_object(value, depth)


def describe_object(value: Any, depth: int) -> str:
    """Return what an object is and holds."""
    try:
        reduced = value.__reduce_ex__(4)
    except Exception:  # what cannot be pickled
        reduced = (type(value), getattr(value, "__dict__", without_address(value)))
    if isinstance(reduced, tuple):  # iterators of items stand behind the state
        reduced = [list(part) if i > 2 and part else part for i, part in enumerate(reduced)]
    held = json.dumps(describe(reduced, depth - 1))
    return f"{name_of(type(value))} {digest(held.encode())}"


def name_of(value: Any) -> str:
    """Return where a function or class is."""
    return f"{value.__module__}.{value.__qualname__}"


def digest_of_class(kind: type, depth: int) -> str:
    """Return the digest of the functions that a class defines itself."""
    functions = [v for v in vars(kind).values() if isinstance(v, types.FunctionType)]
    return digest(*(digest_of_code(function, depth - 1).encode() for function in functions))


def digest_of_code(function: types.FunctionType, depth: int) -> str:
    """Return the digest of what a function does, and of the values that it reads elsewhere."""
    code, elsewhere = function.__code__, function.__globals__
    cells = [cell.cell_contents for cell in function.__closure__ or () if holds(cell)]
    names = [elsewhere[name] for name in code.co_names if name in elsewhere]
    read = [v for v in names if isinstance(v, bool | int | float | str | tuple | np.ndarray)]
    held = [*(function.__defaults__ or ()), function.__kwdefaults__, *cells, *read]
    texts = [json.dumps(describe(each, depth - 1)) if depth else "" for each in held]
    return digest(*code_parts(code), *(text.encode() for text in texts))


def holds(cell: types.CellType) -> bool:
    """Tell whether a variable of a closure has a value."""
    try:
        return cell.cell_contents is not cell
    except ValueError:
        return False


def code_parts(code: types.CodeType) -> list[bytes]:
    """Return what determines what code does."""
    parts = [code.co_code, " ".join(code.co_names).encode()]
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            parts += code_parts(constant)
        else:
            parts.append(json.dumps(describe(constant, 1)).encode())
    return parts


def differences(there: dict[str, Any], here: dict[str, Any]) -> list[str]:
    """Return in which way the description of one fit differs from that of another."""
    found = []
    for name in {**there, **here}:
        one, other = there.get(name), here.get(name)
        if one == other:
            continue
        short = all(isinstance(v, bool | int | float | str | None) for v in (one, other))
        is_digest = name.startswith("the values") or name in ("sample_weight", "groups")
        is_digest = is_digest or name.startswith("the model")
        values = f" ({one!r} there, {other!r} here)"
        found.append(name + (values if short and not is_digest and len(values) < 200 else ""))
    return found
