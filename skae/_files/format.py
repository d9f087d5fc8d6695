"""One safetensors file for a document and its arrays, with a digest of both."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from skae._files.replace import replacing
from skae._files.words import shown_error

Array = NDArray[Any]
Shapes = dict[str, tuple[np.dtype[Any], tuple[int, ...]]]
# Of the files that this version writes; it reads these and older ones.
FORMAT_VERSION = 1
# The entry of the file's metadata that the document is in.
ENTRY = "skae"
# Where a document is that is too long for the metadata, of which safetensors takes 100 MB.
DOCUMENT = "$document"
LONGEST = 2**20
# The number formats that files have, by safetensors' names.
FORMATS = {
    "BOOL": np.dtype("bool"),
    "I8": np.dtype("int8"),
    "I16": np.dtype("int16"),
    "I32": np.dtype("int32"),
    "I64": np.dtype("int64"),
    "U8": np.dtype("uint8"),
    "U16": np.dtype("uint16"),
    "U32": np.dtype("uint32"),
    "U64": np.dtype("uint64"),
    "F16": np.dtype("float16"),
    "F32": np.dtype("float32"),
    "F64": np.dtype("float64"),
}
# How files of other kinds begin, and what these are.
OTHERS = {
    b"\x80": "a pickle, which could run any code when it is loaded: skae.load never does that",
    b"PK\x03\x04": "a zip archive, as torch.save and skops write, and not what save writes",
    b"\x89HDF": "an HDF5 file, and not what save writes",
    b"\x1f\x8b": "a gzip file, and not what save writes",
    **{
        start: "a compressed file, as joblib writes, and not what save writes"
        for start in (b"\x78\x01", b"\x78\x9c", b"\x78\xda", b"BZh", b"\xfd7zXZ")
    },
}


class ModelFileError(ValueError):
    """Raised by :func:`skae.load`, saying what is wrong with a file."""


def write_file(
    path: str | os.PathLike[str], kind: str, document: dict[str, Any], arrays: dict[str, Array]
) -> None:
    """Write a document and arrays in the place of ``path``, whole or not at all.

    Parameters
    ----------
    path : path
    kind : str
        What the file is for.
    document : dict
        JSON.
    arrays : dict of str to ndarray
        Contiguous.
    """
    content = {"format_version": FORMAT_VERSION, "kind": kind, "document": document}
    text = canonical(content)
    shapes = {name: (array.dtype, array.shape) for name, array in arrays.items()}
    sha256 = digest_of(text, shapes, (arrays[name] for name in sorted(arrays)))
    whole = canonical({**content, "sha256": sha256})
    if len(whole) > LONGEST:
        arrays = {**arrays, DOCUMENT: np.frombuffer(whole.encode(), np.uint8)}
        whole = DOCUMENT
    data = safetensors.numpy.save(arrays, {ENTRY: whole})
    with replacing(path) as file:
        file.write(data)


def canonical(content: dict[str, Any]) -> str:
    """Return JSON in the one way in which it is written."""
    return json.dumps(content, separators=(",", ":"), allow_nan=False)


def digest_of(text: str, shapes: Shapes, arrays: Iterable[Array]) -> str:
    """Return the sha256 of a file's text, and of its arrays in the order of their names."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(shapes):
        dtype, shape = shapes[name]
        digest.update(f"\n{name} {dtype.name} {shape}".encode())
    for array in arrays:
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


@dataclass
class StoredFile:
    """An open file of which the document and the shapes are known, and no array is read.

    Attributes
    ----------
    path : str
    document : dict
    shapes : dict of str to (dtype, shape)
        Of the arrays.
    """

    path: str
    document: dict[str, Any]
    shapes: Shapes
    _file: Any
    _text: str
    _sha256: str
    _is_whole: bool = False

    def arrays(self) -> dict[str, Array]:
        """Read the arrays; raise ModelFileError where they, or the document, are not as written."""
        found = {name: self._read(name) for name in sorted(self.shapes)}
        self._require(found.values())
        self._is_whole = True
        return found

    def verify(self) -> None:
        """Raise ModelFileError where the file is not as written; keep none of its arrays."""
        if not self._is_whole:
            self._require(map(self._read, sorted(self.shapes)))

    def _read(self, name: str) -> Array:
        try:
            array: Array = self._file.get_tensor(name)
        except safetensors.SafetensorError as error:
            raise ModelFileError(
                f"{self.path!r} was cut short while it was read ({error}); load it again."
            ) from error
        return array

    def _require(self, arrays: Iterable[Array]) -> None:
        if digest_of(self._text, self.shapes, arrays) != self._sha256:
            raise ModelFileError(
                f"{self.path!r} is damaged: its sha256 is not the one that was written with it. "
                "Take a copy of the file that is not."
            )


