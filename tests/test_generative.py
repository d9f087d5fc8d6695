"""Models with a prior: likelihoods, posteriors, samples."""

import pickle

import numpy as np
import pytest
import torch
from estimators import SHORT, cubes
from scipy.stats import poisson
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.neighbors import KNeighborsClassifier

from skae import AdversarialAutoEncoder, VariationalAutoEncoder, WassersteinAutoEncoder
from skae._model.codes import paired_draws
from skae._model.prior import PRIORS, Prior, normal
from skae._variational import VariationalModule

STAY = {"max_iter": 1, "learning_rate_init": 1e-30, "random_state": 0}  # at the start
generative = pytest.mark.parametrize(
    "estimator", [AdversarialAutoEncoder, VariationalAutoEncoder, WassersteinAutoEncoder]
)
with_prior = pytest.mark.parametrize("estimator", [AdversarialAutoEncoder, WassersteinAutoEncoder])


# -- variational ---------------------------------------------------------------------------


@pytest.mark.parametrize("hidden_layer_sizes", [(), (16,)])
@pytest.mark.parametrize("k", [1, 5, 30])
def test_the_elbo_starts_at_pcas_likelihood(k, hidden_layer_sizes, digits):
    model = VariationalAutoEncoder(k, hidden_layer_sizes=hidden_layer_sizes, **STAY).fit(digits)
    pca = PCA(k).fit(digits)
    assert model.best_iter_ == 0
    np.testing.assert_allclose(model.score(digits), pca.score(digits), atol=1e-4)
    np.testing.assert_allclose(
        model.score_samples(digits), pca.score_samples(digits), rtol=1e-4, atol=1e-3
    )
    np.testing.assert_allclose(model.noise_variance_, pca.noise_variance_, rtol=1e-5)


def test_published_likelihood_of_digits(digits):
    model = VariationalAutoEncoder(5, **STAY).fit(digits)
    np.testing.assert_allclose(model.score(digits), 8.9076, atol=1e-4)


def test_the_posterior_starts_at_probabilistic_pcas(digits):
    pca = PCA(4).fit(digits)
    mean, std = VariationalAutoEncoder(4, **STAY).fit(digits).posterior(digits)
    variances, noise = pca.explained_variance_, pca.noise_variance_
    codes = pca.transform(digits) * np.sqrt(variances - noise) / variances
    np.testing.assert_allclose(mean, codes, atol=1e-4)
    np.testing.assert_allclose(std, np.sqrt(noise / variances)[None].repeat(len(std), 0), rtol=1e-4)


def test_a_linear_model_stays_at_pcas_likelihood(digits):
    model = VariationalAutoEncoder(
        5, hidden_layer_sizes=(), early_stopping=False, max_iter=20, random_state=0
    ).fit(digits)
    np.testing.assert_allclose(model.score(digits), PCA(5).fit(digits).score(digits), atol=1e-2)


def test_training_raises_the_likelihood_of_new_rows(digits):
    train, test = digits[:1300], digits[1300:]
    model = VariationalAutoEncoder(5, max_iter=40, random_state=0).fit(train)
    elbo, weighted = model.score(test), model.score_samples(test, 50).mean()
    assert PCA(5).fit(train).score(test) + 5 < elbo < weighted
    assert model.active_units_ == 5
    assert model.pca_score_ < max(model.validation_scores_)


def test_importance_sampling_finds_the_likelihood_of_a_linear_model(digits):
    # There the ELBO is exact, so that every weight is p(x): one draw is enough.
    model = VariationalAutoEncoder(5, **STAY).fit(digits)
    np.testing.assert_allclose(
        model.score_samples(digits, 1), PCA(5).fit(digits).score_samples(digits), atol=0.01
    )


def test_the_importance_bound_rises_with_the_draws(digits):
    model = VariationalAutoEncoder(3, max_iter=20, random_state=0).fit(digits)
    bounds = [model.score_samples(digits, n).mean() for n in (1, 10, 200)]
    assert bounds[0] < bounds[1] < bounds[2]


