"""What displays ask of fitted estimators: the autoencoder, its rows and reconstructions."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skae._data.checks import read_rows
from skae._data.sources import Array, Source
from skae._estimator.missing import rows_for_use
from skae._estimator.parameters.rules import Rule, check_argument

# Names of features are cut to so many characters.
LONGEST = 22

components_rule = Rule(
    "a sequence of different int >= 0",
    lambda value: (
        np.ndim(value) == 1
        and len(value) > 0
        and np.asarray(value).dtype.kind in "iu"
        and min(value) >= 0
        and len({int(i) for i in value}) == len(value)
    ),
)


def best_of(estimator: Any) -> Any:
    """Return the best estimator of a fitted search, or the estimator itself."""
    if hasattr(estimator, "cv_results_") and not hasattr(estimator, "best_estimator_"):
        raise ValueError(
            f"{type(estimator).__name__} has no best_estimator_ to show; set refit=True."
        )
    return getattr(estimator, "best_estimator_", estimator)


def last_step(estimator: Any) -> Any:
    """Return the fitted autoencoder in which a search or a pipeline ends, or the one itself."""
    estimator = best_of(estimator)
    model = estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator
    if isinstance(model, type):
        raise ValueError(f"estimator is the class {model.__name__}; pass a fitted instance of it.")
    if hasattr(model, "fit"):
        check_is_fitted(model)
    return model


def require(model: Any, *names: str, instead: str = "autoencoder") -> None:
    """Raise ValueError where a model lacks what a display shows of it."""
    missing = [name for name in names if not hasattr(model, name)]
    if missing:
        raise ValueError(
            f"estimator is, or ends in, {type(model).__name__}, which has no {missing[0]}; pass "
            f"a fitted {instead}, or a pipeline that ends in one, such as pipeline[:-1]."
        )


@dataclass(frozen=True)
class Statistics:
    """Mean and standard deviation of each feature, and the least and largest value of all."""

    mean: Array
    deviation: Array
    limits: tuple[float, float]


class SeenRows:
    """Rows of a user, as the last step of a pipeline sees them: after the steps before it.

    Parameters
    ----------
    estimator : fitted model, or pipeline or search that ends in one
    X : table of shape (n_samples, n_features)
        Of any kind that the model takes.

    Attributes
    ----------
    model : estimator
        The last step.
    X : table of shape (n_samples, n_features)
        What the steps before it make of X.
    source : Source
        The rows; missing values are filled when they are read, where the model can fill them.
    names : list of str or None
        Names of the features, where they have any.
    """

    def __init__(self, estimator: Any, X: Any) -> None:
        self.model = last_step(estimator)
        self.before = steps_before(best_of(estimator))
        self.X = self.seen_by_model(X)
        self.source = self._read(self.X)
        self.names = self._find_names()

    @property
    def image_shape(self) -> tuple[int, ...] | None:
        """Shape of the images that rows are to the autoencoder, that of a detector too."""
        return getattr(getattr(self.model, "estimator_", self.model), "image_shape", None)

    def seen_by_model(self, X: Any) -> Any:
        """Return what the steps before the model make of a table."""
        return X if self.before is None else self.before.transform(X)

    def _read(self, X: Any) -> Source:
        if hasattr(self.model, "_gaussian"):
            return rows_for_use(self.model, X)
        return read_rows(self.model, X, fitting=False)

    def _find_names(self) -> list[str] | None:
        names = getattr(self.model, "feature_names_in_", None)
        if names is None and self.before is not None and hasattr(self.before, "feature_names_in_"):
            try:
                names = self.before.get_feature_names_out()
            except (AttributeError, ValueError):  # a step that gives none
                return None
        return None if names is None else [str(name) for name in names]

    def given(self, rows: slice) -> Array:
        """Return rows as they were given: what is missing is NaN."""
        return np.asarray(self.source.given(rows), dtype=np.float64)

    def statistics(self) -> "Statistics":
        """Return statistics of the features, over the values that are known."""
        low, high = np.inf, -np.inf
        count, total = np.zeros((2, self.source.n_features))
        for rows, _ in self.source.parts():
            x = self.given(rows)
            count, total = count + (~np.isnan(x)).sum(axis=0), total + np.nansum(x, axis=0)
            low = np.fmin(low, np.fmin.reduce(x, None))
            high = np.fmax(high, np.fmax.reduce(x, None))
        mean = total / np.maximum(count, 1)
        squares = np.zeros_like(mean)
        for rows, _ in self.source.parts():
            squares += np.nansum((self.given(rows) - mean) ** 2, axis=0)
        deviation = np.sqrt(squares / np.maximum(count, 1))
        return Statistics(mean, deviation, (float(low), float(high)))


class Rows(SeenRows):
    """Rows of a user, as the autoencoder sees them, and their codes.

    Parameters
    ----------
    estimator : fitted autoencoder, or pipeline or search that ends in one
    X : table of shape (n_samples, n_features)
        Of any kind that ``transform`` takes.

    Attributes
    ----------
    codes : ndarray of shape (n_rows, n_components)
    """

    def __init__(self, estimator: Any, X: Any) -> None:
        require(last_step(estimator), "transform", "inverse_transform")
        super().__init__(estimator, X)
        self.codes: Array = np.asarray(self.model.transform(self.X))

    def train(self, X_train: Any) -> Source:
        """Return other rows, as the autoencoder sees them."""
        return self._read(self.seen_by_model(X_train))

    def parts(self) -> Iterator[tuple[slice, Array, Array]]:
        """Yield rows part by part: which they are, as they were given, and reconstructed."""
        for rows, _ in self.source.parts():
            yield rows, self.given(rows), self.decode(self.codes[rows])

    def decode(self, codes: Array) -> Array:
        """Return what the decoder makes of codes."""
        return np.asarray(self.model.inverse_transform(codes), dtype=np.float64)

    def take(self, positions: NDArray[np.int64]) -> tuple[Array, Array, Array]:
        """Return rows as they were given, as they were filled, and reconstructed."""
        given = np.concatenate([self.given(slice(i, i + 1)) for i in positions.tolist()])
        filled = np.asarray(self.source.take(positions), dtype=np.float64)
        return given, filled, self.decode(self.codes[positions])


def steps_before(estimator: Any) -> Any:
    """Return the steps before the last of a pipeline, or None."""
    if isinstance(estimator, Pipeline) and len(estimator.steps) > 1:
        return estimator[:-1]
    return None


def short(name: str) -> str:
    """Return a name as matplotlib writes it as it is: without its middle where it is long.

    Dollars would begin formulas, and legends leave out names that begin with an underscore.
    """
    if len(name) > LONGEST:
        half = LONGEST // 2
        name = f"{name[:half]}…{name[1 - half :]}"
    return ("\u00a0" if name.startswith("_") else "") + name.replace("$", r"\$")


def feature_labels(names: list[str] | None, n_features: int) -> list[str]:
    """Return what features are called in a picture; those without names by their positions."""
    return [f"x{j}" for j in range(n_features)] if names is None else [short(n) for n in names]


def choose_components(components: Any, n_components: int, most: int) -> list[int]:
    """Return which codes to show, by default the first, or raise ValueError."""
    if components is None:
        return list(range(min(n_components, most)))
    check_argument("components", components, components_rule)
    if max(components) >= n_components:
        raise ValueError(
            f"components={list(components)} names code {max(components)}, and the last of the "
            f"{n_components} is code {n_components - 1}."
        )
    return [int(i) for i in components]
