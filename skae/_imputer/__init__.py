"""Imputation: missing values filled by an autoencoder that starts at a Gaussian's expectations."""

from skae._imputer.estimator import AutoEncoderImputer

__all__ = ["AutoEncoderImputer"]