def test_the_elbo_is_that_of_torch_distributions(digits):
    X = (digits > 0.5).astype(float)
    model = VariationalAutoEncoder(3, loss="binary_cross_entropy", **SHORT).fit(X)
    module = model.net_.module_
    x = torch.tensor((X[:5] - model.mean_) / model.scale_, dtype=torch.float32)
    with torch.no_grad():
        mean, log_var = module.posterior(x)
        q = torch.distributions.Normal(mean, (0.5 * log_var).exp())
        draws = torch.randn((4000, 5, 3), generator=torch.Generator().manual_seed(0))
        z = q.mean + q.stddev * draws
        logits = module.decoder(z.flatten(0, 1)).unflatten(0, z.shape[:2])
        p = torch.distributions.Bernoulli(logits=logits)
        likelihood = p.log_prob(torch.tensor(X[:5], dtype=torch.float32)).sum(dim=2).mean(dim=0)
        prior = torch.distributions.Normal(0.0, 1.0)
        expected = likelihood - torch.distributions.kl_divergence(q, prior).sum(dim=1)
    np.testing.assert_allclose(model.score_samples(X[:5]), expected, atol=0.5)


def test_the_noise_is_that_of_validation_rows(digits, monkeypatch):
    train, test = digits[:300], digits[300:]
    calibrated = VariationalAutoEncoder(5, max_iter=100, random_state=0).fit(train)
    monkeypatch.setattr(VariationalModule, "calibrate", lambda module, terms, n_values: False)
    plain = VariationalAutoEncoder(5, max_iter=100, random_state=0).fit(train)
    assert plain.best_iter_ == calibrated.best_iter_ > 0
    assert plain.noise_variance_ < calibrated.noise_variance_
    assert plain.score(test) + 1 < calibrated.score(test)


def test_calibrated_noise_has_the_highest_likelihood(digits):
    module = VariationalAutoEncoder(5, **SHORT).fit(digits).net_.module_
    x = torch.randn(50, 64, generator=torch.Generator().manual_seed(0))
    module.eval()
    with torch.no_grad():
        module.calibrate({n: t.mean().item() for n, t in module(x)[1].items()}, n_values=64)
        costs = []
        for shift in (-0.01, 0.01, 0.0):
            module.log_noise_variance.add_(shift)
            costs.append(module(x)[1]["reconstruction"].mean())
            module.log_noise_variance.sub_(shift)
    assert costs[2] < min(costs[:2])
    noise = module.log_noise_variance.item()
    module.calibrate({"reconstruction": -1e9}, n_values=64)  # less noise than there was in training
    assert module.log_noise_variance.item() == noise


def test_a_warm_start_that_brings_nothing_leaves_the_noise(digits):
    model = VariationalAutoEncoder(5, max_iter=30, warm_start=True, random_state=0).fit(digits)
    noise = model.noise_variance_
    noisy = digits + 0.02 * np.random.default_rng(0).normal(size=digits.shape)
    model.set_params(learning_rate_init=1e-30).fit(noisy)
    assert model.best_iter_ == 0
    np.testing.assert_allclose(model.noise_variance_, noise, rtol=1e-6)


@pytest.mark.parametrize("init", ["pca", "random"])
def test_trained_weights_stay_without_a_calibration_that_most_rows_reject(
    init, digits, monkeypatch
):
    # A noise variance that is far too high is worse for every row.
    def spoil(module, terms, n_values):
        with torch.no_grad():
            module.log_noise_variance.add_(10)

    digits = digits[:700]
    parameters = {"max_iter": 40, "init": init, "random_state": 0}
    monkeypatch.setattr(VariationalModule, "calibrate", lambda module, terms, n_values: None)
    plain = VariationalAutoEncoder(5, **parameters).fit(digits)
    monkeypatch.setattr(VariationalModule, "calibrate", spoil)
    spoiled = VariationalAutoEncoder(5, **parameters).fit(digits)
    assert plain.best_iter_ == spoiled.best_iter_ > 0
    same = plain.score(digits) == spoiled.score(digits)
    assert same == (init == "pca")  # without a start to beat, the calibration stands


