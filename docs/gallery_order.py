"""The order of the gallery."""

from pathlib import Path

README = Path(__file__).parents[1] / "examples/README.rst"


def in_order_of_readme(name):
    """Return where the page of the examples names a file first; those that it does not, last."""
    place = README.read_text().find(name)
    return (place < 0, place, name)
