"""The summary of a fit: a table that scikit-learn's diagram shows above the fitted attributes."""

from html import escape
from typing import Any, ClassVar

from sklearn.base import BaseEstimator

from skae._estimator.diagram.architecture import describe_networks

TABLE = """
<div class="estimator-table">
    <details open>
        <summary>Model</summary>
        <table class="parameters-table">
            <tbody>{rows}</tbody>
        </table>
    </details>
</div>
"""
ROW = """
<tr class="default">
    <td class="param" style="padding: 0.5em; vertical-align: top;">{name}</td>
    <td style="padding: 0.5em; white-space: normal; overflow-wrap: anywhere;">{value}</td>
</tr>
"""


class Summarised(BaseEstimator):
    """An estimator whose diagram in notebooks shows what was fitted, and how it compares with PCA.

    The attributes are those of :class:`skae._estimator.use.FittedAutoEncoder`.
    """

    # What its score is called, in a word.
    _score_name: ClassVar[str]

    net_: Any
    n_iter_: int
    best_iter_: int
    pca_score_: float | None
    validation_scores_: list[float] | None
    _spec: Any
    _is_pca: bool

    def _get_fitted_attr_html(self, doc_link: str = "") -> Any:
        """Return the fitted attributes as scikit-learn's diagram shows them, after a summary.

        A search or an ensemble that is fitted asks its unfitted estimators too, which have none.
        Both names are private to scikit-learn: a version without them shows no summary.
        """
        attributes = super()._get_fitted_attr_html(doc_link)
        if hasattr(self, "net_") and hasattr(attributes, "_html_repr"):
            summary, table = to_html(summarise(self)), attributes._html_repr
            attributes._html_repr = lambda: summary + table()
        return attributes


def summarise(fitted: Summarised) -> dict[str, str]:
    """Return what there is to say of a fit, by name."""
    spec: Any = fitted._spec
    sizes = f"{spec.n_features:,} → {spec.n_components:,} → {spec.n_features:,}"
    networks = {"Encoder and decoder": f"linear maps, {sizes}; the networks beside them are zero"}
    if not (fitted._is_pca and spec.hidden_layer_sizes):
        networks = describe_networks(fitted.net_.module_, spec)
    scores = told_scores(fitted)
    on = "training rows" if fitted.validation_scores_ is None else "validation rows"
    return {
        **networks,
        **({f"Score on {on}": scores} if scores else {}),
        "Training": told_training(fitted),
    }


def told_scores(fitted: Any) -> str:
    """Return PCA's score, and that of the epoch that was kept, as far as they are known."""
    parts = [] if fitted.pca_score_ is None else [f"PCA {fitted.pca_score_:.3f}"]
    kept = fitted.best_validation_score_
    if kept is not None and not fitted._is_pca:
        parts.append(f"{type(fitted).__name__} {kept:.3f}")
    return f"{fitted._score_name}: {', '.join(parts)}" if parts else ""


def told_training(fitted: Summarised) -> str:
    """Return how long the training was, and what of it was kept."""
    n = fitted.n_iter_
    epochs = "1 epoch" if n == 1 else f"{n:,} epochs"
    if not n:
        return "no epochs: the result is PCA"
    if fitted._is_pca:
        return f"{epochs}, none better than PCA beyond chance: the result is PCA"
    if not fitted.best_iter_:
        return f"{epochs}; the weights of the start were kept"
    return f"{epochs}; the weights of epoch {fitted.best_iter_:,} were kept"


def to_html(summary: dict[str, str]) -> str:
    """Return a table with a line for each name."""
    rows = (ROW.format(name=escape(k), value=escape(v)) for k, v in summary.items())
    return TABLE.format(rows="".join(rows))