@pytest.mark.parametrize("n", [None, 300])
@pytest.mark.parametrize("rate", [1e2, 1e5, 1e7])
def test_bounds_of_large_counts_are_free_of_rounding(rate, n):
    X = np.random.default_rng(0).poisson(rate, (300, 4)).astype(float)
    model = VariationalAutoEncoder(1, loss="poisson", **STAY).fit(X)
    expected = poisson(rate).logpmf(X).sum(axis=1).mean()  # independent counts: no code is of use
    np.testing.assert_allclose(model.score_samples(X, n).mean(), expected, atol=0.05)


def test_whitened_posteriors_have_whitened_deviations(digits):
    plain, white = (
        VariationalAutoEncoder(3, whiten=whiten, **SHORT).fit(digits) for whiten in (False, True)
    )
    (mean, std), (white_mean, white_std) = plain.posterior(digits), white.posterior(digits)
    deviations = mean.std(axis=0, ddof=1)
    np.testing.assert_allclose(white_mean.std(axis=0, ddof=1), 1, rtol=1e-3)
    np.testing.assert_allclose(white_std * deviations, std, rtol=1e-3)


def test_scores_are_the_same_in_each_call_and_for_each_subset(digits):
    model = VariationalAutoEncoder(3, **SHORT).fit(digits)
    for n in (None, 20):
        scores = model.score_samples(digits, n)
        np.testing.assert_array_equal(scores, model.score_samples(digits, n))
        np.testing.assert_allclose(scores[7:9], model.score_samples(digits[7:9], n), rtol=1e-4)


def test_scores_are_densities_in_the_units_of_the_data(digits):
    models = [VariationalAutoEncoder(3, **STAY).fit(c * digits) for c in (1, 10)]
    shift = models[0].score(digits) - models[1].score(10 * digits)
    np.testing.assert_allclose(shift, 64 * np.log(10), rtol=1e-5)


def test_grid_search_chooses_by_the_likelihood_of_test_folds(digits):
    grid = {"n_components": [1, 8], "beta": [1.0, 4.0]}
    search = GridSearchCV(VariationalAutoEncoder(**SHORT), grid, cv=2).fit(digits[:400])
    assert search.best_params_ == {"n_components": 8, "beta": 1.0}


def test_beta_buys_a_lower_kl_with_reconstruction(digits):
    models = [
        VariationalAutoEncoder(5, beta=beta, max_iter=25, random_state=0).fit(digits)
        for beta in (1.0, 8.0)
    ]
    kl = [m.net_.history[-1, "valid_kl"] / m.beta for m in models]
    assert kl[1] < 0.8 * kl[0]
    assert models[1].score(digits) < models[0].score(digits)


def test_the_kl_term_warms_up(digits):
    parameters = {**STAY, "max_iter": 10}
    history = VariationalAutoEncoder(5, kl_warm_up=1.0, **parameters).fit(digits).net_.history
    kl = np.array(history[:, "train_kl"])
    np.testing.assert_allclose(kl / history[0, "valid_kl"], (np.arange(10) + 0.5) / 10, atol=0.01)


def test_collapse_is_said_in_words(digits):
    with pytest.warns(UserWarning, match=r"Of 5 codes only [012] are in use.*Lower n_components"):
        model = VariationalAutoEncoder(5, beta=1000.0, max_iter=40, random_state=0).fit(digits)
    assert (model.transform(digits).var(axis=0) > 0.01).sum() == model.active_units_


def test_losses_that_are_no_likelihood_are_refused(digits):
    with pytest.raises(ValueError, match=r"needs a loss that is a likelihood.*Huber"):
        VariationalAutoEncoder(2, loss="huber", **SHORT).fit(digits)


