"""Rows as pictures: images side by side; which kind of picture rows are."""

from math import prod
from typing import Any

import numpy as np

from skae._data.sources import Array
from skae._estimator.parameters.rules import check_argument, image_shape_rule, options
from skae.display._fitted import SeenRows

KINDS = ("auto", "images", "curves", "table")
# At least so many features without names are taken for the points of a curve.
MANY_FEATURES = 50
# The colour of pixels of which no value is known: Okabe and Ito's sky blue.
UNKNOWN = (0.34, 0.71, 0.91, 1.0)
# In inches: the longer side of an image, where one row of them is shown and where several are; the
# width of a label below it; three lines beside it, and how wide it may become for them.
ONE_ROW, SEVERAL_ROWS, LABEL, BESIDE, WIDEST = 1.7, 1.25, 1.3, 0.6, 2.6
# What a constrained layout leaves empty around a figure, in inches.
MARGIN = 0.05


def choose_kind(kind: str, image_shape: Any, seen: SeenRows) -> tuple[str, tuple[int, ...] | None]:
    """Return how rows are shown, and the shape of images where they are that.

    Raises
    ------
    ValueError
        For an unknown kind, and for a shape that rows do not have.
    """
    check_argument("kind", kind, options(*KINDS))
    check_argument("image_shape", image_shape, image_shape_rule)
    shape, n_features = image_shape, seen.source.n_features
    if shape is None:
        shape = seen.image_shape
    if kind == "images" and shape is None:
        raise ValueError(
            "kind='images' needs image_shape, such as (28, 28), which the autoencoder was not "
            "given either; pass it."
        )
    if kind == "auto":
        few = seen.names is not None or n_features < MANY_FEATURES
        kind = "images" if shape is not None else "table" if few else "curves"
    if kind != "images":
        return kind, None
    if prod(shape) != n_features:
        raise ValueError(
            f"image_shape={tuple(shape)} has {prod(shape)} pixels, and rows have {n_features} "
            "features; pass the shape that reshapes a row to its image."
        )
    return kind, tuple(shape)


def mosaic(
    plt: Any, images: Array, shape: tuple[int, ...], limits: tuple[float, float], cmap: str
) -> Array:
    """Return images side by side as one picture, white between them.

    Parameters
    ----------
    plt : matplotlib.pyplot
    images : ndarray of shape (n_down, n_across, n_features)
    shape : tuple of int
        Of one image.
    limits : tuple of float
        The values that are the first and the last colour.
    cmap : str
        Name of a colour map, for images without channels.

    Returns
    -------
    ndarray of shape (n_down (height + 1) − 1, n_across (width + 1) − 1, 4)
    """
    n_down, n_across, _ = images.shape
    height, width = shape[:2]
    low, high = limits
    parts = images.reshape(n_down, n_across, height, width, -1)
    parts = ((parts - low) / (high - low if high > low else 1.0)).clip(0, 1)
    known = np.asarray(~np.isnan(parts).any(axis=-1))
    parts = np.nan_to_num(parts)
    if parts.shape[-1] == 3:
        colours = np.concatenate([parts, np.ones_like(parts[..., :1])], axis=-1)
    else:
        colours = plt.get_cmap(cmap)(parts.mean(axis=-1))
    colours = np.where(known[..., None], colours, UNKNOWN)
    picture = np.ones((n_down * (height + 1) - 1, n_across * (width + 1) - 1, 4))
    for down, across in np.ndindex(n_down, n_across):
        top, left = down * (height + 1), across * (width + 1)
        picture[top : top + height, left : left + width] = colours[down, across]
    return picture


def show_mosaic(
    ax: Any, picture: Array, shape: tuple[int, ...], down: list[str], across: list[str]
) -> Any:
    """Draw a mosaic, its rows and columns of images labelled."""
    height, width = shape[:2]
    drawn = ax.imshow(picture, interpolation="nearest", aspect="equal")
    ax.set_yticks([i * (height + 1) + (height - 1) / 2 for i in range(len(down))], down)
    ax.set_xticks([i * (width + 1) + (width - 1) / 2 for i in range(len(across))], across)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return drawn


def size_of_images(n_down: int, n_across: int, shape: tuple[int, ...]) -> tuple[float, float]:
    """Return the width and the height in inches of a mosaic of images of a shape.

    Images have room for their labels: below them, and of several rows beside each row, unless
    they are too wide for that.
    """
    height, width = shape[:2]
    longest = ONE_ROW if n_down == 1 else SEVERAL_ROWS
    pixel = max(longest / max(height, width), LABEL / (width + 1))
    if n_down > 1:
        pixel = max(pixel, min(BESIDE / (height + 1), WIDEST / (width + 1)))
    return pixel * n_across * (width + 1), pixel * n_down * (height + 1)


def fit_figure(figure: Any, ax: Any, size: tuple[float, float]) -> None:
    """Make a figure so large that its one Axes has some width and height in inches."""
    for _ in range(2):
        figure.draw_without_rendering()
        whole, own = ax.get_tightbbox(), ax.get_window_extent()
        beyond = np.array([whole.width - own.width, whole.height - own.height]) / figure.dpi
        figure.set_size_inches(*(np.array(size) + beyond + 2 * MARGIN))
