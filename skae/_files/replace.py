"""Files that are written whole or not at all."""

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

# How the names of files end that are being written.
UNFINISHED = ".part"
# So much of a file's name is in that: names have 255 bytes at most.
LONGEST = 200


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
    wanted = Path(os.fsdecode(path))
    with telling(wanted):
        target = place_of(wanted)
        part = target.with_name(f".{target.name[:LONGEST]}.{secrets.token_hex(4)}{UNFINISHED}")
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


def place_of(path: Path) -> Path:
    """Return where a link leads, so that it stays one; raise OSError for what is no file."""
    try:
        target = path.resolve()
    except (RuntimeError, ValueError) as error:  # links in a circle, and a NUL in the name
        raise OSError(errno.EINVAL, str(error)) from error
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, "it is a folder")
    if target.exists() and not target.is_file():
        raise OSError(errno.EINVAL, "it is a pipe or a device")
    return target


@contextmanager
def telling(path: Path) -> Iterator[None]:
    """Let errors of the system say what became of ``path``, and what can be done."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        there = "what is there stays as it was" if os.path.lexists(path) else "nothing was written"
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
    for part in path.parent.glob(f".{path.name[:LONGEST]}.*{UNFINISHED}"):
        part.unlink(missing_ok=True)
