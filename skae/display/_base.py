"""What every display has: axes to draw in, and colours.

A display is a class like scikit-learn's. Its constructor takes the numbers that are shown, and
keeps them as attributes of the same names; ``from_estimator`` computes them; ``plot`` draws them
into ``ax``, or a figure of its own, and sets ``figure_`` and ``ax_``, or ``axes_`` where there are
several. matplotlib is imported in ``plot`` only.
"""

from typing import Any

import numpy as np

# Okabe and Ito's colours, which people who see no red or green tell apart, but for the yellow,
# which is pale on white. The first two are those of a model and of PCA in every display.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
# Of up to ten classes each has a colour of its own, as points are too small to show by their forms.
CLASS_COLOURS = (*COLOURS, "#882255", "#999933", "#7A4FBF")
OF_MODEL, OF_PCA, OF_ROWS, FAINT = COLOURS[0], COLOURS[1], "#000000", "#999999"
# What a line of text takes of a figure's height, in inches.
LINE = 0.22


def import_pyplot(display: Any) -> Any:
    """Return matplotlib.pyplot, or raise ImportError that says how to install it."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            f"{type(display).__name__}.plot needs matplotlib, which is not installed; it comes "
            "with the extra 'plot' of skae, or by `pip install matplotlib`."
        ) from error
    return plt


def several_axes(display: Any, ax: Any = None, *, shape: tuple[int, int], **figure: Any) -> Any:
    """Return a grid of axes to draw in, and set a display's ``axes_`` and ``figure_``.

    Parameters
    ----------
    display : display
    ax : matplotlib Axes, array of them of the same size as the grid, or None
        In the place of one Axes, which is emptied, the grid is put; a grid of one is the Axes
        itself. None makes a figure.
    shape : tuple of int
        Numbers of rows and columns of the grid.
    **figure
        Of a new figure, for ``matplotlib.pyplot.subplots``.

    Returns
    -------
    ndarray of Axes of that shape
    """
    plt = import_pyplot(display)
    if ax is None:
        _, axes = plt.subplots(*shape, squeeze=False, **{"layout": "constrained", **figure})
    elif hasattr(ax, "get_subplotspec"):
        axes = inside(ax, shape) if shape != (1, 1) else np.array([[ax]], dtype=object)
    else:
        axes = np.asarray(ax, dtype=object)
        if axes.size != shape[0] * shape[1] or not all(hasattr(a, "plot") for a in axes.flat):
            raise ValueError(
                f"ax has {axes.size} items: expected {shape[0] * shape[1]} matplotlib Axes for a "
                f"grid of {shape[0]} by {shape[1]}, or one in whose place the grid is put."
            )
        axes = axes.reshape(shape)
    display.axes_, display.figure_ = axes, axes.flat[0].get_figure()
    return axes


def inside(ax: Any, shape: tuple[int, int]) -> Any:
    """Return a grid of new axes in the place of an Axes, which is emptied."""
    place = ax.get_subplotspec()
    if place is None:
        raise ValueError(
            "ax was not made by subplots, so that no grid can be put in its place; pass axes of "
            "matplotlib.pyplot.subplots, or None."
        )
    figure = ax.get_figure()
    ax.set_axis_off()
    grid = place.subgridspec(*shape)
    axes = np.empty(shape, dtype=object)
    for position in np.ndindex(*shape):
        axes[position] = figure.add_subplot(grid[position])
    return axes
