"""Autoencoders for scikit-learn that start at PCA.

from skae import AutoEncoder

codes = AutoEncoder(8).fit_transform(X)  # where PCA(8).fit_transform(X) stood
"""

import sys as _sys
from importlib import import_module as _import_module
from typing import Any as _Any

from skae._adversarial import AdversarialAutoEncoder
from skae._autoencoder import AutoEncoder
from skae._components import ComponentsSelection, select_n_components
from skae._contractive import ContractiveAutoEncoder
from skae._denoising import DenoisingAutoEncoder
from skae._dropout import DropoutAutoEncoder
from skae._estimator.jobs.advice import AdviceWarning
from skae._files.format import ModelFileError
from skae._imputer import AutoEncoderImputer
from skae._load import load
from skae._outliers import AutoEncoderOutlierDetector
from skae._sparse import SparseAutoEncoder
from skae._variational import VariationalAutoEncoder
from skae._wasserstein import WassersteinAutoEncoder

__version__ = "0.1.0"

__all__ = [
    "AdversarialAutoEncoder",
    "AdviceWarning",
    "AutoEncoder",
    "AutoEncoderImputer",
    "AutoEncoderOutlierDetector",
    "ComponentsSelection",
    "ContractiveAutoEncoder",
    "DenoisingAutoEncoder",
    "DropoutAutoEncoder",
    "ModelFileError",
    "SparseAutoEncoder",
    "VariationalAutoEncoder",
    "WassersteinAutoEncoder",
    "load",
    "select_n_components",
]

# Modules that `import skae` leaves out, and `skae.display` finds all the same.
_MODULES = ("base", "dask", "datasets", "display", "distributed", "functional", "onnx")


def __getattr__(name: str) -> _Any:
    if name in _MODULES:
        return _import_module(f"skae.{name}")
    text = f"module 'skae' has no attribute {name!r}"
    raise AttributeError(text, name=name, obj=_sys.modules[__name__])
