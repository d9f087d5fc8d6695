"""Losses for which the decoder's output is the reconstruction."""

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from skae import functional
from skae._data.batch import observed_values
from skae._data.sources import Array
from skae._data.units import Units, to_float64
from skae._files.words import shown
from skae._model.losses.base import Loss, by_feature
from skae._model.plain.layers import FromUnits
from skae._model.substitute import Substitutable


class PlainLoss(Loss):
    """A loss for which the decoder's output is the reconstruction."""

    def look_at(self, batches: Iterable[Tensor]) -> None:
        """Need nothing."""

    def reconstruct(self, output: Tensor) -> Tensor:
        return output

    def to_array(self, output: Tensor) -> Array:
        return self.units.to_array(output)

    def to_torch(self) -> nn.Module:
        return FromUnits(**self.units.constants("scale"))

    def at_mean(self, x: Tensor) -> Tensor:
        return self(x, torch.zeros_like(x))

    def at_best(self, x: Tensor) -> Tensor:
        return self(x, x)


class SquaredError(Substitutable, PlainLoss):
    """Half the squared distance of each row to its reconstruction: for real-valued data."""

    power, multiple = 2, 2.0
    is_isotropic = is_likelihood = learns_noise = True

    def forward(self, x: Tensor, output: Tensor) -> Tensor:
        return self.run(x, output)

    def compute(self, x: Tensor, output: Tensor) -> Tensor:
        return functional.squared_error(x, output, observed_values())

    def excess(self, x: Tensor, output: Tensor) -> Tensor:
        errors: Tensor = self(x, output)  # a perfect reconstruction costs nothing
        return errors if errors.isfinite().all() else super().excess(x, output)

    def excess_by_feature(self, x: Tensor, output: Tensor) -> Tensor:
        return by_feature(functional.squared_error, x, output, x)

    def log_likelihood(self, x: Tensor, output: Tensor, noise_variance: Tensor | None) -> Tensor:
        assert noise_variance is not None
        observed, n_features = observed_values(), self.units.n_features
        scaled = functional.gaussian_log_likelihood(x, output, noise_variance, observed)
        if observed is not None:
            return scaled - observed.sum(dim=1) * self.units.scale.log()
        # Of rows in the span of few, x has some numbers, all others being zero.
        zeros = 0.5 * (n_features - x.shape[1]) * (2 * math.pi * noise_variance).log()
        return scaled - zeros - n_features * self.units.scale.log()

    def variances(self, output: Tensor, noise_variance: Tensor | None) -> Tensor:
        assert noise_variance is not None
        return to_float64(noise_variance).expand(output.shape)

    def draw(
        self, output: Tensor, noise_variance: Tensor | None, generator: torch.Generator
    ) -> Array:
        assert noise_variance is not None
        noise = torch.randn(
            output.shape, generator=generator, device=output.device, dtype=output.dtype
        )
        return self.units.to_array(torch.addcmul(output, noise_variance.sqrt(), noise))


class AbsoluteError(PlainLoss):
    """Sum of absolute differences: outlying values count less."""

    power = 1

    def forward(self, x: Tensor, output: Tensor) -> Tensor:
        return functional.absolute_error(x, output, observed_values())

    def excess_by_feature(self, x: Tensor, output: Tensor) -> Tensor:
        return by_feature(functional.absolute_error, x, output, x)


class Huber(PlainLoss):
    """Half the square of differences up to one scale, and linear beyond."""

    power = 2

    def forward(self, x: Tensor, output: Tensor) -> Tensor:
        return functional.huber(x, output, observed=observed_values())

    def excess_by_feature(self, x: Tensor, output: Tensor) -> Tensor:
        return by_feature(functional.huber, x, output, x)


class CustomLoss(PlainLoss):
    """A user's function of rows and reconstructions, both in the units of X."""

    def __init__(self, units: Units, function: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__(units)
        self.function = function

    def forward(self, x: Tensor, output: Tensor) -> Tensor:
        to_data, observed = self.units.to_data, observed_values()
        if observed is not None:  # as if what is not known were reconstructed perfectly
            output = torch.where(observed, output, x)
        dtype = self.units.tensor_dtype
        losses = self.function(to_data(x).to(dtype), to_data(output).to(dtype))
        is_tensor = isinstance(losses, Tensor) and losses.is_floating_point()
        if not is_tensor or losses.shape != (len(x),):
            got = f"{losses.dtype} {tuple(losses.shape)}" if isinstance(losses, Tensor) else losses
            raise ValueError(
                f"loss={shown(self.function)} must return a tensor of floats of shape "
                f"({len(x)},), the loss of each row summed over its features, and returned "
                f"{shown(got)}."
            )
        if output.requires_grad and not losses.requires_grad:
            raise ValueError(
                f"loss={shown(self.function)} returned losses that have no gradient; compute "
                "them from x_hat with torch, without detach() or NumPy."
            )
        return losses
