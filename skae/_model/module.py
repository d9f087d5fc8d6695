"""The module layer: the contract that every autoencoder module keeps."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from skae._model.losses import Loss


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


@dataclass(frozen=True)
class LinearCodes:
    """How PCA's codes c, in the module's units, become the network's, z = encode ⊙ c + offset.

    Attributes
    ----------
    encode, decode, offset : Tensor of shape (n_components,)
        PCA's codes are decode ⊙ (z − offset).
    others : Tensor
        What the encoder gives beside the code, the same for every row.
    """

    encode: Tensor
    decode: Tensor
    offset: Tensor
    others: Tensor


class AutoEncoderModule(nn.Module, ABC):
    """Base of every autoencoder module: networks, a code frame, named loss terms.

    A method implements :meth:`forward` and nothing else. It may take parameters of its own
    beside these, by keyword; the estimator that names it in ``_module`` passes them.

    Parameters
    ----------
    encoder : nn.Module
        Maps (n_rows, n_features) to (n_rows, n_components).
    decoder : nn.Module
        Maps (n_rows, n_components) to (n_rows, n_features).
    n_components : int
        Size of the code.
    loss : Loss
        Says what a reconstruction costs: ``loss(x, decoder's output)``, one number a row.

    Attributes
    ----------
    generator, host_generator : torch.Generator or None
        On the module's device, and on the host: the sources of every random draw in training.
    progress : float
        The share of the training's steps that have been taken.
    """

    # What a method may say of itself:
    # whether only autograd will do: its terms have derivatives, or it changes its networks;
    needs_autograd: bool = False
    # whether it trains with noise of its own, so that "auto" adds none;
    has_noise: ClassVar[bool] = False
    # whether it trains on draws of codes, so that its gradients are noisy;
    draws_codes: ClassVar[bool] = False
    # whether users see codes in principal axes; else only order and signs are settled;
    principal_axes: ClassVar[bool] = True
    # whether codes have a prior, in whose units users see them;
    has_prior: ClassVar[bool] = False
    # how many numbers the encoder gives for each of the code's, which comes first;
    outputs_per_component: ClassVar[int] = 1
    # the variance of the noise in the module's units, where it is learned.
    noise_variance: Tensor | None = None

    generator: torch.Generator | None = None
    host_generator: torch.Generator | None = None
    progress: float = 1.0

    def __init__(
        self, encoder: nn.Module, decoder: nn.Module, n_components: int, loss: Loss
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.n_components = n_components
        self.frame = CodeFrame(n_components)
        self.loss = loss
        # What is trained against the loss, by `critic_loss`, where a method has it.
        self.critic: nn.Module | None = None

    def host_draws(self) -> torch.Generator:
        """Return what random draws on the host come from; outside training always the same."""
        if self.training and self.host_generator is not None:
            return self.host_generator
        return torch.Generator().manual_seed(0)

    @abstractmethod
    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Reconstruct ``x`` and say what it costs.

        Parameters
        ----------
        x : Tensor of shape (n_rows, n_features)
            Rows in the model's units.

        Returns
        -------
        output : Tensor of shape (n_rows, n_features)
            The decoder's output: the reconstruction, or what ``loss`` has in its place, such
            as logits.
        terms : dict of str to Tensor
            The loss by name, each term summed over features. A term has one number a row,
            shape (n_rows,), or is a scalar where it belongs to the batch as a whole.
            Training minimises the mean over rows of their sum.
        """

    def encode(self, x: Tensor) -> Tensor:
        """Return the codes of ``x`` in the user's frame, deterministic."""
        codes: Tensor = self.frame(self.code(x))
        return codes

    def code(self, x: Tensor) -> Tensor:
        """Return the codes of ``x`` in the network's frame."""
        z: Tensor = self.encoder(x)[:, : self.n_components]
        return z

    def draw_code(self, x: Tensor) -> Tensor:
        """Return codes of ``x`` as the decoder meets them; a method may draw them."""
        return self.code(x)

    def decode(self, codes: Tensor) -> Tensor:
        """Return the decoder's output for codes in the user's frame."""
        output: Tensor = self.decoder(self.frame.inverse(codes))
        return output

    def linear_codes(self, variances: Tensor, noise_variance: float) -> LinearCodes:
        """Return the codes that the network has at PCA, here whitened.

        The decoder would not notice components that are orders of magnitude smaller than the
        first. A method with a prior has others, and takes from here what else it starts with.

        Parameters
        ----------
        variances : Tensor of shape (n_components,)
            Of PCA's codes, in the module's units.
        noise_variance : float
            Of probabilistic PCA.
        """
        deviations = whitening(variances)
        zeros = torch.zeros_like(variances)
        return LinearCodes(1 / deviations, deviations, zeros, zeros[:0])

    def calibrate(self, terms: dict[str, float]) -> None:
        """Learn from held-out rows what training rows say too little of, here nothing.

        Parameters
        ----------
        terms : dict of str to float
            The means of their loss terms.
        """
        return

    def draws(self, x: Tensor) -> torch.Generator:
        """Return what random draws for ``x`` come from; outside training always the same."""
        if self.training and self.generator is not None:
            return self.generator
        return torch.Generator(x.device).manual_seed(0)


def whitening(variances: Tensor) -> Tensor:
    """Return the deviations to divide codes by; directions that are rounding error stay small."""
    bound = 1e-6 * variances.max() if len(variances) else 0.0
    deviations = variances.clamp(min=bound).sqrt()
    return torch.where(deviations > 0, deviations, 1.0)


def require_terms(module: nn.Module, terms: dict[str, Tensor]) -> None:
    """Raise ValueError where a module's loss terms break its contract."""
    shapes = {name: tuple(term.shape) for name, term in terms.items()}
    if "reconstruction" not in terms or any(len(shape) > 1 for shape in shapes.values()):
        raise ValueError(
            f"{type(module).__name__}.forward must return terms of shape (n_rows,) or (), one of "
            f"them 'reconstruction', and returned {shapes}."
        )
