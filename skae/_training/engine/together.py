"""What processes that train together have to tell each other beside gradients."""

from torch.nn.modules.batchnorm import _NormBase

from skae._data.batches import RowDataset
from skae._model.module import AutoEncoderModule
from skae._model.networks.floored import FlooredNetwork
from skae._training.engine.optimizer import FlatAdamW


def join_module(module: AutoEncoderModule, optimizer: FlatAdamW, rows: RowDataset) -> None:
    """Let a module be the same in all processes at the end of an epoch.

    That is: the ranges of inputs, which each process has noted of its rows; the running statistics
    of batch norm; and the parameters, because machines of other kinds round otherwise.
    """
    world = rows.world
    if world.size == 1:
        return
    for part in module.modules():
        if isinstance(part, FlooredNetwork) and part.notes_range:
            part.eval()  # takes the range of what is still to be noted
            part.join_range(world, len(rows))
        elif isinstance(part, _NormBase) and part.track_running_stats:
            share = len(rows) / rows.n_rows
            for statistic in (part.running_mean, part.running_var):
                if statistic is not None:
                    statistic.copy_(world.sum(share * statistic))
    optimizer.take_first(world)
