"""The folder of checkpoints that fits share."""

import itertools
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from skae._data.sources import Source
from skae._data.world import World
from skae._estimator.checkpoints.identity import (
    describe_parameters,
    describe_rows,
    differences,
    key_of,
)
from skae._files.caller import caller_level
from skae._files.format import ModelFileError, open_file
from skae._files.replace import remove_unfinished
from skae._training.resume.checkpoint import Checkpoint
from skae._training.resume.disk import INTERRUPTED, KIND, KeptOnDisk, read_checkpoint

# Seconds to wait for a lock: another fit may hold it for a moment to see whether anyone else does.
PATIENCE = 0.2
# Files of interrupted fits that this process has been warned of.
WARNED: set[Path] = set()


@contextmanager
def checkpoints(estimator: Any, world: World) -> Iterator["Folder | None"]:
    """Yield the folder in which a fit keeps its checkpoints; None where it keeps none.

    Raises
    ------
    ValueError
        For a fit of several processes (:func:`skae.dask.fit` has retries).
    OSError
        Where the folder cannot be made.
    """
    if estimator.checkpoint is None:
        yield None
        return
    if world.size > 1:
        raise ValueError(
            f"checkpoint={estimator.checkpoint!r} is for fits of one process; pass checkpoint=None "
            "where several fit together."
        )
    folder = Folder(estimator)
    with folder.locks:
        yield folder


class Folder:
    """A folder with a file for each fit; another process that runs the same fit has its own file.

    Parameters
    ----------
    estimator : estimator
        Whose parameters the fit has, before anything is drawn from its ``random_state``.
    """

    def __init__(self, estimator: Any) -> None:
        self.path = make_folder(estimator.checkpoint)
        self.name = type(estimator).__name__
        self.is_seeded = estimator.random_state is not None
        self.parameters = describe_parameters(estimator)
        self.locks = ExitStack()

    def claim(self, source: Source, groups: Any, seed: int) -> KeptOnDisk:
        """Return this fit's file, with where it stood when it was last seen, if it was.

        Parameters
        ----------
        source : Source
        groups : ndarray or None
        seed : int
            Of this fit, if it is new.
        """
        identity = {**self.parameters, **describe_rows(source, groups)}
        names = (f"{self.name}-{key_of(identity)}-{n}.safetensors" for n in itertools.count(1))
        path = next(self.path / name for name in names if self._lock(self.path / name))
        kept = KeptOnDisk(path)
        remove_unfinished(path)
        remove_unfinished(kept.interrupted)
        # Without a seed each fit that was not interrupted is another.
        files = [path, kept.interrupted] if self.is_seeded else [kept.interrupted]
        found = next((file for file in files if file.exists()), None)
        kept.seed = seed
        if found is not None:
            kept.checkpoint, kept.seed = read(found)
            kept.has_ended = found == path
        else:
            self._warn_of_others(identity)
        kept.document = {"estimator": self.name, "fit": identity, "seed": kept.seed}
        return kept

    def _lock(self, path: Path) -> bool:
        """Lock a fit's files until the end of this fit; return whether no other fit has them."""
        lock = lock_of(path)
        try:
            lock.acquire(timeout=PATIENCE, poll_interval=PATIENCE / 20)
        except Timeout:
            return False
        except (OSError, NotImplementedError) as error:
            raise OSError(
                getattr(error, "errno", None),
                f"checkpoint={os.fspath(self.path)!r} cannot be written to ({error}); pass a "
                "folder that you may write to, on a disk that has locks",
            ) from error
        self.locks.callback(lock.release)
        return True

    def _warn_of_others(self, identity: dict[str, Any]) -> None:
        """Warn of an interrupted fit that this one, which differs, does not go on from."""
        others = []
        for path in sorted({*self.path.glob(f"{self.name}-*{INTERRUPTED}")} - WARNED):
            found = interrupted_fit(path)
            if found is not None:
                others.append((differences(found, identity), path))
        if others:
            differing, path = min(others, key=lambda other: len(other[0]))
            WARNED.add(path)
            warnings.warn(
                f"checkpoint={os.fspath(self.path)!r} has a fit that was interrupted, "
                f"{path.name}, and this fit begins anew, because these differ: "
                f"{', '.join(differing)}. To go on with that fit, pass its parameters and rows; "
                "or delete the file.",
                stacklevel=caller_level(),
            )


def lock_of(path: Path) -> FileLock:
    """Return the lock of a fit's files."""
    return FileLock(path.with_name(f".{path.name}.lock"))


def interrupted_fit(path: Path) -> dict[str, Any] | None:
    """Return what a fit depends on that has not ended; None where a process runs it."""
    lock = lock_of(path.with_name(path.name.removesuffix(INTERRUPTED) + ".safetensors"))
    try:
        with lock.acquire(timeout=0), open_file(path, KIND) as file:
            identity: dict[str, Any] = file.document["fit"]
            return dict(identity)
    except (Timeout, ModelFileError, OSError, NotImplementedError, KeyError, TypeError, ValueError):
        return None


def read(path: Path) -> tuple[Checkpoint, int]:
    """Return the checkpoint of a file, and the seed of its fit."""
    try:
        with open_file(path, KIND) as file:
            return read_checkpoint(file), int(file.document["seed"])
    except ModelFileError as error:
        raise ModelFileError(f"{error} Or delete it, and the fit begins anew.") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelFileError(
            f"{os.fspath(path)!r} is no checkpoint of this version of skae ({error}). Delete it, "
            "and the fit begins anew."
        ) from error


def make_folder(folder: Any) -> Path:
    """Return a folder, made where there is none, into which files can be written."""
    try:
        path = Path(os.fsdecode(folder)).expanduser().absolute()
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            return path
    except (OSError, RuntimeError, ValueError) as error:  # an unknown ~user, a NUL in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise OSError(
            getattr(error, "errno", None),
            f"checkpoint={os.fspath(folder)!r} is no folder that can be made or written to "
            f"({reason}); pass one that you may write to",
        ) from error
