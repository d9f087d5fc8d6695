"""Checks of what users pass in, with errors that name the remedy."""

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils.validation import check_array, validate_data

Array = NDArray[np.floating]


def check_rows(estimator: Any, X: Any, *, fitting: bool) -> Array:
    """Return X as a two-dimensional floating-point array, or raise ValueError.

    float32 stays float32, everything else becomes float64: rows are centred before they
    are cast, so that large offsets cost no precision.
    """
    refuse_masked(X)
    X = validate_data(
        estimator,
        X,
        reset=fitting,
        dtype=[np.float64, np.float32],
        ensure_all_finite=False,
        ensure_min_samples=2 if fitting else 1,
    )
    require_finite(estimator, X)
    return X


def check_codes(estimator: Any, codes: Any, n_components: int) -> Array:
    """Return codes as a float32 array of ``n_components`` columns, or raise ValueError."""
    refuse_masked(codes)
    codes = check_array(codes, dtype=np.float32, input_name="codes", estimator=estimator)
    if codes.shape[1] != n_components:
        raise ValueError(
            f"X has {codes.shape[1]} columns, but {type(estimator).__name__} has "
            f"n_components_={n_components}; pass what transform returned."
        )
    return codes


def refuse_masked(X: Any) -> None:
    """Raise for a masked array, whose mask scikit-learn would silently drop."""
    if np.ma.isMaskedArray(X):
        raise ValueError(
            "X is a masked array, and its mask would be ignored; fill it, as with "
            "X.filled(numpy.nan) and sklearn.impute.SimpleImputer, or pass X.data."
        )


def require_finite(estimator: Any, X: Array) -> None:
    """Raise where X has a missing or infinite value, or one that float32 cannot hold."""
    name = type(estimator).__name__
    largest = np.finfo(np.float32).max
    with np.errstate(all="ignore"):
        if np.isfinite(X.sum()) and (X.dtype == np.float32 or max(X.max(), -X.min()) < largest):
            return
        if np.abs(X).max() < largest:  # only the sum is too large
            return
    missing = np.isnan(X)
    if missing.any():
        row, column = np.argwhere(missing)[0]
        raise ValueError(
            f"X contains NaN: {missing.sum()} missing values, the first in row {row}, column "
            f"{column}. {name} needs them filled in, as with sklearn.impute.SimpleImputer."
        )
    row, column = np.argwhere(~(np.abs(X) < largest))[0]
    raise ValueError(
        f"X contains infinity or a value too large for float32, X[{row}, {column}] = "
        f"{X[row, column]!s}; replace it or drop the row."
    )


def check_networks(estimator: Any, n_features: int, *, has_prior: bool) -> None:
    """Raise where the parameters that describe the networks do not go together, or with X."""
    shape = estimator.image_shape
    if shape is not None and math.prod(shape) != n_features:
        raise ValueError(
            f"image_shape={shape!r} has {math.prod(shape)} pixels, but X has {n_features} "
            "features; pass the shape of the images that the rows are."
        )
    if estimator.tied_weights:
        if (
            has_prior
            and estimator.hidden_layer_sizes != "auto"
            and not len(estimator.hidden_layer_sizes)
        ):
            raise ValueError(
                "tied_weights=True needs hidden layers where codes have a prior, because the "
                "units of its codes have no transpose; give hidden_layer_sizes or set "
                "tied_weights=False."
            )
        for name in ("image_shape", "encoder", "decoder"):
            if getattr(estimator, name) is not None:
                raise ValueError(
                    f"tied_weights=True needs dense networks, which have a transpose, and "
                    f"{name}={getattr(estimator, name)!r} makes others; set one or the other."
                )


def resolve_device(device: str) -> str:
    """Return the device to compute on; "auto" means CUDA where there is one."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"device={device!r} cannot be used here ({reason}); pass 'auto' or 'cpu'."
        ) from error
    return device


@contextmanager
def as_if_alone(*, inference: bool = False) -> Iterator[None]:
    """Compute the same inside a caller's ``torch.no_grad()`` or ``torch.autocast`` as outside."""
    with torch.inference_mode(inference), torch.set_grad_enabled(not inference), ExitStack() as off:
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                off.enter_context(torch.autocast(kind, enabled=False))
        yield


@contextmanager
def all_or_nothing(estimator: Any) -> Iterator[None]:
    """Give the estimator its former state back if the block fails."""
    former = dict(vars(estimator))
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(former)
        raise
