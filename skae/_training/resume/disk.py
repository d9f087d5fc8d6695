"""Checkpoints on the disk: written while the training goes on, and read by the next one."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from skae._data.batches import RowDataset
from skae._files.format import StoredFile, write_file
from skae._files.values import Decoder, Encoder, no_other
from skae._training.resume.checkpoint import Checkpoint
from skae._training.resume.kept import Kept
from skae._training.selection import Training

KIND = "checkpoint"
# How the name of a file ends whose fit has not ended.
INTERRUPTED = ".interrupted.safetensors"
# The share of the time that may go into copies of where a training stands, and into writing them.
COPY_SHARE, WRITE_SHARE = 0.01, 0.02
# The number of epochs, the JSON and the arrays of a checkpoint.
Pending = tuple[int, Any, dict[str, Any]]


@dataclass
class Budget:
    """A share of the time that passes, for something that is done again and again.

    Parameters
    ----------
    share : float
    """

    share: float
    started: float = field(default_factory=time.monotonic)
    spent: float = 0.0
    last: float = 0.0

    def allows(self) -> bool:
        """Tell whether to do it once more, if it takes as long as the last time."""
        return self.spent + self.last <= self.share * (time.monotonic() - self.started)

    @contextmanager
    def spending(self, clock: Callable[[], float]) -> Iterator[None]:
        """Count the seconds of a clock that pass in this context."""
        before = clock()
        yield
        self.last = clock() - before
        self.spent += self.last


@dataclass
class KeptOnDisk(Kept):
    """What a fit keeps in a file, should its process be killed.

    A thread writes, so that the training goes on meanwhile. A file is replaced as a whole: there
    is always one, and it is complete.

    Attributes
    ----------
    path : Path
        Of the file that says where the training ended.
    document : dict
        What the file says of the fit, beside the checkpoint.
    pending : Pending or None
        What is still to be written.
    n_written : int
        How many epochs the last checkpoint has that was written, −1 before the first.
    has_ended : bool
        Whether the file says already where the training ended.
    error : Exception or None
        What the writing thread has come across.
    """

    path: Path
    document: dict[str, Any] = field(default_factory=dict)
    pending: Pending | None = None
    n_written: int = -1
    has_ended: bool = False
    error: Exception | None = None
    thread: threading.Thread | None = None
    copies: Budget = field(default_factory=lambda: Budget(COPY_SHARE))
    writes: Budget = field(default_factory=lambda: Budget(WRITE_SHARE))

    @property
    def interrupted(self) -> Path:
        """Path of the file that says where the training stands as long as it has not ended."""
        return self.path.with_name(self.path.name.removesuffix(".safetensors") + INTERRUPTED)

    def has_place_for(self, train: RowDataset, training: Training) -> bool:
        """Return True: the coordinates of few rows are the same when the fit is repeated."""
        return True

    def begin(self, training: Training) -> None:
        """Write the first checkpoint, which shows whether the folder can be written to."""
        if self.checkpoint is None:
            self._copy(lambda: Checkpoint.of(training, own=True))
            self.write_now()
        else:
            self.n_written = len(self.checkpoint.history)
        self.checkpoint = None  # it is loaded, and need not be in memory
        self.copies, self.writes = Budget(COPY_SHARE), Budget(WRITE_SHARE)

    def keep(self, training: Training) -> None:
        """Copy where the training stands, and let it be written, where that takes little time."""
        self._raise()
        if self.copies.allows():
            self._copy(lambda: Checkpoint.of(training, own=True))
            if self.writes.allows() and not self._is_writing():
                # Taken here, so that no other thread than this one touches what is pending.
                arguments = (self._take(), self.interrupted)
                self.thread = threading.Thread(target=self._write, args=arguments, daemon=True)
                self.thread.start()

    def end(self, training: Training) -> None:
        """Write where the training ended, unless that had been written."""
        if not self.has_ended:
            self._copy(lambda: Checkpoint.at_end(training))
            self.write_now(self.path)
        self.interrupted.unlink(missing_ok=True)

    def fail(self) -> str:
        """Write what is still to be written, and say how to go on."""
        with suppress(Exception):
            self.write_now()
        if self.n_written < 0:
            return ""
        where = f"the end of epoch {self.n_written}" if self.n_written else "the start"
        return (
            f"Call fit again with the same parameters and rows to go on from {where}, which is "
            f"kept in {os.fspath(self.path.parent)!r}."
        )

    def write_now(self, path: Path | None = None) -> None:
        """Write what is still to be written; raise OSError where that fails."""
        if self.thread is not None:
            self.thread.join()
        if self.pending is not None:
            self._write(self._take(), path or self.interrupted)
        self._raise()

    def _copy(self, make: Callable[[], Checkpoint]) -> None:
        with self.copies.spending(time.perf_counter):
            encoder, checkpoint = Encoder(), make()
            try:
                coded = encoder.encode(vars(checkpoint))
            except TypeError as error:
                raise ValueError(
                    f"checkpoint={os.fspath(self.path.parent)!r} cannot keep the training: net."
                    f"{error} Record numbers, texts, arrays, or lists and dicts of these."
                ) from error
            self.pending = (len(checkpoint.history), coded, encoder.arrays)

    def _is_writing(self) -> bool:
        return self.thread is not None and self.thread.is_alive()

    def _take(self) -> Pending:
        assert self.pending is not None
        pending, self.pending = self.pending, None
        return pending

    def _write(self, pending: Pending, path: Path) -> None:
        n_epochs, coded, arrays = pending
        with self.writes.spending(time.thread_time):
            try:
                document = {**self.document, "checkpoint": coded}
                write_file(path, KIND, document, arrays)
                self.n_written = n_epochs
            except Exception as error:
                self.error = error

    def _raise(self) -> None:
        """Raise what the writing thread has come across."""
        if self.error is None:
            return
        error, self.error = self.error, None
        folder = os.fspath(self.path.parent)
        if not isinstance(error, OSError):
            error.add_note(f"It was raised while checkpoint={folder!r} was written.")
            raise error
        cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
        last = "there is no checkpoint"
        if self.interrupted.exists():
            last = "the last checkpoint is whole: call fit again with the same parameters and rows"
        raise OSError(
            error.errno,
            f"checkpoint={folder!r} cannot be written to ({cause.strerror}), so the fit has "
            f"ended. Make room there, or pass another folder; {last}",
        ) from error


def read_checkpoint(file: StoredFile) -> Checkpoint:
    """Return the checkpoint of a file."""
    values = Decoder(file.arrays(), lambda coded: no_other("a checkpoint", coded))
    return Checkpoint(**values.decode(file.document["checkpoint"]))
