"""What pickles cannot hold, said before they are written."""

import pickle
import pickletools
import sys
import warnings
from contextvars import ContextVar
from typing import Any

import numpy as np
from torch.distributions import Distribution

from skae._estimator.saving.content import names_of_parameters
from skae._estimator.saving.parts import to_plain
from skae._estimator.saving.versions import with_later_names
from skae._files.caller import caller_level
from skae._files.words import shown
from skae._training.outside.tasks import CALLBACKS, without_run

# cloudpickle and dill store a local function's code, and copy keeps the function, so for them it
# is no error. joblib may bring a cloudpickle of its own.
TOLERANT = ("cloudpickle", "joblib.externals.cloudpickle", "ray.cloudpickle", "dill", "copy")
# Modules that pickle for this program alone, as for its workers and its caches, where `__main__` is
# the same; Dask pickles with cloudpickle where it sees `__main__`.
FOR_THIS_PROGRAM = (
    *("multiprocessing", "concurrent.futures", "distributed"),
    *("joblib.hashing", "joblib.memory", "joblib._store_backends", "joblib.pool"),
)
CHECKING: ContextVar[bool] = ContextVar("checking", default=False)
# What the estimator itself puts into terms that pickle holds.
OF_A_NET = ("net_",)
PLAIN = (str, bytes, int, float, complex, bool, type(None), np.ndarray, np.generic)


def require_picklable(estimator: Any) -> None:
    """Raise PicklingError where pickle is about to fail, naming the parameter that it fails on.

    Warns where it will succeed, and loading in another program will fail.
    """
    # What holds the estimator itself, such as a pipeline, comes here again.
    values = [] if CHECKING.get() else values_of_users(estimator)
    if not values or is_below(*TOLERANT):
        return
    token = CHECKING.set(True)
    try:
        check_values(values, names_of_parameters(type(estimator)))
    finally:
        CHECKING.reset(token)


def check_values(values: list[tuple[str, Any]], parameters: set[str]) -> None:
    """Raise PicklingError for the first of some values, given by name, that pickle cannot hold."""
    for name, value in values:
        advice = f"delete it, as in `del model.{name}`"
        if name == CALLBACKS:
            name, advice = "set_callbacks", "drop them, as in `model.set_callbacks()`"
        if name in parameters:
            advice = "save with model.save(path), and hand it in again at skae.load"
        try:
            content = pickle.dumps(value)
        except Exception as error:
            raise pickle.PicklingError(
                f"{name}={shown(value)} cannot be pickled ({error}). pickle and joblib store "
                f"functions and classes by name alone: define {name} in a module of yours; or "
                f"{advice}; or pickle with cloudpickle."
            ) from error
        if is_of_main(content) and not is_below(*FOR_THIS_PROGRAM):
            warnings.warn(
                f"{name}={shown(value)} is defined in __main__, the script or notebook that runs. "
                "A pickle stores its name alone, so that other programs cannot load it: define "
                f"{name} in a module that they can import; or {advice}; or pickle with "
                "cloudpickle.",
                stacklevel=caller_level(),
            )
        if isinstance(to_plain(value), Distribution) and is_below("skops"):
            raise TypeError(
                f"{name}={shown(value)} is a distribution that skops cannot hold; save with "
                f"model.save(path) and hand {name} in again at skae.load, or with pickle."
            )


def is_of_main(content: bytes) -> bool:
    """Tell whether a pickle names functions or classes of the program that runs."""
    if b"__main__" not in content:
        return False
    return any(
        isinstance(argument, str) and argument.partition(" ")[0] == "__main__"
        for _, argument, _ in pickletools.genops(content)
    )


def values_of_users(estimator: Any) -> list[tuple[str, Any]]:
    """Return by name what of an estimator may be a function, a class or an object of a user.

    Those of the last fit come too, where parameters have been set to others since, and attributes
    that users have set.
    """
    parameters = estimator.get_params(deep=False)
    values = list(parameters.items())
    spec = vars(estimator).get("_spec")
    if spec is not None:
        fitted = {**vars(spec), **spec.parameters}
        values += [(n, v) for n, v in fitted.items() if n in parameters and v is not parameters[n]]
    known = {*parameters, *OF_A_NET}.union(*estimator._names_of_state())
    values += [(n, v) for n, v in without_run(vars(estimator)).items() if n not in known]
    # Estimators in it come here themselves.
    own = [(name, value) for name, value in values if name not in estimator._nested]
    return [(name, value) for name, value in own if not is_plain(value)]


def is_plain(value: Any) -> bool:
    """Tell whether a value consists of numbers, strings and arrays."""
    if isinstance(value, list | tuple | dict):
        parts = (*value, *value.values()) if isinstance(value, dict) else value
        try:
            return all(map(is_plain, parts))
        except RecursionError:  # such as a list that is in itself
            return False
    return type(value) in PLAIN or isinstance(value, np.generic | np.random.RandomState)


def is_below(*packages: str) -> bool:
    """Tell whether one of some packages has called, directly or not."""
    frame = sys._getframe(1) if hasattr(sys, "_getframe") else None
    while frame is not None:
        name = str(frame.f_globals.get("__name__", ""))
        if any(name == each or name.startswith(f"{each}.") for each in packages):
            return True
        frame = frame.f_back
    return False


def completed(cls: Any, state: dict[str, Any], version: str | None) -> dict[str, Any]:
    """Return a pickle's state with what later versions have added.

    Raises ValueError where a pickle of another version lacks what this one needs.
    """
    needed, _ = cls._names_of_state()
    if "n_features_in_" not in state and not needed & state.keys():
        return state  # not fitted
    state = with_later_names(state, needed)
    missing = sorted(needed - state.keys())
    if missing:
        raise ValueError(
            f"this pickle of {cls.__name__} was written with skae {version or 'before 0.1.0'} and "
            f"lacks {', '.join(missing)}: load it with that version, and fit or save anew."
        )
    return state