def test_binary_data_start_at_a_linear_model_of_drawn_codes(digits):
    X = (digits > 0.5).astype(float)
    with pytest.warns(UserWarning, match="Of 20 codes only 8 are in use"):
        model = VariationalAutoEncoder(20, loss="binary_cross_entropy", **STAY).fit(X)
    mean, std = model.posterior(X)
    noise = 0.25 / np.linalg.eigvalsh(np.cov(X.T))[::-1][:20]  # of a coin, in units of each code
    np.testing.assert_allclose(std[0] ** 2, np.minimum(noise, 1), rtol=1e-3)
    np.testing.assert_allclose(mean.var(axis=0, ddof=1) + std[0] ** 2, 1, rtol=1e-3)
    # The decoder knows how widely codes are drawn: another width of the codes fits it worse.
    module = model.net_.module_
    x = torch.tensor((X - model.mean_) / model.scale_, dtype=torch.float32)
    draws = torch.randn((20, 20), generator=torch.Generator().manual_seed(0))
    start = module.elbo(x, draws).mean()
    for factor in (0.9, 1.1):
        with torch.no_grad():
            module.decoder.linear.weight.mul_(factor)
            assert module.elbo(x, draws).mean() < start
            module.decoder.linear.weight.div_(factor)


def test_some_code_starts_in_use_however_little_it_varies():
    X = (np.random.default_rng(0).uniform(size=(400, 5)) < 0.1).astype(float)
    assert X.var(axis=0).max() < 0.25
    model = VariationalAutoEncoder(2, loss="binary_cross_entropy", **STAY)
    assert model.fit(X).active_units_ > 0


def test_dynamic_binarization_draws_for_training_and_not_for_scores(digits):
    parameters = {"loss": "binary_cross_entropy", "dynamic_binarization": True}
    model = VariationalAutoEncoder(3, **parameters, **SHORT).fit(digits)
    module = model.net_.module_
    x = torch.tensor((digits - model.mean_) / model.scale_, dtype=torch.float32)
    module.generator = torch.Generator().manual_seed(0)
    drawn = [module.units.to_data(module.binarize(x, module.generator)) for _ in range(400)]
    torch.testing.assert_close(drawn[0], drawn[0].round(), atol=1e-5, rtol=0)
    means = torch.stack(drawn).mean(dim=0).numpy()
    np.testing.assert_allclose(means, digits, atol=0.13)  # five standard errors
    scores, loss = model.score_samples(digits), module(x)[1]["reconstruction"]
    module.dynamic_binarization = False
    np.testing.assert_array_equal(model.score_samples(digits), scores)
    assert not torch.equal(module(x)[1]["reconstruction"], loss)


def test_dynamic_binarization_generalises(digits):
    rng = np.random.default_rng(0)
    train, test = digits[:400], (rng.uniform(size=digits.shape) < digits).astype(float)[400:]
    once = (rng.uniform(size=train.shape) < train).astype(float)
    parameters = {"loss": "binary_cross_entropy", "max_iter": 150, "random_state": 0}
    drawn = VariationalAutoEncoder(4, dynamic_binarization=True, **parameters).fit(train)
    assert drawn.score(test) > VariationalAutoEncoder(4, **parameters).fit(once).score(test)


def test_dynamic_binarization_of_other_data_is_refused(digits):
    with pytest.raises(ValueError, match=r"dynamic_binarization=True.*SquaredError"):
        VariationalAutoEncoder(2, dynamic_binarization=True, **SHORT).fit(digits)


def test_a_bad_number_of_importance_samples_is_refused(digits):
    model = VariationalAutoEncoder(2, **SHORT).fit(digits[:300])
    for n in (0, 2.5, "many", True):
        with pytest.raises(ValueError, match="n_importance_samples="):
            model.score_samples(digits, n)


def test_paired_draws_have_the_moments_of_the_normal():
    draws = paired_draws(8, torch.Size((3, 4)), torch.Generator().manual_seed(0))
    torch.testing.assert_close(draws.mean(dim=0), torch.zeros(3, 4))
    torch.testing.assert_close(draws.square().mean(dim=0), torch.ones(3, 4))


