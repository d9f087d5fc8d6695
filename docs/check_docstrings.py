"""Check the docstrings of all public names of skae: `python docs/check_docstrings.py`.

The checks are numpydoc's, chosen in `pyproject.toml`. They see docstrings as `help` shows them,
whose parameters are filled in when a class is made: numpydoc's own command reads the source.
"""

import inspect
import pkgutil
import sys
import tomllib
from importlib import import_module
from pathlib import Path

from numpydoc.validate import validate

import skae

ROOT = Path(__file__).parents[1]
# Methods of these are hooks for methods of one's own, shown together in the example of the class.
HOOKS = {"AutoEncoderModule", "OwnAxes", "PrincipalAxes", "Prepared"}
OF_HOOKS = {"EX01", "PR01", "RT01"}
SPARED = {
    # A result, which users are given and do not make: in the example of the function.
    "skae.ComponentsSelection": {"PR01", "EX01"},
    # Its parameters are those of all estimators, and its example is the module's.
    "skae.base.BaseAutoEncoder": {"PR01", "EX01"},
    # numpydoc takes its only parameter for that of a class method.
    "skae.base.estimator": {"PR02"},
}


def public_modules():
    """Return the modules of skae that have public names."""
    names = [module.name for module in pkgutil.iter_modules(skae.__path__, "skae.")]
    return ["skae", *(name for name in names if not name.split(".")[1].startswith("_"))]


def public_names():
    """Yield the path of each public name and method, and the checks that it is spared."""
    for module in public_modules():
        for name in import_module(module).__all__:
            item, path = getattr(import_module(module), name), f"{module}.{name}"
            if not callable(item):  # a rule that is a value, with the docstring of its class
                continue
            is_error = inspect.isclass(item) and issubclass(item, BaseException)
            yield path, {"EX01"} if is_error else SPARED.get(path, set())
            if inspect.isclass(item) and not is_error:
                yield from methods_of(item, path)


def methods_of(item, path):
    """Yield the path of each public method of a class, and the checks that it is spared."""
    for name, method in inspect.getmembers(item, inspect.isroutine):
        if not name.startswith("_") and str(method.__module__).startswith("skae"):
            spared = OF_HOOKS if item.__name__ in HOOKS else set()
            # Displays are made and drawn in the example of their class.
            yield f"{path}.{name}", {"EX01"} if item.__name__.endswith("Display") else spared


def main():
    """Print what is wrong, once for a method that several classes inherit."""
    options = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["numpydoc_validation"]
    faults, n_names = {}, 0
    for path, spared in public_names():
        n_names += 1
        checks = set(options["checks"]) - spared
        report = validate(path)
        for code, text in report["errors"]:
            if code in checks:
                place = (report["file"], report["file_line"], code, text)
                faults.setdefault(place, path)
    for (file, line, code, text), path in sorted(faults.items(), key=str):
        print(f"{file}:{line}: {path}: {code} {text}")
    if faults:
        sys.exit(f"{len(faults)} faults in the docstrings of {n_names} public names.")
    print(f"The docstrings of {n_names} public names are complete.")


if __name__ == "__main__":
    main()