@contextmanager
def open_file(path: str | os.PathLike[str], kind: str) -> Iterator[StoredFile]:
    """Open a file that :func:`write_file` wrote; nothing in it is executed, whatever it is.

    Raises
    ------
    ModelFileError
        For any other file, saying what is wrong.
    OSError
        Where it cannot be read at all.
    """
    name = os.fsdecode(path)
    try:
        require_no_other(name)
        # Not mapped into memory: a file that another program cuts short would end the process.
        file = safetensors.safe_open(name, framework="np", backend="pread")
    except OSError as error:
        raise OSError(
            error.errno,
            f"{name!r} cannot be read ({error.strerror or error}); pass the path of a file that "
            "save wrote, and that you may read",
        ) from error
    except safetensors.SafetensorError as error:
        raise ModelFileError(
            f"{name!r} cannot be loaded: it is cut short, or damaged, or no file that save wrote "
            f"({error}). Take a copy of the file that is whole."
        ) from error
    with file:
        shapes = {key: read_shape(name, file.get_slice(key)) for key in file.keys()}  # noqa: SIM118
        metadata = file.metadata() or {}
        if metadata.get(ENTRY) == DOCUMENT and shapes.pop(DOCUMENT, None):
            text = file.get_tensor(DOCUMENT).tobytes().decode(errors="replace")
            metadata = {ENTRY: text}
        whole = read_document(name, metadata, kind)
        sha256 = whole.pop("sha256", "")
        yield StoredFile(name, whole["document"], shapes, file, canonical(whole), sha256)


def require_no_other(name: str) -> None:
    """Raise ModelFileError where a file's first bytes are those of another kind of file."""
    # A pipe would never end.
    if os.path.exists(name) and not (os.path.isfile(name) or os.path.isdir(name)):
        raise ModelFileError(f"{name!r} is no file, but a pipe or a device.")
    with open(name, "rb") as file:
        start = file.read(8)
    for beginning, what in OTHERS.items():
        # A safetensors file begins with the length of its header, 8 bytes of which the last five
        # are 0, and may so begin like another kind of file.
        if start.startswith(beginning) and start[3:8] != bytes(5):
            raise ModelFileError(f"{name!r} is {what}.")
    if len(start) < 8:
        raise ModelFileError(f"{name!r} has {len(start)} bytes, and is no file that save wrote.")


def read_document(name: str, metadata: dict[str, str], kind: str) -> dict[str, Any]:
    """Return what is in a file's metadata, or raise ModelFileError."""
    if ENTRY not in metadata:
        raise ModelFileError(f"{name!r} is a safetensors file, but none that skae wrote.")
    try:
        whole = json.loads(metadata[ENTRY])
        version, found = whole["format_version"], whole["kind"]
        if not isinstance(whole["document"], dict) or not isinstance(version, int):
            raise TypeError("the document or the version is of another type")
        # Not as it was written, such as with an entry twice, of which others might read the first.
        if len(metadata) > 1 or canonical(whole) != metadata[ENTRY]:
            raise ValueError("it is written otherwise than by save")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelFileError(
            f"{name!r} is damaged: its header has no valid JSON document ({shown_error(error)})."
        ) from error
    if version > FORMAT_VERSION:
        raise ModelFileError(
            f"{name!r} has the format version {str(version)[:20]}, and this version of skae reads "
            f"up to {FORMAT_VERSION}; install a newer skae."
        )
    if found != kind:
        raise ModelFileError(f"{name!r} is a {str(found)[:40]}, and no {kind}.")
    return dict(whole)


def read_shape(name: str, part: Any) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Return an array's number format and shape, before it is read."""
    dtype = FORMATS.get(part.get_dtype())
    if dtype is None:
        raise ModelFileError(
            f"{name!r} is damaged: it has numbers of the kind {part.get_dtype()!r}, which skae "
            "does not write."
        )
    return dtype, tuple(part.get_shape())
