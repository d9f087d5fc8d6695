"""Versions of what a model was fitted with."""

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

# Attributes that models saved by older versions lack; they are None in these.
LATER = ("_code_mean", "explained_variance_", "explained_variance_ratio_", "n_samples_")
PACKAGES = ("skae", "torch", "numpy", "scikit-learn", "skorch")


def version_of(package: str) -> str:
    """Return the version of a package, "unknown" where it is not installed as one."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"


def with_later_names(state: dict[str, Any], needed: set[str]) -> dict[str, Any]:
    """Return a fitted state, of this version or an older one, with all names of this version."""
    return {**{name: None for name in LATER if name in needed}, **state}


def own_version() -> str:
    """Return the version of skae."""
    return version_of("skae")


def versions_now() -> dict[str, str]:
    """Return the versions of Python and of the packages that a fit depends on."""
    return {"python": platform.python_version(), **{name: version_of(name) for name in PACKAGES}}
