"""What a fitted autoencoder does."""

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from skae._data.batch import counting
from skae._data.checks import check_codes
from skae._data.sources import Array, Source, rows_at_once, slices
from skae._data.units import Units
from skae._estimator.collections import TakesCollections
from skae._estimator.diagram.summary import Summarised
from skae._estimator.environment import as_if_alone, device_to_load_on, snapshot
from skae._estimator.jobs.stream import Stream
from skae._estimator.like_pca.frames import with_names_of_X
from skae._estimator.like_pca.instead import SaysWhatInstead
from skae._estimator.like_pca.slopes import HasSlopes
from skae._estimator.like_pca.variances import ExplainsVariance
from skae._estimator.missing import rows_for_use
from skae._estimator.saving.savable import Savable
from skae._estimator.saving.schema import (
    array_of,
    check,
    check_model,
    check_stream,
    check_weights,
    nothing,
)
from skae._model.losses import takes_any_row
from skae._model.make_module import make_module
from skae._model.module import AutoEncoderModule
from skae._model.spec import ModelSpec
from skae._model.weights import load_arrays, weights_to_arrays
from skae._training.make_net import make_fitted_net, require_groups
from skae._training.net import AutoEncoderNet

# The size of the state of one of torch's generators on the host.
N_DRAWN = 5056
# The names of a fitted state, where the net is its weights and its history.
FITTED = {
    *("_weights", "_history", "_spec", "_stream", "_gaussian", "_is_pca", "_trained"),
    *("_code_mean", "explained_variance_", "explained_variance_ratio_", "n_samples_"),
    *("best_iter_", "loss_curve_", "mean_", "n_components_", "n_features_in_", "n_iter_"),
    *("noise_variance_", "pca_score_", "scale_", "validation_scores_"),
}


