"""Where a process keeps its rows of a fit: in a file, of which a slice at a time is read."""

import errno
import shutil
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from skae._data.tables import to_numbers


@dataclass(frozen=True)
class Stored:
    """A part of the rows, in the file of the process that stored it.

    Attributes
    ----------
    number : int
        Which of the file's parts it is.
    offset : int
        Where its bytes begin.
    n_rows, n_features : int
    dtype : str
    is_sparse : bool
        Whether the rows are a sparse matrix, which is kept in memory.
    """

    number: int
    offset: int
    n_rows: int
    n_features: int
    dtype: str
    is_sparse: bool = False


class Place:
    """Rows of one fit in a file, and in memory what there is one of for each row.

    Files, and not memory maps: mapped pages count as the process's memory, so that a worker
    whose memory is watched would be ended although the system could drop them at any time.

    Parameters
    ----------
    folder : str
        In which a new folder is made.
    """

    def __init__(self, folder: str) -> None:
        Path(folder).mkdir(parents=True, exist_ok=True)
        self.folder = Path(tempfile.mkdtemp(prefix="skae-rows-", dir=folder))
        self.path = self.folder / "rows"
        self.path.touch()
        self._lock = threading.Lock()
        self._size = self._n_parts = 0
        # By the number of the part.
        self._weights: dict[int, Any] = {}
        self._groups: dict[int, Any] = {}
        self._sparse: dict[int, Any] = {}

    def store(self, block: Any, weights: Any = None, groups: Any = None) -> Stored:
        """Store a part of the rows; threads may do so at the same time.

        Parameters
        ----------
        block : table of shape (n_rows, n_features)
            Anything that an estimator takes.
        weights, groups : array-like of shape (n_rows,) or None
        """
        rows = to_numbers(block)
        is_sparse = sparse.issparse(rows)
        rows = sparse.csr_array(rows) if is_sparse else np.ascontiguousarray(rows)
        require_table(rows)
        for name, values in (("sample_weight", weights), ("groups", groups)):
            require_one_each(name, values, rows.shape[0])
        size = 0 if is_sparse else rows.nbytes
        with self._lock:
            number, offset = self._n_parts, self._size
            self._n_parts, self._size = number + 1, offset + size
        if size:
            self._write(rows, offset)
        elif is_sparse:
            self._sparse[number] = rows
        self._weights[number], self._groups[number] = weights, groups
        n_rows, n_features = rows.shape
        return Stored(number, offset, n_rows, n_features, str(rows.dtype), is_sparse)

    def _write(self, rows: NDArray[Any], offset: int) -> None:
        try:
            with open(self.path, "r+b", buffering=0) as file:
                file.seek(offset)
                content = rows.reshape(-1).view(np.uint8).data
                while len(content):
                    content = content[file.write(content) :]
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            raise OSError(
                errno.ENOSPC,
                f"no space for {rows.nbytes:,} bytes of rows, which a fit stores on the worker's "
                "disk; give workers another folder with Dask's setting temporary-directory, or "
                "convert X to float32",
                str(self.path),
            ) from error

    def rows(
        self,
        parts: Sequence[Stored],
        dtype: np.dtype,
        *,
        in_memory: bool,
        check: Callable[[], None] | None = None,
    ) -> Any:
        """Return parts as one table.

        Parameters
        ----------
        parts : sequence of Stored
        dtype : numpy.dtype
            Of all rows of the fit.
        in_memory : bool
            Whether to read them into an array; otherwise slices of the result are read.
        check : callable or None
            Called before every reading; raises where the fit has been stopped.
        """
        if len({part.is_sparse for part in parts}) > 1:
            raise ValueError(
                "X has sparse partitions and others in one process; make all of one kind, as by "
                "X.map_blocks(scipy.sparse.csr_array)."
            )
        if parts[0].is_sparse:
            return sparse.vstack([self._sparse[part.number] for part in parts], format="csr")
        rows = StoredRows(self.path, parts, dtype, check)
        return rows[:] if in_memory else rows

    def beside(self, parts: Sequence[Stored]) -> tuple[Any, Any]:
        """Return the weights and the groups of parts' rows; None where there are none."""
        numbers = [part.number for part in parts]
        weights = [self._weights[number] for number in numbers]
        groups = [self._groups[number] for number in numbers]
        return joined(weights), joined(groups)

    def remove(self) -> None:
        """Remove all that is stored."""
        shutil.rmtree(self.folder, ignore_errors=True)
        for values in (self._weights, self._groups, self._sparse):
            values.clear()


