"""Values as JSON, beside the arrays that they hold.

Only values of a few kinds are made from JSON, each by a line below: nothing that a file says is
looked up, imported or called. What is of none of these kinds is for the caller to encode and
decode, under the key ``$other``.
"""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from skae._files.format import FORMATS

Array = NDArray[Any]
# What JSON has no word for is a dict with one key, which begins with this.
MARK = "$"
MT19937_SIZE = 624
NUMBERS = [dtype.name for dtype in FORMATS.values()]


def no_other(path: str, value: Any) -> Any:
    """Refuse a value of another kind."""
    raise TypeError(f"{path} is a {type(value).__name__}, which is no value that a file can hold.")


def is_plain_tensor(value: torch.Tensor) -> bool:
    """Tell whether NumPy has arrays like a tensor."""
    is_dense = value.layout is torch.strided and not value.is_quantized and not value.is_meta
    return is_dense and str(value.dtype).removeprefix("torch.") in NUMBERS


@dataclass
class Encoder:
    """Turns values into JSON, and collects their arrays.

    Parameters
    ----------
    other : callable
        Returns the JSON for a value of another kind, given where it is and the value.

    Attributes
    ----------
    arrays : dict of str to ndarray
        By where they are, such as "_weights.encoder.0.weight".
    """

    other: Callable[[str, Any], Any] = no_other
    arrays: dict[str, Array] = field(default_factory=dict)

    def encode(self, value: Any, path: str = "") -> Any:
        """Return JSON for a value that is at ``path``."""
        if value is None or type(value) in (bool, int, str):
            return value
        if isinstance(value, np.str_):
            return str(value)
        if type(value) is float:
            return value if math.isfinite(value) else {"$float": str(value)}
        if type(value) is list:
            return [self.encode(v, f"{path}.{i}") for i, v in enumerate(value)]
        if type(value) is tuple:
            return {"$tuple": [self.encode(v, f"{path}.{i}") for i, v in enumerate(value)]}
        if type(value) is dict and all(type(key) is str for key in value):
            coded = {k: self.encode(v, f"{path}.{k}" if path else k) for k, v in value.items()}
            return {"$dict": coded} if any(key.startswith(MARK) for key in coded) else coded
        return self._encode_special(value, path)

    def _encode_special(self, value: Any, path: str) -> Any:
        if isinstance(value, np.generic) and value.dtype.name in NUMBERS:
            return {"$scalar": [value.dtype.name, self.encode(value.item())]}
        if isinstance(value, torch.Tensor) and is_plain_tensor(value):
            return {"$tensor": self._add(path, value.detach().cpu().numpy())}
        if type(value) is np.ndarray and value.dtype.name in NUMBERS:
            return {"$array": self._add(path, value)}
        if type(value) is np.ndarray and value.ndim == 1 and all(isinstance(v, str) for v in value):
            return {"$strings": [str(v) for v in value.flat]}
        if type(value) is dict:
            items = [[k, self.encode(v, f"{path}.{k}")] for k, v in value.items()]
            return {"$items": [[self.encode(k, path), v] for k, v in items]}
        if type(value) is set:
            return {"$set": sorted((self.encode(v, path) for v in value), key=json.dumps)}
        if isinstance(value, np.random.RandomState):
            return {"$random_state": self.encode(value.get_state(legacy=False), path)}
        return {"$other": self.other(path, value)}

    def _add(self, path: str, array: Array) -> str:
        native = array.astype(array.dtype.newbyteorder("="), copy=False)
        # Keys with dots may give two arrays one path.
        name = path if path not in self.arrays else f"{path}~{len(self.arrays)}"
        self.arrays[name] = native if native.ndim == 0 else np.ascontiguousarray(native)
        return name


@dataclass
class Decoder:
    """Turns JSON into the values that :class:`Encoder` was given.

    Parameters
    ----------
    arrays : dict of str to ndarray
    other : callable
        Returns the value for what the encoder's ``other`` returned.

    Raises
    ------
    ValueError
        For JSON that no encoder wrote.
    """

    arrays: dict[str, Array]
    other: Callable[[Any], Any]

    def decode(self, coded: Any) -> Any:
        """Return the value of JSON."""
        if isinstance(coded, list):
            return [self.decode(each) for each in coded]
        if not isinstance(coded, dict):
            return coded
        if len(coded) == 1:
            ((key, content),) = coded.items()
            if key.startswith(MARK):
                return self._decode_special(key, content)
        if any(key.startswith(MARK) for key in coded):
            raise ValueError(f"no value has the keys {sorted(coded)}")
        return {key: self.decode(each) for key, each in coded.items()}

    def _decode_special(self, key: str, content: Any) -> Any:
        try:
            return DECODERS[key](self, content)
        except (KeyError, TypeError, AttributeError, OverflowError, RuntimeError) as error:
            raise ValueError(f"no value is {key} of {str(content)[:60]!r}") from error

    def _scalar(self, content: Any) -> Any:
        name, value = content
        number = self.decode(value)
        if name not in NUMBERS or not isinstance(number, bool | int | float):
            raise ValueError(f"no number is of the kind {name!r}")
        return np.dtype(name).type(number)

    def _tuple(self, content: Any) -> tuple[Any, ...]:
        if not isinstance(content, list):
            raise TypeError("a tuple is written as a list")
        return tuple(self.decode(each) for each in content)

    def _strings(self, content: Any) -> Array:
        if not isinstance(content, list) or not all(isinstance(v, str) for v in content):
            raise TypeError("strings are written as a list")
        return np.array(content, dtype=object)

    def _random_state(self, content: Any) -> np.random.RandomState:
        value = self.decode(content)
        key, pos = value["state"]["key"], value["state"]["pos"]
        # NumPy reads what is at this position, whatever that is.
        fits = type(pos) is int and 0 <= pos <= MT19937_SIZE and key.shape == (MT19937_SIZE,)
        if value["bit_generator"] != "MT19937" or not fits or key.dtype != np.uint32:
            raise TypeError("a RandomState is a Mersenne twister's")
        state = np.random.RandomState()
        state.set_state(value)
        return state


DECODERS: dict[str, Callable[[Decoder, Any], Any]] = {
    "$float": lambda decoder, content: {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}[
        content
    ],
    "$tuple": Decoder._tuple,
    "$dict": lambda decoder, content: {k: decoder.decode(v) for k, v in content.items()},
    "$scalar": Decoder._scalar,
    "$array": lambda decoder, content: decoder.arrays[content],
    "$tensor": lambda decoder, content: torch.tensor(decoder.arrays[content]),
    "$items": lambda decoder, content: {decoder.decode(k): decoder.decode(v) for k, v in content},
    "$set": lambda decoder, content: set(map(decoder.decode, content)),
    "$strings": Decoder._strings,
    "$random_state": Decoder._random_state,
    "$other": lambda decoder, content: decoder.other(content),
}
