"""How y colours points: classes with a legend, or numbers with a colour bar."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skae.display._base import CLASS_COLOURS, FAINT, OF_MODEL
from skae.display._fitted import short

# Numbers with at least so many different values are shown as a scale, and not as classes.
MANY_VALUES = 20
# A legend has room for so many classes; those of the fewest rows are grey together.
MOST_CLASSES = 21
MARKERS = "os^"
SCALE = "viridis"


@dataclass
class Colouring:
    """How points are coloured.

    Attributes
    ----------
    rest : ndarray of bool of shape (n_rows,)
        Points without a colour: y is missing, or of a class for which there is no room.
    rest_name : str or None
        What these are called.
    classes : dict of str to ndarray of bool
        Which points are of a class.
    values : ndarray of float of shape (n_rows,) or None
        Numbers that a colour bar shows.
    drawn : matplotlib PathCollection or None
        The points of the last panel, whose colours are those numbers.
    """

    rest: NDArray[np.bool_]
    rest_name: str | None = None
    classes: dict[str, NDArray[np.bool_]] = field(default_factory=dict)
    values: NDArray[np.float64] | None = None
    drawn: Any = None

    @classmethod
    def of(cls, y: NDArray[Any] | None, n_rows: int) -> "Colouring":
        """Decide by the values of y whether they are classes or numbers."""
        if y is None:
            return cls(np.ones(n_rows, dtype=bool))
        missing = np.array([v is None or v != v for v in y.tolist()], dtype=bool)
        known = y[~missing]
        numbers = as_numbers(known)
        if numbers is not None and len(np.unique(numbers)) >= MANY_VALUES:
            values = np.full(len(y), np.nan)
            values[~missing] = numbers
            return cls(missing, "missing" if missing.any() else None, values=values)
        names = known.astype(str)
        levels = np.unique(known) if numbers is not None else np.unique(names)
        found = {str(level): np.zeros(len(y), dtype=bool) for level in levels}
        for name, where in found.items():
            where[~missing] = names == name
        return cls(missing, "missing" if missing.any() else None, classes=found).shortened()

    def shortened(self) -> "Colouring":
        """Return it with no more classes than a legend has room for."""
        if len(self.classes) <= MOST_CLASSES:
            return self
        sizes = sorted(self.classes, key=lambda name: -self.classes[name].sum())
        large = set(sizes[:MOST_CLASSES])
        kept = {name: where for name, where in self.classes.items() if name in large}
        rest = self.rest.copy()
        for name in sizes[MOST_CLASSES:]:
            rest |= self.classes[name]
        return Colouring(rest, "others", kept)

    def draw(self, ax: Any, x: NDArray[Any], y: NDArray[Any], options: dict[str, Any]) -> None:
        """Draw points: the more there are, the smaller."""
        size = float(np.clip(12000 / max(len(x), 1), 4, 30))
        options = {"s": size, "linewidths": 0, "alpha": 0.8, **options}
        if self.rest.any():
            colour = OF_MODEL if self.rest_name is None else FAINT
            where = self.rest
            ax.scatter(x[where], y[where], **{"color": colour, **options}, label=self.rest_name)
        if self.values is not None:
            where = ~self.rest
            scale = {"c": self.values[where], "cmap": SCALE}
            self.drawn = ax.scatter(x[where], y[where], **{**scale, **options})
        for i, (name, where) in enumerate(self.classes.items()):
            round_, nth = divmod(i, len(CLASS_COLOURS))
            style = {"color": CLASS_COLOURS[nth], "marker": MARKERS[round_]}
            ax.scatter(x[where], y[where], **{**style, **options}, label=short(name))


def as_numbers(y: NDArray[Any]) -> NDArray[np.float64] | None:
    """Return values of y as numbers; None where they are words or truth values."""
    if y.dtype == bool or y.dtype.kind in "SU":
        return None
    if y.dtype == object and not all(isinstance(v, int | float | np.number) for v in y.tolist()):
        return None
    return y.astype(np.float64)
