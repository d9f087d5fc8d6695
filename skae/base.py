"""What a new autoencoder is made of: see ``docs/new_autoencoder.md``."""

from skae._base import BaseAutoEncoder
from skae._losses import Prepared
from skae._modules import AutoEncoderModule
from skae._parameters import Rule, boolean, estimator, integer, options, parameter, real, sizes

__all__ = [
    "AutoEncoderModule",
    "BaseAutoEncoder",
    "Prepared",
    "Rule",
    "boolean",
    "estimator",
    "integer",
    "options",
    "parameter",
    "real",
    "sizes",
]
