import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression
from torch.distributions import Bernoulli, Normal, Poisson, kl_divergence
from torch.nn.functional import mse_loss

from skae.functional import (
    bernoulli_log_likelihood,
    gaussian_kl,
    gaussian_log_likelihood,
    linearly_explained,
    mmd,
    mmd_by_row,
    poisson_log_likelihood,
    principal_axes,
    squared_error,
    standard_normal_kl,
    standard_normal_log_density,
)


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


def gaussians():
    draws = torch.Generator().manual_seed(0)
    mean, log_var, mean_2, log_var_2 = torch.randn(4, 6, 3, generator=draws, dtype=torch.float64)
    return mean, log_var, mean_2, log_var_2


def test_gaussian_kl_is_that_of_torch_distributions():
    mean, log_var, mean_2, log_var_2 = gaussians()
    p = Normal(mean, (0.5 * log_var).exp())
    q = Normal(mean_2, (0.5 * log_var_2).exp())
    expected = kl_divergence(p, q).sum(dim=1)
    torch.testing.assert_close(gaussian_kl(mean, log_var, mean_2, log_var_2), expected)
    zeros = torch.zeros_like(mean)
    standard = standard_normal_kl(mean, log_var)
    torch.testing.assert_close(standard, gaussian_kl(mean, log_var, zeros, zeros))


def test_gaussian_kl_is_a_mean_over_draws():
    mean, log_var, _, _ = gaussians()
    p = Normal(mean, (0.5 * log_var).exp())
    draws = torch.Generator().manual_seed(1)
    z = p.mean + p.stddev * torch.randn((100_000, 6, 3), generator=draws, dtype=torch.float64)
    ratios = p.log_prob(z).sum(dim=2) - standard_normal_log_density(z)
    error = ratios.std(dim=0) / 100_000**0.5
    assert ((ratios.mean(dim=0) - standard_normal_kl(mean, log_var)).abs() < 4 * error).all()


def test_log_likelihoods_are_those_of_torch_distributions():
    draws = torch.Generator().manual_seed(0)
    x, output = torch.randn(2, 6, 4, generator=draws, dtype=torch.float64)
    variance = torch.tensor(0.3, dtype=torch.float64)
    expected = Normal(output, variance.sqrt()).log_prob(x).sum(dim=1)
    torch.testing.assert_close(gaussian_log_likelihood(x, output, variance), expected)
    bits, counts = (x > 0).double(), (3 * x.abs()).round()
    expected = Bernoulli(logits=output).log_prob(bits).sum(dim=1)
    torch.testing.assert_close(bernoulli_log_likelihood(bits, output), expected)
    expected = Poisson(output.exp()).log_prob(counts).sum(dim=1)
    torch.testing.assert_close(poisson_log_likelihood(counts, output), expected)


def test_mmd_is_the_sum_over_pairs():
    draws = torch.Generator().manual_seed(0)
    x = torch.randn(7, 2, generator=draws, dtype=torch.float64)
    y = torch.randn(5, 2, generator=draws, dtype=torch.float64) + 1
    scales = torch.tensor([0.1, 2.0], dtype=torch.float64)

    def kernel(a, b):
        return np.mean([float(c / (c + ((a - b) ** 2).sum())) for c in scales])

    def mean(pairs):
        return np.mean([kernel(a, b) for a, b in pairs])

    within = mean([(x[i], x[j]) for i in range(7) for j in range(7) if i != j]) + mean(
        [(y[i], y[j]) for i in range(5) for j in range(5) if i != j]
    )
    expected = within - 2 * mean([(a, b) for a in x for b in y])
    np.testing.assert_allclose(mmd(x, y, scales).item(), expected)
    # The rows' part of the distance is what it changes by without them, but for terms of 1/n².
    x = torch.randn(400, 2, generator=draws, dtype=torch.float64)
    rows, whole = mmd_by_row(x, y, scales), mmd(x, y, scales)
    torch.testing.assert_close(rows.mean(), whole)
    without = torch.stack([mmd(torch.cat([x[:i], x[i + 1 :]]), y, scales) for i in range(5)])
    torch.testing.assert_close(rows[:5] - whole, 399 * (whole - without), rtol=0, atol=1e-3)
    assert rows.std() > 0.02


def test_mmd_is_zero_in_the_mean_where_samples_agree():
    draws = torch.Generator().manual_seed(0)
    scales = torch.tensor([0.1, 1.0])
    same = torch.tensor(
        [mmd(*torch.randn(2, 50, 2, generator=draws), scales).item() for _ in range(400)]
    )
    assert abs(same.mean()) < 4 * same.std() / 20
    x, y = torch.randn(2, 500, 2, generator=draws)
    assert mmd(x, 1.5 * y, scales) > 10 * same.mean().abs()


def test_what_a_code_explains_linearly_is_that_of_a_regression(digits):
    rng = np.random.default_rng(0)
    codes = digits[:, 20:23] * [1, 50, 0.01] + 0.001 * rng.normal(size=(len(digits), 3))
    both = np.cov(codes.T, digits.T)
    found = linearly_explained(
        *(torch.tensor(each) for each in (both.diagonal()[:3], both[:3, 3:]))
    )
    for code, share in zip(codes.T, found.numpy(), strict=True):
        predicted = LinearRegression().fit(code[:, None], digits).predict(code[:, None])
        np.testing.assert_allclose(share, predicted.var(axis=0, ddof=1).sum(), rtol=1e-6)
    none = linearly_explained(torch.tensor([1.0, 1e-12]), torch.tensor([[1.0], [1e-6]]))
    torch.testing.assert_close(none, torch.tensor([1.0, 0.0]))
