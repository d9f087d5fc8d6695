"""The layers of an exported model that torch lacks, each a line of arithmetic.

They are written for ``torch.jit.script`` and ``torch.export`` alike: no branches on values, no
state but buffers. ``skae._onnx`` has the ONNX nodes of each.
"""

import torch
from torch import Tensor, nn


class Constants(nn.Module):
    """A layer with constants: buffers that training leaves as they are."""

    def __init__(self, **values: Tensor) -> None:
        super().__init__()
        for name, value in values.items():
            self.register_buffer(name, value.detach().clone())


class ToUnits(Constants):
    """Rows of X in the module's units: ((x − high) − low) ⊙ factor.

    The mean is high + low, of which low is what the dtype cannot hold of it, so that no digits of
    a large mean are lost. Rows of float64 are converted to the module's dtype after it is
    subtracted.
    """

    high: Tensor
    low: Tensor
    factor: Tensor

    def forward(self, rows: Tensor) -> Tensor:
        """Map (n_rows, n_features) to the same shape, in the module's dtype."""
        return ((rows - self.high) - self.low).to(self.factor.dtype) * self.factor


class FromUnits(Constants):
    """Rows in X's units: (x ⊙ scale + low) + high."""

    high: Tensor
    low: Tensor
    scale: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """Map (n_rows, n_features) to the same shape."""
        return (x * self.scale + self.low) + self.high


class ToAxes(Constants):
    """The network's codes as users see them: (z − offset) A."""

    offset: Tensor
    axes: Tensor

    def forward(self, z: Tensor) -> Tensor:
        """Map (n_rows, n_components) to the same shape."""
        return (z - self.offset) @ self.axes


class FromAxes(Constants):
    """Users' codes as the network's: c A⁻¹ + offset."""

    offset: Tensor
    axes: Tensor

    def forward(self, codes: Tensor) -> Tensor:
        """Map (n_rows, n_components) to the same shape."""
        return codes @ self.axes + self.offset


class Clip(Constants):
    """Inputs within the range that each has: min(max(x, low), high)."""

    low: Tensor
    high: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """Map (n_rows, n_inputs) to the same shape."""
        return torch.minimum(torch.maximum(x, self.low), self.high)


class Scale(Constants):
    """Inputs times a number each."""

    scale: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """Map (n_rows, n_inputs) to the same shape."""
        return x * self.scale


class Rates(Constants):
    """The rates of counts, no larger than they may be: exp(min(x, highest))."""

    highest: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """Map (n_rows, n_features) to the same shape."""
        return torch.exp(torch.minimum(x, self.highest))


class Sum(nn.Module):
    """The sum of two networks' outputs."""

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, x: Tensor) -> Tensor:
        """Map (n_rows, n_inputs) to (n_rows, n_outputs)."""
        total: Tensor = self.first(x) + self.second(x)
        return total


class First(nn.Module):
    """The first ``n`` columns: a variational encoder's means."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.n = n

    def forward(self, x: Tensor) -> Tensor:
        """Map (n_rows, n_inputs) to (n_rows, n)."""
        return x[:, : self.n]


class ChannelsFirst(nn.Module):
    """Images of (height, width, channels) as (channels, height, width)."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (n_rows, height, width, channels) to (n_rows, channels, height, width)."""
        return x.permute(0, 3, 1, 2)


class ChannelsLast(nn.Module):
    """Images of (channels, height, width) as (height, width, channels)."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (n_rows, channels, height, width) to (n_rows, height, width, channels)."""
        return x.permute(0, 2, 3, 1)
