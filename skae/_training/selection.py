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

from skae._data.batches import Rows
from skae._data.checks import Array
from skae._model.module import AutoEncoderModule
from skae._model.weights import load_arrays, load_trained, weights_to_arrays
from skae._start.floor import PCAFloor, floor_state, is_improvement
from skae._training.callbacks import KeepBest
from skae._training.net import AutoEncoderNet
from skae.functional import own_axes, principal_axes, squared_error

# What "auto" stands for was chosen by measurement: see benchmarks/README.md.
AUTO_BATCH_SIZE = 128
# Tables of up to so many training rows get so many optimizer steps.
AUTO_STEPS = ((1000, 1000), (2000, 1500), (10_000, 2000), (math.inf, 4000))
# Tables of up to so many training rows are trained with noise, and so much of it.
AUTO_NOISE, NOISY_ROWS = 0.5, 10_000
# Codes of up to so many numbers, from more than so many rows, come from the deep network.
FEW_COMPONENTS, FEW_ROWS = 3, 1000
# Tables of many rows and features, such as images, get the wide network.
MANY_ROWS, MANY_FEATURES = 10_000, 256
SHALLOW, DEEP, WIDE = (128, 128), (192, 96, 96), (512, 256)
# Channels of convolutions.
CHANNELS = (16, 32)
# Networks with layers wider than this learn at the lower rate, and remember gradients longer.
NARROW = 256
AUTO_RATE, WIDE_RATE = 7e-3, 5e-3
# Half of it where codes are drawn, and inputs count as a layer.
DRAWN_RATE = 2.5e-3
AUTO_BETAS, WIDE_BETAS = (0.9, 0.95), (0.9, 0.999)
# Fewer rows than this judge badly: fits that fell for luck were on 17 of them.
AUTO_JUDGES = 50
# What is no error of a row, in the module's units or in nats.
ROUNDING = 1e-5
# Fewer judges than this cannot be sure of anything at the level of is_improvement.
MIN_JUDGES = 10


def share_explained(error: float, total: float) -> float:
    """Return 1 − error/total; where there is nothing to explain, 1 or 0 as in ``r2_score``.

    Both are means over rows in the module's units, or in nats, of which rounding leaves a little.
    """
    if total <= ROUNDING:
        return 1.0 if error <= ROUNDING else 0.0
    return float(1 - error / total)


