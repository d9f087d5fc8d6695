"""The contractive autoencoder."""

from typing import Any, ClassVar

import torch
from torch import Tensor

from skae._estimator.fit import BaseAutoEncoder
from skae._estimator.parameters.rules import estimator, parameter, real
from skae._model.module import AutoEncoderModule

# Codes of up to so many numbers have their Jacobian computed, row by row.
EXACT_COMPONENTS = 8


class ContractiveModule(AutoEncoderModule):
    """min over f and g of the mean of L(x, g(f(x))) + α ‖∂f/∂x‖²_F."""

    is_isotropic = True

    def __init__(self, *parts: Any, alpha: float) -> None:
        super().__init__(*parts)
        self.alpha = alpha

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Reconstruct ``x``, and measure how fast its code changes with it."""
        with torch.enable_grad():
            rows = x.detach().requires_grad_()
            z = self.encoder(rows)
            contraction = self.jacobian_norm(rows, z)
        output = self.decoder(z)
        terms = {"reconstruction": self.loss(x, output), "contraction": self.alpha * contraction}
        return output, terms

    def jacobian_norm(self, x: Tensor, z: Tensor) -> Tensor:
        """Return ‖∂f/∂x‖²_F of every row, of codes and rows in the units of the data.

        For larger codes the estimate ‖vᵀ ∂f/∂x‖² with random signs v, whose expectation it is
        (Hutchinson 1990).
        """
        k = z.shape[1]
        units = self.frame.metric / self.units.scale
        if k <= EXACT_COMPONENTS:
            probes = [unit.expand_as(z) for unit in units.diag()]
        else:
            signs = torch.randint(2, z.shape, generator=self.draws(x), device=x.device)
            probes = [units * (2 * signs - 1)]
        total = z.new_zeros(len(z))
        for i, probe in enumerate(probes):
            (row,) = torch.autograd.grad(
                (z * probe).sum(),  # torch imports much to check a probe that it is given
                x,
                create_graph=self.training,
                retain_graph=self.training or i < len(probes) - 1,
            )
            total = total + row.square().sum(dim=1)
        return total


@estimator
class ContractiveAutoEncoder(BaseAutoEncoder):
    r"""Autoencoder whose code changes little with its row.

    It is trained to minimise, over the training rows x,

    .. math:: \frac{1}{n} \sum_x L(x, g(f(x))) +
        \alpha \left\lVert \frac{\partial f}{\partial x} \right\rVert_F^2

    where L is the loss and ∂f/∂x the Jacobian of the encoder, whatever network it is, in the
    units of the data: for PCA its squared norm is the number of components. It is exact for
    codes of up to 8 numbers and beyond an unbiased estimate from one random projection a row.
    The result is no worse than PCA in the sum that is minimised, the penalty included.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    {attributes}

    See Also
    --------
    DenoisingAutoEncoder : Contracts along random directions, and trains faster.

    References
    ----------
    .. [1] Rifai, S., Vincent, P., Muller, X., Glorot, X. and Bengio, Y., "Contractive
       auto-encoders: explicit invariance during feature extraction", ICML 2011.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skae import ContractiveAutoEncoder
    >>> X, _ = load_digits(return_X_y=True)
    >>> model = ContractiveAutoEncoder(4, max_iter=10, random_state=0).fit(X)
    >>> history = model.net_.history
    >>> history[-1, "train_contraction"] < history[0, "train_contraction"]
    True
    """

    _module: ClassVar[type[AutoEncoderModule]] = ContractiveModule

    alpha: float = parameter(
        0.1,
        real(0, 1e6),
        """
        Weight of the penalty, against a loss that is summed over features in units of
        ``scale_``. Raise it for codes that small changes of a row leave alone, at the price of
        reconstruction, and with ``tied_weights=True``, as in the paper: otherwise codes can shrink
        while the decoder grows.
        """,
    )
