"""How many numbers a code needs: the sizes that are tried, and the one that is chosen."""

from skae._components.result import ComponentsSelection
from skae._components.select import select_n_components

__all__ = ["ComponentsSelection", "select_n_components"]
