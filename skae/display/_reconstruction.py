"""Rows beside their reconstructions."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from skae._data.sources import Array
from skae._estimator.parameters.rules import Rule, check_argument, integer
from skae.display._base import LINE, OF_MODEL, OF_PCA, OF_ROWS, import_pyplot, several_axes
from skae.display._fitted import Rows, feature_labels
from skae.display._parts.pca import choose_pca
from skae.display._parts.pictures import choose_kind, mosaic, show_mosaic

# How many rows are shown, and of a table how many features of each.
N_ROWS = {"images": 10, "curves": 4, "table": 4}
N_WORST = 8

rows_rule = Rule(
    "int >= 1, the positions of rows, or None",
    lambda value: value is None or integer(1).allows(value) or np.ndim(value) == 1,
)


class ReconstructionDisplay:
    """Rows beside their reconstructions, by an autoencoder and by PCA of the same size.

    Images are shown as such, spectra and series as curves. Of a row of a table the features are
    shown that the autoencoder reconstructs worst, in standard deviations from the mean of each.

    Make it by :meth:`from_estimator`.

    Parameters
    ----------
    rows, reconstructions : ndarray of shape (n_rows, n_features)
        Missing values of rows are NaN.
    pca_reconstructions : ndarray of shape (n_rows, n_features) or None
        The same of PCA; None where it is not shown.
    positions : sequence of int
        Where the rows are in X.
    mean, deviation : ndarray of shape (n_features,)
        Of each feature over X.
    limits : tuple of float
        The least and the largest value of X: black and white of "images".
    kind : {"images", "curves", "table"}
        How rows are shown.
    image_shape : tuple of int or None
        Of "images"; otherwise None.
    feature_names : list of str or None
        What the features are called.
    estimator_name, pca_name : str
        What the reconstructions are called.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes of shape (n_down, n_across)
        One for "images", and otherwise one for each row.
    figure_ : matplotlib Figure

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skae import AutoEncoder
    >>> from skae.display import ReconstructionDisplay
    >>> X, _ = load_digits(return_X_y=True)
    >>> model = AutoEncoder(8, max_iter=5, random_state=0).fit(X[:1300])
    >>> display = ReconstructionDisplay.from_estimator(
    ...     model, X[1300:], X_train=X[:1300], image_shape=(8, 8)
    ... )
    >>> display.reconstructions.shape
    (10, 64)
    """

    figure_: Any
    axes_: Any

    def __init__(
        self,
        *,
        rows: Array,
        reconstructions: Array,
        pca_reconstructions: Array | None = None,
        positions: Any,
        mean: Array,
        deviation: Array,
        limits: tuple[float, float],
        kind: str,
        image_shape: tuple[int, ...] | None = None,
        feature_names: list[str] | None = None,
        estimator_name: str = "autoencoder",
        pca_name: str = "PCA",
    ) -> None:
        self.rows = rows
        self.reconstructions = reconstructions
        self.pca_reconstructions = pca_reconstructions
        self.positions = positions
        self.mean = mean
        self.deviation = deviation
        self.limits = limits
        self.kind = kind
        self.image_shape = image_shape
        self.feature_names = feature_names
        self.estimator_name = estimator_name
        self.pca_name = pca_name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        rows: Any = None,
        pca: Any = True,
        X_train: Any = None,
        kind: str = "auto",
        image_shape: tuple[int, ...] | None = None,
        ax: Any = None,
    ) -> Self:
        """Draw rows beside their reconstructions.

        Parameters
        ----------
        estimator : fitted autoencoder, or pipeline or search that ends in one
            Of a pipeline, rows are shown as the autoencoder sees them: after the steps before it.
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows of which some are shown. NaN is a missing value.
        rows : int, sequence of int, or None
            How many rows to show, at equal distances in X, or their positions. None shows ten
            images, and otherwise four rows.
        pca : bool or fitted sklearn.decomposition.PCA, default=True
            True fits PCA, with as many components as the code has numbers, to ``X_train``. Without
            ``X_train`` it is fitted to X, and has then seen the rows that are shown, which is in
            its favour if the autoencoder has not: it is called "PCA of these rows", and is left out
            where X has fewer than ten rows for each component. A fitted PCA is shown as it is; in a
            pipeline it must be one of what the autoencoder sees. False shows none.
        X_train : array-like or sparse matrix of shape (n_train_samples, n_features) or None
            Rows that PCA is fitted to. Pass those that the autoencoder was fitted to, and as X
            others. Missing values are filled as the autoencoder fills them.
        kind : {"auto", "images", "curves", "table"}, default="auto"
            How rows are shown. "auto" is "images" where an ``image_shape`` is known, "table" where
            features have names or are fewer than 50, and otherwise "curves".
        image_shape : tuple (height, width) or (height, width, channels), or None
            Shape of the images that rows are. None takes that of the autoencoder.
        ax : matplotlib Axes, array of them, or None
            Where to draw: one, in whose place all is put, or one for each row. None makes a figure.

        Returns
        -------
        ReconstructionDisplay
            The display, which has drawn.

        Raises
        ------
        ValueError
            For arguments that are not as described, and an estimator without
            ``inverse_transform``.
        sklearn.exceptions.NotFittedError
            Before ``fit``.

        Warns
        -----
        UserWarning
            When PCA is left out because X has too few rows.
        """
        check_argument("rows", rows, rows_rule)
        seen = Rows(estimator, X)
        kind, shape = choose_kind(kind, image_shape, seen)
        positions = choose_positions(rows, seen.source.n_rows, N_ROWS[kind])
        straight = choose_pca(seen, pca, X_train)
        given, filled, reconstructions = seen.take(positions)
        statistics = seen.statistics()
        display = cls(
            rows=given,
            reconstructions=reconstructions,
            pca_reconstructions=None if straight is None else straight.reconstruct(filled),
            positions=positions,
            mean=statistics.mean,
            deviation=statistics.deviation,
            limits=statistics.limits,
            kind=kind,
            image_shape=shape,
            feature_names=seen.names,
            estimator_name=type(seen.model).__name__,
            pca_name="PCA" if straight is None else straight.name,
        )
        return display.plot(ax=ax)

    def plot(self, ax: Any = None, *, cmap: str = "gray") -> Self:
        """Draw rows beside their reconstructions.

        Parameters
        ----------
        ax : matplotlib Axes, array of them, or None
            Where to draw: one, in whose place all is put, or one for each row. None makes a figure.
        cmap : str, default="gray"
            Name of the colour map of images without channels.

        Returns
        -------
        ReconstructionDisplay
            The display, which has drawn.
        """
        if self.kind == "images":
            self._plot_images(ax, cmap)
            return self
        n = len(self.rows)
        across = 1 if n == 1 else 2
        shape = (-(-n // across), across)
        n_lines = min(N_WORST, self.rows.shape[1]) + 3 if self.kind == "table" else 10
        size = (4.4 * across, max(2.2, n_lines * LINE) * shape[0] + 0.5)
        axes = several_axes(self, ax, shape=shape, figsize=size)
        draw = self._plot_features if self.kind == "table" else self._plot_curve
        for i, panel in enumerate(axes.flat):
            if i >= n:
                panel.set_axis_off()
                continue
            draw(panel, i)
            panel.set_title(f"row {self.positions[i]}", fontsize="medium")
            if self.kind == "curves" and i + across >= n:
                panel.set_xlabel("feature")
        handles, labels = axes.flat[0].get_legend_handles_labels()
        if ax is None:
            self.figure_.legend(handles, labels, loc="outside upper center", ncols=3)
        else:
            axes.flat[0].legend()
        return self

    def _versions(self) -> list[tuple[str, Array]]:
        """Return what is shown of each row, by name."""
        versions = [("rows", self.rows), (self.estimator_name, self.reconstructions)]
        if self.pca_reconstructions is not None:
            versions.append((self.pca_name, self.pca_reconstructions))
        return versions

    def _plot_images(self, ax: Any, cmap: str) -> None:
        names, images = zip(*self._versions(), strict=True)
        assert self.image_shape is not None
        height, width = self.image_shape[:2]
        inches = 9.0 / (len(self.rows) * (width + 1) + 2)
        size = (9.0, max(1.2, inches * len(names) * (height + 1)) + 0.6)
        axes = several_axes(self, ax, shape=(1, 1), figsize=size)
        plt = import_pyplot(self)
        picture = mosaic(plt, np.stack(images), self.image_shape, self.limits, cmap)
        labels = [str(position) for position in self.positions]
        show_mosaic(axes[0, 0], picture, self.image_shape, list(names), labels)
        axes[0, 0].set_xlabel("row")

    def _plot_curve(self, ax: Any, i: int) -> None:
        colours = {"rows": OF_ROWS, self.estimator_name: OF_MODEL, self.pca_name: OF_PCA}
        for name, values in self._versions():
            width = 1.0 if name == "rows" else 1.5
            ax.plot(values[i], color=colours[name], linewidth=width, label=name)
        ax.margins(x=0)

    def _plot_features(self, ax: Any, i: int) -> None:
        deviation = np.where(self.deviation > 0, self.deviation, 1.0)
        errors = np.abs(self.reconstructions[i] - self.rows[i]) / deviation
        worst = np.argsort(np.nan_to_num(errors, nan=-1.0))[::-1][:N_WORST]
        marks: dict[str, dict[str, Any]] = {
            "rows": {"marker": "|", "color": OF_ROWS, "markersize": 14, "markeredgewidth": 2},
            self.estimator_name: {"marker": "o", "color": OF_MODEL},
            self.pca_name: {"marker": "s", "color": OF_PCA, "fillstyle": "none"},
        }
        lines = np.arange(len(worst))
        for name, values in self._versions():
            places = ((values[i] - self.mean) / deviation)[worst]
            ax.plot(places, lines, linestyle="none", label=name, **marks[name])
        names = feature_labels(self.feature_names, len(self.mean))
        ax.set_yticks(lines, [names[j] for j in worst])
        ax.set_ylim(len(worst) - 0.5, -0.5)
        ax.grid(axis="y", color="#dddddd")
        ax.set_axisbelow(True)
        ax.axvline(0, color="#bbbbbb", zorder=0)
        ax.set_xlabel("standard deviations from the mean")


def choose_positions(rows: Any, n: int, default: int) -> NDArray[np.int64]:
    """Return the positions of the rows to show, or raise ValueError."""
    if rows is None or integer(1).allows(rows):
        wanted = min(n, default if rows is None else int(rows))
        return np.linspace(0, n - 1, wanted).astype(np.int64)
    positions = np.asarray(rows)
    if positions.dtype.kind not in "iu" or not len(positions):
        raise ValueError(f"rows={rows!r} is not valid: expected {rows_rule.expected}.")
    if positions.min() < 0 or positions.max() >= n:
        raise ValueError(f"rows={rows!r} names rows that X, with {n} rows, does not have.")
    return positions.astype(np.int64)
