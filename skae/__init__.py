"""Autoencoders for scikit-learn that start at PCA.

from skae import AutoEncoder

codes = AutoEncoder(8).fit_transform(X)  # where PCA(8).fit_transform(X) stood
"""

from skae._autoencoder import AutoEncoder

__version__ = "0.1.0"

__all__ = ["AutoEncoder"]
