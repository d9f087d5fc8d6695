"""What the common tests run over. A new estimator is one line here."""

from torch import nn

import skae

ESTIMATORS = [getattr(skae, name) for name in skae.__all__]

# Short fits: these tests ask about the contract, not about quality.
SHORT = {"max_iter": 3, "random_state": 0}


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


def variants():
    """Yield every estimator as users may configure it, for tables of any kind."""
    plain = skae.AutoEncoder
    yield plain(2, **SHORT, hidden_layer_sizes=())
    # float32 trouble hides on small networks
    yield plain(3, **SHORT, hidden_layer_sizes=(512,))
    yield plain(2, **SHORT, whiten=True, early_stopping=False)
    yield plain(2, **SHORT, init="random", hidden_layer_sizes=(32,))
    yield plain(2, **SHORT, encoder=ResidualNetwork, decoder=ResidualNetwork)
    yield plain(2, **SHORT, loss="huber", tied_weights=True)
    yield plain(2, **SHORT, loss=cubes, activation=nn.Mish)
    for estimator in ESTIMATORS:
        yield estimator(**SHORT)


NETWORKS = {
    "dense": {"hidden_layer_sizes": (16, 8)},
    "tied": {"hidden_layer_sizes": (16, 8), "tied_weights": True},
    "images": {"hidden_layer_sizes": (4, 6), "image_shape": (8, 8)},
    "user's": {"encoder": ResidualNetwork, "decoder": ResidualNetwork},
    "mixed": {"hidden_layer_sizes": (4,), "image_shape": (8, 8), "encoder": ResidualNetwork},
    "random": {"hidden_layer_sizes": (16,), "init": "random"},
}
