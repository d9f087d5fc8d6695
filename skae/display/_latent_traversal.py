"""What each code changes in a row."""

from typing import Any, Self

import numpy as np

from skae._data.sources import Array
from skae._estimator.parameters.rules import Rule, check_argument, integer
from skae.display._base import LINE, import_pyplot, several_axes
from skae.display._fitted import Rows, choose_components, feature_labels
from skae.display._parts.pictures import choose_kind, mosaic, show_mosaic

# How many codes are shown where a user names none, and of a table how many features.
MOST_CODES, MOST_FEATURES = 6, 15
STEPS = (-2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0)

steps_rule = Rule(
    "a sequence of numbers in increasing order",
    lambda value: (
        np.ndim(value) == 1
        and len(value) > 1
        and np.asarray(value).dtype.kind in "iuf"
        and bool((np.diff(np.asarray(value, dtype=float)) > 0).all())
        and bool(np.isfinite(value).all())
    ),
)


class LatentTraversalDisplay:
    """What the decoder makes of a code when one of its numbers changes.

    One number of the code at a time goes in steps from its place to both sides, in standard
    deviations of that number over X, and the others stay. What is decoded is shown as images, as
    curves, or, for a table, as the change of each feature in its own standard deviations.

    Make it by :meth:`from_estimator`.

    Parameters
    ----------
    rows : ndarray of shape (n_codes, n_steps, n_features)
        What the decoder makes of each step along each code.
    centre : ndarray of shape (n_features,)
        What it makes of the place from where the steps are taken.
    steps : sequence of float
        In standard deviations of the code.
    deviation : ndarray of shape (n_features,)
        Of each feature over X.
    limits : tuple of float
        The least and the largest value of X: black and white of "images".
    kind : {"images", "curves", "table"}
        How rows are shown.
    image_shape : tuple of int or None
        Of "images"; otherwise None.
    feature_names, code_names : list of str or None
        What features and codes are called.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes
        One for "images", and otherwise a grid with one for each code.
    figure_ : matplotlib Figure

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skae import AutoEncoder
    >>> from skae.display import LatentTraversalDisplay
    >>> X, _ = load_digits(return_X_y=True)
    >>> model = AutoEncoder(3, max_iter=5, random_state=0).fit(X)
    >>> display = LatentTraversalDisplay.from_estimator(model, X, image_shape=(8, 8))
    >>> display.rows.shape
    (3, 9, 64)
    """

    figure_: Any
    axes_: Any

    def __init__(
        self,
        *,
        rows: Array,
        centre: Array,
        steps: Any,
        deviation: Array,
        limits: tuple[float, float],
        kind: str,
        image_shape: tuple[int, ...] | None = None,
        feature_names: list[str] | None = None,
        code_names: list[str] | None = None,
    ) -> None:
        self.rows = rows
        self.centre = centre
        self.steps = steps
        self.deviation = deviation
        self.limits = limits
        self.kind = kind
        self.image_shape = image_shape
        self.feature_names = feature_names
        self.code_names = code_names

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        components: Any = None,
        steps: Any = STEPS,
        row: int | None = None,
        kind: str = "auto",
        image_shape: tuple[int, ...] | None = None,
        ax: Any = None,
    ) -> Self:
        """Draw what each code changes.

        Parameters
        ----------
        estimator : fitted autoencoder, or pipeline or search that ends in one
            Of a pipeline, rows are shown as the autoencoder sees them: after the steps before it.
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows whose codes have the mean and the standard deviations that are used.
        components : sequence of int, or None
            Which codes to show, the first being 0. None shows the first six.
        steps : sequence of float
            In standard deviations of the code. By default nine from −2 to 2.
        row : int or None
            The row of X from whose code the steps are taken. None takes the mean of all codes,
            which is the code of no row: where codes lie on a ring it is in the hole.
        kind : {"auto", "images", "curves", "table"}, default="auto"
            How rows are shown. "auto" is "images" where an ``image_shape`` is known, "table" where
            features have names or are fewer than 50, and otherwise "curves".
        image_shape : tuple (height, width) or (height, width, channels), or None
            Shape of the images that rows are. None takes that of the autoencoder.
        ax : matplotlib Axes, array of them, or None
            Where to draw: one, in whose place all is put, or one for each code. None makes a
            figure.

        Returns
        -------
        LatentTraversalDisplay
            The display, which has drawn.

        Raises
        ------
        ValueError
            For arguments that are not as described, and an estimator without
            ``inverse_transform``.
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        """
        check_argument("steps", steps, steps_rule)
        seen = Rows(estimator, X)
        n_rows, k = seen.codes.shape
        chosen = choose_components(components, k, MOST_CODES)
        if row is not None and not (integer(0).allows(row) and row < n_rows):
            raise ValueError(f"row={row!r} is no row of X, which has {n_rows}.")
        picture, shape = choose_kind(kind, image_shape, seen)
        codes = seen.codes.astype(np.float64)
        place = codes.mean(axis=0) if row is None else codes[row]
        along = np.asarray(steps, dtype=float)[None, :, None] * np.diag(codes.std(axis=0))[:, None]
        rows = seen.decode((place + along[chosen]).reshape(-1, k))
        statistics = seen.statistics()
        display = cls(
            rows=rows.reshape(len(chosen), len(steps), -1),
            centre=seen.decode(place[None])[0],
            steps=steps,
            deviation=statistics.deviation,
            limits=statistics.limits,
            kind=picture,
            image_shape=shape,
            feature_names=seen.names,
            code_names=[f"code {i}" for i in chosen],
        )
        return display.plot(ax=ax)

    def plot(self, ax: Any = None, *, cmap: str | None = None) -> Self:
        """Draw what each code changes.

        Parameters
        ----------
        ax : matplotlib Axes, array of them, or None
            Where to draw: one, in whose place all is put, or one for each code. None makes a
            figure.
        cmap : str or None
            Name of a colour map. None is "gray" for images without channels, "viridis" for
            the steps of curves, and "PuOr" for changes of a table.

        Returns
        -------
        LatentTraversalDisplay
            The display, which has drawn.
        """
        draw = {"images": self._plot_images, "curves": self._plot_curves, "table": self._plot_table}
        draw[self.kind](ax, cmap)
        return self

    def _names(self) -> list[str]:
        return self.code_names or [f"code {i}" for i in range(len(self.rows))]

    def _plot_images(self, ax: Any, cmap: str | None) -> None:
        assert self.image_shape is not None
        n, n_steps, _ = self.rows.shape
        height, width = self.image_shape[:2]
        inches = 8.0 / (n_steps * (width + 1))
        size = (9.0, max(1.2, inches * n * (height + 1)) + 0.6)
        axes = several_axes(self, ax, shape=(1, 1), figsize=size)
        plt = import_pyplot(self)
        picture = mosaic(plt, self.rows, self.image_shape, self.limits, cmap or "gray")
        labels = [signed(step) for step in self.steps]
        show_mosaic(axes[0, 0], picture, self.image_shape, self._names(), labels)
        axes[0, 0].set_xlabel("standard deviations of the code")

    def _plot_curves(self, ax: Any, cmap: str | None) -> None:
        n = len(self.rows)
        across = 1 if n == 1 else 2
        shape = (-(-n // across), across)
        size = (4.4 * across + 0.6, 2.2 * shape[0] + 0.3)
        axes = several_axes(self, ax, shape=shape, figsize=size, sharex=True)
        plt = import_pyplot(self)
        scale = plt.cm.ScalarMappable(
            plt.Normalize(min(self.steps), max(self.steps)), plt.get_cmap(cmap or "viridis")
        )
        for i, panel in enumerate(axes.flat):
            if i >= n:
                panel.set_axis_off()
                continue
            for step, curve in zip(self.steps, self.rows[i], strict=True):
                panel.plot(curve, color=scale.to_rgba(step), linewidth=1.2)
            panel.set_title(self._names()[i], fontsize="medium")
            panel.margins(x=0)
            panel.tick_params(labelbottom=i + across >= n)
            if i + across >= n:
                panel.set_xlabel("feature")
        bar = self.figure_.colorbar(scale, ax=list(axes.flat))
        bar.set_label("standard deviations of the code")

    def _plot_table(self, ax: Any, cmap: str | None) -> None:
        n = len(self.rows)
        deviation = np.where(self.deviation > 0, self.deviation, 1.0)
        changes = (self.rows - self.centre) / deviation
        largest = np.abs(changes).max(axis=(0, 1))
        shown = np.sort(np.argsort(-largest, kind="stable")[:MOST_FEATURES])
        names = feature_labels(self.feature_names, len(self.centre))
        size = (1.6 * n + 3.0, max(2.4, LINE * len(shown) + 1.0))
        axes = several_axes(self, ax, shape=(1, n), figsize=size, sharey=True)
        limit = max(float(largest.max()), 1e-12)
        for i, panel in enumerate(axes.flat):
            drawn = panel.imshow(
                changes[i][:, shown].T, cmap=cmap or "PuOr", vmin=-limit, vmax=limit, aspect="auto"
            )
            ends = [0, (len(self.steps) - 1) // 2, len(self.steps) - 1]
            panel.set_xticks(ends, [signed(self.steps[j]) for j in ends])
            panel.set_yticks(range(len(shown)), [names[j] for j in shown])
            panel.tick_params(labelleft=i == 0)
            panel.set_title(self._names()[i], fontsize="medium")
        if len(shown) < len(names):
            axes.flat[0].set_ylabel(f"the {len(shown)} of {len(names)} features that change most")
        axes.flat[n // 2].set_xlabel("standard deviations of the code")
        bar = self.figure_.colorbar(drawn, ax=list(axes.flat))
        bar.set_label("standard deviations of the feature")


def signed(step: float) -> str:
    """Return a step with its sign, and a minus as wide as the plus."""
    return "0" if step == 0 else f"{step:+g}".replace("-", "−")
