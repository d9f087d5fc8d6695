"""How many numbers a code needs."""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from skae.display._base import FAINT, OF_MODEL, OF_PCA, several_axes

# The sizes that the axis names, beside those chosen.
TICKS = (1, 2, 3, 4, 5, 7, 10, 20, 30, 50, 100, 200, 300, 500, 1000, 2000, 5000)


class ComponentsDisplay:
    """Scores of an autoencoder and of PCA against the number of components.

    The scores are those of rows that had no part in any fit; bars are of one standard error. The
    dashed line is the score to reach: the share to keep, or one standard error less than the best
    score. The large points are the sizes that were chosen by it.

    Make it by :meth:`from_selection`.

    Parameters
    ----------
    sizes : array-like of shape (n_sizes,)
        Numbers of components.
    scores, standard_errors, pca_scores : array-like of shape (n_sizes,)
        Of the autoencoder, NaN where none was fitted, and of PCA.
    n_components : int
        The size chosen for the autoencoder.
    n_components_pca : int or None
        The size chosen for PCA; None where it has none.
    threshold : float
        The score to reach.
    score_name, estimator_name : str or None
        What the scores are, and what the model is called.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skae import AutoEncoder, select_n_components
    >>> from skae.display import ComponentsDisplay
    >>> X = load_digits().data / 16
    >>> model = AutoEncoder(max_iter=40, random_state=0)
    >>> found = select_n_components(X, 0.8, estimator=model)
    >>> display = ComponentsDisplay.from_selection(found)
    >>> display.ax_.get_ylabel()
    'Share of variance explained'
    """

    def __init__(
        self,
        *,
        sizes: ArrayLike,
        scores: ArrayLike,
        standard_errors: ArrayLike,
        pca_scores: ArrayLike,
        n_components: int,
        n_components_pca: int | None = None,
        threshold: float,
        score_name: str | None = None,
        estimator_name: str | None = None,
    ) -> None:
        self.sizes = sizes
        self.scores = scores
        self.standard_errors = standard_errors
        self.pca_scores = pca_scores
        self.n_components = n_components
        self.n_components_pca = n_components_pca
        self.threshold = threshold
        self.score_name = score_name
        self.estimator_name = estimator_name

    @classmethod
    def from_selection(cls, selection: Any, *, ax: Any = None) -> Self:
        """Draw what :func:`skae.select_n_components` has found.

        Parameters
        ----------
        selection : ComponentsSelection
            What it returned.
        ax : matplotlib Axes or None
            None makes a figure.

        Returns
        -------
        ComponentsDisplay
            The display, which has drawn.

        Raises
        ------
        TypeError
            For anything else than what ``select_n_components`` returns.
        """
        if not hasattr(selection, "n_components_pca"):
            raise TypeError(
                f"selection is a {type(selection).__name__}; pass what skae.select_n_components "
                "returned."
            )
        names = ("n_components", "n_components_pca", "threshold", "score_name", "estimator_name")
        curves = ("sizes", "scores", "standard_errors", "pca_scores")
        return cls(**{name: getattr(selection, name) for name in curves + names}).plot(ax=ax)

    def plot(self, ax: Any = None, **line_kw: Any) -> Self:
        """Draw the scores.

        Parameters
        ----------
        ax : matplotlib Axes or None
            None makes a figure.
        **line_kw
            For ``matplotlib.axes.Axes.plot``, of the two curves.

        Returns
        -------
        ComponentsDisplay
            The display, which has drawn.
        """
        self.ax_ = ax = several_axes(self, ax, shape=(1, 1))[0, 0]
        sizes, scores, errors, pca = (
            np.asarray(values)
            for values in (self.sizes, self.scores, self.standard_errors, self.pca_scores)
        )
        known = ~np.isnan(scores)
        line = {"marker": "o", "markersize": 3.5, **line_kw}
        name = self.estimator_name or "autoencoder"
        ax.axhline(self.threshold, color=FAINT, linestyle="--", zorder=1, label="score to reach")
        ax.plot(sizes, pca, **{"color": OF_PCA, "label": "PCA", **line})
        ax.plot(sizes[known], scores[known], **{"color": OF_MODEL, "label": name, **line})
        ax.errorbar(sizes[known], scores[known], errors[known], fmt="none", ecolor=OF_MODEL)
        self._mark(self.n_components, sizes, scores, OF_MODEL)
        self._mark(self.n_components_pca, sizes, pca, OF_PCA)
        self._label(sizes)
        return self

    def _mark(self, size: int | None, sizes: Any, scores: Any, colour: str) -> None:
        """Draw a large point at a size that was chosen, and a line down to it."""
        if size is not None:
            score = scores[sizes == size]
            self.ax_.plot([size], score, "o", color=colour, markersize=8, zorder=4)
            self.ax_.axvline(size, color=colour, linestyle=":", zorder=1)

    def _label(self, sizes: Any) -> None:
        """Name the axes, the sizes along them, and what was chosen."""
        ax = self.ax_
        ax.set_xscale("log")
        chosen = {self.n_components, self.n_components_pca or self.n_components}
        # Names of sizes that lie close together would overlap.
        far = [k for k in TICKS if all(not 0.75 < k / one < 1.33 for one in chosen)]
        ticks = sorted({*(k for k in far if sizes.min() <= k <= sizes.max()), *chosen})
        ax.set_xticks(ticks, [str(k) for k in ticks])
        ax.minorticks_off()
        ax.set_xlabel("Number of components")
        label = self.score_name or "score"
        ax.set_ylabel(label[0].upper() + label[1:])
        name = self.estimator_name or "autoencoder"
        pca = self.n_components_pca or f"none up to {sizes.max()}"
        plural = "s" if self.n_components > 1 else ""
        ax.set_title(f"{name}: {self.n_components} component{plural}, PCA: {pca}")
        ax.legend(loc="lower right")
