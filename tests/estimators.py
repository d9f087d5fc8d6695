"""What the common tests run over, and fits that provably trained. A new estimator is one line."""

import numpy as np
import torch
from sklearn.base import clone
from torch import nn

import skae

# Those that have a code: not the imputer, which has tests of its own.
ESTIMATORS = [
    getattr(skae, name)
    for name in skae.__all__
    if hasattr(getattr(skae, name), "inverse_transform")
]

# One of each kind: plain codes, a likelihood, a prior that a discriminator compares with.
SOME = [skae.AutoEncoder, skae.VariationalAutoEncoder, skae.AdversarialAutoEncoder]

# scikit-learn's checks that are not on its list.
EXTRA_CHECKS = [
    "check_dataframe_column_names_consistency",
    "check_transformer_get_feature_names_out",
    "check_transformer_get_feature_names_out_pandas",
    "check_set_output_transform",
    "check_set_output_transform_pandas",
    "check_set_output_transform_polars",
    "check_global_output_transform_pandas",
    "check_global_set_output_transform_polars",
]

# The codes of these are shown in principal axes; those of all others keep their own.
ON_PRINCIPAL_AXES = (
    skae.AutoEncoder,
    skae.ContractiveAutoEncoder,
    skae.DenoisingAutoEncoder,
    skae.DropoutAutoEncoder,
)
# The codes of these have a prior, in whose units users see them.
WITH_PRIOR = (
    skae.AdversarialAutoEncoder,
    skae.VariationalAutoEncoder,
    skae.WassersteinAutoEncoder,
)

# Fits that nearly always end at PCA: for tests that do not ask about trained networks.
SHORT = {"max_iter": 3, "random_state": 0}

# Fits of a network as small as any, for tests of what is stored.
SMALL = {"hidden_layer_sizes": (6,), "max_iter": 2, "random_state": 0}

# Fits of `make_spots` that leave PCA, in a tenth of a second: `fit_trained` asserts it.
TRAINS = {"max_iter": 12, "batch_size": 32, "learning_rate_init": 0.02, "random_state": 0}
# With the full weight of the prior so few steps would not do.
WEAK_PRIOR = {
    skae.AdversarialAutoEncoder: {"alpha": 0.1},
    skae.WassersteinAutoEncoder: {"alpha": 0.1},
}


def make_spots(n_rows=240, seed=0):
    """Return 8x8 images from 0 to 1 of a spot that moves over them: a curved surface.

    Two numbers say all of an image, and the best two linear ones half: networks of any kind
    beat PCA within seconds.
    """
    rng = np.random.default_rng(seed)
    row, column = rng.uniform(0, 7, size=(2, n_rows, 1))
    pixel = np.arange(8)
    down, across = (pixel - row) ** 2, (pixel - column) ** 2
    return np.exp(-(down[:, :, None] + across[:, None, :]) / 4.5).reshape(n_rows, 64)


def trains(estimator, n_components=2, **parameters):
    """Return an estimator of a class, with parameters that make it leave PCA on spots."""
    return estimator(n_components, **{**TRAINS, **WEAK_PRIOR.get(estimator, {}), **parameters})


def fit_trained(estimator, X):
    """Fit a copy of an estimator, and assert that its network is trained and not PCA.

    At PCA every network is at zero, so that a test of its fit says nothing of networks.
    """
    fitted = clone(estimator).fit(X)
    assert fitted.best_iter_ > 0, "ended at PCA: find parameters or rows that it trains on"
    return fitted


class ResidualNetwork(nn.Module):
    """A user's network, of a kind that skae does not know."""

    def __init__(self, n_inputs, n_outputs):
        super().__init__()
        self.first = nn.Linear(n_inputs, 12)
        self.block = nn.Sequential(nn.Linear(12, 12), nn.Dropout(0.1), nn.ReLU())
        self.norm = nn.BatchNorm1d(12)
        self.last = nn.Linear(12, n_outputs)

    def forward(self, x):
        h = self.first(x)
        return self.last(self.norm(h + self.block(h)))


class Cubes:
    """A user's loss; its name is the same in every process, as pytest-xdist needs."""

    def __call__(self, x, x_hat):
        return (x - x_hat).abs().pow(3).sum(dim=1)

    def __repr__(self):
        return "cubes"

    def __eq__(self, other):
        return isinstance(other, Cubes)

    __hash__ = None


cubes = Cubes()


def special_variants(**settings):
    """Yield AutoEncoder as users may configure it, for tables of any kind."""
    plain = skae.AutoEncoder
    # a linear network can only beat PCA where the loss is not PCA's
    slow = {**settings, "learning_rate_init": 0.005}
    yield plain(2, **slow, hidden_layer_sizes=(), loss=cubes, early_stopping=False)
    # float32 trouble hides on small networks
    yield plain(3, **settings, hidden_layer_sizes=(512,))
    yield plain(2, **settings, hidden_layer_sizes=(16,), whiten=True, early_stopping=False)
    yield plain(2, **settings, hidden_layer_sizes=(32,), init="random")
    yield plain(2, **settings, encoder=ResidualNetwork, decoder=ResidualNetwork)
    yield plain(2, **settings, hidden_layer_sizes=(16,), loss="huber", tied_weights=True)
    yield plain(2, **settings, hidden_layer_sizes=(16,), loss=cubes, activation=nn.Mish)


def trained_variants():
    """Yield every estimator, configured so that it leaves PCA on spots."""
    yield from special_variants(**TRAINS)
    for estimator in ESTIMATORS:
        yield trains(estimator)


NETWORKS = {
    "dense": {"hidden_layer_sizes": (16, 8)},
    "images": {"hidden_layer_sizes": (4, 6), "image_shape": (8, 8)},
    "user's": {"encoder": ResidualNetwork, "decoder": ResidualNetwork},
    "mixed": {"hidden_layer_sizes": (4,), "image_shape": (8, 8), "encoder": ResidualNetwork},
    "random": {"hidden_layer_sizes": (16,), "init": "random"},
    "tied": {"hidden_layer_sizes": (32,), "tied_weights": True, "early_stopping": False},
}


# -- damage, for tests of the tests -------------------------------------------------------------


def scramble(model):
    """Reverse the order of the networks' weights, but for the linear maps that carry PCA."""
    state = model.net_.module_.state_dict()
    weights = [
        name
        for name, value in state.items()
        if name.startswith(("encoder.", "decoder.")) and value.is_floating_point()
    ]
    floored = [name for name in weights if ".network." in name]
    with torch.no_grad():
        for name in floored or weights:
            state[name].copy_(state[name].flatten().flip(0).view_as(state[name]))
    return model


def let_rows_depend_on_each_other(model):
    """Add the mean over a batch to what the networks return for each of its rows."""
    for network in (model.net_.module_.encoder, model.net_.module_.decoder):
        trained = getattr(network, "network", network)  # beside the linear map that carries PCA
        trained.register_forward_hook(lambda *of_layer: of_layer[-1] + of_layer[-1].mean(dim=0))
    return model
