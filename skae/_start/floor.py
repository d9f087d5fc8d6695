"""The PCA floor: a module that is PCA, where training starts and what remains without it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from skae._data.batches import RowDataset
from skae._data.sources import Array
from skae._data.units import to_float64
from skae._model.module import AutoEncoderModule
from skae._model.networks.floored import FlooredNetwork
from skae._model.networks.tied import is_tied
from skae._start.linear_decoder import fit_linear_decoder
from skae._start.pca import PCA


@dataclass(frozen=True)
class PCAFloor:
    """PCA as the start of the training, and as what remains if that brings nothing.

    Training starts at a PCA of the training rows alone: one that has seen the validation rows is
    better on them than on new rows, so it would beat weights that generalise better. What remains
    is the PCA of all rows.

    Attributes
    ----------
    whole, start : PCA
        PCA of all rows, and of those that train.
    """

    whole: PCA
    start: PCA

    @property
    def share_unseen(self) -> float:
        """The share of the rows that the start has not seen."""
        return 1 - self.start.n_samples / self.whole.n_samples

    def load_start(self, module: AutoEncoderModule, rows: RowDataset) -> None:
        """Make ``module`` the PCA of the rows that train."""
        load_pca(module, self.start, rows)

    def load_whole(self, module: AutoEncoderModule, rows: RowDataset) -> None:
        """Make ``module`` the PCA of all rows."""
        load_pca(module, self.whole, rows)


def load_pca(module: AutoEncoderModule, pca: PCA, rows: RowDataset) -> None:
    """Make ``module`` reproduce PCA, or the best that its loss has in PCA's place.

    The module says in which units the network has PCA's codes; its frame shows users PCA's
    own, or the prior's where there is one. Where the decoder's output is no reconstruction, it
    becomes the best linear function of the codes for the loss on ``rows``.
    """
    center, scale = module.units.mean, module.units.exact_scale
    variances = torch.from_numpy(pca.variances / scale**2)
    linear: list[Any] = [module.encoder.linear, module.decoder.linear]
    noise = pca.noise_variance / scale**2
    codes = module.linear_codes(variances, noise, tied=is_tied(module.decoder))
    shift = torch.from_numpy(pca.mean - center) / scale
    components = torch.from_numpy(pca.components)
    encode, decode = components * codes.encode[:, None], components.T * codes.decode
    encode = nn.functional.pad(encode, (0, 0, 0, len(codes.others)))
    offset = torch.cat([codes.offset, codes.others])
    with torch.no_grad():
        for layer, weight, bias in (
            (linear[0], encode, offset - encode @ shift),
            (linear[1], decode, shift - decode @ codes.offset),
        ):
            layer.weight.copy_(weight)
            layer.bias.copy_(bias)
        if isinstance(module.decoder, FlooredNetwork) and module.loss.reconstructs:
            module.decoder.scale.copy_(torch.from_numpy(np.sqrt(pca.residuals) / scale))
        module.frame.set_metric((codes.metric * module.code_unit).to(module.frame.metric))
    if not module.loss.reconstructs:
        module.eval()
        fit_linear_decoder(module, rows, pca.n_samples)


def variances_along_codes(module: AutoEncoderModule, pca: PCA) -> Array:
    """Return PCA's variance along each number of the code of ``module``, which is that PCA.

    Codes may have been turned since. Of shape (n_components,), in squared units of X.
    """
    k, kind = module.n_components, module.frame.axes
    with torch.no_grad():
        ends = module.decode(torch.eye(k).to(kind)) - module.decode(torch.zeros(1, k).to(kind))
    directions = to_float64(ends).cpu().numpy()
    lengths = np.linalg.norm(directions, axis=1, keepdims=True)
    directions = directions / np.where(lengths > 0, lengths, 1)
    variances: Array = pca.variances @ np.square(pca.components @ directions.T)
    return variances


def floor_state(module: AutoEncoderModule) -> dict[str, Tensor]:
    """Return a copy of what makes ``module`` PCA while its networks are at zero."""
    state = module.state_dict()
    return {name: value.clone() for name, value in state.items() if ".network." not in name}
