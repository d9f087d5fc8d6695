"""Data for examples and benchmarks: read from the folder ``SKAE_DATA``, else from OpenML."""

import gzip
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import fetch_openml

__all__ = ["data_folder", "fetch_fashion_mnist", "fetch_mnist"]


def data_folder() -> Path | None:
    """Return the folder that the environment variable ``SKAE_DATA`` names, if it is set.

    Returns
    -------
    pathlib.Path or None
        The folder; None where the variable is not set.

    Raises
    ------
    FileNotFoundError
        If the variable names no folder.

    Examples
    --------
    >>> from skae.datasets import data_folder
    >>> folder = data_folder()
    >>> folder is None or folder.is_dir()
    True
    """
    name = os.environ.get("SKAE_DATA")
    if not name:
        return None
    folder = Path(name)
    if not folder.is_dir():
        raise FileNotFoundError(f"SKAE_DATA={name!r} is no folder; correct it or unset it.")
    return folder


def fetch_mnist() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return MNIST's 70,000 images and their digits, the 60,000 for training first.

    Returns
    -------
    X : ndarray of shape (70000, 784), uint8
        Pixels from 0 to 255.
    y : ndarray of shape (70000,), uint8
        Digits.

    References
    ----------
    .. [1] LeCun, Y., Bottou, L., Bengio, Y. and Haffner, P., "Gradient-based learning
       applied to document recognition", Proceedings of the IEEE 86, 1998.

    Examples
    --------
    Not run by the tests: without ``SKAE_DATA`` it downloads.

    >>> from skae.datasets import fetch_mnist
    >>> X, y = fetch_mnist()  # doctest: +SKIP
    >>> X_train, X_test = X[:60_000] / 255, X[60_000:] / 255  # doctest: +SKIP
    """
    return _fetch("mnist", "mnist_784")


def fetch_fashion_mnist() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return Fashion-MNIST's 70,000 images and their classes, the 60,000 for training first.

    Returns
    -------
    X : ndarray of shape (70000, 784), uint8
        Pixels from 0 to 255.
    y : ndarray of shape (70000,), uint8
        Kinds of clothes, from 0 to 9.

    References
    ----------
    .. [1] Xiao, H., Rasul, K. and Vollgraf, R., "Fashion-MNIST: a novel image dataset for
       benchmarking machine learning algorithms", arXiv 1708.07747, 2017.

    Examples
    --------
    Not run by the tests: without ``SKAE_DATA`` it downloads.

    >>> from skae.datasets import fetch_fashion_mnist
    >>> X, y = fetch_fashion_mnist()  # doctest: +SKIP
    """
    return _fetch("fashion-mnist", "Fashion-MNIST")


def _fetch(name: str, openml_name: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    folder = data_folder()
    if folder is not None and (folder / name).is_dir():
        parts = [
            np.concatenate([read_idx(folder / name / f"{s}-{kind}.gz") for s in ("train", "t10k")])
            for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")
        ]
        return parts[0].reshape(-1, 784), parts[1]
    X, y = fetch_openml(openml_name, version=1, return_X_y=True, as_frame=False)
    return X.astype(np.uint8), y.astype(np.uint8)


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Read a gzipped IDX file of unsigned bytes, the format of MNIST."""
    with gzip.open(path) as file:
        content = file.read()
    n_dimensions = content[3]
    shape = np.frombuffer(content, ">i4", n_dimensions, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * n_dimensions).reshape(shape)
