"""Where reconstructions fail: in which features, and in which rows."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from skae._data.sources import Array
from skae._estimator.parameters.rules import check_argument, integer
from skae.display._base import LINE, OF_MODEL, OF_PCA, OF_ROWS, several_axes
from skae.display._fitted import Rows, feature_labels
from skae.display._parts.pca import Straight, choose_pca
from skae.display._parts.pictures import choose_kind

# Of a table so many features are shown, those of the largest errors.
MOST_FEATURES = 15
N_WORST = 10
# Errors are on a logarithmic scale where the largest is more than so many times the median.
WIDE = 20


class ReconstructionErrorDisplay:
    """The squared error of reconstructions by feature and by row, and PCA's beside it.

    The left panel has the mean squared error of each feature: of the worst features of a table, of
    all points of curves, and as an image of images. The right panel has a histogram of the
    errors of rows, on whose axis the worst rows are marked. Which these are is in ``worst_rows``.
    Errors are squared whatever the loss: PCA, which minimises them, may have smaller ones than
    a model of another loss.

    Make it by :meth:`from_estimator`.

    Parameters
    ----------
    feature_errors : ndarray of shape (n_features,)
        Mean over the rows of the squared error of each feature, in squared units of X; over the
        rows of which the feature is known.
    row_errors : ndarray of shape (n_rows,)
        Sum over the features of the squared error of each row; over those that are known.
    pca_feature_errors, pca_row_errors : ndarray or None
        The same of PCA's reconstructions.
    n_worst : int
        How many rows are marked.
    kind : {"images", "curves", "table"}
        How rows are shown.
    image_shape : tuple of int or None
        Of "images"; otherwise None.
    feature_names : list of str or None
        What the features are called.
    estimator_name, pca_name : str
        What the errors are those of.

    Attributes
    ----------
    worst_rows : ndarray of int of shape (n_worst,)
        Positions in X of the rows with the largest errors, the largest first.
    axes_ : ndarray of matplotlib Axes of shape (1, 2), or (1, 3) for images beside PCA's
        The last one is the histogram's.
    figure_ : matplotlib Figure

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skae import AutoEncoder
    >>> from skae.display import ReconstructionErrorDisplay
    >>> X, _ = load_digits(return_X_y=True)
    >>> model = AutoEncoder(8, max_iter=5, random_state=0).fit(X[:1300])
    >>> display = ReconstructionErrorDisplay.from_estimator(model, X[1300:], X_train=X[:1300])
    >>> display.worst_rows.shape
    (10,)
    """

    figure_: Any
    axes_: Any

    def __init__(
        self,
        *,
        feature_errors: Array,
        row_errors: Array,
        pca_feature_errors: Array | None = None,
        pca_row_errors: Array | None = None,
        n_worst: int = N_WORST,
        kind: str = "table",
        image_shape: tuple[int, ...] | None = None,
        feature_names: list[str] | None = None,
        estimator_name: str = "autoencoder",
        pca_name: str = "PCA",
    ) -> None:
        self.feature_errors = feature_errors
        self.row_errors = row_errors
        self.pca_feature_errors = pca_feature_errors
        self.pca_row_errors = pca_row_errors
        self.n_worst = n_worst
        self.kind = kind
        self.image_shape = image_shape
        self.feature_names = feature_names
        self.estimator_name = estimator_name
        self.pca_name = pca_name

    @property
    def worst_rows(self) -> NDArray[np.intp]:
        """Positions of the rows with the largest errors, the largest first."""
        return np.argsort(-self.row_errors, kind="stable")[: self.n_worst]

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        n_worst: int = N_WORST,
        pca: Any = True,
        X_train: Any = None,
        kind: str = "auto",
        image_shape: tuple[int, ...] | None = None,
        ax: Any = None,
    ) -> Self:
        """Draw the errors of reconstructions by feature and by row.

        Parameters
        ----------
        estimator : fitted autoencoder, or pipeline or search that ends in one
            Of a pipeline, errors are those of what the autoencoder sees: in the units that X has
            after the steps before it.
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows that are reconstructed. Missing values, NaN, have no error.
        n_worst : int, default=10
            How many rows to mark.
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
            How features are shown. "auto" is "images" where an ``image_shape`` is known, "table"
            where features have names or are fewer than 50, and otherwise "curves".
        image_shape : tuple (height, width) or (height, width, channels), or None
            Shape of the images that rows are. None takes that of the autoencoder.
        ax : matplotlib Axes, array of them, or None
            Where to draw: one, in whose place all is put, or one for each panel. None makes a
            figure.

        Returns
        -------
        ReconstructionErrorDisplay
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
        check_argument("n_worst", n_worst, integer(0))
        seen = Rows(estimator, X)
        kind, shape = choose_kind(kind, image_shape, seen)
        straight = choose_pca(seen, pca, X_train)
        own, pcas = squared_errors(seen, straight)
        display = cls(
            feature_errors=own[0],
            row_errors=own[1],
            pca_feature_errors=pcas[0] if straight else None,
            pca_row_errors=pcas[1] if straight else None,
            n_worst=n_worst,
            kind=kind,
            image_shape=shape,
            feature_names=seen.names,
            estimator_name=type(seen.model).__name__,
            pca_name=straight.name if straight else "PCA",
        )
        return display.plot(ax=ax)

    def plot(self, ax: Any = None, *, cmap: str = "viridis") -> Self:
        """Draw the errors by feature and by row.

        Parameters
        ----------
        ax : matplotlib Axes, array of them, or None
            Where to draw: one, in whose place all is put, or one for each panel. None makes a
            figure.
        cmap : str, default="viridis"
            Name of the colour map of images.

        Returns
        -------
        ReconstructionErrorDisplay
            The display, which has drawn.
        """
        n_panels = 2
        if self.kind == "images" and self.pca_feature_errors is not None:
            n_panels = 3
        n_lines = min(MOST_FEATURES, len(self.feature_errors)) if self.kind == "table" else 10
        size = (2.8 * n_panels + 3.2, max(3.6, 1.2 * LINE * n_lines + 1.0))
        axes = several_axes(self, ax, shape=(1, n_panels), figsize=size)
        if self.kind == "images":
            self._plot_images(axes[0, :-1], cmap)
        elif self.kind == "curves":
            self._plot_curve(axes[0, 0])
        else:
            self._plot_bars(axes[0, 0])
        self._plot_rows(axes[0, -1])
        return self

    def _of_both(self, own: Array, pcas: Array | None) -> list[tuple[str, str, Array]]:
        """Return name, colour and errors of the autoencoder, and of PCA where it is shown."""
        both = [(self.estimator_name, OF_MODEL, own)]
        return both if pcas is None else [*both, (self.pca_name, OF_PCA, pcas)]

    def _plot_bars(self, ax: Any) -> None:
        both = self._of_both(self.feature_errors, self.pca_feature_errors)
        worst = np.argsort(-np.nan_to_num(self.feature_errors), kind="stable")[:MOST_FEATURES]
        height = 0.8 / len(both)
        for i, (name, colour, errors) in enumerate(both):
            places = np.arange(len(worst)) + (i - (len(both) - 1) / 2) * height
            ax.barh(places, errors[worst], height=height, color=colour, label=name)
        names = feature_labels(self.feature_names, len(self.feature_errors))
        ax.set_yticks(range(len(worst)), [names[j] for j in worst])
        ax.set_ylim(len(worst) - 0.4, -0.6)
        ax.set_xlabel("mean squared error of a feature")
        if len(worst) < len(self.feature_errors):
            ax.set_title(f"the worst {len(worst)} of {len(self.feature_errors)} features")

    def _plot_curve(self, ax: Any) -> None:
        for name, colour, errors in self._of_both(self.feature_errors, self.pca_feature_errors):
            ax.plot(errors, color=colour, label=name)
        ax.margins(x=0)
        ax.set_ylim(bottom=0)
        ax.set(xlabel="feature", ylabel="mean squared error of a feature")

    def _plot_images(self, axes: Any, cmap: str) -> None:
        assert self.image_shape is not None
        both = self._of_both(self.feature_errors, self.pca_feature_errors)
        largest = max(float(np.nanmax(errors)) for _, _, errors in both)
        for ax, (name, _, errors) in zip(axes, both, strict=False):
            image = errors.reshape(*self.image_shape[:2], -1).mean(axis=-1)
            drawn = ax.imshow(image, cmap=cmap, vmin=0, vmax=largest)
            ax.set(xticks=[], yticks=[], title=name)
        bar = self.figure_.colorbar(drawn, ax=list(axes), location="bottom", shrink=0.7, aspect=30)
        bar.set_label("mean squared error of a pixel")

    def _plot_rows(self, ax: Any) -> None:
        both = self._of_both(self.row_errors, self.pca_row_errors)
        every = np.concatenate([errors for _, _, errors in both])
        positive = every[every > 0]
        is_wide = len(positive) > 0 and every.max() > WIDE * np.median(every)
        if is_wide:
            low = max(positive.min(), every.max() * 1e-6)
            bins = np.geomspace(low, every.max() * 1.001, 31)
            ax.set_xscale("log")
        else:
            bins = np.histogram_bin_edges(every, bins=30)
        for i, (name, colour, errors) in enumerate(both):
            shape = {"histtype": "step", "linewidth": 1.5} if i else {"alpha": 0.8}
            ax.hist(errors, bins=bins, color=colour, label=name, **shape)
        worst = self.worst_rows
        if len(worst):
            marks = {"marker": "|", "color": OF_ROWS, "linestyle": "none", "markersize": 10}
            places = self.row_errors[worst]
            label = f"worst {len(worst)} rows"
            ax.plot(places, np.zeros(len(worst)), **marks, clip_on=False, zorder=5, label=label)
        ax.set(xlabel="squared error of a row", ylabel="rows")
        ax.legend()


def squared_errors(
    seen: Rows, straight: Straight | None
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Return the errors of each feature and of each row: of an autoencoder, and of PCA or zero."""
    n_rows, n_features = seen.source.n_rows, seen.source.n_features
    count = np.zeros(n_features)
    of_features, of_rows = np.zeros((2, n_features)), np.zeros((2, n_rows))
    for rows, x, x_hat in seen.parts():
        versions = [x_hat]
        if straight is not None:
            filled = np.asarray(seen.source.take(np.arange(rows.start, rows.stop)))
            versions.append(straight.reconstruct(filled))
        count += (~np.isnan(x)).sum(axis=0)
        for i, version in enumerate(versions):
            squares = np.nan_to_num((version - x) ** 2)
            of_features[i] += squares.sum(axis=0)
            of_rows[i, rows] = squares.sum(axis=1)
    of_features = np.where(count > 0, of_features / np.maximum(count, 1), np.nan)
    return (of_features[0], of_rows[0]), (of_features[1], of_rows[1])
