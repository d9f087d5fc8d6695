"""Where a training stands, so that another one can go on from there."""

from dataclasses import dataclass
from typing import Any

import torch
from skorch.callbacks import Callback
from torch import nn

from skae._data.batches import RowDataset
from skae._data.sources import Array
from skae._model.losses import Prepared
from skae._model.networks.floored import RANGE, FlooredNetwork
from skae._model.weights import load_trained, weights_to_arrays
from skae._training.net import AutoEncoderNet


@dataclass(frozen=True)
class Iterate:
    """The weights of the last step, the optimizer's moments, and the average of the weights.

    Attributes
    ----------
    state : dict of str to ndarray
        The module's state, with the average of the weights.
    optimizer : list of dict of str to ndarray
        As :meth:`FlatAdamW.flat_state` returns it.
    """

    state: dict[str, Array]
    optimizer: list[dict[str, Array]]

    def load(self, net: AutoEncoderNet) -> None:
        """Let a net go on from here."""
        load_trained(net.module_, self.state)
        for name, part in net.module_.named_modules():
            if isinstance(part, Prepared):
                own = {n: torch.tensor(self.state[f"{name}.{n}"]) for n in part.state_dict()}
                part.merge(own)
        groups = [{n: torch.tensor(v) for n, v in group.items()} for group in self.optimizer]
        net.optimizer_.load_flat_state(groups)

    def widen_ranges(self, module: nn.Module) -> None:
        """Let a module's networks see inputs in the range that they had here, too."""
        for name, part in module.named_modules():
            if isinstance(part, FlooredNetwork):
                part.widen_range(*(torch.tensor(self.state[f"{name}.{n}"]) for n in RANGE))


class KeepIterate(Callback):
    """Keeps where a training stands at its end.

    Attributes
    ----------
    iterate_ : Iterate or None
    """

    iterate_: Iterate | None = None

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Copy the weights and the optimizer's moments."""
        groups = net.optimizer_.flat_state()
        optimizer = [{n: v.cpu().numpy() for n, v in group.items()} for group in groups]
        self.iterate_ = Iterate(weights_to_arrays(net.module_), optimizer)


def train_and_keep(
    net: AutoEncoderNet, rows: RowDataset, validation: RowDataset | None
) -> Iterate | None:
    """Train a net, and return where it stands at the end; None if it was interrupted at once."""
    keeper = KeepIterate()
    net.callbacks_.append(("_keep_iterate", keeper))
    net.train(rows, validation)
    net.callbacks_.pop()
    return keeper.iterate_
