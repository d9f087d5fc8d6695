"""The contract that every autoencoder module keeps."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from skae._data.batch import observed_values, row_weights
from skae._data.sources import Array
from skae._data.units import to_float64
from skae._data.world import ALONE, World
from skae._model.codes import Axes, CodeFrame, CodeMoments, LinearCodes, PrincipalAxes, whitening
from skae._model.losses import Loss
from skae._model.plain.autoencoder import PlainAutoEncoder
from skae._model.plain.exportable import export
from skae._model.plain.layers import First, ToUnits
from skae._model.seeding import Drawing
from skae.functional import squared_error


class AutoEncoderModule(Drawing, ABC):
    """Base of every autoencoder module: networks, a code frame, named loss terms.

    A method implements :meth:`forward`. Where it differs from most methods it says so through
    the class attributes below, and by overriding the methods marked as such. It may take
    parameters of its own beside these, by keyword; the estimator that names it in ``_module``
    passes them.

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
    units : Units
        Convert rows from X's units to the module's, and back.
    generator, host_generator : torch.Generator or None
        On the module's device, and on the host: the sources of every random draw in training.
    progress : float
        The share of the training's steps that have been taken.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skae.base import AutoEncoderModule, BaseAutoEncoder, estimator
    >>> class SmallCodes(AutoEncoderModule):
    ...     def forward(self, x):
    ...         z = self.encoder(x)
    ...         output = self.decoder(z)
    ...         penalty = 0.1 * z.square().sum(dim=1)
    ...         return output, {"reconstruction": self.loss(x, output), "penalty": penalty}
    >>> @estimator
    ... class SmallCodesAutoEncoder(BaseAutoEncoder):
    ...     "min over f and g of the mean of L(x, g(f(x))) + 0.1 ‖f(x)‖²."
    ...     _module = SmallCodes
    >>> X, _ = load_iris(return_X_y=True)
    >>> SmallCodesAutoEncoder(2, max_iter=2, random_state=0).fit_transform(X).shape
    (150, 2)
    """

    # What a method may say of itself:
    # in which axes users see its codes;
    axes: ClassVar[Axes] = PrincipalAxes()
    # how many numbers the encoder returns for each of the code's, which comes first;
    outputs_per_component: ClassVar[int] = 1
    # whether it trains with noise of its own, so that residual_noise="auto" adds none;
    has_noise: ClassVar[bool] = False
    # whether it trains on draws of codes, so that its gradients are noisy;
    draws_codes: ClassVar[bool] = False
    # whether its codes are posterior means, whose reconstructions are nearer to the mean than rows;
    shrinks_codes: ClassVar[bool] = False
    # whether it trains in the same way in whatever orthonormal axes rows are given, so that few
    # rows of many features may be given in axes of the space that they span.
    is_isotropic: ClassVar[bool] = False

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
        self.units = loss.units
        # A network that trains against the loss, by `discriminator_loss`, where a method has one.
        self.discriminator: nn.Module | None = None

    # -- what a method implements ----------------------------------------------------------

    @abstractmethod
    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Reconstruct ``x`` and say what it costs.

        Parameters
        ----------
        x : Tensor of shape (n_rows, n_features)
            Rows in the module's units.

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

    # -- what a method may override ---------------------------------------------------

    @property
    def code_unit(self) -> float:
        """The factor from the units of the network's codes to those that users see."""
        return self.units.exact_scale

    @property
    def noise_variance(self) -> Tensor | None:
        """The variance of the noise in the module's units, where it is learned."""
        return None

    def draw_code(self, x: Tensor) -> Tensor:
        """Return codes of ``x`` as the decoder is given them; a method may draw them."""
        return self.code(x)

    def linear_codes(self, variances: Tensor, noise_variance: float, *, tied: bool) -> LinearCodes:
        """Return the codes that the network has at PCA: whitened, unless weights are tied.

        The decoder would not notice components that are orders of magnitude smaller than the
        first. Whitening has no transpose, so that a tied linear network has PCA's own codes. A
        method with a prior has others.

        Parameters
        ----------
        variances : Tensor of shape (n_components,)
            Of PCA's codes, in the module's units.
        noise_variance : float
            Of probabilistic PCA.
        tied : bool
            Whether the decoder has the encoder's weights.

        Returns
        -------
        LinearCodes
            How PCA's codes become the network's, and back.
        """
        deviations = torch.ones_like(variances) if tied else whitening(variances)
        zeros = torch.zeros_like(variances)
        others = zeros.repeat(self.outputs_per_component - 1)
        return LinearCodes(1 / deviations, deviations, zeros, others, metric=deviations)

    def explained_variances(self, variances: Tensor, cross_covariance: Tensor) -> Tensor:
        """Return how much variance of X each code stands for: its own, where it has X's units.

        A method whose codes have other units, such as a prior's, takes
        :func:`skae.functional.linearly_explained`.

        Parameters
        ----------
        variances : Tensor of shape (n_components,)
            Of the codes, before whitening.
        cross_covariance : Tensor of shape (n_components, n_features)
            Covariance of the codes with X.
        """
        return variances

    def calibrate(self, terms: dict[str, float], n_values: float) -> None:
        """Estimate anew, once training is over, what training rows underestimate; here nothing.

        Such as a noise variance: training rows are reconstructed better than new ones.

        Parameters
        ----------
        terms : dict of str to float
            The means of the validation rows' loss terms.
        n_values : float
            How many values of a validation row are known, in the mean.
        """
        return

    # -- what every module has -------------------------------------------------------------

    def code(self, x: Tensor) -> Tensor:
        """Return the codes of ``x`` in the network's axes, deterministic."""
        z: Tensor = self.encoder(x)[:, : self.n_components]
        return z

    def encode(self, x: Tensor) -> Tensor:
        """Return the codes of ``x`` as users see them, deterministic."""
        codes: Tensor = self.frame(self.code(x))
        return codes

    def decode(self, codes: Tensor) -> Tensor:
        """Return the decoder's output for codes as users see them."""
        output: Tensor = self.decoder(self.frame.inverse(codes))
        return output

    def to_torch(self) -> PlainAutoEncoder:
        """Return a plain module of the same codes and reconstructions, in X's units."""
        to_axes, from_axes = self.frame.to_torch()
        encoder = [ToUnits(**self.units.constants("factor")), export(self.encoder)]
        if self.outputs_per_component > 1:
            encoder += [First(self.n_components)]
        decoder = from_axes, export(self.decoder), self.loss.to_torch()
        both = nn.Sequential(*encoder, to_axes), nn.Sequential(*decoder)
        return PlainAutoEncoder(*both).cpu().eval()

    def turn_codes(
        self,
        batches: Iterable[Tensor],
        degrees_of_freedom: float,
        *,
        whiten: bool,
        world: World = ALONE,
    ) -> CodeMoments:
        """Turn the codes into the method's axes, by the moments of all rows.

        Parameters
        ----------
        batches : iterable of Tensor
            All rows of this process.
        degrees_of_freedom : float
            What sums of squares are divided by for a variance.
        whiten : bool
            Whether codes are to have unit variance.
        world : World
            The processes each of which has some of the rows.

        Returns
        -------
        CodeMoments
            The same in all processes.
        """
        metric, scale = to_float64(self.frame.metric), self.units.exact_scale
        # Sums over the rows of [z, x, 1]ᵀ[z, 1], from which all that follows is computed.
        k = len(metric)
        shape = (k + self.units.n_features + 1, k + 1)
        sums = torch.zeros(shape, dtype=torch.float64, device=metric.device)
        squares = 0.0
        for x in batches:
            z = self.code(x)
            x_hat = self.loss.reconstruct(self.decoder(z))
            errors = to_float64(squared_error(x, x_hat, observed_values()))
            z = to_float64(z) * metric
            one = torch.ones_like(z[:, :1])
            rows, weights = torch.hstack([z, to_float64(x) * scale, one]), row_weights()
            if weights is not None:
                weights = to_float64(weights)
                rows, errors = weights[:, None] * rows, weights * errors
            squares += 2 * errors.sum().item()
            sums = sums + rows.T @ torch.hstack([z, one])
        sums, squares = world.sum(sums), float(world.sum(np.array(squares)))
        total = sums[-1, -1].item()
        means = sums[:-1, -1] / total
        covariance = (sums[:-1, :-1] - total * means.outer(means[:k])) / degrees_of_freedom
        cross = covariance[k:].T
        rotation, variances = self.axes.find(covariance[:k], cross)
        offset = self.axes.centre(means[:k] / metric)
        self.frame.turn(offset, rotation, self.axes.divisor(variances, whiten=whiten))
        for part in (self.frame.offset, self.frame.axes, self.frame.inverse_axes):
            world.take_first(part)  # rounding may turn equal variances otherwise
        explained = self.explained_variances(variances, rotation.T @ cross)
        mean = (means[:k] / metric - offset) @ to_float64(self.frame.axes)
        found = (each.cpu().numpy() for each in (variances, explained, mean))
        return world.agree(CodeMoments(squares, *found))

    def align_codes(self, codes: Array, wanted: Array) -> tuple[Array, Array]:
        """Turn the codes as their axes allow, so that they come closest to others.

        Parameters
        ----------
        codes, wanted : ndarray of shape (n_rows, n_components)
            What the module gives some rows, and what it is to give them as nearly as it can.

        Returns
        -------
        rotation : ndarray of shape (n_components, n_components)
            Orthogonal.
        shift : ndarray of shape (n_components,)
            Codes c have become c rotation + shift.
        """
        rotation, shift = self.axes.align(torch.tensor(codes), torch.tensor(wanted))
        self.frame.rotate(rotation, shift)
        return rotation.numpy(), shift.numpy()

    def draws(self, x: Tensor) -> torch.Generator:
        """Return the source of random draws for ``x``; outside training always the same."""
        if self.training and self.generator is not None:
            return self.generator
        return torch.Generator(x.device).manual_seed(0)

    def host_draws(self) -> torch.Generator:
        """Return the source of random draws on the host; outside training always the same."""
        if self.training and self.host_generator is not None:
            return self.host_generator
        return torch.Generator("cpu").manual_seed(0)


# Names of the history's own columns.
RESERVED = {"loss", "loss_best", "batch_count", "batch_size"}


def require_terms(module: nn.Module, returned: Any, n_rows: int) -> None:
    """Raise ValueError where what a module's ``forward`` returned breaks its contract."""
    name = type(module).__name__
    if not isinstance(returned, tuple) or len(returned) != 2 or not isinstance(returned[1], dict):
        raise ValueError(
            f"{name}.forward must return the decoder's output and a dict of loss terms, and "
            f"returned {type(returned).__name__}."
        )
    terms = returned[1]
    shapes = {
        term: tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        for term, value in terms.items()
    }
    if "reconstruction" not in terms or not {*shapes.values()} <= {(n_rows,), ()}:
        raise ValueError(
            f"{name}.forward must return terms of shape (n_rows,) or (), one of them "
            f"'reconstruction', and returned {shapes} for {n_rows} rows."
        )
    if RESERVED & terms.keys():
        raise ValueError(
            f"{name}.forward returned a term named {min(RESERVED & terms.keys())!r}, which is a "
            "column of the history; name it otherwise."
        )
