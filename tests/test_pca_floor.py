"""The PCA floor: what it starts at, when it falls back, and what it gains."""

from fractions import Fraction

import numpy as np
import pytest
from scipy.stats import wilcoxon
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from skae import AutoEncoder
from skae._training.selection import is_improvement, signed_rank_p

# A step this small leaves the weights where they start.
AT_START = {"max_iter": 1, "learning_rate_init": 1e-30, "random_state": 0}


def squared_error(model, X):
    return np.square(model.inverse_transform(model.transform(X)) - X).sum(axis=1).mean()


@pytest.mark.parametrize("hidden_layer_sizes", [(), (32,), (32, 16)])
@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize("k", [2, 8, 0.9, 64])
def test_the_start_is_scikit_learns_pca(k, whiten, hidden_layer_sizes, digits):
    model = AutoEncoder(k, whiten=whiten, hidden_layer_sizes=hidden_layer_sizes, **AT_START).fit(
        digits
    )
    pca = PCA(k, whiten=whiten, svd_solver="full").fit(digits)
    kept = pca.explained_variance_ > 1e-6 * pca.explained_variance_[0]  # the rest is rounding
    assert model.best_iter_ == 0
    assert model.n_components_ == pca.n_components_
    np.testing.assert_allclose(model.mean_, pca.mean_, atol=1e-12)
    codes = pca.transform(digits)
    np.testing.assert_allclose(model.transform(digits)[:, kept], codes[:, kept], atol=2e-3)
    X_hat = pca.inverse_transform(codes)
    codes[:, ~kept] = 0
    np.testing.assert_allclose(model.inverse_transform(codes), X_hat, atol=1e-4)
    np.testing.assert_allclose(model.noise_variance_, pca.noise_variance_, rtol=1e-3, atol=1e-9)
    explained = pca.explained_variance_ratio_.sum()
    np.testing.assert_allclose(model.score(digits), explained, atol=1e-5)


@pytest.mark.parametrize(
    ("k", "error"), [(2, 3.355253), (8, 1.530448), (16, 0.706796), (30, 0.192024)]
)
def test_the_start_has_pcas_published_errors(k, error, digits):
    model = AutoEncoder(k, **AT_START).fit(digits)
    np.testing.assert_allclose(-model.score_samples(digits).mean(), error, rtol=1e-5)
    np.testing.assert_allclose(squared_error(model, digits), error, rtol=1e-4)


@pytest.mark.parametrize("init", ["pca", "random"])
def test_the_linear_autoencoder_spans_pcas_subspace(init, digits):
    model = AutoEncoder(
        5,
        init=init,
        hidden_layer_sizes=(),
        early_stopping=False,
        max_iter=150,
        learning_rate_init=0.02,
        weight_decay=0,
        random_state=0,
    ).fit(digits)
    pca = PCA(5).fit(digits)
    directions, _ = np.linalg.qr(model.inverse_transform(np.eye(5)).T - model.mean_[:, None])
    cosines = np.linalg.svd(pca.components_ @ directions, compute_uv=False)
    np.testing.assert_allclose(cosines, 1, atol=1e-3)
    error = np.square(pca.inverse_transform(pca.transform(digits)) - digits).sum(axis=1).mean()
    np.testing.assert_allclose(squared_error(model, digits), error, rtol=2e-3)


@pytest.mark.parametrize("load", [load_breast_cancer, load_wine])
@pytest.mark.parametrize("k", [2, 8])
def test_raw_unscaled_tables_keep_the_floor(load, k):
    train, test = train_test_split(load().data, random_state=0)
    model = AutoEncoder(k, max_iter=60, random_state=0).fit(train)
    assert squared_error(model, test) <= 1.005 * squared_error(PCA(k).fit(train), test)


@pytest.mark.parametrize(
    ("gains", "accepted"),
    [
        (np.zeros(50), False),
        (np.full(50, 0.1), True),
        (np.full(9, 0.1), False),  # too few to tell
        (np.r_[np.full(49, -0.01), 100.0], False),  # the work of one row
        (np.r_[np.full(49, 0.01), -100.0], False),  # paid for by one row
        (np.tile([0.3, -0.1], 50), True),
        (np.tile([0.3, -0.28], 50), False),
    ],
)
def test_an_improvement_is_one_beyond_chance(gains, accepted):
    assert is_improvement(1 + gains, np.ones_like(gains)) is accepted


def test_noise_stays_at_pca():
    # There is nothing to learn, so whatever improves on the validation rows is luck.
    kept = 0
    for seed in range(10):
        X = np.random.default_rng(seed).normal(size=(200, 10))
        kept += AutoEncoder(3, max_iter=30, random_state=seed).fit(X).best_iter_ == 0
    assert kept >= 9


