"""Codes: the axes in which users see them, what they are at PCA, draws from posteriors."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from skae._data.sources import Array
from skae._model.plain.layers import FromAxes, ToAxes
from skae.functional import own_axes, principal_axes


class CodeFrame(nn.Module):
    """The axes in which codes are shown: c = (z − offset) A, and back.

    The network trains in whatever axes suit it (z); the frame turns its codes into those
    that users see (c) without touching a reconstruction. ``metric`` is what one unit of each
    component of z is worth in the units of c.
    """

    offset: Tensor
    metric: Tensor
    axes: Tensor
    inverse_axes: Tensor

    def __init__(self, n_components: int) -> None:
        super().__init__()
        identity = torch.eye(n_components, dtype=torch.float32)
        self.register_buffer("offset", torch.zeros(n_components, dtype=torch.float32))
        self.register_buffer("metric", torch.ones(n_components, dtype=torch.float32))
        self.register_buffer("axes", identity)
        self.register_buffer("inverse_axes", identity.clone())

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

    def rotate(self, rotation: Tensor, shift: Tensor) -> None:
        """Turn the codes that users see: c becomes c rotation + shift."""
        axes, inverse = self.axes.double(), self.inverse_axes.double()
        axes, inverse = axes @ rotation.to(axes), rotation.T.to(inverse) @ inverse
        self.offset.sub_((shift.to(inverse) @ inverse).to(self.offset))
        self.axes.copy_(axes)
        self.inverse_axes.copy_(inverse)

    def forward(self, z: Tensor) -> Tensor:
        """Turn the network's codes into those that users see."""
        return (z - self.offset) @ self.axes

    def inverse(self, codes: Tensor) -> Tensor:
        """Turn users' codes into the network's."""
        return torch.addmm(self.offset, codes, self.inverse_axes)

    def to_torch(self) -> tuple[ToAxes, FromAxes]:
        """Return plain layers for :meth:`forward` and :meth:`inverse`."""
        there = ToAxes(offset=self.offset, axes=self.axes)
        return there, FromAxes(offset=self.offset, axes=self.inverse_axes)


