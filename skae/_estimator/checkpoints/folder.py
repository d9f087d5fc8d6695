"""The folder of checkpoints that fits share."""

import itertools
import json
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
    digest,
)
from skae._estimator.saving.versions import own_version
from skae._files.format import ModelFileError, open_file
from skae._files.replace import remove_unfinished
from skae._training.resume.checkpoint import Checkpoint
from skae._training.resume.disk import KIND, KeptOnDisk, read_checkpoint


@contextmanager
def checkpoints(estimator: Any, world: World) -> Iterator["Folder | None"]:
    """Yield the folder in which a fit keeps its checkpoints; None where it keeps none.

    Raises
    ------
    ValueError
        For a fit of several processes, which has retries of its own.
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
        identity = {"skae": own_version(), **self.parameters, **describe_rows(source, groups)}
        path = self._lock(digest(json.dumps(identity, sort_keys=True).encode()))
        kept = KeptOnDisk(seed=seed, path=path)
        remove_unfinished(path)
        if path.exists():
            checkpoint, kept_seed = read(path)
            # Without a seed each fit that is not interrupted is another.
            if self.is_seeded or not checkpoint.is_over:
                kept.checkpoint, kept.seed = checkpoint, kept_seed
        else:
            self._warn_of_others(identity)
        kept.document = {"estimator": self.name, "fit": identity, "seed": kept.seed}
        return kept

    def _lock(self, key: str) -> Path:
        """Return the first file of this fit that no running fit has."""
        for number in itertools.count(1):
            path = self.path / f"{self.name}-{key}{f'-{number}' if number > 1 else ''}.safetensors"
            if self._is_free(path, keep=True):
                return path
        raise AssertionError

    def _is_free(self, path: Path, *, keep: bool) -> bool:
        lock = FileLock(path.with_name(f".{path.name}.lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return False
        if keep:
            self.locks.callback(lock.release)
        else:
            lock.release()
        return True

    def _warn_of_others(self, identity: dict[str, Any]) -> None:
        """Warn of an interrupted fit that this one, which differs, does not go on from."""
        others = []
        for path in sorted(self.path.glob(f"{self.name}-*.safetensors")):
            found = self._interrupted(path)
            if found is not None:
                others.append((differences(found, identity), path))
        if others:
            differing, path = min(others, key=lambda other: len(other[0]))
            warnings.warn(
                f"checkpoint={str(self.path)!r} has a fit that was interrupted, {path.name}, and "
                f"this fit begins anew, because it differs in: {', '.join(differing)}. To go on "
                "from there, call fit with what that had; or remove the file.",
                stacklevel=5,
            )

    def _interrupted(self, path: Path) -> dict[str, Any] | None:
        """Return what a fit depends on that has not ended and that no process runs."""
        try:
            with open_file(path, KIND) as file:
                is_over = file.document["checkpoint"]["is_over"]
                identity: dict[str, Any] = file.document["fit"]
        except (ModelFileError, OSError, KeyError, TypeError):
            return None
        return None if is_over or not self._is_free(path, keep=False) else identity


def read(path: Path) -> tuple[Checkpoint, int]:
    """Return the checkpoint of a file, and the seed of its fit."""
    try:
        with open_file(path, KIND) as file:
            return read_checkpoint(file), int(file.document["seed"])
    except (ModelFileError, KeyError, TypeError, ValueError) as error:
        raise ModelFileError(f"{error} Or remove it, and the fit begins anew.") from error


def make_folder(folder: Any) -> Path:
    """Return a folder, made where there is none."""
    path = Path(folder).expanduser()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(
            error.errno,
            f"checkpoint={str(folder)!r} is no folder and cannot be made one ({error.strerror}); "
            "pass a folder that you may write to",
        ) from error
    return path