# -- priors --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PRIORS)
def test_a_prior_draws_what_its_generator_says(name):
    prior = Prior(name, 2)
    draws = [prior.sample(5000, torch.Generator().manual_seed(3)) for _ in range(2)]
    assert torch.equal(*draws)
    torch.testing.assert_close(draws[0].mean(dim=0), prior.mean, atol=0.1, rtol=0)
    torch.testing.assert_close(draws[0].std(dim=0), prior.deviations, atol=0.05, rtol=0)


def gamma(n, generator):
    return -torch.rand(n, 2, generator=generator).log()


PRIORS_OF_ONES_OWN = [
    torch.distributions.Independent(torch.distributions.Laplace(torch.zeros(2), torch.ones(2)), 1),
    gamma,
]


@with_prior
@pytest.mark.parametrize("prior", PRIORS_OF_ONES_OWN, ids=["distribution", "function"])
def test_priors_of_ones_own_start_with_their_moments(estimator, prior, digits):
    before = torch.get_rng_state()
    model = estimator(2, prior=prior, **STAY).fit(digits)
    assert torch.equal(before, torch.get_rng_state())
    draws = Prior(prior, 2).sample(20_000, torch.Generator().manual_seed(0)).numpy()
    codes = model.transform(digits)
    signs = np.sign(model.net_.module_.frame.axes.numpy().sum(axis=0))
    np.testing.assert_allclose(codes.mean(axis=0) * signs, draws.mean(axis=0), atol=0.05)
    np.testing.assert_allclose(codes.std(axis=0), draws.std(axis=0), rtol=0.05)


@with_prior
@pytest.mark.parametrize(
    ("prior", "message"),
    [
        ("gauss", "prior='gauss' is not valid.*'normal', 'uniform'"),
        (3, "prior=3 is not valid"),
        (torch.distributions.Normal, "is not valid"),
        (lambda n: torch.randn(n, 3), "failed to give 10000 draws: .*takes 1 positional argument"),
        (lambda n, generator: torch.randn(n, 3), "other draws in each call"),
        (lambda n, generator: 1e39 * normal(n, 3, generator).double(), "not finite"),
        (lambda n, generator: normal(n, 3, generator) * 1j, "real numbers.*complex"),
        (lambda n, generator: normal(n, 3, generator) / normal(n, 3, generator), "tails so heavy"),
        (torch.distributions.Normal(0.0, 1.0), r"shape \(10000, 3\).*n_components=3.*\(10000,\)"),
        (lambda n, generator: torch.zeros(n, 2), r"shape \(10000, 3\)"),
        (lambda n, generator: None, "gave NoneType"),
        (lambda n, generator: torch.full((n, 3), torch.nan), "not finite"),
        (lambda n, generator: torch.zeros(n, 3), "always the same"),
        ("swiss_roll", "prior='swiss_roll' is a distribution in the plane.*n_components=2"),
    ],
)
def test_bad_priors_are_refused_in_words(estimator, prior, message, digits):
    with pytest.raises(ValueError, match=message):
        estimator(3, prior=prior, **SHORT).fit(digits)


@pytest.mark.parametrize(
    ("estimator", "prior", "max_iter"),
    [  # each method once; all pairs: benchmarks/README.md
        (AdversarialAutoEncoder, "normal", 40),
        (WassersteinAutoEncoder, "swiss_roll", 50),
    ],
)
def test_codes_of_new_rows_follow_the_prior(estimator, prior, max_iter, digits):
    train, test = train_test_split(digits, random_state=0, test_size=0.3)
    model = estimator(2, prior=prior, max_iter=max_iter, random_state=0).fit(train)
    both = np.vstack([model.transform(test), model.sample_codes(len(test), random_state=1)])
    is_draw = np.arange(len(both)) >= len(test)
    half = np.arange(len(both)) % 2 == 0
    told = KNeighborsClassifier(15).fit(both[half], is_draw[half]).predict_proba(both[~half])[:, 1]
    assert roc_auc_score(is_draw[~half], told) < 0.7  # figures: benchmarks/README.md
    assert model.score(test) > model.pca_score_ + 0.1


