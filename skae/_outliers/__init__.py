"""AutoEncoderOutlierDetector: distances to autoencoders, and what they are worth as alarms."""

from skae._outliers.detector import AutoEncoderOutlierDetector

__all__ = ["AutoEncoderOutlierDetector"]
