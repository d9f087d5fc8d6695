"""What is peculiar to each method."""

import numpy as np
import pytest
import torch
from estimators import ESTIMATORS, SHORT, ResidualNetwork
from scipy.stats import kurtosis
from sklearn.decomposition import PCA
from torch import nn

from skae import (
    AutoEncoder,
    ContractiveAutoEncoder,
    DenoisingAutoEncoder,
    DropoutAutoEncoder,
    SparseAutoEncoder,
)
from skae._contractive import ContractiveModule
from skae._data.units import Units
from skae._denoising import Corruption
from skae._model.losses import make_loss
from skae._model.networks.mlp import MLP, Dropout


def squared_error(model, X, spoiled):
    return np.square(model.inverse_transform(model.transform(spoiled)) - X).sum(axis=1).mean()


# -- denoising -----------------------------------------------------------------------------


def spoil(noise, level, X, n=200):
    """Return many spoiled copies of X's rows, in the data's units."""
    center, scale = X.mean(axis=0), 2.0
    corruption = Corruption(Units(center, scale), noise, level)
    x = torch.tensor((X - center) / scale, dtype=torch.float32)
    corruption.look_at([x[:1000], x[1000:]])
    spoiled = corruption(x.repeat(n, 1), torch.Generator().manual_seed(0))
    return spoiled.numpy().reshape(n, *X.shape) * scale + center


def test_gaussian_noise_is_in_scales(digits):
    noise = spoil("gaussian", 0.3, digits, 20) - digits
    np.testing.assert_allclose(noise.mean(), 0, atol=0.002)
    np.testing.assert_allclose(noise.std(), 0.3 * 2.0, rtol=0.01)


def test_masking_sets_a_share_to_zero(digits):
    X = digits + 1
    spoiled = spoil("masking", 0.3, X, 20)
    at_zero = np.abs(spoiled) < 1e-5
    np.testing.assert_allclose(at_zero.mean(), 0.3, atol=0.002)
    np.testing.assert_allclose(
        spoiled[~at_zero], np.broadcast_to(X, spoiled.shape)[~at_zero], atol=1e-5
    )


def test_salt_and_pepper_are_a_features_extremes(digits):
    X = np.column_stack([digits[:, 20], -3 * digits[:, 30], digits[:, 30] + 0.5])
    spoiled = spoil("salt_and_pepper", 0.4, X, 200)
    for extreme in (X.min(axis=0), X.max(axis=0)):
        inner = (np.abs(X - X.min(axis=0)) > 1e-3) & (np.abs(X - X.max(axis=0)) > 1e-3)
        share = (np.abs(spoiled - extreme) < 1e-4)[:, inner].mean()
        np.testing.assert_allclose(share, 0.2, atol=0.01)


def test_noise_of_ones_own_sees_rows_in_their_units(digits):
    def noise(X, generator):
        assert X.min() >= -1e-3
        assert X.max() <= 16.01
        return X + torch.randn(X.shape, generator=generator)

    model = DenoisingAutoEncoder(4, noise=noise, **SHORT).fit(16 * digits)
    assert (
        model.loss_curve_
        == DenoisingAutoEncoder(4, noise=noise, **SHORT).fit(16 * digits).loss_curve_
    )


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"noise": "pink"}, "noise='pink' .*'salt_and_pepper' or callable"),
        ({"noise": "masking", "noise_level": 1.5}, r"noise_level=1\.5 is the share.*'masking'"),
        ({"noise_level": -1}, "noise_level=-1 "),
        ({"noise": lambda X, generator: X[0]}, r"same|shape that it is given.*returned \(64,\)"),
        ({"noise": lambda X, generator: None}, "returned NoneType"),
    ],
)
def test_bad_noise_is_refused(parameters, message, digits):
    with pytest.raises(ValueError, match=message):
        DenoisingAutoEncoder(2, **SHORT, **parameters).fit(digits)


@pytest.mark.parametrize("noise", ["gaussian", "masking", "salt_and_pepper"])
def test_denoising_beats_plain_and_pca_at_denoising(noise, digits):
    train, test = digits[:1300], digits[1300:]
    level = 0.3 if noise != "gaussian" else 1.0
    rng = np.random.default_rng(0)
    if noise == "gaussian":
        spoiled = test + level * np.sqrt(train.var(axis=0).mean()) * rng.normal(size=test.shape)
    else:
        ends = train.min(axis=0), train.max(axis=0)
        ends = np.where(rng.uniform(size=test.shape) < 0.5, *ends) if noise != "masking" else 0
        spoiled = np.where(rng.uniform(size=test.shape) < level, ends, test)
    parameters = {"max_iter": 60, "random_state": 0}
    denoising = DenoisingAutoEncoder(16, noise=noise, noise_level=level, **parameters).fit(train)
    plain = AutoEncoder(16, **parameters).fit(train)
    ours = squared_error(denoising, test, spoiled)
    assert ours < 0.8 * squared_error(plain, test, spoiled)
    assert ours < 0.8 * squared_error(PCA(16).fit(train), test, spoiled)


