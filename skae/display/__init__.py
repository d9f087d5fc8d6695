"""Displays of fitted autoencoders, made like scikit-learn's.

from skae.display import ReconstructionDisplay

ReconstructionDisplay.from_estimator(model, X_test, X_train=X_train)

They draw with matplotlib, which comes with the extra ``plot``.
"""

from skae.display._learning_curve import LearningCurveDisplay

__all__ = ["LearningCurveDisplay"]