@with_prior
@pytest.mark.parametrize("seed", range(3))
def test_codes_that_have_the_prior_at_pca_stay_there(estimator, seed):
    X = np.random.default_rng(seed).normal(size=(200, 6)) * [3, 2, 1, 1, 1, 1]
    model = estimator(2, alpha=100, max_iter=60, random_state=seed).fit(X)
    assert model.best_iter_ == 0


@with_prior
def test_the_distance_to_a_prior_does_not_depend_on_where_it_is(estimator, digits):
    def far(n, generator):
        return normal(n, 2, generator) + 3000

    modules = [
        estimator(2, prior=prior, **SHORT).fit(digits).net_.module_ for prior in ("normal", far)
    ]
    z = torch.randn(500, 2, generator=torch.Generator().manual_seed(5))
    distances = [m.mmd_to_prior(z + shift) for m, shift in zip(modules, (0, 3000), strict=True)]
    torch.testing.assert_close(distances[0], distances[1], atol=1e-3, rtol=0)


def test_a_batch_of_one_row_has_a_distance(digits):
    model = WassersteinAutoEncoder(2, batch_size=1, max_iter=2, random_state=0).fit(digits[:60])
    assert np.isfinite(model.loss_curve_).all()


def test_a_warm_start_needs_the_same_discriminator(digits):
    model = AdversarialAutoEncoder(2, warm_start=True, **SHORT).fit(digits)
    codes = model.transform(digits)
    for sizes in ((16,), (128, 128, 1)):
        model.set_params(discriminator_layer_sizes=sizes)
        with pytest.raises(ValueError, match=r"warm_start=True.*discriminator.*warm_start=False"):
            model.fit(digits)
    np.testing.assert_array_equal(model.transform(digits), codes)


def test_the_discriminator_has_its_own_optimizer_and_history(digits):
    model = AdversarialAutoEncoder(2, **SHORT).fit(digits)
    net = model.net_
    discriminator = set(net.module_.discriminator.parameters())
    assert discriminator
    assert not discriminator & {p for _, p in net.get_all_learnable_params()}
    assert all(np.isfinite(net.history[:, "discriminator_loss"]))
    start = AdversarialAutoEncoder(2, **STAY).fit(digits).net_.module_.discriminator
    assert not torch.equal(net.module_.discriminator[0].weight, start[0].weight)


@generative
def test_training_goes_on_from_a_pickle_as_from_the_model(estimator, digits):
    digits = digits[:500]
    parameters = {"warm_start": True, "early_stopping": False, "max_iter": 8}
    model = estimator(2, random_state=0, **parameters).fit(digits)
    loaded = pickle.loads(pickle.dumps(model))
    codes = [m.fit(digits).transform(digits) for m in (model, loaded)]
    assert model.best_iter_ > 0
    np.testing.assert_array_equal(*codes)


# -- samples -------------------------------------------------------------------------------


@generative
def test_samples_are_rows_like_those_of_training(estimator, digits):
    model = estimator(4, max_iter=10, random_state=0).fit(digits)
    rows = model.sample(2000, random_state=0)
    assert rows.shape == (2000, 64)
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows, model.sample(2000, random_state=0))
    assert not np.array_equal(rows[:5], model.sample(5, random_state=1))
    np.testing.assert_allclose(rows.mean(axis=0), digits.mean(axis=0), atol=0.15)


def test_samples_at_the_start_have_pcas_covariance(digits):
    pca = PCA(3).fit(digits)
    rows = VariationalAutoEncoder(3, **STAY).fit(digits).sample(100_000, random_state=0)
    expected = pca.get_covariance() - pca.noise_variance_ * np.eye(64)
    np.testing.assert_allclose(np.cov(rows.T), expected, atol=0.01)


