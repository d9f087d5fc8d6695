"""Codes as points."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_consistent_length, column_or_1d

from skae._data.sources import Array
from skae._estimator.parameters.rules import check_argument, options
from skae.display._base import COLOURS, OF_MODEL, several_axes
from skae.display._fitted import choose_components, last_step, require, short
from skae.display._parts.colouring import SCALE, Colouring

# Points in such numbers hide each other.
MANY_ROWS = 5000
# So many classes have room in one column of a legend.
IN_A_COLUMN = 16
LINES = ("-", "--", ":")
KINDS = ("auto", "scatter", "density")


class LatentSpaceDisplay:
    """The codes of rows, two at a time, coloured by y, or their density.

    Make it by :meth:`from_estimator`.

    Parameters
    ----------
    codes : ndarray of shape (n_rows, n_shown)
        The codes to show.
    y : ndarray of shape (n_rows,) or None
        What colours the points: classes, or numbers.
    code_names : list of str or None
        What the codes are called.
    y_name : str or None
        What y is called.

    Attributes
    ----------
    ax_ : matplotlib Axes
        That of the first two codes.
    axes_ : ndarray of matplotlib Axes
        A grid of those of all pairs.
    figure_ : matplotlib Figure

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skae import AutoEncoder
    >>> from skae.display import LatentSpaceDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> model = AutoEncoder(2, max_iter=5, random_state=0).fit(X)
    >>> LatentSpaceDisplay.from_estimator(model, X, y).codes.shape
    (1797, 2)
    """

    figure_: Any
    axes_: Any
    ax_: Any

    def __init__(
        self,
        *,
        codes: Array,
        y: NDArray[Any] | None = None,
        code_names: list[str] | None = None,
        y_name: str | None = None,
    ) -> None:
        self.codes = codes
        self.y = y
        self.code_names = code_names
        self.y_name = y_name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any = None,
        *,
        components: Any = None,
        kind: str = "auto",
        ax: Any = None,
    ) -> Self:
        """Draw the codes of rows.

        Parameters
        ----------
        estimator : fitted transformer, such as an autoencoder or PCA, or pipeline or search of one
            Whose codes are shown.
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows whose codes are shown.
        y : array-like of shape (n_samples,) or None
            What colours the points. Words, and numbers of fewer than 20 different values, are
            classes, which a legend names; other numbers have a colour bar. NaN and None are grey.
        components : sequence of int, or None
            Which codes to show, the first being 0. None shows the first two; of more, each pair
            has its panel, and of one a histogram is shown.
        kind : {"auto", "scatter", "density"}, default="auto"
            Points, or how many there are in each place. "auto" is "density" for more than
            5,000 rows without y.
        ax : matplotlib Axes or None
            Where to draw. None makes a figure.

        Returns
        -------
        LatentSpaceDisplay
            The display, which has drawn.

        Raises
        ------
        ValueError
            For codes that there are not, and y of another length than X.
        """
        require(last_step(estimator), "transform")
        codes = np.asarray(estimator.transform(X), dtype=np.float64)
        chosen = choose_components(components, codes.shape[1], 2)
        y_name = getattr(y, "name", None)
        if y is not None:
            check_consistent_length(codes, y)
            y = column_or_1d(np.asarray(y), warn=False)
        display = cls(
            codes=codes[:, chosen],
            y=y,
            code_names=[f"code {i}" for i in chosen],
            y_name=None if y_name is None else str(y_name),
        )
        return display.plot(ax=ax, kind=kind)

    def plot(self, ax: Any = None, *, kind: str = "auto", **scatter_kw: Any) -> Self:
        """Draw the codes.

        Parameters
        ----------
        ax : matplotlib Axes or None
            Where to draw. None makes a figure.
        kind : {"auto", "scatter", "density"}, default="auto"
            Points, or how many there are in each place. "auto" is "density" for more than
            5,000 rows without y.
        **scatter_kw
            For ``matplotlib.axes.Axes.scatter``.

        Returns
        -------
        LatentSpaceDisplay
            The display, which has drawn.
        """
        check_argument("kind", kind, options(*KINDS))
        n = self.codes.shape[1]
        dense = kind == "density" or (
            kind == "auto" and self.y is None and len(self.codes) > MANY_ROWS
        )
        side = max(1, n - 1)
        colouring = None if dense and n > 1 else Colouring.of(self.y, len(self.codes))
        size = (2.6 * side + 0.8, 2.4 * side)
        if side == 1:
            has_two_columns = colouring is not None and len(colouring.classes) > IN_A_COLUMN
            size = (8.4 if has_two_columns else 6.4, 4.8)
        axes = several_axes(self, ax, shape=(side, side), figsize=size)
        self.ax_ = axes[0, 0]
        for down, across in np.ndindex(side, side):
            if across > down:
                axes[down, across].set_axis_off()
            elif n == 1:
                self._plot_one(axes[0, 0], colouring)
            else:
                pair = across, down + 1
                self._plot_pair(axes[down, across], pair, colouring, scatter_kw)
                self._label(axes[down, across], pair, outer=(across == 0, down == side - 1))
        if n > 1 and colouring is None:
            self._explain_density(axes)
        elif colouring is not None:
            self._explain(axes, colouring, has_room=ax is None)
        return self

    def _plot_one(self, ax: Any, colouring: Colouring | None) -> None:
        """Draw a histogram of a single code, of each class."""
        codes, classes = self.codes[:, 0], {} if colouring is None else colouring.classes
        bins = np.histogram_bin_edges(codes, bins="auto" if len(codes) < MANY_ROWS else 60)
        if not classes:
            ax.hist(codes, bins=bins, color=OF_MODEL)
        style: dict[str, Any] = {"bins": bins, "histtype": "step", "linewidth": 1.5}
        for i, (name, where) in enumerate(classes.items()):
            line = {"color": COLOURS[i % len(COLOURS)], "linestyle": LINES[i // len(COLOURS)]}
            ax.hist(codes[where], label=short(name), **line, **style)
        ax.set_xlabel(self._name(0))
        ax.set_ylabel("rows")

    def _plot_pair(
        self,
        ax: Any,
        pair: tuple[int, int],
        colouring: Colouring | None,
        scatter_kw: dict[str, Any],
    ) -> None:
        x, y = self.codes[:, pair[0]], self.codes[:, pair[1]]
        if colouring is not None:
            colouring.draw(ax, x, y, scatter_kw)
            return
        shown = {"gridsize": 60, "bins": "log", "mincnt": 1, "cmap": SCALE, "linewidths": 0.1}
        ax.hexbin(x, y, **shown)

    def _explain_density(self, axes: Any) -> None:
        """Give all panels the same colours, and add their bar."""
        panels = [panel.collections[0] for panel in axes.flat if panel.collections]
        largest = max(float(panel.get_array().max()) for panel in panels)
        for panel in panels:
            panel.set_clim(1, max(largest, 2))
        self.figure_.colorbar(panels[0], ax=list(axes.flat), label="rows")

    def _name(self, i: int) -> str:
        return f"code {i}" if self.code_names is None else self.code_names[i]

    def _label(self, ax: Any, pair: tuple[int, int], outer: tuple[bool, bool]) -> None:
        """Name the axes of a panel, where no other panel's names are enough."""
        left, bottom = outer
        if left:
            ax.set_ylabel(self._name(pair[1]))
        if bottom:
            ax.set_xlabel(self._name(pair[0]))
        ax.tick_params(labelleft=left, labelbottom=bottom)

    def _explain(self, axes: Any, colouring: Colouring, *, has_room: bool) -> None:
        """Add the legend or the colour bar; a legend beside the axes where there is room."""
        title = None if self.y_name is None else short(self.y_name)
        if colouring.values is not None:
            if colouring.drawn is not None:
                bar = self.figure_.colorbar(colouring.drawn, ax=list(axes.flat), label=title)
                bar.solids.set_alpha(1)
            return
        handles, labels = axes[0, 0].get_legend_handles_labels()
        options: dict[str, Any] = {"title": title, "markerscale": 1.5, "fontsize": "small"}
        if axes.size > 1:
            options |= {"loc": "upper right", "ncols": 1 + len(labels) // 9}
        elif has_room:
            columns = 1 + len(labels) // (IN_A_COLUMN + 1)
            options |= {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0), "ncols": columns}
        if labels:
            axes[0, -1].legend(handles, labels, borderaxespad=0.2, **options)
