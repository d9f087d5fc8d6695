"""The PCA floor: where every model starts, and the test that decides what replaces it."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import t as student_t
from scipy.stats import wilcoxon
from sklearn.decomposition import PCA
from sklearn.utils import gen_batches
from torch import Tensor

from skae._modules import AutoEncoderModule
from skae._networks import FlooredNetwork, linear_part
from skae._parameters import is_integer
from skae._rows import INFERENCE_BATCH
from skae._validation import Array


def chunked_moments(X: Array) -> tuple[Array, Array]:
    """Return the mean and the variance of every column, in float64 and without a copy of X.

    A column that varies by no more than rounding is constant.
    """
    mean = X.mean(axis=0, dtype=np.float64)
    total = np.zeros_like(mean)
    for rows in gen_batches(len(X), INFERENCE_BATCH):
        total += np.square(X[rows] - mean).sum(axis=0)
    variances = total / len(X)
    rounding = 10 * np.finfo(np.float64).eps * np.abs(mean)
    return mean, np.where(variances <= rounding**2, 0.0, variances)


@dataclass(frozen=True)
class PCAStart:
    """PCA of the training rows, in their units.

    Attributes
    ----------
    mean : ndarray of shape (n_features,)
    components : ndarray of shape (n_components, n_features)
        Principal directions; rows of zeros where PCA has fewer.
    variances : ndarray of shape (n_components,)
        Variance along each.
    residuals : ndarray of shape (n_features,)
        Variance that PCA leaves in each feature.
    n_samples : int
        Number of rows it was fitted on.
    """

    mean: Array
    components: Array
    variances: Array
    residuals: Array
    n_samples: int

    @property
    def n_components(self) -> int:
        """Size of the code."""
        return len(self.components)


def fit_pca(X: Array, n_components: int | float, seed: int) -> PCAStart:
    """Fit scikit-learn's PCA, padded with zeros where it has too few components.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
    n_components : int or float
        As in PCA; an int may exceed what PCA can give.
    seed : int
        For PCA's randomised solver.
    """
    mean, variances = chunked_moments(X)
    if not variances.any():  # a share of nothing is one component
        k = int(n_components) if is_integer(n_components) else 1
        return PCAStart(mean, np.zeros((k, X.shape[1])), np.zeros(k), variances, len(X))
    n_found = min(n_components, *X.shape) if is_integer(n_components) else float(n_components)
    # Centred, because PCA's covariance solver loses its digits on rows far from zero.
    pca = PCA(n_found, random_state=seed).fit(X - mean.astype(X.dtype))
    missing = max(0, n_components - pca.n_components_) if is_integer(n_components) else 0
    components = np.pad(pca.components_.astype(np.float64), ((0, missing), (0, 0)))
    along = np.pad(pca.explained_variance_.astype(np.float64), (0, missing))
    explained = along @ np.square(components) * (1 - 1 / len(X))  # PCA divides by n - 1
    return PCAStart(mean, components, along, np.clip(variances - explained, 0, None), len(X))


def start_at_pca(module: AutoEncoderModule, start: PCAStart, center: Array, scale: float) -> None:
    """Make ``module`` reproduce PCA on rows less ``center`` and divided by ``scale``.

    The code that the network sees is whitened, because the decoder would not notice
    components that are orders of magnitude smaller than the first; the module's frame
    shows users PCA's own codes.
    """
    # The bound keeps directions that are rounding error from being blown up.
    deviations = np.sqrt(np.maximum(start.variances, 1e-6 * start.variances.max(initial=0)))
    deviations = np.where(deviations > 0, deviations / scale, 1.0)

    def tensor(array: Array) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))

    shift = (start.mean - center) / scale
    encode = start.components / deviations[:, None]
    decode = (start.components * deviations[:, None]).T
    with torch.no_grad():
        for network, weight, bias in (
            (module.encoder, encode, -encode @ shift),
            (module.decoder, decode, shift),
        ):
            linear = linear_part(network)
            linear.weight.copy_(tensor(weight))
            linear.bias.copy_(tensor(bias))
        if isinstance(module.decoder, FlooredNetwork):
            module.decoder.scale.copy_(tensor(np.sqrt(start.residuals) / scale))
        module.frame.set_metric(tensor(deviations * scale))


@dataclass(frozen=True)
class PCAFloor:
    """PCA as the start of the training, and as what remains if that brings nothing.

    Training starts at a PCA that has not seen the judging rows: one that has is better on
    them than on new rows, so it would beat weights that generalise better. What remains is
    the PCA of all rows.

    Attributes
    ----------
    whole, start : PCAStart
        PCA of all rows, and of those that train.
    center, scale : ndarray of shape (n_features,), float
        The model's units.
    """

    whole: PCAStart
    start: PCAStart
    center: Array
    scale: float

    @property
    def share_unseen(self) -> float:
        """The share of the rows that the start has not seen."""
        return 1 - self.start.n_samples / self.whole.n_samples

    def load_start(self, module: AutoEncoderModule) -> None:
        """Make ``module`` the PCA of the rows that train."""
        start_at_pca(module, self.start, self.center, self.scale)

    def load_whole(self, module: AutoEncoderModule) -> None:
        """Make ``module`` the PCA of all rows."""
        start_at_pca(module, self.whole, self.center, self.scale)


def is_improvement(start: Array, trained: Array) -> bool:
    """Tell whether the trained weights beat the start on the judging rows beyond chance.

    Most rows must gain (Wilcoxon's signed-rank test at 0.1 %), and the mean gain must not
    be the work of a few (paired t-test at 10 %). That the mean is lower is not enough: the
    best of many epochs is lower on few rows by luck, and with heavy tails on many.
    """
    gain = start - trained
    if not gain.mean() > 0:
        return False
    error = gain.std(ddof=1) / np.sqrt(len(gain))
    # Not scipy's ttest_rel, which warns where all rows gain the same.
    by_luck = student_t.sf(gain.mean() / error, len(gain) - 1) if error > 0 else 0.0
    return bool(wilcoxon(gain, alternative="greater").pvalue < 0.001 and by_luck < 0.1)
