"""Files that are written whole or not at all."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

# How the names of files end that are being written.
UNFINISHED = ".part"


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Yield a new file that takes the place of ``path`` when this context ends without an error.

    Until then, and after a crash or an error at any moment, ``path`` is what it was. The new file
    is in the same folder, its name ends in ``.part``, and an error removes it.

    Raises
    ------
    OSError
        Of the kind that the system gave, such as FileNotFoundError, saying that ``path`` is as
        it was.
    """
    wanted = Path(path)
    with telling(wanted):
        target = wanted.resolve()  # where a link leads, so that the link stays one
        if target.is_dir():
            raise IsADirectoryError(21, "it is a folder", str(wanted))
        part = target.with_name(f".{target.name}.{secrets.token_hex(4)}{UNFINISHED}")
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0)
        file = os.fdopen(os.open(part, flags, 0o666), "wb")
    try:
        with telling(wanted), file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        with telling(wanted):
            if target.exists():
                shutil.copymode(target, part)
            part.replace(target)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise
    settle_folder(target.parent)


@contextmanager
def telling(path: Path) -> Iterator[None]:
    """Let errors of the system say what became of ``path``, and what can be done."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        there = "the file that is there stays as it was" if path.exists() else "nothing was written"
        raise OSError(
            error.errno,
            f"{str(path)!r} cannot be written ({reason}), and {there}; pass a path in a folder "
            "that exists, that you may write to, and that has space",
        ) from error


def settle_folder(folder: Path) -> None:
    """Make a folder's new entries last through a loss of power, where the system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def remove_unfinished(path: Path) -> None:
    """Remove what a process that was killed had begun to write in the place of ``path``."""
    for part in path.parent.glob(f".{path.name}.*{UNFINISHED}"):
        part.unlink(missing_ok=True)