class FittedAutoEncoder(
    TakesCollections,
    Savable,
    ExplainsVariance,
    HasSlopes,
    SaysWhatInstead,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    Summarised,
):
    """What an autoencoder does once :class:`skae._estimator.fit.BaseLatentModel` has fitted it.

    Of a fit it needs ``net_``, ``mean_``, ``scale_``, ``n_components_`` and ``_spec``, of which
    the module is built.
    """

    _module: ClassVar[type[AutoEncoderModule]]
    # What `_diagnose` sets: counts.
    _diagnosed: ClassVar[tuple[str, ...]] = ()

    net_: AutoEncoderNet
    mean_: Array
    scale_: float
    n_components_: int
    explained_variance_: Array | None
    explained_variance_ratio_: Array | None
    n_samples_: int | None
    noise_variance_: float
    device: str
    loss: Any
    dtype: str
    _spec: ModelSpec
    _gaussian: dict[str, Any]
    _code_mean: Array | None
    _stream: Stream | None
    # Where the fit's generator stood when networks of the user's were built of it: what these have
    # drawn and do not count as their state is drawn again when the model is loaded.
    _draws: NDArray[np.uint8] | None

    def transform(self, X: Any) -> Array:
        """Return the codes of rows.

        Parameters
        ----------
        X : array-like, sparse matrix or stored array of shape (n_samples, n_features)
            NaN is a missing value: the code is that of the observed ones.

        Returns
        -------
        ndarray of shape (n_samples, n_components_), of ``dtype``
            The largest variance over the training rows first, in X's units, or of unit
            variance with ``whiten=True``. Centred and uncorrelated, unless the method's
            codes keep their own axes; in the prior's units where codes have one.

        Raises
        ------
        ValueError
            For rows that are not as those of the fit, or have codes that ``dtype`` cannot hold.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from skae import AutoEncoder
        >>> X, _ = load_iris(return_X_y=True)
        >>> model = AutoEncoder(2, max_iter=2, random_state=0).fit(X)
        >>> model.transform(X).shape
        (150, 2)
        """
        fitted = self._fitted()
        source = rows_for_use(fitted, X)
        codes = np.empty((source.n_rows, fitted.n_components_), dtype=fitted._spec.dtype)
        with as_if_alone(inference=True):
            for rows, x in fitted._batches(source):
                codes[rows] = fitted.net_.module_.encode(x).cpu().numpy()
        if not np.isfinite(codes).all():
            row = int(np.argmin(np.isfinite(codes).all(axis=1)))
            raise ValueError(
                f"X has rows, the first of which is row {row}, whose codes {fitted._spec.dtype} "
                "cannot hold; drop such rows, or see what an encoder of your own returns."
            )
        return codes

    def inverse_transform(self, X: Any) -> Any:
        """Return the rows that belong to codes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_components_)
            Codes, as ``transform`` returns them.

        Returns
        -------
        ndarray or frame of shape (n_samples, n_features_in_), of ``dtype``
            Rows in the units of the training data. Where ``set_output`` asks for frames and the
            columns of the training data had names, a frame with these; of pandas with the index of
            the codes, where they are a frame.

        Raises
        ------
        ValueError
            For codes of another size than the fit's, or whose rows ``dtype`` cannot hold.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from skae import AutoEncoder
        >>> X, _ = load_iris(return_X_y=True)
        >>> model = AutoEncoder(2, max_iter=2, random_state=0).fit(X)
        >>> model.inverse_transform(model.transform(X)).shape
        (150, 4)
        """
        fitted = self._fitted()
        codes = check_codes(fitted, X, fitted.n_components_, fitted._spec.dtype)
        return with_names_of_X(fitted, fitted._decode(codes), X)

    def _decode(self, codes: Array, noise: torch.Generator | None = None) -> Array:
        """Return the rows that belong to codes, or draws from what the loss expects there."""
        dtype, module, n_features = self._spec.dtype, self.net_.module_, self.n_features_in_
        X_hat = np.empty((len(codes), n_features), dtype=dtype)
        with as_if_alone(inference=True), np.errstate(over="ignore", invalid="ignore"):
            variance = module.noise_variance
            if variance is None:
                variance = torch.tensor(self.noise_variance_ / self.scale_**2, dtype=torch.float32)
            for rows in slices(len(codes), rows_at_once(n_features)):
                output = module.decode(torch.tensor(codes[rows], device=self.net_.device))
                if noise is None:
                    X_hat[rows] = module.loss.to_array(output)
                else:
                    X_hat[rows] = module.loss.draw(output, variance.to(output), noise)
        if not np.isfinite(X_hat).all():
            raise ValueError(
                f"X has codes of up to {np.abs(codes).max():.1e}, whose rows {dtype} cannot hold; "
                "pass what transform returned."
            )
        return X_hat

    def to_torch(self) -> nn.Module:
        """Return the fitted model as a plain torch module, for programs without scikit-learn.

        Its methods ``encode`` and ``decode`` do with tensors what ``transform`` and
        ``inverse_transform`` do with arrays, in the units of X. ``reconstruct`` encodes and
        decodes, and so does calling the module. ``torch.export.export``, ``torch.jit.script`` and
        ``torch.jit.trace`` take it, for any number of rows, and what they save needs no skae. A
        network or an activation of one's own is copied as it is, and must be something that
        they take.

        Returns
        -------
        nn.Module
            On the CPU, in evaluation mode and in ``dtype``. Its weights are copies that require
            gradients, so that they can be trained further; units, axes and bounds are buffers.

        Raises
        ------
        TypeError
            For a class with a ``transform`` or an ``inverse_transform`` of its own.

        Notes
        -----
        Missing values are not filled outside: ``transform`` does that, and here a row
        with NaN has NaN as its code. Codes of variational autoencoders are posterior means.

        Examples
        --------
        >>> import torch
        >>> from sklearn.datasets import load_digits
        >>> from skae import AutoEncoder
        >>> X, _ = load_digits(return_X_y=True)
        >>> model = AutoEncoder(8, max_iter=5, random_state=0).fit(X)
        >>> module = model.to_torch()
        >>> module.encode(torch.tensor(X[:3])).shape
        torch.Size([3, 8])
        >>> program = torch.export.export(
        ...     module, (torch.tensor(X[:3]),), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},)
        ... )
        """
        fitted = self._fitted()
        for name in ("transform", "inverse_transform"):
            if getattr(type(self), name) is not getattr(FittedAutoEncoder, name):
                raise TypeError(
                    f"{type(self).__name__} has a {name} of its own, which no torch module has; "
                    "take net_.module_.to_torch(), and add to it what that does."
                )
        with as_if_alone():
            return fitted.net_.module_.to_torch()

    @abstractmethod
    def score_samples(self, X: Any) -> Array:
        """Return for every row how normal it is."""

    @abstractmethod
    def score(self, X: Any, y: Any = None) -> float:
        """Return how well the model describes rows."""

    # -- rows ------------------------------------------------------------------------------

    def _fitted(self) -> Self:
        """Return the fit as it is now: a refit in another thread does not change it.

        Its networks are in evaluation mode, whatever a user has set them to.
        """
        check_is_fitted(self)
        fitted = snapshot(self)
        module = fitted.net_.module_
        if any(part.training for part in module.modules()):
            module.eval()
        return fitted

    def _batches(self, source: Source) -> Iterator[tuple[slice, Tensor]]:
        """Yield rows part by part in the module's units, on the device.

        A part lasts until the next. Until then, losses count what is known of it, and sums over
        rows their weights. What is not known is filled a second time, with the reconstruction.
        """
        module, at_once = self.net_.module_, rows_at_once(source.n_features)
        # One piece of memory for all parts: the system takes time to clear new ones.
        shape = (min(at_once, source.n_rows), source.n_features)
        memory, every = np.empty(shape, dtype=module.units.dtype), source.weights
        for rows, part in source.chunks(at_once):
            x = module.units.to_tensor(part, memory[: len(part)]).to(self.net_.device)
            known = source.observed(rows)
            if known is None and every is None:
                yield rows, x
                continue
            observed = None if known is None else torch.from_numpy(known).to(x.device)
            if observed is not None and not observed.all():
                x_hat = module.loss.reconstruct(module.decoder(module.code(x)))
                x = torch.where(observed, x, x_hat)
            weights = None if every is None else torch.from_numpy(every[rows]).to(x)
            with counting(observed, weights):
                yield rows, x

    # -- scikit-learn ----------------------------------------------------------------------

    @property
    def _n_features_out(self) -> int:
        return self.n_components_

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = [self.dtype]
        tags.input_tags.allow_nan = tags.input_tags.sparse = True
        tags.input_tags.positive_only = not takes_any_row(self.loss)
        return tags

    # The net is kept as NumPy arrays on the host: loads without a GPU, and in skops.

    def _get_state(self) -> dict[str, Any]:
        state = super()._get_state()
        if "net_" in state:
            net = state.pop("net_")
            state["_weights"] = weights_to_arrays(net.module_)
            state["_history"] = [dict(row) for row in net.history]
            state["_spec"] = vars(state["_spec"])  # a dict, so that skops need not trust its class
            if state["_stream"] is not None:
                state["_stream"] = state["_stream"].to_dict()
        return state

    def _set_state(self, state: dict[str, Any]) -> None:
        weights, history = state.pop("_weights", None), state.pop("_history", None)
        if weights is None:
            super()._set_state(state)
            return
        state["_spec"] = ModelSpec(**state["_spec"])
        if state["_stream"] is not None:
            state["_stream"] = Stream.from_dict(state["_stream"])
        super()._set_state(state)
        self.net_ = self._load_net(weights)
        self.net_.history.extend(history)
        if self._stream is not None and self._stream.iterate is not None:
            require_groups(self.net_.module_, self._stream.iterate.optimizer)

    @classmethod
    def _names_of_state(cls) -> tuple[set[str], set[str]]:
        return FITTED | {*cls._diagnosed}, {"feature_names_in_", "_sklearn_output_config", "_draws"}

    @classmethod
    def _check_state(cls, state: dict[str, Any]) -> None:
        spec, weights = check_model(state, cls._diagnosed), state["_weights"]
        check("_draws", state.get("_draws"), array_of(N_DRAWN, dtype=np.uint8) | nothing)
        check_weights(spec, weights, cls._module.outputs_per_component)
        check_stream(state["_stream"], spec.n_features, weights)

    def _load_net(self, weights: dict[str, np.ndarray]) -> AutoEncoderNet:
        """Build the fitted net anew."""
        units = Units(self.mean_, self.scale_, self._spec.dtype)
        # The weights drawn here are replaced at once, and must not come from torch's generator.
        draws = torch.Generator("cpu").manual_seed(0)
        if getattr(self, "_draws", None) is not None:
            draws.set_state(torch.tensor(self._draws))
        module = make_module(self._module, self._spec, units, draws)
        load_arrays(module, weights)
        net = make_fitted_net(module, device_to_load_on(self.device))
        net.module_.eval()
        return net
