"""What displays ask of fitted estimators: the autoencoder, its rows and their names."""

from typing import Any

from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted


def last_step(estimator: Any) -> Any:
    """Return the fitted autoencoder in which a search or a pipeline ends, or the one itself."""
    estimator = best_of(estimator)
    model = estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator
    check_is_fitted(model)
    return model


def best_of(estimator: Any) -> Any:
    """Return the best estimator of a fitted search, or the estimator itself."""
    if hasattr(estimator, "cv_results_") and not hasattr(estimator, "best_estimator_"):
        raise ValueError(
            f"{type(estimator).__name__} has no best_estimator_ to show; set refit=True."
        )
    return getattr(estimator, "best_estimator_", estimator)


def require(model: Any, *names: str) -> None:
    """Raise ValueError where a model lacks what a display shows of it."""
    missing = [name for name in names if not hasattr(model, name)]
    if missing:
        raise ValueError(
            f"estimator is, or ends in, {type(model).__name__}, which has no {missing[0]}; pass "
            "a fitted autoencoder, or a pipeline that ends in one, such as pipeline[:-1]."
        )