def count_judges(n_rows: int, fraction: float | str) -> int:
    """Return the number of rows to hold out; 0 where it would be too few to judge."""
    if fraction == "auto":
        n_judges = max(0.1 * n_rows, min(AUTO_JUDGES, 0.25 * n_rows), min(MIN_JUDGES, n_rows // 2))
    else:
        n_judges = min(float(fraction) * n_rows, n_rows - 2)
    return math.ceil(n_judges) if math.ceil(n_judges) >= MIN_JUDGES else 0


def auto_sizes(n_rows: int, n_features: int, n_components: int) -> tuple[int, ...]:
    """Return the widths of hidden layers that suit a table of this shape and its code."""
    if n_rows >= MANY_ROWS and n_features >= MANY_FEATURES:
        return WIDE
    return DEEP if n_components <= FEW_COMPONENTS and n_rows > FEW_ROWS else SHALLOW


def auto_epochs(n_rows: int, n_batches: int) -> int:
    """Return how many epochs make as many steps as suit so many rows."""
    return math.ceil(next(steps for most, steps in AUTO_STEPS if n_rows <= most) / n_batches)


def auto_rate(
    hidden_layer_sizes: tuple[int, ...], n_features: int, *, draws_codes: bool
) -> tuple[float, tuple[float, float]]:
    """Return the highest learning rate that suits a network, and AdamW's betas."""
    if draws_codes and max((n_features, *hidden_layer_sizes)) > NARROW:
        return DRAWN_RATE, WIDE_BETAS
    if max(hidden_layer_sizes, default=0) <= NARROW:
        return AUTO_RATE, AUTO_BETAS
    return WIDE_RATE, WIDE_BETAS


def auto_noise(n_rows: int, n_components: int) -> float:
    """Return how much residual noise suits a training on so many rows.

    A code of many numbers can express the noise, and then learns it.
    """
    return AUTO_NOISE * min(1, FEW_COMPONENTS / n_components) if n_rows <= NOISY_ROWS else 0.0


def warn_of_few_rows(name: str, n_rows: int, fraction: float | str) -> None:
    """Warn that too few rows can be held out, so that the estimator ``name`` stays at PCA."""
    warnings.warn(
        f"X has {n_rows} rows, of which validation_fraction={fraction!r} holds out fewer than "
        f"{MIN_JUDGES}, too few to judge a network: {name} stays at PCA. Raise "
        "validation_fraction, or pass early_stopping=False to train on all rows without a guard.",
        stacklevel=4,
    )


@dataclass(frozen=True)
class FormerFit:
    """The fit that a warm start goes on from.

    Attributes
    ----------
    architecture : dict
        What its network was built from.
    weights : dict of str to ndarray
        The weights it left.
    """

    architecture: dict[str, Any]
    weights: dict[str, Array]

    def require(self, architecture: dict[str, Any]) -> None:
        """Raise ValueError where the weights do not fit a network."""
        for name, value in architecture.items():
            if self.architecture[name] != value:
                raise ValueError(
                    f"warm_start=True needs the same {name} as the last fit, which had "
                    f"{self.architecture[name]!r}, not {value!r}; set warm_start=False to "
                    "start anew."
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
    pca_terms : dict of str to float or None
        The judges' mean of each loss term under PCA.
    floor : dict of str to Tensor or None
        PCA of all rows, to fall back to; None means the start itself.
    """

    loss: float = math.inf
    rivals: Array | None = None
    pca_terms: dict[str, float] | None = None
    floor: dict[str, Tensor] | None = None


def plan(
    net: AutoEncoderNet,
    best: KeepBest,
    n_rows: int,
    max_iter: int | str,
    n_iter_no_change: int | str,
    *,
    judged: bool,
) -> None:
    """Set the number of epochs, and what ends them early."""
    n_batches = math.ceil(n_rows / net.batch_size)
    net.max_epochs = auto_epochs(n_rows, n_batches) if max_iter == "auto" else int(max_iter)
    best.monitor_ = "valid_loss" if judged else "train_loss"
    patience = max(20, math.ceil(net.max_epochs / 2))
    best.patience_ = patience if n_iter_no_change == "auto" else int(n_iter_no_change)


def load_best_start(
    net: AutoEncoderNet,
    floor: PCAFloor | None,
    former: dict[str, Array] | None,
    table: Rows,
    train: Rows,
    judges: Rows,
) -> Start:
    """Load PCA or the weights of a former fit, whichever the judges prefer."""
    start = Start()
    if floor is not None:
        floor.load_whole(net.module_, table)
        rivals, _ = net.losses(judges)
        whole = floor_state(net.module_)
        floor.load_start(net.module_, train)
        losses, terms = net.losses(judges)
        # What the judges would say of a PCA of all rows, had it not seen them: as good as
        # the part they add to its rows.
        rivals = losses + (rivals - losses) * floor.share_unseen
        start = Start(losses.mean(), rivals, terms, whole)
    if former is not None:
        pca_weights = weights_to_arrays(net.module_)
        load_trained(net.module_, former)
        losses, _ = net.losses(judges)
        if losses.mean() <= start.loss:
            start = Start(losses.mean(), losses, start.pca_terms)
        else:
            load_arrays(net.module_, pca_weights)
    if start.rivals is not None and not np.isfinite(start.rivals).all():
        raise ValueError(
            "The loss is not finite before any training; scale X, or see what a loss, noise or "
            "network of your own returns."
        )
    return start


def keep_best(
    net: AutoEncoderNet, best: KeepBest, start: Start, judges: Rows, *, held_out: bool
) -> None:
    """Leave the best weights in the net, and warn if the training broke down.

    Trained weights stay if the judges prefer them to the start: beyond chance where these
    are held-out rows.
    """
    best.restore(net.module_)
    losses, terms = net.losses(judges)
    if not np.isfinite(losses).all():  # possible where the training loss picked the weights
        best.diverged_at_ = best.diverged_at_ or best.epoch_
        best.restore_start(net.module_)
    elif held_out and best.epoch_ > 0:
        judge(net, best, start, judges, losses, terms)
    elif start.rivals is not None and not losses.mean() < start.loss:
        best.restore_start(net.module_)
    if best.diverged_at_ is not None:
        report_divergence(best, start, net.lr)
    if best.epoch_ == 0 and start.floor is not None:
        net.module_.load_state_dict(start.floor, strict=False)
    best.forget()
    net.module_.eval()


def judge(
    net: AutoEncoderNet,
    best: KeepBest,
    start: Start,
    judges: Rows,
    losses: Array,
    terms: dict[str, float],
) -> None:
    """Calibrate trained weights to held-out rows, or load the start if these prefer that."""
    net.module_.calibrate(terms)
    if start.rivals is None or is_improvement(start.rivals, net.losses(judges)[0]):
        return
    best.restore(net.module_)  # calibration serves the mean, and may cost most rows a little
    if not is_improvement(start.rivals, losses):
        best.restore_start(net.module_)


def report_divergence(best: KeepBest, start: Start, learning_rate: float) -> None:
    """Warn of a loss that was not finite; raise ValueError if no weights are worth keeping."""
    remedy = f"lower learning_rate_init, now {learning_rate:g}, or scale X"
    if best.epoch_ == 0 and start.rivals is None:
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
) -> tuple[float, Array]:
    """Turn a module's codes into principal axes over all rows, or order its own.

    Returns
    -------
    squares : float
        Sum of the squared reconstruction errors, in the module's units.
    variances : ndarray of shape (n_components,)
        Of the codes, before whitening.
    """
    metric = module.frame.metric.double()
    # Sums over the rows of [z, x, 1]ᵀ[z, 1], from which all that follows is had in one pass.
    sums = torch.zeros((), dtype=torch.float64, device=metric.device)
    squares = 0.0
    for x in batches:
        z = module.code(x)
        x_hat = module.loss.reconstruct(module.decoder(z))
        squares += 2 * squared_error(x, x_hat).double().sum().item()
        z = z.double() * metric
        z1 = torch.hstack([z, torch.ones_like(z[:, :1])])
        sums = sums + torch.hstack([z, x.double() * scale, torch.ones_like(z[:, :1])]).T @ z1
    k, n_rows = len(metric), round(sums[-1, -1].item())
    means = sums[:-1, -1] / n_rows
    covariance = (sums[:-1, :-1] - n_rows * means.outer(means[:k])) / (n_rows - 1)
    find_axes = principal_axes if module.principal_axes else own_axes
    rotation, variances = find_axes(covariance[:k], covariance[k:].T)
    divisor = torch.ones_like(variances)
    if whiten:
        # What is rounding error in float32 stays as small as it is; a prior's units are whitened.
        least = (1e-6 if module.has_prior else 1e-12) * variances[0]
        divisor = torch.where(variances > least, variances.sqrt(), divisor)
    # Where codes keep their own axes, zero keeps its meaning too.
    offset = means[:k] / metric if module.principal_axes else torch.zeros_like(metric)
    module.frame.turn(offset, rotation, divisor)
    return squares, variances.cpu().numpy()
