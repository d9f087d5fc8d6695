"""The steps of a fit, from validated rows to the weights that stay."""

import math
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

from skae._floor import PCAFloor, is_improvement
from skae._modules import AutoEncoderModule
from skae._net import AutoEncoderNet, KeepBest, load_arrays, weights_to_arrays
from skae._shared_parameters import AUTO_HELD_OUT, AUTO_STEPS
from skae._validation import Array
from skae.functional import principal_axes, squared_error


def share_explained(error: float, total: float) -> float:
    """Return 1 − error/total; where there is nothing to explain, 1 or 0 as in ``r2_score``."""
    if total == 0:
        return 1.0 if error == 0 else 0.0
    return float(1 - error / total)


def split_rows(
    n_rows: int, fraction: float | str, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw the indices of the rows that train and of those that judge, two at least of each."""
    if fraction == "auto":
        fraction = max(0.1, min(0.25, AUTO_HELD_OUT / n_rows))
    n_held_out = min(max(2, math.ceil(float(fraction) * n_rows)), n_rows - 2)
    order = torch.randperm(n_rows, generator=generator)
    return order[n_held_out:], order[:n_held_out]


def check_same_architecture(former: dict[str, Any], new: dict[str, Any]) -> None:
    """Raise ValueError where a warm start would need other weights than there are."""
    for name, value in new.items():
        if former[name] != value:
            raise ValueError(
                f"warm_start=True needs the same {name} as the last fit, which had "
                f"{former[name]!r}, not {value!r}; set warm_start=False to start anew."
            )


@dataclass(frozen=True)
class Start:
    """Where a training starts.

    Attributes
    ----------
    loss : float
        The judges' mean loss there, which training has to beat; infinite for random weights.
    rivals : ndarray of shape (n_judges,) or None
        The loss of every judge that trained weights have to beat beyond chance.
    pca_loss : float or None
        The judges' mean loss under PCA.
    floor : PCAFloor or None
        What to fall back to; None means the start itself.
    """

    loss: float = math.inf
    rivals: Array | None = None
    pca_loss: float | None = None
    floor: PCAFloor | None = None


def plan(
    net: AutoEncoderNet,
    best: KeepBest,
    n_batches: int,
    max_iter: int | str,
    n_iter_no_change: int | str,
    *,
    judged: bool,
) -> None:
    """Set the number of epochs, and what ends them early."""
    net.max_epochs = math.ceil(AUTO_STEPS / n_batches) if max_iter == "auto" else int(max_iter)
    best.monitor = "valid_loss" if judged else "train_loss"
    patience = max(10, math.ceil(net.max_epochs / 2))
    best.patience = patience if n_iter_no_change == "auto" else int(n_iter_no_change)


def load_best_start(
    net: AutoEncoderNet, floor: PCAFloor | None, former: dict[str, Array] | None, judges: Tensor
) -> Start:
    """Load PCA or the weights of a former fit, whichever the judges prefer."""
    start = Start()
    if floor is not None:
        floor.load_whole(net.module_)
        rivals = net.losses(judges)
        floor.load_start(net.module_)
        losses = net.losses(judges)
        # What the judges would say of a PCA of all rows, had it not seen them: as good as
        # the part they add to its rows.
        rivals = losses + (rivals - losses) * floor.share_unseen
        start = Start(losses.mean(), rivals, losses.mean(), floor)
    if former is not None:
        pca_weights = weights_to_arrays(net.module_)
        load_arrays(net.module_, former)
        losses = net.losses(judges)
        if losses.mean() <= start.loss:
            start = Start(losses.mean(), losses, start.pca_loss)
        else:
            load_arrays(net.module_, pca_weights)
    if start.rivals is not None and not np.isfinite(start.rivals).all():
        raise ValueError("The loss is not finite before any training; scale X first.")
    return start


def keep_best(net: AutoEncoderNet, best: KeepBest, start: Start, held_out: Tensor | None) -> None:
    """Leave the best weights in the net, and warn if the training broke down.

    Trained weights stay if the held-out rows prefer them to the start beyond chance.
    """
    if best.diverged_at_ is not None:
        report_divergence(best, net.lr)
    best.restore(net.module_)
    if held_out is not None and start.rivals is not None:
        losses = net.losses(held_out)
        if not is_improvement(start.rivals, losses):
            best.restore_start(net.module_)
    if best.epoch_ == 0 and start.floor is not None:
        start.floor.load_whole(net.module_)
    best.forget()
    net.module_.eval()


def report_divergence(best: KeepBest, learning_rate: float) -> None:
    """Warn of a loss that was not finite; raise ValueError if no weights are worth keeping."""
    remedy = f"lower learning_rate_init, now {learning_rate:g}, or scale X"
    if math.isinf(best.loss_):
        raise ValueError(
            f"The loss was not finite in epoch {best.diverged_at_}, and there are no "
            f"earlier weights to keep; {remedy}."
        )
    warnings.warn(
        f"The loss was not finite in epoch {best.diverged_at_}: the weights of epoch "
        f"{best.epoch_} are kept (0 is the start). To train further, {remedy}.",
        ConvergenceWarning,
        stacklevel=5,
    )


def turn_codes(
    module: AutoEncoderModule, batches: Iterable[Tensor], scale: float, whiten: bool
) -> tuple[float, int]:
    """Turn a module's codes into principal axes over all rows.

    Returns
    -------
    squares : float
        Sum of the squared reconstruction errors, in the module's units.
    n_rows : int
        Number of rows.
    """
    metric = module.frame.metric.double()
    # Sums over the rows of [z, x, 1]ᵀ[z, 1], from which all that follows is had in one pass.
    sums = torch.zeros((), dtype=torch.float64, device=metric.device)
    squares = 0.0
    for x in batches:
        z = module.encoder(x)
        squares += 2 * squared_error(x, module.decoder(z)).double().sum().item()
        z = z.double() * metric
        z1 = torch.hstack([z, torch.ones_like(z[:, :1])])
        sums = sums + torch.hstack([z, x.double() * scale, torch.ones_like(z[:, :1])]).T @ z1
    k, n_rows = len(metric), round(sums[-1, -1].item())
    means = sums[:-1, -1] / n_rows
    covariance = (sums[:-1, :-1] - n_rows * means.outer(means[:k])) / (n_rows - 1)
    rotation, variances = principal_axes(covariance[:k], covariance[k:].T)
    divisor = torch.ones_like(variances)
    if whiten:
        divisor = torch.where(variances > 0, variances.sqrt(), divisor)
    module.frame.turn(means[:k] / metric, rotation, divisor)
    return squares, n_rows
