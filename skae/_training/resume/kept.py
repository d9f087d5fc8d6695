"""How a training keeps where it stands, and goes on from there."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from skorch.callbacks import Callback

from skae._data.batches import RowDataset
from skae._data.world import World
from skae._training.resume.checkpoint import Checkpoint
from skae._training.selection import Training

NOT_KEPT = (
    "With keep_interrupted=True Ctrl-C ends the training only, and its best weights are kept; with "
    "checkpoint='a folder' a fit can go on where it was interrupted."
)


@dataclass(kw_only=True)
class Kept(ABC):
    """What is kept of a fit, so that another one can go on.

    Attributes
    ----------
    checkpoint : Checkpoint or None
        None before there is any.
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

    @abstractmethod
    def has_place_for(self, train: RowDataset, training: Training) -> bool:
        """Tell whether a training on these rows is kept."""

    @abstractmethod
    def begin(self, training: Training) -> None:
        """Do what is to be done when the training begins."""

    @abstractmethod
    def keep(self, training: Training) -> None:
        """Keep where the training stands at the end of an epoch."""

    @abstractmethod
    def end(self, training: Training) -> None:
        """Do what is to be done when the training has ended."""

    @abstractmethod
    def fail(self) -> str:
        """Do what is to be done when the training has failed; return how to go on."""


class KeptInMemory(Kept):
    """What a process keeps of a fit in memory, should another process be lost."""

    def has_place_for(self, train: RowDataset, training: Training) -> bool:
        """Tell whether the rows are not coordinates: other processes would have others.

        Few rows of many features are trained in coordinates, which takes seconds.
        """
        return train.n_features == training.table.n_features

    def begin(self, training: Training) -> None:
        """Do nothing."""

    def keep(self, training: Training) -> None:
        """Copy where the training stands."""
        self.checkpoint = Checkpoint.of(training, own=False)

    def end(self, training: Training) -> None:
        """Do nothing."""

    def fail(self) -> str:
        """Return nothing: who retries the fit knows how."""
        return ""


class GoOn(Callback):
    """Goes on from the newest checkpoint. It is the first to hear of the beginning.

    Parameters
    ----------
    kept : Kept
    training : Training
    """

    def __init__(self, kept: Kept, training: Training) -> None:
        self.kept, self.training = kept, training
        self.checkpoint: Checkpoint | None = None

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Load the newest checkpoint, unless it is of the start."""
        checkpoint = self.kept.newest(net.world)
        if checkpoint is not None and checkpoint.history:
            checkpoint.load(self.training)
            self.checkpoint = checkpoint
        self.kept.begin(self.training)

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Load what others have changed when they heard of the beginning."""
        if self.checkpoint is not None:
            self.checkpoint.load_own(net)
        self.checkpoint = None

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Load it where no epoch was left."""
        self.on_epoch_begin(net)


class Keep(Callback):
    """Keeps a checkpoint at the end of each epoch. It is the last to hear of that.

    Parameters
    ----------
    kept : Kept
    training : Training
    """

    def __init__(self, kept: Kept, training: Training) -> None:
        self.kept, self.training = kept, training

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Keep where the training stands."""
        self.kept.keep(self.training)

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Keep where the training ended."""
        self.kept.end(self.training)


@contextmanager
def keeping(kept: Kept | None, training: Training, train: RowDataset) -> Iterator[None]:
    """Keep checkpoints of the training inside this context, and go on from the newest."""
    if kept is not None and not kept.has_place_for(train, training):
        kept = None
    net = training.net
    before = list(net.callbacks_)
    if kept is not None:
        net.callbacks_.insert(0, ("_go_on", GoOn(kept, training)))
        net.callbacks_.append(("_keep", Keep(kept, training)))
    try:
        yield
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            where = f"epoch {len(net.history)} of {net.max_epochs}"
            error.add_note(f"fit was interrupted in {where}; the estimator is as it was before.")
        remedy = NOT_KEPT if kept is None else kept.fail()
        if remedy and (kept is not None or isinstance(error, KeyboardInterrupt)):
            error.add_note(remedy)
        raise
    finally:
        net.callbacks_[:] = before