def test_without_noise_denoising_is_plain(digits):
    models = [
        DenoisingAutoEncoder(4, noise_level=0, **SHORT).fit(digits),
        AutoEncoder(4, residual_noise=0, **SHORT).fit(digits),
    ]
    np.testing.assert_allclose(*(model.loss_curve_ for model in models), rtol=1e-5)


def test_validation_rows_have_one_draw_of_the_noise(digits):
    # At a vanishing rate the weights stay, and so must the validation loss, not the training's.
    model = DenoisingAutoEncoder(4, noise_level=1.0, max_iter=3, learning_rate_init=1e-30)
    history = model.set_params(random_state=0).fit(digits).net_.history
    assert len(set(history[:, "valid_loss"])) == 1
    assert len(set(history[:, "train_loss"])) == 3


# -- dropout -------------------------------------------------------------------------------


def test_dropout_keeps_the_mean():
    layer = Dropout(0.3).train()
    layer.generator = torch.Generator().manual_seed(0)
    h = layer(torch.ones(1000, 100))
    np.testing.assert_allclose(h.mean(), 1, atol=0.01)
    np.testing.assert_allclose((h == 0).float().mean(), 0.3, atol=0.01)
    assert torch.equal(layer.eval()(h), h)


def test_dropout_is_behind_every_activation_of_any_network(digits):
    for parameters, n in (
        ({"hidden_layer_sizes": (9, 8)}, 4),
        ({"hidden_layer_sizes": (9,), "activation": nn.Mish}, 2),
        ({"image_shape": (8, 8), "hidden_layer_sizes": (3, 4)}, 3 + 4),
        ({"encoder": ResidualNetwork, "hidden_layer_sizes": (5,)}, 2 + 1),  # with its own
    ):
        model = DropoutAutoEncoder(2, dropout=0.4, **SHORT, **parameters).fit(digits)
        found = [m for m in model.net_.module_.modules() if isinstance(m, Dropout)]
        assert len(found) == n
        assert {m.p for m in found} <= {0.4, 0.1}


def test_codes_and_reconstructions_are_never_left_out(digits):
    def bounded(n_inputs, n_outputs):
        return nn.Sequential(nn.Linear(n_inputs, 9), nn.ReLU(), nn.Linear(9, n_outputs), nn.Tanh())

    model = DropoutAutoEncoder(2, encoder=bounded, decoder=bounded, **SHORT).fit(digits)
    for part in (model.net_.module_.encoder, model.net_.module_.decoder):
        assert isinstance([*part.modules()][-1], nn.Tanh)
        assert sum(isinstance(m, Dropout) for m in part.modules()) == 1


def test_without_dropout_it_is_plain(digits):
    models = [
        DropoutAutoEncoder(4, dropout=0, **SHORT).fit(digits),
        AutoEncoder(4, residual_noise=0, **SHORT).fit(digits),
    ]
    np.testing.assert_allclose(*(model.loss_curve_ for model in models), rtol=1e-4)
    assert DropoutAutoEncoder(4, **SHORT).fit(digits).loss_curve_ != models[1].loss_curve_


def test_dropout_that_finds_nothing_to_leave_out_says_so(digits):
    with pytest.raises(ValueError, match=r"dropout=0\.1 finds no hidden units.*hidden_layer_sizes"):
        DropoutAutoEncoder(2, hidden_layer_sizes=(), **SHORT).fit(digits)


# -- sparse --------------------------------------------------------------------------------


@pytest.mark.parametrize("penalty", ["l1", "kl"])
def test_a_penalty_makes_codes_sparser(penalty, digits):
    codes = {
        alpha: SparseAutoEncoder(
            8, penalty=penalty, alpha=alpha, max_iter=20, random_state=0
        ).fit_transform(digits)
        for alpha in (0, 2)
    }
    assert kurtosis(codes[2]).mean() > kurtosis(codes[0]).mean() + 0.5


def test_sparse_codes_keep_their_axes_and_are_ordered(digits):
    model = SparseAutoEncoder(5, alpha=1, max_iter=20, random_state=0).fit(digits)
    frame = model.net_.module_.frame
    assert ((frame.axes != 0).sum(dim=0) == 1).all()
    assert ((frame.axes != 0).sum(dim=1) == 1).all()
    assert not frame.offset.any()
    assert (np.diff(model.transform(digits).var(axis=0)) <= 0).all()