def test_a_curve_needs_one_component_not_two():
    angles = np.random.default_rng(0).uniform(0, 1.5 * np.pi, size=1000)
    X = np.column_stack([np.cos(angles), np.sin(angles)])
    train, test = X[:800], X[800:]
    model = AutoEncoder(1, random_state=0).fit(train)
    assert squared_error(model, test) < 0.01 * squared_error(PCA(1).fit(train), test)


def test_far_from_the_training_rows_the_model_goes_on_as_pca_does(digits):
    model = AutoEncoder(8, max_iter=40, random_state=0).fit(digits)
    assert model.best_iter_ > 0
    far = np.vstack([1000 * digits[:50], digits[:50] - 1000])
    assert squared_error(model, far) < 1.1 * squared_error(PCA(8).fit(digits), far)


def test_switching_the_modules_mode_changes_nothing(digits):
    model = AutoEncoder(8, max_iter=5, random_state=0).fit(digits)
    before = model.transform(digits)
    model.net_.module_.train()
    model.net_.module_.eval()
    np.testing.assert_array_equal(model.transform(digits), before)


@pytest.mark.parametrize("k", [np.int64(3), np.int8(3), np.float32(0.9)])
def test_numpy_numbers_are_numbers(k, digits):
    small = {"batch_size": np.int16(128), "residual_noise": Fraction(1, 3), "max_iter": np.int8(2)}
    AutoEncoder(2, hidden_layer_sizes=(300, 300), random_state=0, **small).fit(digits)
    expected = PCA(3 if k == 3 else 0.9).fit(digits).n_components_
    assert AutoEncoder(k, **AT_START).fit(digits).n_components_ == expected
    assert AutoEncoder(np.int64(70), **AT_START).fit(digits).n_components_ == 70


def test_digits_are_reconstructed_better_than_by_pca(digits):
    train, test = train_test_split(digits, random_state=0)
    model = AutoEncoder(8, max_iter=60, random_state=0).fit(train)
    assert squared_error(model, test) < 0.7 * squared_error(PCA(8).fit(train), test)
    assert max(model.validation_scores_) > model.pca_score_
    assert model.validation_scores_[model.best_iter_ - 1] == max(model.validation_scores_)


@pytest.mark.parametrize("factor", [2.0**-40, 2.0**40])
def test_the_unit_of_the_data_does_not_matter(factor, digits):
    scores = [
        AutoEncoder(3, max_iter=5, random_state=0).fit(X).score(X)
        for X in (digits, factor * digits)
    ]
    np.testing.assert_allclose(*scores, rtol=1e-3)


@pytest.mark.parametrize("factor", [1e-25, 1e25])
@pytest.mark.parametrize("n_rows", [40, 1000])
def test_float32_tables_of_any_scale_have_their_pca(n_rows, factor, digits):
    X = (factor * digits[:n_rows]).astype(np.float32)
    model = AutoEncoder(3, **AT_START).fit(X)
    expected = PCA(3).fit(digits[:n_rows]).explained_variance_ratio_.sum()
    np.testing.assert_allclose(model.score(X), expected, atol=1e-4)


@pytest.mark.parametrize("offset", [2**20, 2**30])
def test_far_from_zero_no_precision_is_lost(offset, digits):
    codes = PCA(3).fit_transform(digits)
    model = AutoEncoder(3, **AT_START).fit(digits + offset)  # exact: digits are n/16
    np.testing.assert_allclose(model.transform(digits + offset), codes, atol=1e-4)


def test_a_code_larger_than_the_data_is_pca_and_zeros(digits):
    model = AutoEncoder(70, **AT_START).fit(digits)
    codes = model.transform(digits)
    assert codes.shape == (len(digits), 70)
    np.testing.assert_allclose(codes[:, 64:], 0, atol=1e-4)
    assert model.score(digits) > 1 - 1e-6


@pytest.mark.parametrize(
    ("n_rows", "fraction"), [(2, "auto"), (19, "auto"), (19, 0.2), (1000, 0.001)]
)
def test_too_few_validation_rows_leave_pca_and_say_so(n_rows, fraction, digits):
    X = digits[:n_rows]
    with pytest.warns(UserWarning, match=rf"X has {n_rows} rows.*stays at PCA"):
        model = AutoEncoder(2, validation_fraction=fraction, random_state=0).fit(X)
    k = min(2, n_rows - 1)  # the rest is rounding
    codes = PCA(k).fit(X).transform(digits)
    np.testing.assert_allclose(model.transform(digits)[:, :k], codes, atol=1e-3)
    assert (model.n_iter_, model.loss_curve_, model.validation_scores_) == (0, [], None)


@pytest.mark.parametrize("n_rows", [20, 36, 200])
def test_few_validation_rows_accept_what_is_clear(n_rows):
    angles = np.random.default_rng(0).uniform(0, np.pi, size=n_rows)
    X = np.column_stack([np.cos(angles), np.sin(angles)])
    model = AutoEncoder(1, max_iter=600, random_state=0).fit(X)
    assert model.best_iter_ > 0
    assert model.score(X) > 0.95 > model.pca_score_


