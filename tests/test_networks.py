"""Networks: convolutional, tied, users' own."""

import functools
import pickle

import numpy as np
import pytest
import torch
from estimators import ESTIMATORS, NETWORKS, SHORT, ResidualNetwork, trains
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV
from torch import nn

from skae import AutoEncoder, DropoutAutoEncoder
from skae._model.networks.convolution import ConvDecoder, ConvEncoder
from skae._model.networks.mlp import MLP
from skae._model.networks.shapes import module_shapes
from skae._model.networks.tied import TiedLinear
from skae._model.networks.users import UsersNetwork

AT_START = {"max_iter": 1, "learning_rate_init": 1e-30, "random_state": 0}


def n_trained(model):
    return sum(p.numel() for _, p in model.net_.get_all_learnable_params())


def squared_error(model, X):
    return np.square(model.inverse_transform(model.transform(X)) - X).sum(axis=1).mean()


@pytest.mark.parametrize(
    "image_shape", [(8, 8), (7, 9), (1, 13), (5, 6, 3), (32, 32, 3), (3, 3, 1)]
)
@pytest.mark.parametrize("channels", [(), (4,), (4, 6), (4, 6, 8)])
def test_images_of_any_size_are_encoded_and_decoded(image_shape, channels):
    n_features = int(np.prod(image_shape))
    generator = torch.Generator().manual_seed(0)
    encoder = ConvEncoder(image_shape, channels, 5, "relu", generator)
    decoder = ConvDecoder(image_shape, channels, 5, "relu", generator)
    x = torch.rand(4, n_features, generator=generator)
    assert encoder(x).shape == (4, 5)
    assert decoder(encoder(x)).shape == (4, n_features)


def test_a_convolution_sees_neighbours_in_the_image_and_nothing_else():
    encoder = ConvEncoder((9, 12, 2), (3,), 5, nn.Identity, torch.Generator().manual_seed(0))
    x = torch.rand(1, 9 * 12 * 2, generator=torch.Generator().manual_seed(1))
    image = x.reshape(9, 12, 2)
    layer = encoder.convolutions[0]
    expected = nn.functional.conv2d(
        image.permute(2, 0, 1)[None], layer.weight, layer.bias, stride=2, padding=1
    )
    actual = encoder.convolutions(x.unflatten(1, (9, 12, 2)).permute(0, 3, 1, 2))
    torch.testing.assert_close(actual, expected)
    torch.testing.assert_close(encoder(x), encoder.dense(expected.flatten(1)))


def test_image_shape_has_to_fit_the_rows(digits):
    with pytest.raises(ValueError, match=r"image_shape=\(28, 28\) has 784 pixels, but X has 64"):
        AutoEncoder(2, image_shape=(28, 28)).fit(digits)
    for bad in ((64,), (8, 8, 1, 1), 8, (8, -8), (8.0, 8)):
        with pytest.raises(ValueError, match=r"image_shape=.*expected \(height, width\)"):
            AutoEncoder(2, image_shape=bad).fit(digits)


def test_convolutions_improve_on_pca(digits):
    train, test = digits[:1300], digits[1300:]
    model = AutoEncoder(8, image_shape=(8, 8), max_iter=40, random_state=0).fit(train)
    assert squared_error(model, test) < 0.75 * squared_error(PCA(8).fit(train), test)


@pytest.mark.parametrize("hidden_layer_sizes", [(), (20,), (20, 10)])
def test_tied_weights_are_transposes_and_half_as_many(hidden_layer_sizes, digits):
    sizes = {"hidden_layer_sizes": hidden_layer_sizes}
    model = AutoEncoder(4, max_iter=15, random_state=0, **sizes, tied_weights=True).fit(digits)
    module = model.net_.module_
    parts = [getattr(part, "network", part) for part in (module.encoder, module.decoder)]
    encoders = [m for m in parts[0] if isinstance(m, nn.Linear)]
    decoders = [m for m in parts[1] if isinstance(m, TiedLinear)]
    assert not any(isinstance(m, nn.Linear) for m in parts[1])
    weights = {m.weight.data_ptr() for m in encoders}
    assert {m.weight.data_ptr() for m in decoders} == weights
    assert sorted(m.weight.T.shape for m in decoders) == sorted(m.weight.shape for m in encoders)
    if hidden_layer_sizes:  # without, it is PCA already
        assert model.best_iter_ > 0

    untied = AutoEncoder(4, **SHORT, **sizes).fit(digits)
    biases = sum(p.numel() for name, p in untied.net_.get_all_learnable_params() if "bias" in name)
    assert n_trained(model) - biases == (n_trained(untied) - biases) / 2


def test_tied_weights_learn(digits):
    train, test = digits[:1300], digits[1300:]
    model = AutoEncoder(8, tied_weights=True, max_iter=60, random_state=0).fit(train)
    assert squared_error(model, test) < 0.75 * squared_error(PCA(8).fit(train), test)


def test_regularised_linear_autoencoders_shrink_as_kunin_says(digits):
    # min ‖X − XW₁ᵀW₂ᵀ‖² + λ(‖W₁‖² + ‖W₂‖²): singular values √(1 − λ/s²), here by plain descent.
    x = torch.tensor(digits - digits.mean(axis=0))
    singular = torch.linalg.svdvals(x)[:2]
    weight = 0.5 * singular[1] ** 2
    encoder = MLP((64, 2), "identity", torch.Generator().manual_seed(0)).double()
    decoder = TiedLinear(encoder[0], 2)
    parameters = [encoder[0].weight]
    optimizer = torch.optim.LBFGS(parameters, max_iter=500, line_search_fn="strong_wolfe")

    def objective():
        optimizer.zero_grad()
        z = x @ encoder[0].weight.T
        loss = (x - z @ decoder.weight.T).square().sum()
        loss = loss + 2 * weight * encoder[0].weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(objective)
    torch.testing.assert_close(
        torch.linalg.svdvals(encoder[0].weight.detach()),
        (1 - weight / singular.square()).sqrt(),
        rtol=1e-3,
        atol=1e-3,
    )


