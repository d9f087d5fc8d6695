"""Collections of Dask in the place of X: handed over to what works block by block."""

from collections.abc import Callable
from functools import wraps
from inspect import signature
from typing import Any

from skae._cluster.dask.collection import is_collection
from skae._cluster.dask.fit import fit_collection
from skae._cluster.dask.lazy import rows_of, score_of
from skae._estimator.environment import all_at_once
from skae._estimator.parameters.rules import check_parameters


def fit(
    estimator: Any,
    X: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    groups: Any = None,
    **options: Any,
) -> Any:
    """Fit an estimator to a collection; ``options`` are those of :func:`skae.dask.fit`."""
    if not hasattr(estimator, "_fit_together"):  # an imputer, which is fitted to rows in memory
        from dask import compute

        return estimator.fit(*compute(X, y, sample_weight))
    with all_at_once(estimator) as fitted:
        check_parameters(fitted)
        fit_collection(fitted, X, sample_weight, groups, **options)
    return estimator


def score(estimator: Any, X: Any, y: Any = None, sample_weight: Any = None) -> float:
    """Return the score of a collection."""
    return score_of(estimator, X, sample_weight)


def by_row(method: str) -> Callable[..., Any]:
    """Return the function that does what a method does, for each row of a collection."""

    def rows(estimator: Any, X: Any, **options: Any) -> Any:
        return rows_of(estimator, method, X, **options)

    return rows


# What does the work of a method where X is a collection.
FUNCTIONS = {
    "fit": fit,
    "transform": by_row("transform"),
    "inverse_transform": by_row("inverse_transform"),
    "score_samples": by_row("score_samples"),
    "score": score,
}


def for_collections(method: Callable[..., Any], function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method that leaves collections to a function."""

    @wraps(method)
    def either(self: Any, X: Any, *args: Any, **options: Any) -> Any:
        if not is_collection(X):
            return method(self, X, *args, **options)
        given = signature(method).bind(self, X, *args, **options).arguments
        return function(self, X, **dict(list(given.items())[2:]))

    return either


class TakesCollections:
    """First base of what takes collections of Dask in the place of X.

    The methods of heirs are wrapped when their class is made, after scikit-learn has wrapped
    them for ``set_output``: that would turn a collection into an array.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name, function in FUNCTIONS.items():
            method = vars(cls).get(name)
            if method is not None and not getattr(method, "__isabstractmethod__", False):
                setattr(cls, name, for_collections(method, function))

    def fit_transform(self: Any, X: Any, y: Any = None, **options: Any) -> Any:
        """Fit to rows, and return what ``transform`` makes of them.

        Parameters
        ----------
        X : array-like, sparse matrix, stored array or Dask collection
            Of shape (n_samples, n_features).
        y : ignored
            For scikit-learn, which passes it.
        **options
            Passed to ``fit``.

        Returns
        -------
        ndarray of shape (n_samples, n_components_), of ``dtype``
            Or, where X is a collection of Dask, a lazy one.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from skae import AutoEncoder
        >>> X, _ = load_iris(return_X_y=True)
        >>> AutoEncoder(2, max_iter=2, random_state=0).fit_transform(X).shape
        (150, 2)
        """
        if is_collection(X):
            return self.fit(X, y, **options).transform(X)
        return super().fit_transform(X, y, **options)  # type: ignore[misc]
