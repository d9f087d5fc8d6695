"""What a fit depends on: its parameters, its rows, and what it goes on from."""

import json
from dataclasses import fields
from typing import Any

import numpy as np

from skae._data.sources import Source
from skae._data.split import row_keys
from skae._estimator.checkpoints.describe import Describer, digest, digest_of
from skae._estimator.environment import resolve_device
from skae._estimator.saving.versions import versions_now
from skae._model.weights import weights_to_arrays

# Parameters that change no number of a fit that nobody interrupts.
IDLE = ("checkpoint", "keep_interrupted", "verbose")


def describe(value: Any) -> Any:
    """Return JSON that is the same for the same value in another process."""
    try:
        return Describer().describe(value)
    except RecursionError as error:
        raise ValueError(
            f"checkpoint= cannot tell one {type(value).__name__} from another, because it is "
            "nested too deeply; pass checkpoint=None."
        ) from error


def describe_parameters(estimator: Any) -> dict[str, Any]:
    """Return what an estimator's fit depends on beside its rows: JSON, by readers' words."""
    names = [spec.name for spec in fields(estimator) if spec.name not in IDLE]
    described = {name: describe(getattr(estimator, name)) for name in names}
    described["device"] = resolve_device(estimator.device)
    former = None
    if estimator.warm_start and hasattr(estimator, "net_"):
        weights = weights_to_arrays(estimator.net_.module_)
        former = digest(*(f"{n} {digest_of(v)}".encode() for n, v in weights.items()))
    described["the model that warm_start goes on from"] = [former]
    described["the estimator"] = describe(type(estimator))
    return described | {f"the version of {name}": text for name, text in versions_now().items()}


def describe_rows(source: Source, groups: Any) -> dict[str, Any]:
    """Return what tells the rows of a fit from others; digests are in lists."""
    shape = (source.n_rows, source.n_features)
    return {
        "the shape of X": str(shape),
        "the number format of X": f"{np.dtype(source.dtype).name} ({type(source).__name__})",
        "the values of X": [digest_of(row_keys(source, np.float64))],
        "sample_weight": [digest_of(source.weights)],
        "groups": [digest_of(groups)],
    }


def key_of(identity: dict[str, Any]) -> str:
    """Return what is the same for the same fit."""
    return digest(json.dumps(identity, sort_keys=True).encode())


def differences(there: dict[str, Any], here: dict[str, Any]) -> list[str]:
    """Return in which way the description of one fit differs from that of another."""
    found = []
    for name in {**there, **here}:
        one, other = there.get(name), here.get(name)
        if one != other:
            plain = all(isinstance(v, bool | int | float | str | None) for v in (one, other))
            values = f" ({one!r} there, {other!r} here)"
            found.append(name + (values if plain and len(values) < 200 else ""))
    return found
