"""What every estimator that can be saved has."""

import os
from abc import ABC, abstractmethod
from typing import Any, ClassVar

from sklearn.utils.validation import check_is_fitted

from skae._estimator.environment import as_if_alone, snapshot
from skae._estimator.saving.parts import plain_parameters, restored_parameters
from skae._estimator.saving.pickles import completed, require_picklable
from skae._estimator.saving.versions import own_version
from skae._estimator.saving.write import write_model
from skae._training.outside.tasks import without_run


class Savable(ABC):
    """An estimator that is saved as numbers, names and arrays.

    It says by the methods below what its fitted state is: a dict in which classes of skae, torch
    and skorch are dicts of arrays and plain values.
    """

    # Parameters and parts of the state that hold estimators of skae, which are saved with it.
    _nested: ClassVar[tuple[str, ...]] = ()

    @classmethod
    @abstractmethod
    def _names_of_state(cls) -> tuple[set[str], set[str]]:
        """Return the names that a fitted state has, and those that it may have besides."""

    @classmethod
    @abstractmethod
    def _check_state(cls, state: dict[str, Any]) -> None:
        """Raise ValueError for what is no valid fitted state, before anything is built of it.

        Its arrays may be stand-ins that have a shape, a dtype and no memory.
        """

    def _get_state(self) -> dict[str, Any]:
        """Return the state as a dict."""
        state: Any = super().__getstate__()
        return dict(state)

    def _set_state(self, state: dict[str, Any]) -> None:
        """Build what :meth:`_get_state` was called on."""
        super().__setstate__(state)  # type: ignore[misc]

    @classmethod
    def _to_file(cls, state: dict[str, Any]) -> dict[str, Any]:
        """Return a state in which other libraries' classes are plain values, too."""
        return state

    @classmethod
    def _from_file(cls, state: dict[str, Any]) -> dict[str, Any]:
        """Return what :meth:`_to_file` was given."""
        return state

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted estimator into a file that :func:`skae.load` reads.

        The file has numbers, names and arrays, and nothing that loading executes. It is written
        whole or not at all: whatever happens, ``path`` has the old file or the new one. Functions
        and classes of yours are not in it: they are handed in again when the file is loaded. Nor
        are ``checkpoint``, a folder of this machine, and what ``set_callbacks`` was given.

        Parameters
        ----------
        path : str or path-like
            A file that is there is replaced.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        ValueError
            For a parameter that is not valid, for one of a class of yours that is called
            ``estimator``, and for an attribute of yours that is no plain value.
        OSError
            Where the file cannot be written; a file that was there stays.

        Examples
        --------
        :func:`skae.load` reads the file; its example has both.

        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> import numpy as np
        >>> from skae import AutoEncoderImputer
        >>> X = np.array([[1.0, 2.0], [2.0, np.nan], [3.0, 6.0], [4.0, 8.0]])
        >>> imputer = AutoEncoderImputer(hidden_layer_sizes=(), random_state=0).fit(X)
        >>> with TemporaryDirectory() as folder:
        ...     imputer.save(Path(folder) / "imputer.safetensors")
        ...     [file.name for file in Path(folder).iterdir()]
        ['imputer.safetensors']
        """
        check_is_fitted(self)
        with as_if_alone():
            write_model(snapshot(self), path)

    def __getstate__(self) -> dict[str, Any]:
        with as_if_alone():
            require_picklable(self)
            state = without_run(self._get_state())
            return {**plain_parameters(state), "_skae_version": own_version()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        with as_if_alone():
            state = restored_parameters(dict(state))
            version = state.pop("_skae_version", None)
            self._set_state(completed(type(self), state, version))