@generative
def test_bad_numbers_and_random_states_of_samples_are_refused(estimator, digits):
    model = estimator(2, **SHORT).fit(digits[:300])
    for n in (0, -1, 2.5, None):
        with pytest.raises(ValueError, match="n_samples="):
            model.sample(n)
    message = r"random_state=.*int in \[0, 2\*\*32\), RandomState or None"
    for random_state in (-1, "a", np.random.default_rng(0)):
        with pytest.raises(ValueError, match=message):
            model.sample(2, random_state=random_state)


@generative
def test_rows_are_sampled_from_sampled_codes(estimator, digits):
    model = estimator(2, **SHORT).fit(digits)
    codes = model.sample_codes(5, random_state=3)
    assert codes.shape == (5, 2)
    np.testing.assert_array_equal(model.inverse_transform(codes), model.sample(5, random_state=3))


@generative
def test_samples_of_binary_data_are_probabilities(estimator, digits):
    X = (digits > 0.5).astype(float)
    rows = estimator(2, loss="binary_cross_entropy", **SHORT).fit(X).sample(50, random_state=0)
    assert rows.min() >= 0
    assert rows.max() <= 1


@generative
def test_tied_linear_networks_are_refused_in_words(estimator, digits):
    with pytest.raises(ValueError, match=r"tied_weights=True needs hidden layers.*prior"):
        estimator(2, tied_weights=True, hidden_layer_sizes=(), **SHORT).fit(digits)


@generative
def test_samples_with_noise_vary_as_the_data_do(estimator, digits):
    model = estimator(5, **STAY).fit(digits)
    assert model.best_iter_ == 0
    means = model.sample(20_000, random_state=0).astype(np.float64)
    rows = model.sample(20_000, random_state=0, noise=True).astype(np.float64)
    np.testing.assert_array_equal(rows, model.sample(20_000, random_state=0, noise=True))
    noise = rows - means  # of the same codes
    np.testing.assert_allclose(noise.var(axis=0), model.noise_variance_, rtol=0.05)
    assert np.abs(np.corrcoef(noise.T) - np.eye(64)).max() < 0.05
    codes = model.sample_codes(20_000, random_state=0)
    assert np.abs(np.corrcoef(codes.T, noise.T)[:5, 5:]).max() < 0.05
    total, of_data = rows.var(axis=0).sum(), digits.var(axis=0).sum()
    assert means.var(axis=0).sum() < 0.75 * of_data
    if estimator is VariationalAutoEncoder:
        np.testing.assert_allclose(total, of_data, rtol=0.02)
        np.testing.assert_allclose(np.cov(rows.T), PCA(5).fit(digits).get_covariance(), atol=0.01)
    else:  # codes explain what they do, without the noise that is in PCA's variances
        np.testing.assert_allclose(total, of_data + 5 * model.noise_variance_, rtol=0.02)


@generative
@pytest.mark.parametrize("loss", ["binary_cross_entropy", "poisson"])
def test_samples_with_noise_are_bits_and_counts(estimator, loss, digits):
    X = (digits > 0.5).astype(float) if loss == "binary_cross_entropy" else np.round(4 * digits)
    model = estimator(2, loss=loss, **SHORT).fit(X)
    rows = model.sample(20_000, random_state=0, noise=True)
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows, rows.round())
    assert rows.min() == 0 and (rows.max() == 1) == (loss == "binary_cross_entropy")
    means = model.sample(20_000, random_state=0)
    np.testing.assert_allclose(rows.mean(axis=0), means.mean(axis=0), atol=0.1)


@with_prior
@pytest.mark.parametrize("loss", ["absolute_error", "huber", cubes], ids=str)
def test_losses_that_are_no_distribution_have_no_noise(estimator, loss, digits):
    model = estimator(2, loss=loss, **SHORT).fit(digits[:300])
    assert model.sample(3).shape == (3, 64)
    with pytest.raises(ValueError, match=r"noise=True needs a loss .*got loss="):
        model.sample(3, noise=True)
    with pytest.raises(ValueError, match="noise='yes' is not valid: expected bool"):
        model.sample(3, noise="yes")
