"""What a new autoencoder is made of: see ``docs/new_autoencoder.md``."""

from skae._data.batch import mean_over_rows
from skae._estimator.fit import BaseAutoEncoder
from skae._estimator.parameters.rules import (
    Rule,
    boolean,
    estimator,
    integer,
    options,
    parameter,
    real,
    sizes,
)
from skae._model.codes import OwnAxes, PrincipalAxes
from skae._model.losses import Prepared
from skae._model.module import AutoEncoderModule
from skae._training.outside.callbacks import StopTraining

__all__ = [
    "AutoEncoderModule",
    "BaseAutoEncoder",
    "OwnAxes",
    "Prepared",
    "PrincipalAxes",
    "Rule",
    "StopTraining",
    "boolean",
    "estimator",
    "integer",
    "mean_over_rows",
    "options",
    "parameter",
    "real",
    "sizes",
]