@pytest.mark.parametrize(
    "network", [{"image_shape": (8, 8)}, {"encoder": ResidualNetwork}, {"decoder": ResidualNetwork}]
)
def test_networks_without_a_transpose_cannot_be_tied(network, digits):
    with pytest.raises(ValueError, match=f"tied_weights=True needs dense.*{next(iter(network))}="):
        AutoEncoder(2, tied_weights=True, **network).fit(digits)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda n_inputs, n_outputs: "no network", "must return a torch.nn.Module.*returned str"),
        (
            lambda n_inputs, n_outputs: nn.Linear(n_inputs, n_outputs + 1),
            r"must map \(n_rows, 64\) to \(n_rows, 2\), but .*maps \(3, 64\) to \(3, 3\)",
        ),
        (lambda n_inputs, n_outputs: nn.LSTM(n_inputs, n_outputs), r"to \(3, 2\)|to tuple"),
        (lambda n_inputs, n_outputs: nn.Linear(7, n_outputs), r"fails on a tensor of .*\(3, 64\)"),
        (nn.Linear(64, 2), r"expected callable \(n_inputs, n_outputs\) -> torch\.nn\.Module"),
        ("resnet", r"encoder='resnet' .*expected callable"),
    ],
)
def test_what_builds_no_network_is_refused(make, message, digits):
    with pytest.raises(ValueError, match=message):
        AutoEncoder(2, encoder=make, **SHORT).fit(digits)


def test_ones_own_networks_learn_and_search(digits):
    def spectral(n_inputs, n_outputs):
        return nn.Sequential(
            nn.Unflatten(1, (1, n_inputs)),
            nn.Conv1d(1, 8, 5, stride=2),
            nn.SiLU(),
            nn.Flatten(),
            nn.LazyLinear(n_outputs),
        )

    train, test = digits[:1300], digits[1300:]
    model = AutoEncoder(8, encoder=spectral, max_iter=25, random_state=0).fit(train)
    assert squared_error(model, test) < 0.85 * squared_error(PCA(8).fit(train), test)
    model = AutoEncoder(encoder=ResidualNetwork, decoder=ResidualNetwork, **SHORT)
    search = GridSearchCV(model, {"n_components": [2, 4]}, cv=2, n_jobs=2).fit(digits[:300])
    again = pickle.loads(pickle.dumps(search.best_estimator_))
    np.testing.assert_array_equal(again.transform(digits), search.transform(digits))


@pytest.mark.parametrize("activation", [nn.Softplus, functools.partial(nn.LeakyReLU, 0.2), 3])
def test_an_activation_is_a_name_or_a_class(activation, digits):
    model = AutoEncoder(2, activation=activation, **SHORT)
    if activation is nn.Softplus:
        names = {type(m) for m in model.fit(digits).net_.module_.modules()}
        assert nn.Softplus in names
    else:
        with pytest.raises(ValueError, match=r"activation=.*a class of torch\.nn\.Module"):
            model.fit(digits)


@pytest.mark.parametrize("activation", [nn.Linear, nn.Module, nn.GLU])
def test_a_class_that_is_no_activation_is_refused(activation, digits):
    with pytest.raises(
        ValueError, match=r"activation=<class .*(is no activation|changes the shape)"
    ):
        AutoEncoder(2, activation=activation, **SHORT).fit(digits)


def test_image_shapes_are_the_same_as_lists(digits):
    model = AutoEncoder(2, image_shape=(8, 8), warm_start=True, **SHORT).fit(digits)
    model.set_params(image_shape=[8, 8]).fit(digits)


def test_olivetti_like_tables_keep_the_floor():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 40)) @ rng.normal(size=(40, 24 * 24)) + rng.normal(size=(120, 576))
    train, test = X[:90], X[90:]
    model = AutoEncoder(8, image_shape=(24, 24), max_iter=10, random_state=0).fit(train)
    assert squared_error(model, test) <= 1.005 * squared_error(PCA(8).fit(train), test)


# -- the weights of networks, before they are built ------------------------------------------------


@pytest.mark.parametrize("kind", ESTIMATORS)
@pytest.mark.parametrize("network", [*NETWORKS, "linear", "rectangles"])
@pytest.mark.parametrize("init", ["pca", "random"])
@pytest.mark.filterwarnings("ignore:Of 2 codes only 0 are in use")
def test_names_and_shapes_of_weights_are_known_before_networks_are_built(
    init, network, kind, spots
):
    others = {
        "linear": {"hidden_layer_sizes": ()},
        "rectangles": {"hidden_layer_sizes": (3, 5, 4), "image_shape": (16, 2, 2)},
    }
    settings = {"max_iter": 1, "init": init, **(NETWORKS | others)[network]}
    if network == "linear" and kind is DropoutAutoEncoder:
        return  # it needs a hidden layer
    model = trains(kind, **settings).fit(spots[:30])
    module = model.net_.module_
    users = {
        f"{path}.{name}"
        for path, part in module.named_modules()
        if isinstance(part, UsersNetwork)
        for name in part.state_dict()
    }
    found = {
        name: tuple(value.shape)
        for name, value in module.state_dict().items()
        if name.startswith(("encoder.", "decoder.", "frame.")) and name not in users
    }
    assert dict(module_shapes(model._spec, 2 * module.outputs_per_component)) == found
