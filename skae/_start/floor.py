"""The PCA floor: where every model starts, and the test that decides what replaces it."""

from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from scipy.stats import t as student_t
from scipy.stats import wilcoxon
from torch import Tensor, nn

from skae._data.batches import Rows
from skae._data.checks import Array
from skae._model.losses import LinkedLoss
from skae._model.module import AutoEncoderModule, LinearCodes
from skae._model.networks.mlp import FlooredNetwork, TiedLinear, linear_part
from skae._start.pca import PCAStart

# How many numbers a linear decoder is fitted on: more change it little.
DECODER_SIZE, N_STEPS = 2**22, 60


def start_at_pca(module: AutoEncoderModule, start: PCAStart, center: Array, scale: float) -> None:
    """Make ``module`` reproduce PCA on rows less ``center`` and divided by ``scale``.

    The module says in which units the network sees PCA's codes; its frame shows users PCA's
    own, or the prior's where there is one.
    """
    variances = torch.from_numpy(start.variances / scale**2)
    codes = module.linear_codes(variances, start.noise_variance / scale**2)
    if is_tied(module.decoder) and not module.has_prior:  # whitening has no transpose
        ones = torch.ones_like(variances)
        codes = LinearCodes(ones, ones, codes.offset, codes.others)
    shift = torch.from_numpy(start.mean - center) / scale
    components = torch.from_numpy(start.components)
    encode, decode = components * codes.encode[:, None], components.T * codes.decode
    encode = nn.functional.pad(encode, (0, 0, 0, len(codes.others)))
    offset = torch.cat([codes.offset, codes.others])
    with torch.no_grad():
        for network, weight, bias in (
            (module.encoder, encode, offset - encode @ shift),
            (module.decoder, decode, shift - decode @ codes.offset),
        ):
            linear = linear_part(network)
            if not isinstance(linear, TiedLinear):
                linear.weight.copy_(weight)
            linear.bias.copy_(bias)
        if isinstance(module.decoder, FlooredNetwork) and not isinstance(module.loss, LinkedLoss):
            module.decoder.scale.copy_(torch.from_numpy(np.sqrt(start.residuals) / scale))
        if not module.has_prior:
            module.frame.set_metric((codes.decode * scale).float())


def is_tied(decoder: nn.Module) -> bool:
    """Tell whether a decoder has its encoder's weights."""
    return any(isinstance(layer, TiedLinear) for layer in decoder.modules())


def fit_linear_decoder(module: AutoEncoderModule, rows: Rows) -> None:
    """Give ``module`` the best linear decoder for its loss, and for the codes that it has.

    That is a generalised linear model of each feature, convex, with a normal prior of its
    weights. Tied weights change the codes with the decoder. Fitted by L-BFGS on as many rows
    as suffice.
    """
    encoder, decoder = linear_part(module.encoder), linear_part(module.decoder)
    tied = isinstance(decoder, TiedLinear)
    loss = cast(LinkedLoss, module.loss)
    n_rows = max(1000, DECODER_SIZE // rows.n_features)
    x = rows.take(torch.linspace(0, len(rows) - 1, min(len(rows), n_rows)).long())
    with torch.no_grad():
        # The mean of a feature that never varies, too, has finite logits.
        total = loss.to_data(x).sum(dim=0)
        usual = loss.unlink((total + 0.5) / (len(x) + 1))
        decoder.bias.copy_(usual)
        if not tied:
            decoder.weight.zero_()
        codes = module.draw_code(x)
    fitted = [encoder.weight, encoder.bias] if tied else [decoder.weight]
    fitted.append(decoder.bias)
    were_trained = [p.requires_grad for p in fitted]
    for p in fitted:
        p.requires_grad_()
    optimizer = torch.optim.LBFGS(fitted, max_iter=N_STEPS, line_search_fn="strong_wolfe")

    def objective() -> Tensor:
        optimizer.zero_grad()
        prior = decoder.weight.square().sum() + (decoder.bias - usual).square().sum()
        total = (
            loss(x, decoder(module.code(x) if tied else codes)).sum() + 0.5 * prior
        ) / x.numel()
        total.backward()
        return total

    optimizer.step(objective)
    for p, was_trained in zip(fitted, were_trained, strict=True):
        p.requires_grad_(was_trained).grad = None


def floor_state(module: AutoEncoderModule) -> dict[str, Tensor]:
    """Return a copy of what makes ``module`` PCA while its networks are at zero."""
    state = module.state_dict()
    return {name: value.clone() for name, value in state.items() if ".network." not in name}


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

    def load_start(self, module: AutoEncoderModule, rows: Rows) -> None:
        """Make ``module`` the PCA of the rows that train."""
        self._load(self.start, module, rows)

    def load_whole(self, module: AutoEncoderModule, rows: Rows) -> None:
        """Make ``module`` the PCA of all rows."""
        self._load(self.whole, module, rows)

    def _load(self, pca: PCAStart, module: AutoEncoderModule, rows: Rows) -> None:
        start_at_pca(module, pca, self.center, self.scale)
        if isinstance(module.loss, LinkedLoss):
            module.eval()
            fit_linear_decoder(module, rows)


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