class Axes(ABC):
    """How a method's codes are turned once training is over.

    Parameters
    ----------
    rounding : float
        Variances below this share of the largest are rounding errors, which whitening leaves.
    """

    def __init__(self, rounding: float = 1e-12) -> None:
        self.rounding = rounding

    @abstractmethod
    def find(self, covariance: Tensor, cross_covariance: Tensor) -> tuple[Tensor, Tensor]:
        """Return the rotation of the codes and their variances along its columns.

        Parameters
        ----------
        covariance : Tensor of shape (n_components, n_components)
            Covariance of the codes z.
        cross_covariance : Tensor of shape (n_components, n_features)
            Covariance of the codes with the rows x.

        Returns
        -------
        rotation : Tensor of shape (n_components, n_components)
            Orthogonal, one axis a column.
        variances : Tensor of shape (n_components,)
            Along the columns, descending.
        """

    @abstractmethod
    def centre(self, mean: Tensor) -> Tensor:
        """Return what is subtracted from the network's codes.

        Parameters
        ----------
        mean : Tensor of shape (n_components,)
            Of the network's codes.

        Returns
        -------
        Tensor of shape (n_components,)
            What is subtracted.
        """

    @abstractmethod
    def align(self, codes: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
        """Return how to turn codes so that they come closest to others.

        Parameters
        ----------
        codes, wanted : Tensor of shape (n_rows, n_components)
            Codes of the same rows, by two models.

        Returns
        -------
        rotation : Tensor of shape (n_components, n_components)
            Orthogonal.
        shift : Tensor of shape (n_components,)
            ``codes @ rotation + shift`` is next to ``wanted``.
        """

    def divisor(self, variances: Tensor, *, whiten: bool) -> Tensor:
        """Return what the turned codes are divided by.

        Parameters
        ----------
        variances : Tensor of shape (n_components,)
            Of the turned codes, descending.
        whiten : bool
            Whether they are to have unit variance.

        Returns
        -------
        Tensor of shape (n_components,)
            Their deviations, or ones.
        """
        ones = torch.ones_like(variances)
        if not whiten:
            return ones
        return torch.where(variances > self.rounding * variances[0], variances.sqrt(), ones)


class PrincipalAxes(Axes):
    """Codes become centred, uncorrelated, ordered by variance and fixed in sign, as PCA's.

    A method says so in its module: ``axes = PrincipalAxes()``.

    Parameters
    ----------
    rounding : float
        Variances below this share of the largest are rounding errors, which whitening leaves.

    Examples
    --------
    >>> import torch
    >>> from skae.base import PrincipalAxes
    >>> covariance = torch.tensor([[2.0, 1.0], [1.0, 2.0]])
    >>> rotation, variances = PrincipalAxes().find(covariance, covariance)
    >>> variances
    tensor([3., 1.])
    """

    def find(self, covariance: Tensor, cross_covariance: Tensor) -> tuple[Tensor, Tensor]:
        """Diagonalise the covariance."""
        return principal_axes(covariance, cross_covariance)

    def centre(self, mean: Tensor) -> Tensor:
        """Return the mean."""
        return mean

    def align(self, codes: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
        """Return the rotation and the shift with the least squared distance (Procrustes)."""
        codes, wanted = codes.double(), wanted.double()
        means = codes.mean(dim=0), wanted.mean(dim=0)
        left, _, right = torch.linalg.svd((codes - means[0]).T @ (wanted - means[1]))
        rotation = left @ right
        return rotation, means[1] - means[0] @ rotation


class OwnAxes(Axes):
    """Codes keep the axes in which they were trained, and their zero; order and signs are set.

    A method says so in its module: ``axes = OwnAxes()``.

    Parameters
    ----------
    rounding : float
        Variances below this share of the largest are rounding errors, which whitening leaves.

    Examples
    --------
    >>> import torch
    >>> from skae.base import OwnAxes
    >>> covariance = torch.tensor([[2.0, 1.0], [1.0, 4.0]])
    >>> rotation, variances = OwnAxes().find(covariance, covariance)
    >>> variances
    tensor([4., 2.])
    """

    def find(self, covariance: Tensor, cross_covariance: Tensor) -> tuple[Tensor, Tensor]:
        """Order the axes by variance."""
        return own_axes(covariance, cross_covariance)

    def centre(self, mean: Tensor) -> Tensor:
        """Return zeros."""
        return torch.zeros_like(mean)

    def align(self, codes: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
        """Return the order and the signs of axes with the largest sum of products."""
        products = codes.double().T @ wanted.double()
        rows, columns = linear_sum_assignment(-products.abs().numpy())
        rotation = torch.zeros_like(products)
        rotation[rows, columns] = torch.where(products[rows, columns] < 0, -1.0, 1.0).double()
        return rotation, torch.zeros(len(products), dtype=products.dtype)


@dataclass(frozen=True)
class CodeMoments:
    """What codes and reconstructions of all rows are like, in the axes that users see.

    Attributes
    ----------
    squares : float
        Sum of the squared reconstruction errors, in the module's units.
    variances : ndarray of shape (n_components,)
        Of the codes, before whitening.
    explained : ndarray of shape (n_components,)
        What they are worth in X's units: see ``AutoEncoderModule.explained_variances``.
    mean : ndarray of shape (n_components,)
        Of the codes as users see them.
    """

    squares: float
    variances: Array
    explained: Array
    mean: Array


@dataclass(frozen=True)
class LinearCodes:
    """How PCA's codes c, in the module's units, become the network's: z = encode ⊙ c + offset.

    Attributes
    ----------
    encode, decode, offset : Tensor of shape (n_components,)
        PCA's codes are decode ⊙ (z − offset).
    others : Tensor
        What the encoder returns beside the code, the same for every row.
    metric : Tensor of shape (n_components,)
        What one unit of the network's codes is worth, in units of the module's ``code_unit``.
    """

    encode: Tensor
    decode: Tensor
    offset: Tensor
    others: Tensor
    metric: Tensor


def whitening(variances: Tensor) -> Tensor:
    """Return the standard deviations to divide codes by.

    They are bounded from below, so that components that are rounding error stay small.
    """
    bound = 1e-6 * variances.max() if len(variances) else 0.0
    deviations = variances.clamp(min=bound).sqrt()
    return torch.where(deviations > 0, deviations, 1.0)


def reparameterise(mean: Tensor, log_var: Tensor, draws: Iterable[Tensor]) -> Iterator[Tensor]:
    """Yield codes z = mean + s ⊙ ε for each of the draws ε of N(0, I)."""
    deviation = (0.5 * log_var).exp()
    return (torch.addcmul(mean, deviation, draw) for draw in draws)


def standard_normal(like: Tensor, generator: torch.Generator) -> Tensor:
    """Draw from N(0, I), in the shape of ``like``."""
    return torch.randn(like.shape, generator=generator, device=like.device, dtype=like.dtype)


def paired_draws(n_pairs: int, shape: torch.Size, generator: torch.Generator) -> Tensor:
    """Draw from N(0, I) such that means over the draws are 0, and mean squares 1, exactly.

    With them the mean of log p(x|z) over a Gaussian posterior is exact for linear decoders
    with orthogonal columns, such as probabilistic PCA's.

    Returns
    -------
    Tensor of shape (2 * n_pairs, *shape)
    """
    half = torch.randn(
        (n_pairs, *shape), generator=generator, device=generator.device, dtype=torch.float32
    )
    half = half / half.square().mean(dim=0).sqrt()
    return torch.cat([half, -half])


def moment_draws(n_pairs: int, n_components: int, generator: torch.Generator) -> Tensor:
    """Draw from N(0, I) such that the mean of the draws is 0, and their covariance I, exactly.

    So the covariance of linear functions of them is exact.

    Returns
    -------
    Tensor of float64 of shape (2 * n_pairs, n_components)
    """
    shape = n_pairs, n_components
    half = torch.randn(shape, generator=generator, device=generator.device, dtype=torch.float64)
    root = torch.linalg.cholesky(half.T @ half / n_pairs)
    half = torch.linalg.solve_triangular(root, half.T, upper=False).T
    return torch.cat([half, -half])
