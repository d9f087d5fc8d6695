"""What processes that train together have to tell each other beside gradients."""

from collections.abc import Iterable

import torch

from skae._data.batches import RowDataset
from skae._data.units import to_float64
from skae._model.module import AutoEncoderModule
from skae._model.networks.floored import FlooredNetwork, inner_network
from skae._training.engine.optimizer import FlatAdamW


def join_module(
    module: AutoEncoderModule, optimizers: Iterable[FlatAdamW], rows: RowDataset
) -> None:
    """Let a module be the same in all processes at the end of an epoch.

    That is: the ranges of inputs, which each process has noted of its rows; what users' networks
    keep of theirs, such as the running means of batch norm; and the parameters, because machines
    of other kinds round otherwise.
    """
    world = rows.world
    if world.size == 1:
        return
    for part in module.modules():
        if isinstance(part, FlooredNetwork) and part.notes_range:
            part.eval()  # takes the range of what is still to be noted
            part.join_range(world, len(rows))
    share = len(rows) / rows.n_rows
    for network in map(inner_network, (module.encoder, module.decoder)):
        for buffer in network.buffers():
            if buffer.is_floating_point():
                own = share * to_float64(buffer) if share else torch.zeros_like(buffer).double()
                buffer.copy_(world.sum(own))
    for optimizer in optimizers:
        optimizer.take_first(world)
