"""What a fitted imputer does."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.impute import MissingIndicator
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from skae._data.checks import part_has_missing, read_table
from skae._data.sources import Array, rows_at_once, slices
from skae._estimator.environment import as_if_alone, resolve_device, snapshot
from skae._imputer.module import build
from skae._imputer.scores import NormalScores, to_network
from skae._model.weights import load_arrays, weights_to_arrays
from skae._start.gaussian import Gaussian
from skae._training.make_net import make_fitted_net
from skae._training.net import AutoEncoderNet


class FittedImputer(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """What an imputer does once it is fitted.

    Attributes
    ----------
    _kept : ndarray of bool of shape (n_features_in_,)
        Which columns had an observed entry.
    _gaussian : Gaussian
        Of these columns.
    _scores : NormalScores
        Of these columns, where there is a net.
    _sizes : tuple of int
        Widths of the hidden layers of the net, where there is one.
    """

    net_: AutoEncoderNet | None
    indicator_: MissingIndicator | None
    device: str
    keep_empty_features: bool
    _kept: NDArray[np.bool_]
    _gaussian: Gaussian
    _scores: NormalScores
    _sizes: tuple[int, ...]

    def transform(self, X: Any) -> Array:
        """Fill the missing values of rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_features_out), float32 or float64 as X
            The columns that were not dropped, and those of the indicator.
        """
        check_is_fitted(self)
        fitted = snapshot(self)
        X = fitted._check(X, fitting=False)
        kept = fitted._kept
        filled = np.zeros_like(X)
        with as_if_alone(inference=True):
            if kept.any():
                filled[:, kept] = fitted._fill(np.ascontiguousarray(X[:, kept]))
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

    # -- transform -------------------------------------------------------------------------

    def _fill(self, X: Array) -> Array:
        """Return rows of the columns that were observed in ``fit`` without missing values."""
        gaussian = self._gaussian
        filled = gaussian.fill(X)
        if self.net_ is None:
            return filled
        module = self.net_.module_
        for part in slices(len(X), rows_at_once(X.shape[1])):
            missing = np.isnan(X[part])
            rows = np.flatnonzero(missing.any(axis=1))
            missing, start = missing[rows], filled[part][rows]
            z = to_network(gaussian, start)
            inputs = np.hstack([z, self._scores.fill(X[part][rows])])
            output = module.predict(torch.from_numpy(inputs).to(self.net_.device))
            # The network's part alone is in float32.
            change = (output.cpu().numpy() - z) * gaussian.scale
            expected = np.clip(start + change, gaussian.low, gaussian.high).astype(X.dtype)
            filled[part][rows] = np.where(missing, expected, start)
        return filled

    # -- scikit-learn ----------------------------------------------------------------------

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    # Arrays alone are kept: they load without a GPU, and in skops.

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if "_gaussian" in state:
            state["_gaussian"] = vars(state["_gaussian"])
        net = state.pop("net_", None)
        if net is not None:
            scores = vars(self._scores)
            state["_scores"] = {**scores, "gaussian": vars(self._scores.gaussian)}
            state["_weights"] = weights_to_arrays(net.module_)
            state["_history"] = [dict(row) for row in net.history]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        weights, history = state.pop("_weights", None), state.pop("_history", None)
        if "_gaussian" in state:
            state["_gaussian"] = Gaussian(**state["_gaussian"])
        if weights is not None:
            scores = state["_scores"]
            state["_scores"] = NormalScores(
                **{**scores, "gaussian": Gaussian(**scores["gaussian"])}
            )
        super().__setstate__(state)
        if "best_iter_" in state:
            self.net_ = None
        if weights is not None:
            with as_if_alone():
                self.net_ = self._load_net(weights)
            self.net_.history.extend(history)

    def _load_net(self, weights: dict[str, np.ndarray]) -> AutoEncoderNet:
        """Build the fitted net anew."""
        try:
            device = resolve_device(self.device)
        except ValueError:  # fitted where there was such a device
            device = "cpu"
        draws = torch.Generator("cpu").manual_seed(0)
        module = build(len(self._gaussian.mean), self._sizes, draws)
        load_arrays(module, weights)
        net = make_fitted_net(module, device)
        net.module_.eval()
        return net
