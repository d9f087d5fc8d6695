"""Losses that are likelihoods of X in its own units: the decoder's output is their parameter."""

import math
from abc import abstractmethod
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from skae import functional
from skae._data.batch import extremes_over_rows, observed_values
from skae._data.sources import Array
from skae._data.units import Units, to_float64, widest_float
from skae._model.losses.base import Loss, by_feature
from skae._model.plain.layers import Rates

# The largest variance that a binary feature has.
COIN_VARIANCE = 0.25


class LinkedLoss(Loss):
    """A likelihood of X in its own units, whose natural parameter is the decoder's output."""

    reconstructs = False
    is_likelihood = True

    @abstractmethod
    def inverse_link(self, output: Tensor) -> Tensor:
        """Return the means in X's units that belong to natural parameters."""

    @abstractmethod
    def link(self, means: Tensor) -> Tensor:
        """Return the natural parameters that belong to means in X's units."""

    def reconstruct(self, output: Tensor) -> Tensor:
        return self.units.from_data(self.inverse_link(output))

    def to_array(self, output: Tensor) -> Array:
        means: Array = self.inverse_link(output).cpu().numpy()
        return means

    def at_mean(self, x: Tensor) -> Tensor:
        return self(x, self.link(self.units.center).expand_as(x))


class BinaryCrossEntropy(LinkedLoss):
    """Cross-entropy of data in [0, 1]: the decoder's output is in logits."""

    low, high = 0, 1
    remedy = "scale X with sklearn.preprocessing.MinMaxScaler(clip=True)"

    def look_at(self, batches: Iterable[Tensor]) -> None:
        """Need nothing."""

    def inverse_link(self, output: Tensor) -> Tensor:
        return output.sigmoid()

    def to_torch(self) -> nn.Module:
        return nn.Sigmoid()

    def link(self, means: Tensor) -> Tensor:
        return torch.logit(means, eps=1e-6)

    def forward(self, x: Tensor, output: Tensor) -> Tensor:
        data = self.units.to_data(x)
        return functional.binary_cross_entropy(data, output, observed_values())

    def at_best(self, x: Tensor) -> Tensor:
        return self(x, self.link(self.units.to_data(x)))

    def excess_by_feature(self, x: Tensor, output: Tensor) -> Tensor:
        data = self.units.to_data(x)
        return by_feature(functional.binary_cross_entropy, data, output, self.link(data))

    def log_likelihood(self, x: Tensor, output: Tensor, noise_variance: Tensor | None) -> Tensor:
        data = self.units.to_data(x)
        return functional.bernoulli_log_likelihood(data, output, observed_values())

    def start_noise(self, noise_variance: float, variances: Tensor) -> float:
        """Return no less than the variance of a fair coin, ¼, so that one code at least is in use.

        Pixels that are nearly always 0 make PCA's noise variance too small for the others.
        """
        coin = COIN_VARIANCE / self.units.scale.item() ** 2
        return max(noise_variance, min(coin, variances.max().item() / 2))

    def variances(self, output: Tensor, noise_variance: Tensor | None) -> Tensor:
        output = to_float64(output)
        return output.sigmoid() * (-output).sigmoid() / self.units.exact_scale**2

    def draw(
        self, output: Tensor, noise_variance: Tensor | None, generator: torch.Generator
    ) -> Array:
        ones: Array = torch.bernoulli(output.sigmoid(), generator=generator).cpu().numpy()
        return ones


class Poisson(LinkedLoss):
    """Negative log-likelihood of counts without its constant log x!; outputs are log rates.

    Rates are bounded by twice the largest count that a feature has in training, so that a
    row far from these cannot cost more than all others.
    """

    low, high = 0, math.inf
    remedy = "pass counts, or take loss='squared_error'"

    highest: Tensor

    def __init__(self, units: Units) -> None:
        super().__init__(units)
        highest = torch.full((units.n_features,), torch.inf, dtype=torch.float32)
        self.register_buffer("highest", highest)

    def look_at(self, batches: Iterable[Tensor]) -> None:
        """Note the largest count of each feature."""
        _, largest = extremes_over_rows(batches)
        self.highest.copy_((2 * self.units.to_data(largest)).clamp(min=1).log())

    def merge(self, former: dict[str, Tensor]) -> None:
        """Keep the largest counts."""
        self.highest.copy_(torch.maximum(self.highest, former["highest"].to(self.highest)))

    def bound(self, output: Tensor) -> Tensor:
        """Return log rates that are no larger than they may be."""
        return output.minimum(self.highest)

    def inverse_link(self, output: Tensor) -> Tensor:
        return self.bound(output).exp()

    def to_torch(self) -> nn.Module:
        return Rates(highest=self.highest)

    def link(self, means: Tensor) -> Tensor:
        return means.clamp(min=1e-6).log()

    def forward(self, x: Tensor, output: Tensor) -> Tensor:
        data = self.units.to_data(x)
        return functional.poisson(data, self.bound(output), observed_values())

    def at_best(self, x: Tensor) -> Tensor:
        data = self.units.to_data(x)
        return functional.poisson(data, self.link(data), observed_values())

    def excess_by_feature(self, x: Tensor, output: Tensor) -> Tensor:
        data = self.units.to_data(x)
        return by_feature(functional.poisson, data, self.bound(output), self.link(data))

    def log_likelihood(self, x: Tensor, output: Tensor, noise_variance: Tensor | None) -> Tensor:
        data, log_rate = self.units.to_data(x), self.bound(output)
        if not self.training:  # large counts cancel: in float32 the best of many draws is an error
            wide = widest_float(x.device)
            data, log_rate = data.to(wide), log_rate.to(wide)
        return functional.poisson_log_likelihood(data, log_rate, observed_values())

    def variances(self, output: Tensor, noise_variance: Tensor | None) -> Tensor:
        return to_float64(self.inverse_link(output)) / self.units.exact_scale**2

    def draw(
        self, output: Tensor, noise_variance: Tensor | None, generator: torch.Generator
    ) -> Array:
        counts: Array = torch.poisson(self.inverse_link(output), generator=generator).cpu().numpy()
        return counts
