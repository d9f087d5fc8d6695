"""Nets around a module: to be trained, or to be used."""

from fnmatch import fnmatch
from typing import Any

from skae._model.module import AutoEncoderModule
from skae._training.engine.optimizer import FlatAdamW
from skae._training.epoch import NOTHING_TO_TRAIN
from skae._training.net import AutoEncoderNet
from skae._training.outside.callbacks import is_scheduler, own_callbacks
from skae._training.selection import KeepBest

# Names of callbacks that are skae's or skorch's.
RESERVED = (
    *("_keep_best", "_go_on", "_keep", "_keep_iterate"),
    *("_fit_task", "_progress", "epoch_timer"),
)
# Parameters that weight decay spares, each pattern in a group of the optimizer's.
WITHOUT_DECAY = ("*.bias", "log_noise_variance")


def make_net(
    module: AutoEncoderModule,
    *,
    best: KeepBest,
    callbacks: list[Any] | None = None,
    **kwargs: Any,
) -> AutoEncoderNet:
    """Build and initialise a net that trains ``module``, with skae's optimizer."""
    used = [c[1] if isinstance(c, tuple) else c for c in callbacks or []]
    if kwargs.get("learning_rate") == "one_cycle" and any(is_scheduler(c) for c in used):
        raise ValueError(
            "callbacks has an LRScheduler, and learning_rate='one_cycle' is a schedule too; "
            "set learning_rate='constant'."
        )
    others = set() if module.discriminator is None else set(module.discriminator.parameters())
    if not any(p.requires_grad and p not in others for p in module.parameters()):
        raise ValueError(NOTHING_TO_TRAIN)
    net = AutoEncoderNet(
        module,
        optimizer=FlatAdamW,
        optimizer__param_groups=[(pattern, {"weight_decay": 0.0}) for pattern in WITHOUT_DECAY],
        train_split=None,
        callbacks=[("_keep_best", best), *own_callbacks(callbacks, RESERVED)],
        **kwargs,
    )
    return net.initialize()


def sizes_of_groups(module: AutoEncoderModule) -> list[int]:
    """Return how many numbers each group of the optimizer has that trains a module."""
    others = [] if module.discriminator is None else [*module.discriminator.parameters()]
    rest = {
        name: p.numel()
        for name, p in module.named_parameters()
        if p.requires_grad and all(p is not other for other in others)
    }
    sizes = []
    for pattern in WITHOUT_DECAY:
        sizes.append([rest.pop(name) for name in [*rest] if fnmatch(name, pattern)])
    return [sum(size) for size in [*sizes, [*rest.values()]] if size]


def require_groups(module: AutoEncoderModule, optimizer: list[dict[str, Any]]) -> None:
    """Raise ValueError where an optimizer's state is not that of a training of a module."""
    found, wanted = [len(group["values"]) for group in optimizer], sizes_of_groups(module)
    if found != wanted:
        raise ValueError(f"the optimizer has groups of {found} numbers, expected {wanted}")


def make_fitted_net(module: AutoEncoderModule, device: str) -> AutoEncoderNet:
    """Build a net for a module that was trained before: without an optimizer."""
    net = AutoEncoderNet(module, device=device, train_split=None, trains=False)
    return net.initialize()
