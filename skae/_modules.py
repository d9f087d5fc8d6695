"""The module layer: the contract that every autoencoder module keeps."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from skae._losses import SquaredError


class CodeFrame(nn.Module):
    """The axes in which codes are shown: c = (z − offset) A, and back.

    The network trains in whatever axes suit it (z); the frame turns its codes into
    centred, uncorrelated, ordered ones (c) without touching a reconstruction. ``metric``
    is what one unit of each component of z is worth in the data's units.
    """

    offset: Tensor
    metric: Tensor
    axes: Tensor
    inverse_axes: Tensor

    def __init__(self, n_components: int) -> None:
        super().__init__()
        self.register_buffer("offset", torch.zeros(n_components))
        self.register_buffer("metric", torch.ones(n_components))
        self.register_buffer("axes", torch.eye(n_components))
        self.register_buffer("inverse_axes", torch.eye(n_components))

    def set_metric(self, metric: Tensor) -> None:
        """Set the unit of each of the network's components; the axes become these."""
        self.metric.copy_(metric)
        self.offset.zero_()
        self.axes.copy_(metric.diag())
        self.inverse_axes.copy_(metric.reciprocal().diag())

    def turn(self, offset: Tensor, rotation: Tensor, divisor: Tensor) -> None:
        """Centre codes at ``offset``, turn them by ``rotation`` and divide them by ``divisor``."""
        metric = self.metric.to(rotation)
        self.offset.copy_(offset)
        self.axes.copy_(metric[:, None] * rotation / divisor)
        self.inverse_axes.copy_(divisor[:, None] * rotation.T / metric)

    def forward(self, z: Tensor) -> Tensor:
        """Turn the network's codes into those that users see."""
        return (z - self.offset) @ self.axes

    def inverse(self, codes: Tensor) -> Tensor:
        """Turn users' codes into the network's."""
        return torch.addmm(self.offset, codes, self.inverse_axes)


class AutoEncoderModule(nn.Module, ABC):
    """Base of every autoencoder module: networks, a code frame, named loss terms.

    A method implements :meth:`forward` and nothing else.

    Parameters
    ----------
    encoder : nn.Module
        Maps (n_rows, n_features) to (n_rows, n_components).
    decoder : nn.Module
        Maps (n_rows, n_components) to (n_rows, n_features).
    n_components : int
        Size of the code.

    Attributes
    ----------
    loss : nn.Module
        Says what a reconstruction costs: ``loss(x, x_hat)``, one number a row.
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module, n_components: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.frame = CodeFrame(n_components)
        self.loss = SquaredError()

    @abstractmethod
    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Reconstruct ``x`` and say what it costs.

        Parameters
        ----------
        x : Tensor of shape (n_rows, n_features)
            Rows in the model's units.

        Returns
        -------
        x_hat : Tensor of shape (n_rows, n_features)
            The reconstruction.
        terms : dict of str to Tensor
            The loss by name, each term summed over features. A term has one number a row,
            shape (n_rows,), or is a scalar where it belongs to the batch as a whole.
            Training minimises the mean over rows of their sum.
        """

    def encode(self, x: Tensor) -> Tensor:
        """Return the codes of ``x`` in the user's frame, deterministic."""
        codes: Tensor = self.frame(self.encoder(x))
        return codes

    def decode(self, codes: Tensor) -> Tensor:
        """Return the reconstruction that belongs to codes in the user's frame."""
        x_hat: Tensor = self.decoder(self.frame.inverse(codes))
        return x_hat