def test_the_l1_term_is_the_norm_of_the_codes(digits):
    model = SparseAutoEncoder(5, alpha=0.5, whiten=False, **SHORT).fit(digits)
    module = model.net_.module_
    x = torch.tensor((digits - model.mean_) / model.scale_, dtype=torch.float32)
    with torch.no_grad():
        _, terms = module(x)
        z = module.encoder(x)
    torch.testing.assert_close(terms["sparsity"], 0.5 * z.abs().sum(dim=1))


# -- contractive ---------------------------------------------------------------------------


def make_contractive(encoder, k, scale=1.0):
    decoder = MLP((k, 6, 5), "tanh", torch.Generator().manual_seed(1))
    loss = make_loss("squared_error", Units(np.zeros(5), scale))
    return ContractiveModule(encoder, decoder, k, loss, alpha=1.0)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("k", [1, 4, 8])
def test_the_contraction_is_the_jacobians_norm(k, training):
    encoder = MLP((5, 7, k), "silu", torch.Generator().manual_seed(0))
    module = make_contractive(encoder, k, scale=4.0).train(training)
    module.frame.set_metric(torch.linspace(1, 2, k))
    x = torch.randn(6, 5, generator=torch.Generator().manual_seed(2))
    _, terms = module(x)
    jacobians = torch.func.vmap(torch.func.jacrev(encoder))(x)
    jacobians = jacobians * torch.linspace(1, 2, k)[:, None] / 4
    torch.testing.assert_close(terms["contraction"], jacobians.square().sum(dim=(1, 2)))
    assert terms["contraction"].requires_grad is training


def test_one_sigmoid_layer_has_the_papers_closed_form():
    encoder = nn.Sequential(nn.Linear(5, 3), nn.Sigmoid())
    x = torch.randn(6, 5, generator=torch.Generator().manual_seed(2))
    _, terms = make_contractive(encoder, 3)(x)
    h, weight = encoder(x), encoder[0].weight
    expected = ((h * (1 - h)).square() * weight.square().sum(dim=1)).sum(dim=1)
    torch.testing.assert_close(terms["contraction"], expected)


def test_larger_codes_have_an_unbiased_estimate():
    encoder = MLP((5, 7, 20), "silu", torch.Generator().manual_seed(0))
    module = make_contractive(encoder, 20)
    module.generator = torch.Generator().manual_seed(3)
    x = torch.randn(1, 5, generator=torch.Generator().manual_seed(2))
    _, terms = module(x.repeat(20_000, 1))
    expected = torch.func.jacrev(encoder)(x[0]).square().sum()
    estimates = terms["contraction"].detach()
    assert estimates.std() > 0
    assert abs(estimates.mean() - expected) < 4 * estimates.std() / 20_000**0.5


@pytest.mark.parametrize("k", [3, 12])
def test_pcas_jacobian_has_the_norm_of_the_number_of_components(k, digits):
    model = ContractiveAutoEncoder(
        k, alpha=2.0, max_iter=1, learning_rate_init=1e-30, random_state=0
    ).fit(digits)
    contraction = model.net_.history[-1, "valid_contraction"] / 2
    np.testing.assert_allclose(contraction, k, rtol=1e-3 if k == 3 else 0.2)


def test_the_contraction_does_not_depend_on_the_unit_of_the_data(digits):
    scores = [
        ContractiveAutoEncoder(4, init="random", max_iter=10, random_state=0).fit(X).score(X)
        for X in (digits[:600], 1e-3 * digits[:600])
    ]
    np.testing.assert_allclose(*scores, rtol=1e-2)


def test_contraction_contracts(digits):
    norms = []
    for alpha in (0, 1):
        model = ContractiveAutoEncoder(4, alpha=alpha, max_iter=12, random_state=0).fit(digits)
        x = torch.tensor((digits[:100] - model.mean_) / model.scale_, dtype=torch.float32)
        module, x = model.net_.module_, x.requires_grad_()
        norms.append(module.jacobian_norm(x, module.encoder(x)).mean().item())
    assert norms[1] < 0.6 * norms[0]


# -- all -----------------------------------------------------------------------------------


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_every_term_is_in_the_history(estimator, digits):
    history = estimator(2, **SHORT).fit(digits).net_.history
    columns = [name[6:] for name in history[-1] if name.startswith("train_")]
    terms = set(columns) - {"loss", "loss_best", "batch_count"}
    assert "reconstruction" in terms
    for row in history:
        for prefix in ("train", "valid"):
            total = sum(row[f"{prefix}_{term}"] for term in terms)
            np.testing.assert_allclose(row[f"{prefix}_loss"], total, rtol=1e-6)