class StoredRows:
    """Rows in a file, of which slices are read: what a fit takes for rows that are stored.

    Parameters
    ----------
    path : Path
    parts : sequence of Stored
        In order of the rows.
    dtype : numpy.dtype
        Of what is read.
    check : callable or None
        Called before every reading.
    """

    def __init__(
        self,
        path: Path,
        parts: Sequence[Stored],
        dtype: np.dtype,
        check: Callable[[], None] | None = None,
    ) -> None:
        self.path, self.parts, self.dtype, self.check = path, list(parts), dtype, check
        self.ends = np.cumsum([part.n_rows for part in parts])
        self.shape = (int(self.ends[-1]), parts[0].n_features)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        if self.check is not None:
            self.check()
        start, stop, step = rows.indices(self.shape[0])
        if step != 1:
            raise ValueError(f"Rows are read in slices of step 1, got {rows!r}.")
        table = np.empty((max(0, stop - start), self.shape[1]), dtype=self.dtype)
        first = int(np.searchsorted(self.ends, start, side="right"))
        done = 0
        with open(self.path, "rb", buffering=0) as file:
            while done < len(table):
                part, end = self.parts[first], int(self.ends[first])
                row = start + done - (end - part.n_rows)
                n = min(stop, end) - start - done
                self._read(file, part, row, table[done : done + n])
                done, first = done + n, first + 1
        return table

    def _read(self, file: Any, part: Stored, row: int, table: NDArray[Any]) -> None:
        """Read rows of a part from one on."""
        kind = np.dtype(part.dtype)
        target = table if kind == self.dtype else np.empty(table.shape, dtype=kind)
        file.seek(part.offset + row * part.n_features * kind.itemsize)
        content = target.reshape(-1).view(np.uint8).data
        while len(content):
            n = file.readinto(content)
            if not n:
                raise OSError(f"the file {self.path} ended before row {row} of a part")
            content = content[n:]
        if target is not table:
            table[:] = target


def common_dtype(parts: Sequence[Stored]) -> np.dtype:
    """Return the type of numbers that holds those of all parts."""
    return np.result_type(*{np.dtype(part.dtype) for part in parts})


def n_bytes(parts: Sequence[Stored]) -> int:
    """Return how much memory the rows of parts take in a fit: all but float32 become float64."""
    size = 4 if common_dtype(parts) in (np.float32, np.float16) else 8
    return sum(part.n_rows * part.n_features * size for part in parts if not part.is_sparse)


def require_table(rows: Any) -> None:
    """Raise ValueError where a part is no table of numbers."""
    if rows.ndim != 2 or rows.dtype.kind not in "biuf":
        raise ValueError(
            f"X has a partition of shape {rows.shape} and dtype {rows.dtype}; expected a 2D table "
            "of real numbers in each."
        )


def require_one_each(name: str, values: Any, n_rows: int) -> None:
    """Raise ValueError where a part has not one value for each of its rows."""
    shape = None if values is None else np.shape(values)
    if shape is not None and shape != (n_rows,):
        raise ValueError(
            f"{name} has a partition of shape {shape} beside one of X with {n_rows} rows; pass "
            f"{name} in the same partitions as X."
        )


def joined(parts: list[Any]) -> Any:
    """Return values of rows as one array; None where there are none."""
    return None if parts[0] is None else np.concatenate([np.asarray(part) for part in parts])
