import numpy as np
import torch
from sklearn.decomposition import PCA
from torch.nn.functional import mse_loss

from skae.functional import principal_axes, squared_error


def test_squared_error_is_half_of_torchs_sum():
    x, x_hat = torch.randn(2, 7, 5, generator=torch.Generator().manual_seed(0))
    losses = squared_error(x, x_hat)
    assert losses.shape == (7,)
    torch.testing.assert_close(losses.sum(), mse_loss(x_hat, x, reduction="sum") / 2)


def test_principal_axes_of_turned_pca_codes_give_pcas_codes_back(digits):
    codes = PCA(6).fit_transform(digits)
    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(6, 6)))
    z = codes @ turn
    covariance = np.cov(z.T, (digits - digits.mean(axis=0)).T)
    rotation, variances = principal_axes(
        torch.tensor(covariance[:6, :6]), torch.tensor(covariance[:6, 6:])
    )
    np.testing.assert_allclose(z @ rotation.numpy(), codes, atol=1e-10)
    np.testing.assert_allclose(variances, codes.var(axis=0, ddof=1))
