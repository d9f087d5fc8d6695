"""Displays of fitted autoencoders, made like scikit-learn's.

from skae.display import ReconstructionDisplay

ReconstructionDisplay.from_estimator(model, X_test, X_train=X_train)

They draw with matplotlib, which comes with the extra ``plot``.
"""

from skae.display._components import ComponentsDisplay
from skae.display._latent_space import LatentSpaceDisplay
from skae.display._latent_traversal import LatentTraversalDisplay
from skae.display._learning_curve import LearningCurveDisplay
from skae.display._outlier import OutlierDisplay
from skae.display._reconstruction import ReconstructionDisplay
from skae.display._reconstruction_error import ReconstructionErrorDisplay

__all__ = [
    "ComponentsDisplay",
    "LatentSpaceDisplay",
    "LatentTraversalDisplay",
    "LearningCurveDisplay",
    "OutlierDisplay",
    "ReconstructionDisplay",
    "ReconstructionErrorDisplay",
]
