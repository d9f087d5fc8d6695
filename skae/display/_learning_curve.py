"""How a training went."""

from collections.abc import Sequence
from typing import Any, Self

from skae.display._base import FAINT, OF_MODEL, OF_PCA, several_axes
from skae.display._fitted import last_step, require


class LearningCurveDisplay:
    """Score and loss after each epoch, PCA's score, and the epoch whose weights were kept.

    The upper panel has ``score`` on the validation rows, and PCA's as a dashed line. Weights above
    it reconstruct rows that did not train better than PCA does, and are kept if that is beyond
    chance. The lower panel has the loss that training lowers, of training rows and of validation
    rows. Training rows have the method's noise added, so that their loss may be the higher one.
    Where theirs falls and that of the validation rows rises, the network learns the training rows
    by heart.

    Make it by :meth:`from_estimator`.

    Parameters
    ----------
    training_losses : sequence of float
        Loss of the training rows in each epoch, in the module's units or in nats.
    validation_losses, validation_scores : sequence of float or None
        Loss and score of the validation rows after each epoch, or after the last ones: of a
        model that was fitted by ``partial_fit`` losses are known from the last call only. None
        without validation rows.
    pca_score : float or None
        Score of PCA on the validation rows; None for a training that did not start at PCA.
    best_iter : int
        The epoch whose weights were kept; 0 is the start.
    is_pca : bool
        Whether the result is PCA, because no epoch was better.
    score_name, estimator_name : str or None
        What the score and the model are called.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes of shape (2, 1), or (1, 1) without validation rows
    figure_ : matplotlib Figure

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skae import AutoEncoder
    >>> from skae.display import LearningCurveDisplay
    >>> X, _ = load_digits(return_X_y=True)
    >>> model = AutoEncoder(8, max_iter=5, random_state=0).fit(X)
    >>> display = LearningCurveDisplay.from_estimator(model)
    >>> len(display.axes_)
    2
    """

    figure_: Any
    axes_: Any

    def __init__(
        self,
        *,
        training_losses: Sequence[float],
        validation_losses: Sequence[float] | None = None,
        validation_scores: Sequence[float] | None = None,
        pca_score: float | None = None,
        best_iter: int = 0,
        is_pca: bool = False,
        score_name: str | None = None,
        estimator_name: str | None = None,
    ) -> None:
        self.training_losses = training_losses
        self.validation_losses = validation_losses
        self.validation_scores = validation_scores
        self.pca_score = pca_score
        self.best_iter = best_iter
        self.is_pca = is_pca
        self.score_name = score_name
        self.estimator_name = estimator_name

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Any = None) -> Self:
        """Draw how the training of a fitted model went.

        Parameters
        ----------
        estimator : fitted autoencoder, or pipeline or search that ends in one
            Whose training is shown.
        ax : matplotlib Axes, array of two of them, or None
            Two are for score and loss, or one is for both. None makes a figure.

        Returns
        -------
        LearningCurveDisplay
            The display, which has drawn.

        Raises
        ------
        ValueError
            For an estimator that is no autoencoder of skae.
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        """
        model = last_step(estimator)
        require(model, "loss_curve_", "validation_scores_", "pca_score_", "best_iter_")
        losses = [row.get("valid_loss") for row in model.net_.history]
        display = cls(
            training_losses=model.loss_curve_,
            validation_losses=None if model.validation_scores_ is None else losses,
            validation_scores=model.validation_scores_,
            pca_score=model.pca_score_,
            best_iter=model.best_iter_,
            is_pca=model._is_pca,
            score_name=model._score_name,
            estimator_name=type(model).__name__,
        )
        return display.plot(ax=ax)

    def plot(self, ax: Any = None, **line_kw: Any) -> Self:
        """Draw score and loss.

        Parameters
        ----------
        ax : matplotlib Axes, array of two of them, or None
            Two are for score and loss, or one is for both. None makes a figure.
        **line_kw
            For ``matplotlib.axes.Axes.plot``, of the curves.

        Returns
        -------
        LearningCurveDisplay
            The display, which has drawn.
        """
        has_scores = self.validation_scores is not None
        axes = several_axes(self, ax, shape=(1 + has_scores, 1), sharex=True)
        if has_scores:
            self._plot_scores(axes[0, 0], line_kw)
        self._plot_losses(axes[-1, 0], line_kw)
        for panel in axes[:-1, 0]:
            panel.tick_params(labelbottom=False)
        for panel in axes[:, 0]:
            panel.set_xlim(0, max(1, len(self.training_losses)) * 1.02)
            panel.legend()
        self.figure_.align_ylabels(axes[:, 0])
        axes[0, 0].set_title(self._title())
        axes[-1, 0].set_xlabel("Epoch")
        return self

    def _title(self) -> str:
        name = "" if self.estimator_name is None else f"{self.estimator_name}: "
        if self.is_pca:
            return f"{name}the result is PCA"
        if not self.best_iter:
            return f"{name}the weights of the start were kept"
        return f"{name}the weights of epoch {self.best_iter} were kept"

    def _epochs(self, values: Sequence[float]) -> range:
        """Return the epochs of values: the last ones, as there are no validation rows at first."""
        last = len(self.training_losses)
        return range(last - len(values) + 1, last + 1)

    def _plot_scores(self, ax: Any, line_kw: dict[str, Any]) -> None:
        scores = list(self.validation_scores or ())
        if self.pca_score is not None:
            ax.axhline(self.pca_score, color=OF_PCA, linestyle="--", label="PCA")
        curve = {"color": OF_MODEL, "label": "validation rows", **line_kw}
        epochs = self._epochs(scores)
        ax.plot(epochs, scores, **curve)
        kept = scores[epochs.index(self.best_iter)] if self.best_iter in epochs else self.pca_score
        if self.is_pca or self.best_iter in epochs:
            marks = {"marker": "o", "linestyle": "none", "clip_on": False, "zorder": 4}
            colour = OF_PCA if self.is_pca else OF_MODEL
            ax.plot([self.best_iter], [kept], color=colour, **marks, label="kept")
        ax.set_ylabel("Score" if self.score_name is None else f"Score ({self.score_name})")

    def _plot_losses(self, ax: Any, line_kw: dict[str, Any]) -> None:
        train = {"color": FAINT, "label": "training rows", **line_kw}
        ax.plot(self._epochs(self.training_losses), self.training_losses, **train)
        if self.validation_losses is not None:
            valid = {"color": OF_MODEL, "label": "validation rows", **line_kw}
            ax.plot(self._epochs(self.validation_losses), self.validation_losses, **valid)
        if self.best_iter:
            ax.axvline(self.best_iter, color=OF_MODEL, linestyle=":", label="kept")
        ax.set_ylabel("Loss")