@pytest.mark.parametrize("learning_rate_init", [0.05, 0.3])
def test_without_validation_rows_the_training_rows_keep_the_floor(learning_rate_init, digits):
    X = digits[:100]
    model = AutoEncoder(
        2,
        early_stopping=False,
        learning_rate="constant",
        learning_rate_init=learning_rate_init,
        max_iter=5,
        random_state=0,
    ).fit(X)
    assert model.score(X) >= model.pca_score_ - 1e-6


def test_random_weights_that_break_in_their_only_epoch_are_an_error(digits):
    model = AutoEncoder(
        2, init="random", early_stopping=False, max_iter=1, learning_rate_init=1e30, random_state=0
    )
    with pytest.raises(ValueError, match="not finite in epoch 1"):
        model.fit(digits[:100])


def test_without_early_stopping_all_rows_train(digits):
    model = AutoEncoder(2, early_stopping=False, max_iter=20, random_state=0).fit(digits[:9])
    assert model.validation_scores_ is None
    assert model.n_iter_ == 20
    assert model.score(digits[:9]) > model.pca_score_


def test_training_stops_without_progress_and_keeps_the_best_epoch():
    X = np.random.default_rng(0).normal(size=(100, 8))
    model = AutoEncoder(2, max_iter=500, n_iter_no_change=5, random_state=0).fit(X)
    assert model.n_iter_ < 100
    assert model.n_iter_ == len(model.loss_curve_) == len(model.validation_scores_)


def test_divergence_after_progress_keeps_what_was_learned(digits):
    class Blast(pytest.importorskip("skorch").callbacks.Callback):
        def on_epoch_begin(self, net, **kwargs):
            if len(net.history) == 6:
                for group in net.optimizer_.param_groups:
                    group["lr"] = 1e30

    model = AutoEncoder(
        2, max_iter=20, learning_rate="constant", callbacks=[Blast()], random_state=0
    )
    with pytest.warns(ConvergenceWarning, match="not finite in epoch 6"):
        model.fit(digits)
    assert 0 < model.best_iter_ < 6
    assert model.score(digits) > PCA(2).fit(digits).explained_variance_ratio_.sum() + 0.05


def test_warm_start_goes_on_from_the_last_weights(digits):
    model = AutoEncoder(4, max_iter=30, warm_start=True, random_state=0).fit(digits)
    first = model.score(digits)
    again = model.fit(digits).score(digits)
    assert again >= first - 1e-3
    assert model.loss_curve_[0] < 0.5 * AutoEncoder(4, **AT_START).fit(digits).loss_curve_[0]


def test_warm_start_on_rows_of_another_kind_starts_at_pca(digits):
    model = AutoEncoder(4, max_iter=5, warm_start=True, random_state=0).fit(digits)
    other = np.random.default_rng(0).normal(3, 5, size=(500, 64))
    model.set_params(learning_rate_init=1e-30).fit(other)
    pca = PCA(4).fit(other)
    np.testing.assert_allclose(
        model.inverse_transform(model.transform(other)),
        pca.inverse_transform(pca.transform(other)),
        atol=1e-2,
    )


@pytest.mark.parametrize("change", [lambda X: 1e-8 * X, lambda X: X + 1e6, lambda X: 1e8 * X])
def test_warm_start_on_rows_elsewhere_keeps_the_floor(change, digits):
    model = AutoEncoder(3, max_iter=5, warm_start=True, random_state=0).fit(digits)
    X = change(digits)
    model.set_params(learning_rate_init=1e-30).fit(X)
    np.testing.assert_allclose(
        model.score(X), PCA(3).fit(digits).explained_variance_ratio_.sum(), atol=1e-4
    )


def test_warm_start_keeps_the_size_that_a_share_gave(digits):
    model = AutoEncoder(warm_start=True, max_iter=2, random_state=0).fit(digits[:300])
    size = model.n_components_
    assert AutoEncoder(max_iter=2).fit(digits[300:600]).n_components_ != size
    assert model.fit(digits[300:600]).n_components_ == size


def test_warm_start_refuses_another_architecture(digits):
    model = AutoEncoder(4, max_iter=2, warm_start=True, random_state=0).fit(digits)
    with pytest.raises(ValueError, match=r"same hidden_layer_sizes.*\(128, 128\), not \(9,\)"):
        model.set_params(hidden_layer_sizes=(9,)).fit(digits)
    with pytest.raises(ValueError, match="same n_features as the last fit, which had 64, not 9"):
        model.set_params(hidden_layer_sizes="auto").fit(digits[:, :9])


@pytest.mark.parametrize("n", [10, 13, 14, 60])
def test_the_signed_rank_test_is_scipys(n):
    rng = np.random.default_rng(n)
    for shift in (0.0, 0.5, 2.0):
        gain = rng.normal(shift, size=n)
        expected = wilcoxon(gain, alternative="greater").pvalue
        np.testing.assert_allclose(signed_rank_p(gain), expected, rtol=1e-9)
