"""The units in which a module computes: X's, centred and divided by one number."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from skae._data.sources import Array


class Units(nn.Module):
    """X's units and the module's: x = (row − center) / scale, in the module's dtype.

    It is a part of the module, so that the module can be used without its estimator. Arrays
    are converted with the float64 values, tensors on the device with copies of these.

    Parameters
    ----------
    mean : ndarray of shape (n_features,), float64
    scale : float
    dtype : numpy.dtype
        float32 or float64.

    Attributes
    ----------
    center, scale : Tensor of shape (n_features,), Tensor of shape ()
        What is subtracted from a row of X, and what the difference is divided by.
    """

    center: Tensor
    scale: Tensor

    def __init__(self, mean: Array, scale: float, dtype: Any = np.float32) -> None:
        super().__init__()
        self.mean, self.exact_scale, self.dtype = mean, scale, np.dtype(dtype)
        self.tensor_dtype = torch.float32 if self.dtype == np.float32 else torch.float64
        self.factor = self.dtype.type(1 / scale)
        # A large mean is subtracted from float32 rows in two steps, so that no digits are lost.
        self.high = mean.astype(self.dtype)
        low = (mean - self.high).astype(self.dtype)
        self.low = low if (np.abs(low) > 1e-8 * scale).any() else None
        # Not part of the state: the estimator keeps the float64 values.
        self.register_buffer("center", torch.from_numpy(self.high.copy()), persistent=False)
        scale_tensor = torch.tensor(scale, dtype=self.tensor_dtype)
        self.register_buffer("scale", scale_tensor, persistent=False)

    @property
    def n_features(self) -> int:
        """Number of columns of X."""
        return len(self.mean)

    def convert(self, X: Array, out: Array | None = None) -> Array:
        """Return rows of X in the module's units.

        ``out``, which may be X, is overwritten with them if it has the module's dtype.
        """
        if out is not None and out.dtype != self.dtype:
            out = None
        with np.errstate(over="ignore"):
            if X.dtype == self.dtype:
                rows = np.subtract(X, self.high, out=out)
                if self.low is not None:
                    rows -= self.low
            else:
                rows = np.empty(X.shape, dtype=self.dtype) if out is None else out
                np.subtract(X, self.mean, out=rows, casting="same_kind")
            rows *= self.factor
        return rows

    def to_tensor(self, X: Array, out: Array | None = None) -> Tensor:
        """Return new rows as a tensor; raise ValueError where float32 cannot hold them."""
        rows = torch.from_numpy(self.convert(X, out))
        if not rows.sum().isfinite() and not rows.isfinite().all():
            raise ValueError(
                "X contains a value too large for float32 in units of the training rows, "
                f"whose scale is {self.exact_scale:.1e}; drop such rows."
            )
        return rows

    def to_data(self, x: Tensor) -> Tensor:
        """Return rows in X's units, as a tensor."""
        return torch.addcmul(self.center, x, self.scale)

    def from_data(self, data: Tensor) -> Tensor:
        """Return rows that are given in X's units in the module's."""
        return (data - self.center) / self.scale

    def constants(self, scale: str) -> dict[str, Tensor]:
        """Return the mean in two parts, high + low, beside the attribute ``scale`` or "factor"."""
        low = np.zeros_like(self.high) if self.low is None else self.low
        size = torch.as_tensor(getattr(self, scale), dtype=self.tensor_dtype)
        return {"high": torch.tensor(self.high), "low": torch.tensor(low), scale: size}

    def to_array(self, x: Tensor) -> Array:
        """Return rows in X's units, as an array on the host."""
        rows: Array = x.cpu().numpy() * self.exact_scale + self.mean
        return rows


def to_float64(x: Tensor) -> Tensor:
    """Return a tensor in float64, on the host where its device has no such numbers."""
    return x.cpu().double() if x.device.type == "mps" else x.double()


def widest_float(device: torch.device) -> torch.dtype:
    """Return float64, or float32 where the device has nothing wider."""
    return torch.float32 if device.type == "mps" else torch.float64
