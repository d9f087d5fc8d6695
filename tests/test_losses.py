"""Losses, against scikit-learn and torch, and what the floor means under each."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression, PoissonRegressor
from sklearn.metrics import (
    d2_absolute_error_score,
    d2_tweedie_score,
    log_loss,
    mean_poisson_deviance,
)
from sklearn.model_selection import train_test_split
from torch.distributions import Bernoulli, Normal, Poisson, kl_divergence

from skae import AutoEncoder, functional
from skae._data.units import Units
from skae._model.losses import make_loss

AT_START = {"max_iter": 1, "learning_rate_init": 1e-30, "random_state": 0}


@pytest.fixture
def binary(digits):
    return (digits > 0.5).astype(float)


def test_formulas_are_the_negative_log_likelihoods_of_torchs_distributions():
    generator = torch.Generator().manual_seed(0)
    output = torch.randn(7, 5, generator=generator)
    bits, counts = (output > 0.3).float(), torch.poisson(output.exp(), generator=generator)
    for losses, distribution, x in (
        (functional.binary_cross_entropy(bits, output), Bernoulli(logits=output), bits),
        (
            functional.poisson(counts, output) + torch.lgamma(counts + 1).sum(dim=1),
            Poisson(output.exp()),
            counts,
        ),
    ):
        torch.testing.assert_close(losses, -distribution.log_prob(x).sum(dim=1))
    normal = Normal(torch.tensor(0.0), torch.tensor(1.0))
    torch.testing.assert_close(
        functional.squared_error(bits, output),
        (normal.log_prob(torch.tensor(0.0)) - normal.log_prob(bits - output)).sum(dim=1),
    )


def test_huber_is_squared_near_and_absolute_far():
    x, x_hat = torch.zeros(1, 3), torch.tensor([[0.5, -0.5, 0.25]])
    torch.testing.assert_close(functional.huber(x, x_hat), functional.squared_error(x, x_hat))
    far = functional.huber(x, 1e4 * x_hat)
    torch.testing.assert_close(far, functional.absolute_error(x, 1e4 * x_hat) - 1.5)


def test_bernoulli_kl_is_torchs():
    q = torch.tensor([0.01, 0.2, 0.9])
    expected = kl_divergence(Bernoulli(torch.tensor(0.2)), Bernoulli(q))
    torch.testing.assert_close(functional.bernoulli_kl(0.2, q), expected)
    assert functional.bernoulli_kl(0.2, torch.tensor([0.0, 1.0])).isfinite().all()


def codes_of_unit_variance(X, k):
    return PCA(k, whiten=True).fit_transform(X)


def test_under_cross_entropy_the_start_is_logistic_regression_on_pcas_codes(binary):
    model = AutoEncoder(4, loss="binary_cross_entropy", **AT_START).fit(binary)
    probabilities = model.inverse_transform(model.transform(binary))
    codes = codes_of_unit_variance(binary, 4)
    losses, expected = [], []
    for j in np.flatnonzero(binary.mean(axis=0) > 0.1):
        regression = LogisticRegression(tol=1e-8, max_iter=1000).fit(codes, binary[:, j])
        expected.append(log_loss(binary[:, j], regression.predict_proba(codes)))
        losses.append(log_loss(binary[:, j], probabilities[:, j]))
    np.testing.assert_allclose(losses, expected, rtol=0.01)


def test_for_counts_the_start_is_poisson_regression_on_pcas_codes(digits):
    X = 16 * digits
    model = AutoEncoder(4, loss="poisson", **AT_START).fit(X)
    rates = model.inverse_transform(model.transform(X))
    codes = codes_of_unit_variance(X, 4)
    for j in (10, 20, 36):
        regression = PoissonRegressor(alpha=1 / len(X), tol=1e-8, max_iter=1000).fit(codes, X[:, j])
        ours, theirs = (
            d2_tweedie_score(X[:, j], r, power=1) for r in (rates[:, j], regression.predict(codes))
        )
        np.testing.assert_allclose(ours, theirs, atol=2e-3)


def test_score_is_scikit_learns_d2(digits, binary):
    X = 16 * digits
    model = AutoEncoder(3, loss="poisson", max_iter=3, random_state=0).fit(X)
    varied = X.std(axis=0) > 0
    rates = model.inverse_transform(model.transform(X))
    mean = np.broadcast_to(X.mean(axis=0), X.shape)[:, varied].ravel()
    deviances = [
        1 - d2_tweedie_score(X[:, varied].ravel(), r, power=1)
        for r in (rates[:, varied].ravel(), mean)
    ]
    np.testing.assert_allclose(model.score(X), 1 - deviances[0] / deviances[1], atol=1e-3)

    model = AutoEncoder(3, loss="absolute_error", max_iter=3, random_state=0).fit(X)
    X_hat = model.inverse_transform(model.transform(X))
    errors = [
        1 - d2_absolute_error_score(X.ravel(), r.ravel())
        for r in (X_hat, np.broadcast_to(X.mean(axis=0), X.shape))
    ]
    np.testing.assert_allclose(model.score(X), 1 - errors[0] / errors[1], atol=1e-5)
    np.testing.assert_allclose(model.score_samples(X), -np.abs(X_hat - X).sum(axis=1), rtol=1e-3)

    model = AutoEncoder(3, loss="binary_cross_entropy", max_iter=3, random_state=0).fit(binary)
    p = model.inverse_transform(model.transform(binary)).astype(float).clip(1e-7, 1 - 1e-7)
    cross_entropy = -np.where(binary == 1, np.log(p), np.log(1 - p)).sum(axis=1)
    np.testing.assert_allclose(model.score_samples(binary), -cross_entropy, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("loss", "change", "message"),
    [
        ("binary_cross_entropy", lambda X: 3.2 * X, r"in \[0, 1\], got a maximum of 3\.2.*MinMax"),
        ("binary_cross_entropy", lambda X: X - 1, r"got a minimum of -1 \(Neg"),
        (
            "poisson",
            lambda X: X - 0.5,
            r"X >= 0, got a minimum of -0\.5 \(Negative values in data\); pass counts",
        ),
    ],
)
def test_data_that_a_loss_cannot_take_is_refused(loss, change, message, digits):
    model = AutoEncoder(2, loss=loss, max_iter=1, random_state=0).fit(digits)
    codes = model.transform(digits)
    for method in (model.fit, model.score):
        with pytest.raises(ValueError, match=message):
            method(change(digits))
    np.testing.assert_array_equal(model.transform(digits), codes)


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        ("bce", "loss='bce' .*'binary_cross_entropy'.* or callable"),
        (torch.nn.MSELoss(), r"MSELoss\(\) must return .*shape \(\d+,\).*torch.float32 \(\)"),
        (torch.nn.MSELoss, "expected .* or callable"),
        (lambda x, x_hat: 0.0, r"returned 0\.0"),
        (lambda x, x_hat: (x - x_hat) ** 2, r"returned .*torch.float32 \(\d+, 64\)"),
        (lambda x, x_hat: (x > x_hat).sum(dim=1), r"tensor of floats.*torch.int64"),
        (lambda x, x_hat: (x - x_hat.detach()).abs().sum(dim=1), "have no gradient"),
        (lambda x, x_hat: (x - x_hat).abs().sum(dim=1) * np.nan, "loss, noise or network of your"),
    ],
)
def test_what_is_no_loss_is_refused(loss, message, digits):
    with pytest.raises(ValueError, match=message):
        AutoEncoder(2, loss=loss, max_iter=1).fit(digits)


def test_a_loss_of_ones_own_sees_rows_in_their_units(digits):
    X = 100 + 50 * digits
    seen = []

    def watched(x, x_hat):
        seen.append((x.dtype, x.min(), x.max()))
        return (x - x_hat).square().sum(dim=1)

    model = AutoEncoder(4, loss=watched, residual_noise=0, max_iter=5, random_state=0).fit(X)
    dtypes, lows, highs = zip(*seen, strict=True)
    assert set(dtypes) == {torch.float32}
    np.testing.assert_allclose([min(lows), max(highs)], [100, 150], rtol=1e-5)
    X_hat = model.inverse_transform(model.transform(X))
    np.testing.assert_allclose(model.score_samples(X), -np.square(X_hat - X).sum(axis=1), rtol=1e-3)


@pytest.mark.parametrize("loss", ["binary_cross_entropy", "poisson", "absolute_error", "huber"])
def test_training_improves_on_the_start_under_its_own_loss(loss, digits):
    X = digits if loss != "poisson" else 16 * digits
    train, test = train_test_split(X, random_state=0)
    model = AutoEncoder(4, loss=loss, max_iter=25, random_state=0).fit(train)
    start = AutoEncoder(4, loss=loss, **AT_START).fit(train)
    assert model.score(test) > start.score(test) + 0.05


@pytest.mark.parametrize("loss", ["binary_cross_entropy", "poisson"])
def test_noise_that_a_loss_cannot_take_is_refused(loss, digits):
    with pytest.raises(ValueError, match=r"residual_noise=0\.5 makes rows that loss=.*'auto' or 0"):
        AutoEncoder(2, loss=loss, residual_noise=0.5, max_iter=1).fit(digits)


def test_what_scaling_leaves_of_rounding_is_taken(digits):
    X = digits * (1 + 1e-7)
    AutoEncoder(2, loss="binary_cross_entropy", max_iter=1, random_state=0).fit(X).score(X)


def test_a_perfect_reconstruction_scores_one_under_any_loss(digits):
    def cosine(x, x_hat):
        return -torch.cosine_similarity(x, x_hat)

    model = AutoEncoder(64, loss=cosine, **AT_START).fit(digits)
    np.testing.assert_allclose(model.score(digits), 1, atol=1e-3)


def test_anomalous_counts_have_their_whole_deviance():
    loss = make_loss("poisson", Units(np.zeros(3), 1.0))
    loss.look_at([torch.tensor([[4.0, 8, 2], [1, 0, 3]])])
    x, log_rate = torch.tensor([[1e4, 3, 0]]), torch.tensor([[2.0, 50, -1]])
    rates = np.exp([2.0, np.log(16), -1])  # bounded by twice the largest count
    expected = mean_poisson_deviance(x[0], rates) * 3 / 2
    torch.testing.assert_close(
        (loss(x, log_rate) - loss.at_best(x)).item(), expected, rtol=1e-4, atol=0
    )


@pytest.mark.parametrize("loss", ["poisson", "binary_cross_entropy"])
def test_warm_start_learns_the_units_of_new_rows(loss, digits):
    X = (16 if loss == "poisson" else 1) * digits
    first, second = X.copy(), X.copy()
    first[:, 20] = 0
    parameters = {"loss": loss, "max_iter": 20, "random_state": 0}
    warm = AutoEncoder(4, warm_start=True, **parameters).fit(first).fit(second)
    assert warm.score(second) > AutoEncoder(4, **parameters).fit(second).score(second) - 0.05


def test_an_outlier_costs_no_more_than_the_largest_counts(digits):
    X = 16 * digits
    model = AutoEncoder(4, loss="poisson", max_iter=5, random_state=0).fit(X)
    rates = model.inverse_transform(1e4 * model.transform(X))
    assert (rates <= 2 * X.max(axis=0) + 1).all()


@pytest.mark.filterwarnings(r"ignore:X has \d+ rows in 1 groups.*stays at PCA")
@pytest.mark.parametrize(
    ("loss", "value", "score"),
    [
        # A mean at the border of the domain is pulled inside, so that its logit is finite.
        ("binary_cross_entropy", 0.0, 0),
        ("binary_cross_entropy", 0.3, 1),
        ("binary_cross_entropy", 1.0, 0),
        ("poisson", 0.0, 0),
        ("poisson", 0.3, 1),
        ("poisson", 1.0, 1),
        ("squared_error", 0.3, 1),
    ],
)
@pytest.mark.parametrize("n_rows", [50, 5000])
def test_a_table_that_never_varies_scores_one_where_it_is_reconstructed(loss, value, score, n_rows):
    X = np.full((n_rows, 3), value)
    assert AutoEncoder(2, loss=loss, max_iter=3, random_state=0).fit(X).score(X) == score
