"""The PCA floor: where every model starts, and the test that decides what replaces it."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import t as student_t
from scipy.stats import wilcoxon
from torch import Tensor

from skae._modules import AutoEncoderModule
from skae._networks import FlooredNetwork, linear_part
from skae._pca import PCAStart
from skae._validation import Array


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
    be the work of a few (paired t-test at 10 %, of gains cut at the 98th percentile, so that
    a row that gains much more than all others speaks no louder for it and adds no doubt).
    That the mean is lower is not enough: the best of many epochs is lower on few rows by
    luck, and with heavy tails on many.
    """
    gain = start - trained
    gain = np.minimum(gain, np.quantile(gain, 0.98, method="lower"))
    if not gain.mean() > 0:
        return False
    error = gain.std(ddof=1) / np.sqrt(len(gain))
    # Not scipy's ttest_rel, which warns where all rows gain the same.
    by_luck = student_t.sf(gain.mean() / error, len(gain) - 1) if error > 0 else 0.0
    return bool(wilcoxon(gain, alternative="greater").pvalue < 0.001 and by_luck < 0.1)
