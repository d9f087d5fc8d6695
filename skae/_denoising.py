"""The denoising autoencoder."""

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import torch
from torch import Generator, Tensor

from skae._data.batch import extremes_over_rows
from skae._data.units import Units
from skae._estimator.fit import BaseAutoEncoder
from skae._estimator.parameters.rules import Rule, estimator, options, parameter, real, takes
from skae._files.words import shown
from skae._model.losses import Prepared
from skae._model.module import AutoEncoderModule

Noise = Callable[[Tensor, Generator], Tensor]


class Corruption(Prepared):
    """Spoils rows, in the module's units.

    Parameters
    ----------
    units : Units
    noise : str or callable
    level : float
        Both as in :class:`DenoisingAutoEncoder`.
    """

    low: Tensor
    high: Tensor

    def __init__(self, units: Units, noise: str | Noise, level: float) -> None:
        super().__init__(units)
        if noise in ("masking", "salt_and_pepper") and level > 1:
            raise ValueError(
                f"noise_level={shown(level)} is the share of the numbers that "
                f"noise={shown(noise)} spoils; pass one from 0 to 1."
            )
        self.noise, self.level = noise, level
        for name in ("low", "high"):
            self.register_buffer(name, torch.zeros(units.n_features, dtype=torch.float32))

    def look_at(self, batches: Iterable[Tensor]) -> None:
        """Note the range of each feature."""
        low, high = extremes_over_rows(batches)
        self.low.copy_(low)
        self.high.copy_(high)

    def merge(self, former: dict[str, Tensor]) -> None:
        """Keep the wider range."""
        self.low.copy_(torch.minimum(self.low, former["low"].to(self.low)))
        self.high.copy_(torch.maximum(self.high, former["high"].to(self.high)))

    def forward(self, x: Tensor, draws: Generator) -> Tensor:
        """Return spoiled rows."""
        if not isinstance(self.noise, str):
            data = self.noise(self.units.to_data(x), draws)
            if not isinstance(data, Tensor) or data.shape != x.shape:
                got = tuple(data.shape) if isinstance(data, Tensor) else type(data).__name__
                raise ValueError(
                    f"noise={shown(self.noise)} must return a tensor of the shape that it is "
                    f"given, {tuple(x.shape)}, and returned {got}."
                )
            return self.units.from_data(data).to(x.dtype)
        if self.noise == "gaussian":
            normal = torch.randn(x.shape, generator=draws, device=x.device, dtype=x.dtype)
            return torch.add(x, normal, alpha=self.level)
        chance = torch.rand(x.shape, generator=draws, device=x.device, dtype=x.dtype)
        if self.noise == "masking":
            zero = self.units.from_data(torch.zeros_like(x[:1]))
            return torch.where(chance < self.level, zero, x)
        salted = torch.where(chance < 0.5 * self.level, self.low, self.high)
        return torch.where(chance < self.level, salted, x)


class DenoisingModule(AutoEncoderModule):
    """min over f and g of the mean of L(x, g(f(x̃))), where x̃ is x spoiled anew in each epoch."""

    has_noise = True

    def __init__(self, *parts: Any, noise: str | Noise, noise_level: float) -> None:
        super().__init__(*parts)
        self.corruption = Corruption(self.units, noise, noise_level)

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Reconstruct ``x`` from what corruption leaves of it."""
        output = self.decoder(self.encoder(self.corruption(x, self.draws(x))))
        return output, {"reconstruction": self.loss(x, output)}


@estimator
class DenoisingAutoEncoder(BaseAutoEncoder):
    r"""Autoencoder that reconstructs clean rows from spoiled ones.

    It is trained to minimise, over the training rows x,

    .. math:: \frac{1}{n} \sum_x L(x, g(f(\tilde x)))

    where x̃ is x with noise, drawn anew for each epoch, and L the loss. Rows are spoiled in
    training only: ``transform`` takes rows as they are. Validation rows are spoiled by the same
    draw of the noise in each epoch, so that epochs can be compared. ``pca_score_`` and
    ``validation_scores_`` are of rows spoiled like that, and what the result has to beat is PCA
    on them.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    {attributes}

    See Also
    --------
    AutoEncoder : Trained on clean rows; better on rows that are clean.

    References
    ----------
    .. [1] Vincent, P., Larochelle, H., Bengio, Y. and Manzagol, P.-A., "Extracting and
       composing robust features with denoising autoencoders", ICML 2008.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from skae import DenoisingAutoEncoder
    >>> X = load_digits().data / 16
    >>> denoising = DenoisingAutoEncoder(16, noise="masking", max_iter=30, random_state=0).fit(X)
    >>> spoiled = np.where(np.random.default_rng(0).uniform(size=X.shape) < 0.3, 0, X)
    >>> X_hat = denoising.inverse_transform(denoising.transform(spoiled))
    >>> bool(np.square(X_hat - X).sum() < 0.5 * np.square(spoiled - X).sum())
    True
    """

    _module: ClassVar[type[AutoEncoderModule]] = DenoisingModule

    noise: str | Noise = parameter(
        "gaussian",
        options("gaussian", "masking", "salt_and_pepper")
        | Rule("callable (X, generator) -> spoiled X", lambda value: takes(value, 2)),
        """
        How rows are spoiled: normal noise is added; numbers are set to 0; or to the least or the
        largest value that their feature has in training. Choose what new rows will suffer from.
        A callable is given a tensor (n_rows, n_features) in X's units and the torch.Generator to
        draw from, and returns one of the same shape; it takes no ``noise_level``.
        """,
    )
    noise_level: float = parameter(
        0.3,
        real(0, 1e6),
        """
        For "gaussian" the standard deviation of the noise as a share of ``scale_``, the root of
        the mean variance of the features; otherwise the share of the numbers that are spoiled.
        Set it to what new rows will have.
        """,
    )
