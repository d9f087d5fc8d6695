"""What a training goes on from when one of its processes was lost."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from skorch.callbacks import Callback
from torch import Tensor

from skae._data.batches import RowDataset
from skae._data.world import World
from skae._model.weights import copy_weights
from skae._training.selection import Training


@dataclass(frozen=True)
class Checkpoint:
    """Where a training stands at the end of an epoch.

    Not what random draws come from, nor what users' callbacks have noted: these begin anew.

    Attributes
    ----------
    state : dict of str to Tensor
        The module's.
    optimizers : list of list of dict of str to Tensor
        As :meth:`FlatAdamW.flat_state` returns them.
    best : dict
        The attributes of :class:`KeepBest`.
    lowest : dict of str to float
        The net's lowest losses.
    history : list of dict
        A row for each epoch.
    """

    state: dict[str, Tensor]
    optimizers: list[list[dict[str, Tensor]]]
    best: dict[str, Any]
    lowest: dict[str, float]
    history: list[dict[str, Any]]

    @classmethod
    def of(cls, training: Training) -> "Checkpoint":
        """Copy all of it."""
        net = training.net
        optimizers = [optimizer.flat_state() for optimizer in net.optimizers()]
        best = {n: v for n, v in vars(training.best).items() if n != "rows_"}
        best["losses_"] = list(best["losses_"])
        history = [dict(row) for row in net.history]
        state = copy_weights(net.module_)
        return cls(*on_host([state, optimizers, best, dict(net.lowest_), history]))

    def load(self, training: Training) -> None:
        """Let a training that has just begun go on from here."""
        net = training.net
        net.module_.load_state_dict(self.state)
        for optimizer, state in zip(net.optimizers(), self.optimizers, strict=True):
            optimizer.load_flat_state(state)
        training.best.__dict__.update({**self.best, "losses_": list(self.best["losses_"])})
        net.history.extend(dict(row) for row in self.history)
        # Other processes may have another number of batches.
        net.step_ = round(net.n_steps_ * len(net.history) / net.max_epochs)
        net.lowest_ = dict(self.lowest)
        net.module_.progress = net.step_ / net.n_steps_


def on_host(value: Any) -> Any:
    """Return tensors in lists and dicts on the host: another process may lack their device."""
    if isinstance(value, dict):
        return {name: on_host(each) for name, each in value.items()}
    if isinstance(value, list):
        return [on_host(each) for each in value]
    return value.cpu() if isinstance(value, Tensor) else value


@dataclass
class Kept:
    """What a process keeps of a fit, should another process be lost.

    Attributes
    ----------
    checkpoint : Checkpoint or None
        None before the first epoch has ended.
    seed : int or None
        Of the fit's random draws, so that the same rows validate when it goes on.
    """

    checkpoint: Checkpoint | None = None
    seed: int | None = None

    def seed_of_fit(self, seed: int, world: World) -> int:
        """Return the seed of a fit that goes on, or the given one for a new fit."""
        known = [own for own in world.gather(self.seed) if own is not None]
        self.seed = known[0] if known else seed
        return self.seed

    def newest(self, world: World) -> Checkpoint | None:
        """Return the checkpoint of the process that has come furthest; None where none has any."""
        own = -1 if self.checkpoint is None else len(self.checkpoint.history)
        epochs = world.counts(own)
        furthest = epochs.index(max(epochs))
        return world.gather(self.checkpoint if world.rank == furthest else None)[furthest]


class KeepCheckpoint(Callback):
    """Goes on from the newest checkpoint, and keeps one at the end of each epoch.

    Parameters
    ----------
    kept : Kept
    training : Training
    """

    def __init__(self, kept: Kept, training: Training) -> None:
        self.kept, self.training = kept, training

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Load the newest checkpoint."""
        checkpoint = self.kept.newest(net.world)
        if checkpoint is not None:
            checkpoint.load(self.training)

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Keep where the training stands."""
        self.kept.checkpoint = Checkpoint.of(self.training)


@contextmanager
def keeping(kept: Kept | None, training: Training, train: RowDataset) -> Iterator[None]:
    """Keep checkpoints of the training inside this context, and go on from the newest.

    Not where few rows are trained in coordinates, which another training would not have; that takes
    seconds.
    """
    if kept is None or train.n_features != training.table.n_features:
        yield
        return
    callbacks = training.net.callbacks_
    # Behind KeepBest, and before users' callbacks, which may fail.
    place = 1 + next(i for i, (_, c) in enumerate(callbacks) if c is training.best)
    callbacks.insert(place, ("_keep_checkpoint", KeepCheckpoint(kept, training)))
    try:
        yield
    finally:
        del callbacks[place]
