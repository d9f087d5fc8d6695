"""Why a detector finds rows odd: their reconstructions, and the features that matter."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from skae._data.sources import Array
from skae._estimator.parameters.rules import check_argument, integer
from skae._outliers.calibration import p_values
from skae.display._base import COLOURS, LINE, OF_MODEL, OF_ROWS, import_pyplot, several_axes
from skae.display._fitted import SeenRows, feature_labels, last_step, require, short
from skae.display._parts.pictures import (
    choose_kind,
    fit_figure,
    mosaic,
    show_mosaic,
    size_of_images,
)
from skae.display._parts.rows import choose_rows, reconstruct, row_names, row_rule
from skae.display._parts.values import beside, number

N_FEATURES = 10
OF_RESIDUAL, OF_CODE = COLOURS[4], COLOURS[5]


class OutlierDisplay:
    """Rows beside their reconstructions, and the share that each feature has in their scores.

    Shares are those of ``explain``, in two parts: that of the residual, which the reconstruction
    misses, and that of the code, which is far from the codes of the training rows. A table shows
    the features with the largest shares, each with its value and, in brackets, what the
    reconstruction has there. Curves have the shares below them, images beside them; the axis of
    shares is the same for all rows.

    Titles tell the row's score and p-value, and whether it is an outlier. Make the display by
    :meth:`from_estimator`.

    Parameters
    ----------
    rows, reconstructions : ndarray of shape (n_rows, n_features)
        In units of X. Missing values of rows are NaN. With several autoencoders the
        reconstructions are those of the first.
    residual_shares, code_shares : ndarray of shape (n_rows, n_features)
        Which share of the score is the residual's, or the code's, in each feature. Together they
        add up to 1 in each row.
    scores, p_values : ndarray of shape (n_rows,)
        ``score_samples`` and ``p_values`` of the rows.
    are_outliers : ndarray of bool of shape (n_rows,)
        Whether the detector calls each row an outlier.
    positions : sequence of int
        Where the rows are in X.
    limits : tuple of float
        The least and the largest value of X: black and white of "images".
    n_features : int
        How many features of a table are shown.
    kind : {"images", "curves", "table"}
        How rows are shown.
    image_shape : tuple of int or None
        Of "images"; otherwise None.
    feature_names : list of str or None
        What the features are called.
    row_names : list of str or None
        What the rows are called in titles; None is their positions.
    least_p : float
        The least p-value, 1/(n + 1) with n rows for calibration. Titles say p ≤ of it, because all
        rows that are odder than these n have it.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes of shape (n_down, n_across)
        One for "images", one for each row of "table", and two for each row of "curves", the lower
        one with the shares.
    figure_ : matplotlib Figure

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from skae import AutoEncoderOutlierDetector
    >>> from skae.display import OutlierDisplay
    >>> X, _ = load_wine(return_X_y=True, as_frame=True)
    >>> detector = AutoEncoderOutlierDetector(random_state=0).fit(X)
    >>> display = OutlierDisplay.from_estimator(detector, X)
    >>> bool(display.scores[0] == detector.score_samples(X).min())
    True
    """

    figure_: Any
    axes_: Any

    def __init__(
        self,
        *,
        rows: Array,
        reconstructions: Array,
        residual_shares: Array,
        code_shares: Array,
        scores: Array,
        p_values: Array,
        are_outliers: NDArray[np.bool_],
        positions: Any,
        limits: tuple[float, float],
        n_features: int = N_FEATURES,
        kind: str = "table",
        image_shape: tuple[int, ...] | None = None,
        feature_names: list[str] | None = None,
        row_names: list[str] | None = None,
        least_p: float = 0.0,
    ) -> None:
        self.rows = rows
        self.reconstructions = reconstructions
        self.residual_shares = residual_shares
        self.code_shares = code_shares
        self.scores = scores
        self.p_values = p_values
        self.are_outliers = are_outliers
        self.positions = positions
        self.limits = limits
        self.n_features = n_features
        self.kind = kind
        self.image_shape = image_shape
        self.feature_names = feature_names
        self.row_names = row_names
        self.least_p = least_p

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        row: Any = None,
        n_features: int = N_FEATURES,
        kind: str = "auto",
        image_shape: tuple[int, ...] | None = None,
        ax: Any = None,
    ) -> Self:
        """Draw rows beside their reconstructions, and the features that make them odd.

        Parameters
        ----------
        estimator : fitted AutoEncoderOutlierDetector, or pipeline or search that ends in one
            Of a pipeline, rows are shown as the detector sees them: after the steps before it.
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows of which some are shown. NaN is a missing value: it is a gap, and has no share.
        row : int, sequence of int, mask, or None
            Position in X of the row to show, or of several rows. A mask, an array of bool of shape
            (n_samples,), shows the rows where it is True; of more than ten, those with the lowest
            scores. None shows the row with the lowest score. Positions are no labels: titles tell
            labels where X is a frame of pandas.
        n_features : int, default=10
            How many features of a table to show, those with the largest shares.
        kind : {"auto", "images", "curves", "table"}, default="auto"
            How rows are shown. "auto" is "images" where an ``image_shape`` is known, "table" where
            features have names or are fewer than 50, and otherwise "curves".
        image_shape : tuple (height, width) or (height, width, channels), or None
            Shape of the images that rows are. None takes that of the autoencoder.
        ax : matplotlib Axes, array of them, or None
            Where to draw: one, in whose place all is put, or one for each panel. None makes a
            figure.

        Returns
        -------
        OutlierDisplay
            The display, which has drawn.

        Raises
        ------
        ValueError
            For arguments that are not as described, and an estimator that is no detector.
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        """
        check_argument("row", row, row_rule)
        check_argument("n_features", n_features, integer(1))
        require(last_step(estimator), "p_values", "explain", instead="AutoEncoderOutlierDetector")
        seen = SeenRows(estimator, X)
        picture, shape = choose_kind(kind, image_shape, seen)
        detector = seen.model._fitted()
        scaled = detector._rows(seen.X)
        scores = detector._score(scaled)
        positions = choose_rows(row, scores, X)
        given = np.concatenate([seen.given(slice(i, i + 1)) for i in positions.tolist()])
        shown = scaled.subset(positions)
        residual, code = detector._shares(shown)
        return cls(
            rows=given,
            reconstructions=reconstruct(detector, shown),
            residual_shares=residual,
            code_shares=code,
            scores=scores[positions],
            p_values=p_values(scores[positions], detector.calibration_scores_),
            are_outliers=scores[positions] < detector.offset_,
            positions=positions,
            limits=seen.statistics().limits,
            n_features=n_features,
            kind=picture,
            image_shape=shape,
            feature_names=seen.names,
            row_names=row_names(positions, len(scores), X, seen.X),
            least_p=1 / (len(detector.calibration_scores_) + 1),
        ).plot(ax=ax)

    def plot(self, ax: Any = None, *, cmap: str = "gray") -> Self:
        """Draw rows beside their reconstructions, and the features that make them odd.

        Parameters
        ----------
        ax : matplotlib Axes, array of them, or None
            Where to draw: one, in whose place all is put, or one for each panel. None makes a
            figure.
        cmap : str, default="gray"
            Name of the colour map of images without channels.

        Returns
        -------
        OutlierDisplay
            The display, which has drawn.
        """
        if self.kind == "images":
            self._plot_images(ax, cmap)
        elif self.kind == "curves":
            self._plot_curves(ax)
        else:
            self._plot_table(ax)
        return self

    def _titles(self, between: str = ", ") -> list[str]:
        """Return what is told of each row."""
        names = self.positions if self.row_names is None else map(short, self.row_names)
        return [
            between.join(
                [
                    f"row {name}: score {number(score, 3)}",
                    f"p {'≤' if p <= self.least_p else '='} {number(p, 2)}",
                    "an outlier" if is_outlier else "no outlier",
                ]
            )
            for name, score, p, is_outlier in zip(
                names, self.scores, self.p_values, self.are_outliers, strict=True
            )
        ]

    def _largest_share(self) -> float:
        """Return the end of the axis of shares, which all rows have in common."""
        return 1.05 * (float(np.nanmax(self._shares(), initial=0.0)) or 1.0)

    def _shares(self) -> Array:
        """Return the shares of both parts together; NaN where the value is missing."""
        return np.where(np.isnan(self.rows), np.nan, self.residual_shares + self.code_shares)

    # -- tables ----------------------------------------------------------------------------

    def _plot_table(self, ax: Any) -> None:
        n, shown = len(self.rows), min(self.n_features, self.rows.shape[1])
        across = 1 if n == 1 else 2
        shape = (-(-n // across), across)
        size = (6.4 * across, max(2.0, (shown + 4) * LINE) * shape[0] + 0.3)
        axes = several_axes(self, ax, shape=shape, figsize=size)
        for i, panel in enumerate(axes.flat):
            if i >= n:
                panel.set_axis_off()
                continue
            self._plot_features(panel, i)
            panel.set_title(self._titles()[i], fontsize="medium", x=1.0, ha="right")
            panel.set_xlim(0, self._largest_share())
            if i + across >= n:
                panel.set_xlabel("share of the score")
        axes.flat[0].legend(loc="lower right")

    def _plot_features(self, ax: Any, i: int) -> None:
        shares = np.nan_to_num(self._shares()[i], nan=-1.0)
        shown = np.argsort(-shares, kind="stable")[: self.n_features]
        residual, code = self.residual_shares[i, shown], self.code_shares[i, shown]
        lines = np.arange(len(shown))
        ax.barh(lines, residual, color=OF_RESIDUAL, label="of the residual")
        ax.barh(lines, code, left=residual, color=OF_CODE, label="of the code")
        names = feature_labels(self.feature_names, self.rows.shape[1])
        pairs = [beside(self.rows[i, j], self.reconstructions[i, j]) for j in shown]
        labels = [f"{names[j]}  {pair}" for j, pair in zip(shown, pairs, strict=True)]
        ax.set_yticks(lines, labels)
        ax.set_ylim(len(shown) - 0.4, -0.6)
        if i == 0:
            some = "" if len(shown) == len(names) else f"{len(shown)} of {len(names)} features:\n"
            ax.set_ylabel(f"{some}value (reconstruction)")

    # -- curves ----------------------------------------------------------------------------

    def _plot_curves(self, ax: Any) -> None:
        n = len(self.rows)
        across = 1 if n == 1 else 2
        shape = (2 * -(-n // across), across)
        size = (7.2 if n == 1 else 5.4 * across, 3.8 * shape[0] / 2 + 0.3)
        heights = {"height_ratios": [2, 1] * (shape[0] // 2)}
        axes = several_axes(self, ax, shape=shape, figsize=size, gridspec_kw=heights)
        for i in range(axes.size // 2):
            down, place = divmod(i, across)
            upper, lower = axes[2 * down : 2 * down + 2, place]
            if i >= n:
                upper.set_axis_off()
                lower.set_axis_off()
                continue
            self._plot_curve(upper, lower, i)
            upper.set_title(self._titles()[i], fontsize="medium")
            if i + across >= n:
                lower.set_xlabel("feature")
        axes[0, 0].legend()
        axes[1, 0].legend()

    def _plot_curve(self, upper: Any, lower: Any, i: int) -> None:
        upper.plot(self.rows[i], color=OF_ROWS, linewidth=1.0, label="row")
        upper.plot(self.reconstructions[i], color=OF_MODEL, linewidth=1.5, label="reconstruction")
        lines = np.arange(self.rows.shape[1])
        shares = (self.residual_shares[i], self.code_shares[i])
        style = {"colors": (OF_RESIDUAL, OF_CODE), "linewidth": 0, "step": "mid"}
        lower.stackplot(lines, *shares, labels=("of the residual", "of the code"), **style)
        lower.set_ylim(0, self._largest_share())
        lower.set_ylabel("share")
        for panel in (upper, lower):
            panel.margins(x=0)
        upper.tick_params(labelbottom=False)

    # -- images ----------------------------------------------------------------------------

    def _plot_images(self, ax: Any, cmap: str) -> None:
        assert self.image_shape is not None
        n, (height, width) = len(self.rows), self.image_shape[:2]
        size = size_of_images(n, 3, self.image_shape)
        axes = several_axes(self, ax, shape=(1, 1), figsize=(size[0] + 3.0, size[1] + 1.0))
        plt = import_pyplot(self)
        pairs = np.stack([self.rows, self.reconstructions], axis=1)
        left = mosaic(plt, pairs, self.image_shape, self.limits, cmap)
        shares = self._shares().reshape(n, 1, height * width, -1).sum(axis=-1)
        most = float(np.nanmax(shares, initial=0.0)) or 1.0
        right = mosaic(plt, shares, (height, width), (0.0, most), "viridis")
        gap = np.ones((len(left), 1, 4))
        picture = np.concatenate([left, gap, right], axis=1)
        across = ["row", "reconstruction", "share of the score"]
        titles = self._titles("\n" if size[1] / n > 2.5 * LINE else ", ") if n > 1 else [""]
        panel = axes[0, 0]
        show_mosaic(panel, picture, self.image_shape, titles, across)
        if n == 1:
            panel.set_title(self._titles()[0], fontsize="medium")
        scale = plt.cm.ScalarMappable(plt.Normalize(0.0, most), plt.get_cmap("viridis"))
        if ax is not None:
            self.figure_.colorbar(scale, ax=panel, shrink=0.8)
            return
        self.figure_.colorbar(scale, cax=panel.inset_axes([1.03, 0, 0.03, 1]))
        fit_figure(self.figure_, panel, size)
