"""Versions of what a model was fitted with."""

import platform
from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("skae", "torch", "numpy", "scikit-learn", "skorch")


def version_of(package: str) -> str:
    """Return the version of a package, "unknown" where it is not installed as one."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"


def own_version() -> str:
    """Return the version of skae."""
    return version_of("skae")


def versions_now() -> dict[str, str]:
    """Return the versions of Python and of the packages that a fit depends on."""
    return {"python": platform.python_version(), **{name: version_of(name) for name in PACKAGES}}
