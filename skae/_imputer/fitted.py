"""What a fitted imputer does."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.impute import MissingIndicator
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from skae._data.checks import part_has_missing, read_table
from skae._data.sources import Array
from skae._estimator.collections import TakesCollections
from skae._estimator.environment import as_if_alone, device_to_load_on, snapshot
from skae._estimator.saving.savable import Savable
from skae._imputer.schema import check_imputer
from skae._training.imputer.filler import NetworkFiller
from skae._training.net import AutoEncoderNet


class FittedImputer(
    TakesCollections, Savable, OneToOneFeatureMixin, TransformerMixin, BaseEstimator
):
    """What an imputer does once it is fitted.

    Attributes
    ----------
    _kept : ndarray of bool of shape (n_features_in_,)
        Which columns had an observed entry.
    _filler : NetworkFiller or None
        Fills these columns; None where there are none.
    """

    indicator_: MissingIndicator | None
    device: str
    keep_empty_features: bool
    _kept: NDArray[np.bool_]
    _filler: NetworkFiller | None

    @property
    def net_(self) -> AutoEncoderNet | None:
        """The trained net; None where the Gaussian stayed."""
        check_is_fitted(self)  # raises an AttributeError
        return None if self._filler is None else self._filler.net

    def transform(self, X: Any) -> Array:
        """Fill the missing values of rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            NaN is missing; never changed.

        Returns
        -------
        ndarray of shape (n_samples, n_features_out), float32 or float64 as X
            The columns that were not dropped, and those of the indicator.

        Examples
        --------
        >>> import numpy as np
        >>> from skae import AutoEncoderImputer
        >>> X = np.array([[1.0, 2.0], [2.0, np.nan], [3.0, 6.0], [4.0, 8.0]])
        >>> imputer = AutoEncoderImputer(hidden_layer_sizes=()).fit(X)
        >>> bool(np.isfinite(imputer.transform(X)).all())
        True
        """
        check_is_fitted(self)
        fitted = snapshot(self)
        X = fitted._check(X, fitting=False)
        kept = fitted._kept
        filled = np.zeros_like(X)
        with as_if_alone(inference=True):
            if fitted._filler is not None:
                filled[:, kept] = fitted._filler.fill(np.ascontiguousarray(X[:, kept]))
        if fitted.keep_empty_features:
            filled[:, ~kept] = np.nan_to_num(X[:, ~kept])
        else:
            filled = filled[:, kept]
        if fitted.indicator_ is not None:
            filled = np.hstack([filled, fitted.indicator_.transform(X).astype(X.dtype)])
        return filled

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Return the names of the columns of what ``transform`` returns.

        Parameters
        ----------
        input_features : array-like of str or None
            Names of the columns; None means ``feature_names_in_``, or else x0, x1, …

        Returns
        -------
        ndarray of str
            One name a column, those of the indicator last.

        Examples
        --------
        >>> import numpy as np
        >>> from skae import AutoEncoderImputer
        >>> X = np.array([[1.0, 2.0], [2.0, np.nan], [3.0, 6.0], [4.0, 8.0]])
        >>> imputer = AutoEncoderImputer(hidden_layer_sizes=(), add_indicator=True).fit(X)
        >>> imputer.get_feature_names_out().tolist()
        ['x0', 'x1', 'missingindicator_x1']
        """
        names: NDArray[np.object_] = super().get_feature_names_out(input_features)
        out = names if self.keep_empty_features else names[self._kept]
        if self.indicator_ is not None:
            out = np.concatenate([out, self.indicator_.get_feature_names_out(names)])
        return out

    def _check(self, X: Any, *, fitting: bool) -> Array:
        """Return X as an array of float32 or float64, or raise ValueError."""
        rows: Array = read_table(self, X, fitting=fitting)
        part_has_missing(rows, largest=np.inf)
        return rows

    # -- scikit-learn ----------------------------------------------------------------------

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    # Arrays alone are kept: they load without a GPU, and in skops.

    def _get_state(self) -> dict[str, Any]:
        state = super()._get_state()
        if state.get("_filler") is not None:
            state["_filler"] = state["_filler"].to_dict()
        return state

    def _set_state(self, state: dict[str, Any]) -> None:
        super()._set_state(state)
        if state.get("_filler") is not None:
            device = device_to_load_on(self.device)
            self._filler = NetworkFiller.from_dict(state["_filler"], device)

    @classmethod
    def _names_of_state(cls) -> tuple[set[str], set[str]]:
        return FITTED, {"feature_names_in_", "_sklearn_output_config"}

    @classmethod
    def _check_state(cls, state: dict[str, Any]) -> None:
        check_imputer(state)

    @classmethod
    def _to_file(cls, state: dict[str, Any]) -> dict[str, Any]:
        indicator = state["indicator_"]
        return {**state, "indicator_": None if indicator is None else indicator.features_}

    @classmethod
    def _from_file(cls, state: dict[str, Any]) -> dict[str, Any]:
        columns = state["indicator_"]
        if columns is None:
            return state
        return {**state, "indicator_": make_indicator(columns, state["n_features_in_"])}


# The names of a fitted state.
FITTED = {
    *("_filler", "_kept", "best_iter_", "indicator_", "n_features_in_", "n_iter_", "statistics_")
}


def make_indicator(columns: NDArray[np.int64], n_features: int) -> MissingIndicator:
    """Return an indicator of these columns, fitted to a row in which they are missing."""
    row = np.zeros((1, n_features))
    row[0, columns] = np.nan
    return MissingIndicator(error_on_new=False).fit(row)
