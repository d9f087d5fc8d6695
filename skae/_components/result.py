"""What a selection found."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class ComponentsSelection:
    """Sizes of codes, their scores on rows that trained no fit, and the size that was chosen.

    What :func:`skae.select_n_components` returns;
    :class:`skae.display.ComponentsDisplay` draws it.

    Attributes
    ----------
    n_components : int
        The size that was chosen.
    n_components_pca : int or None
        The size that the same rule chooses for PCA; None where no size of PCA keeps ``share``.
    sizes : ndarray of int of shape (n_sizes,)
        The sizes with which PCA was scored, in order.
    scores : ndarray of shape (n_sizes,)
        Scores of the autoencoder; NaN for sizes with which none was fitted.
    standard_errors : ndarray of shape (n_sizes,)
        Those of ``scores``, over the rows held out; NaN where these are.
    pca_scores : ndarray of shape (n_sizes,)
        Scores of PCA, of the same rows, on the same rows.
    rule : {"share", "one_se"}
    threshold : float
        The score that ``n_components`` reaches: the share to keep, or the best score less its
        standard error.
    score_name, estimator_name : str
        What the scores are, and the class that was fitted.
    n_held_out : int
        Number of rows that had no part in any fit, and are scored.
    """

    n_components: int
    n_components_pca: int | None
    sizes: NDArray[np.int64]
    scores: NDArray[np.float64]
    standard_errors: NDArray[np.float64]
    pca_scores: NDArray[np.float64]
    rule: str
    threshold: float
    score_name: str
    estimator_name: str
    n_held_out: int

    def __str__(self) -> str:
        """Return the sizes chosen, and a table of the scores of all sizes."""
        pca = "no size" if self.n_components_pca is None else str(self.n_components_pca)
        lines = [
            f"Components to reach {self.threshold:.4f}: {self.estimator_name} {self.n_components}, "
            f"PCA {pca} ({self.score_name}, {self.n_held_out:,} rows held out)",
            f"{'size':>6}{self.estimator_name:>{self._width}}{'':10}{'PCA':>10}",
        ]
        for row in zip(self.sizes, self.scores, self.standard_errors, self.pca_scores, strict=True):
            lines.append(self._line(*row))
        return "\n".join(lines)

    @property
    def _width(self) -> int:
        return max(12, len(self.estimator_name) + 2)

    def _line(self, size: int, score: float, error: float, pca: float) -> str:
        fitted = not np.isnan(score)
        own, spread = (f"{score:.4f}", f" ± {error:.4f}") if fitted else ("", "")
        return f"{size:>6}{own:>{self._width}}{spread:<10}{pca:>10.4f}"
