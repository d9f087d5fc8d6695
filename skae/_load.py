"""Loading of saved estimators."""

import os
from collections.abc import Mapping
from typing import Any

from skae._adversarial import AdversarialAutoEncoder
from skae._autoencoder import AutoEncoder
from skae._contractive import ContractiveAutoEncoder
from skae._denoising import DenoisingAutoEncoder
from skae._dropout import DropoutAutoEncoder
from skae._estimator.saving.read import read_model
from skae._estimator.saving.savable import Savable
from skae._imputer import AutoEncoderImputer
from skae._outliers import AutoEncoderOutlierDetector
from skae._sparse import SparseAutoEncoder
from skae._variational import VariationalAutoEncoder
from skae._wasserstein import WassersteinAutoEncoder

# A file names one of these, and nothing that would have to be looked up or imported.
CLASSES: Mapping[str, type[Savable]] = {
    cls.__name__: cls
    for cls in (
        AdversarialAutoEncoder,
        AutoEncoder,
        AutoEncoderImputer,
        AutoEncoderOutlierDetector,
        ContractiveAutoEncoder,
        DenoisingAutoEncoder,
        DropoutAutoEncoder,
        SparseAutoEncoder,
        VariationalAutoEncoder,
        WassersteinAutoEncoder,
    )
}


def load(
    path: str | os.PathLike[str], /, *, estimator: type[Any] | None = None, **handed_in: Any
) -> Any:
    """Load a fitted estimator that its ``save`` wrote.

    Nothing in the file is executed or imported, whatever the file is. Names, numbers, shapes
    and sizes are checked before anything is built, and a digest of all of it finds damage. The
    loaded estimator is as the saved one was: its results have the same bits, and ``partial_fit``
    and warm starts go on.

    Parameters
    ----------
    path : str or path-like
        A file that ``save`` wrote.
    estimator : class or None
        The class of the estimator where it is yours, not one of skae's.
    **handed_in
        Parameters that the file does not have, by name: functions, classes and objects of yours,
        such as ``loss=my_loss``, and callbacks, for which None does; those of the autoencoder of
        a detector likewise. ``device`` says where the estimator is to be put.

    Returns
    -------
    estimator
        Fitted.

    Raises
    ------
    ModelFileError
        For a file that is none that ``save`` wrote, that is damaged or of a newer version, and
        where parts of yours are missing: the error names them.
    OSError
        Where the file cannot be read at all.
    TypeError, ValueError
        For what is handed in and is no such parameter, or is in the file.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> import skae
    >>> X = np.random.default_rng(0).normal(size=(100, 5))
    >>> model = skae.AutoEncoder(2, max_iter=2, random_state=0).fit(X)
    >>> with TemporaryDirectory() as folder:
    ...     model.save(Path(folder) / "model.safetensors")
    ...     again = skae.load(Path(folder) / "model.safetensors")
    >>> bool((again.transform(X) == model.transform(X)).all())
    True
    """
    return read_model(path, CLASSES, estimator, handed_in)
