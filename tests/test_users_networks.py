"""Networks and activations of one's own: what they draw, share and are copied for."""

import threading

import numpy as np
import pytest
import torch
from estimators import SHORT
from sklearn.base import clone
from torch import nn
from torch.nn import functional as F

from skae import AutoEncoder, DropoutAutoEncoder, VariationalAutoEncoder, WassersteinAutoEncoder

# -- layers that draw ----------------------------------------------------------------------


class Attention(nn.Module):
    def __init__(self, n_inputs, n_outputs, dropout=0.1):
        super().__init__()
        self.first = nn.Linear(n_inputs, 8)
        self.attention = nn.MultiheadAttention(8, 2, dropout=dropout, batch_first=True)
        self.last = nn.Linear(8, n_outputs)

    def forward(self, x):
        h = self.first(x)[:, None]
        return self.last(self.attention(h, h, h, need_weights=False)[0][:, 0])


class FunctionalDropout(nn.Module):
    def __init__(self, n_inputs, n_outputs):
        super().__init__()
        self.first, self.last = nn.Linear(n_inputs, 8), nn.Linear(8, n_outputs)

    def forward(self, x):
        return self.last(F.dropout(self.first(x).relu(), 0.1, self.training))


class NoisyInTraining(FunctionalDropout):
    def forward(self, x):
        h = self.first(x).relu()
        return self.last(h + 0.1 * torch.randn_like(h) if self.training else h)


def rrelu(n_inputs, n_outputs):
    return nn.Sequential(nn.Linear(n_inputs, 8), nn.RReLU(), nn.Linear(8, n_outputs))


def alpha_dropout(n_inputs, n_outputs):
    layers = [nn.Linear(n_inputs, 8), nn.SELU(), nn.AlphaDropout(0.1), nn.Linear(8, n_outputs)]
    return nn.Sequential(*layers)


def fit_twice(model, X):
    """Fit one seed twice, while others draw from torch's global generator in between."""
    state = torch.get_rng_state()
    first = clone(model).fit(X)
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(7)
    second = clone(model).fit(X)
    torch.set_rng_state(state)
    return first, second


@pytest.mark.parametrize("name", ["encoder", "decoder"])
@pytest.mark.parametrize(
    "make", [rrelu, Attention, FunctionalDropout, NoisyInTraining, alpha_dropout]
)
def test_networks_that_draw_at_random_draw_from_the_seed(make, name, digits):
    parameters = {name: make, "init": "random", "max_iter": 4}
    first, second = fit_twice(AutoEncoder(2, random_state=0, **parameters), digits[:200])
    assert first.best_iter_ > 0
    np.testing.assert_array_equal(first.transform(digits), second.transform(digits))
    assert first.loss_curve_ == second.loss_curve_
    other = AutoEncoder(2, random_state=1, **parameters).fit(digits[:200])
    assert first.loss_curve_ != other.loss_curve_
    network = getattr(first.net_.module_, name)
    x = torch.ones(200, 64 if name == "encoder" else 2)
    with torch.no_grad():
        assert torch.equal(network(x), network(x))  # nothing is drawn once it is fitted
        assert not torch.equal(network.train()(x), network(x))


class NoisyActivation(nn.Module):
    def forward(self, x):
        return x.relu() + (0.1 * torch.rand_like(x) if self.training else 0)


@pytest.mark.parametrize("activation", [nn.RReLU, NoisyActivation])
@pytest.mark.parametrize("network", [{}, {"image_shape": (8, 8)}, {"tied_weights": True}])
def test_activations_that_draw_at_random_draw_from_the_seed(network, activation, digits):
    model = AutoEncoder(2, activation=activation, max_iter=12, random_state=0, **network)
    model.set_params(init="random", learning_rate_init=0.01, batch_size=32)
    first, second = fit_twice(model, digits[:200])
    assert first.best_iter_ > 0
    np.testing.assert_array_equal(first.transform(digits), second.transform(digits))


def dropout(n_inputs, n_outputs):
    layers = [nn.Linear(n_inputs, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, n_outputs)]
    return nn.Sequential(*layers)


def attention(n_inputs, n_outputs):
    return Attention(n_inputs, n_outputs, dropout=0.0)


@pytest.mark.parametrize("make", [dropout, attention])
def test_networks_that_draw_nothing_of_their_own_give_the_same_codes_for_a_seed(make, digits):
    model = AutoEncoder(2, encoder=make, max_iter=15, batch_size=32, random_state=0)
    first = model.fit(digits[:600]).transform(digits)
    assert model.best_iter_ > 0
    torch.rand(7)
    np.testing.assert_array_equal(clone(model).fit(digits[:600]).transform(digits), first)


# -- draws of another thread ---------------------------------------------------------------


def draw_in_another_thread():
    thread = threading.Thread(target=torch.rand, args=(3,))
    thread.start()
    thread.join()


class DrawsMeanwhile:
    """Builds networks while another thread draws from torch's global generator."""

    def __init__(self, draw):
        self.draw = draw
        self.n_draws = 0

    def __call__(self, n_inputs, n_outputs):
        first = nn.Linear(n_inputs, 8)
        if self.draw:
            draw_in_another_thread()
            self.n_draws += 1
        return nn.Sequential(first, nn.ReLU(), nn.Linear(8, n_outputs))


class Laplace(torch.distributions.Distribution):
    """A prior that is drawn while another thread draws too."""

    arg_constraints = {}  # noqa: RUF012

    def __init__(self, draw):
        super().__init__(batch_shape=torch.Size(), event_shape=torch.Size([2]))
        self.draw = draw

    def sample(self, sample_shape=()):
        if self.draw:
            draw_in_another_thread()
        return torch.distributions.Laplace(torch.zeros(2), torch.ones(2)).sample(sample_shape)


def fit_while_drawing(kind, draw, digits):
    parameters = {"max_iter": 3, "init": "random", "random_state": 0}
    if kind == "network":
        make = DrawsMeanwhile(draw)
        return AutoEncoder(2, encoder=make, decoder=make, **parameters).fit(digits)
    return WassersteinAutoEncoder(2, prior=Laplace(draw), **parameters).fit(digits)


@pytest.mark.parametrize("kind", ["network", "prior"])
def test_draws_of_another_thread_change_no_fit(kind, digits):
    expected, actual = (fit_while_drawing(kind, draw, digits[:200]) for draw in (False, True))
    assert actual.best_iter_ > 0
    np.testing.assert_array_equal(actual.transform(digits), expected.transform(digits))
    if kind == "prior":
        samples = [m.sample(3, random_state=0) for m in (expected, actual)]
        np.testing.assert_array_equal(*samples)


def test_the_draws_of_another_thread_stay_drawn(digits):
    make = DrawsMeanwhile(draw=True)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        AutoEncoder(2, encoder=make, **SHORT).fit(digits[:200])
        state = torch.get_rng_state()
        torch.manual_seed(0)
        for _ in range(make.n_draws):
            torch.rand(3)
        assert make.n_draws > 0
        assert torch.equal(state, torch.get_rng_state())


def test_fits_in_four_threads_give_the_codes_of_their_seed_while_a_fifth_draws(digits):
    X = digits[:100]
    prior = torch.distributions.Independent(
        torch.distributions.Laplace(torch.zeros(2), torch.ones(2)), 1
    )
    models = [
        WassersteinAutoEncoder(2, prior=prior, max_iter=2, init="random", random_state=0),
        AutoEncoder(2, encoder=dropout, max_iter=2, init="random", random_state=0),
    ]
    expected = [clone(m).fit(X).transform(X) for m in models]
    is_over, results = threading.Event(), []

    def draw():
        while not is_over.is_set():
            torch.rand(100)

    def fit():
        try:
            for _ in range(3):
                results.append([clone(m).fit(X).transform(X) for m in models])
        except Exception as error:
            results.append(error)

    state = torch.get_rng_state()
    fifth, four = threading.Thread(target=draw), [threading.Thread(target=fit) for _ in range(4)]
    for thread in (fifth, *four):
        thread.start()
    for thread in four:
        thread.join()
    is_over.set()
    fifth.join()
    torch.set_rng_state(state)
    assert len(results) == 12
    for result in results:
        assert not isinstance(result, Exception), result
        for codes, wanted in zip(result, expected, strict=True):
            np.testing.assert_array_equal(codes, wanted)


# -- modules that are used more than once --------------------------------------------------


class Always:
    """Returns the same network in each call."""

    def __init__(self, network):
        self.network = network

    def __call__(self, n_inputs, n_outputs):
        return self.network


@pytest.mark.parametrize("estimator", [AutoEncoder, VariationalAutoEncoder])
def test_a_network_that_is_returned_twice_ties_no_two_fits_together(estimator, digits):
    n_outputs = 4 if estimator is VariationalAutoEncoder else 2
    make = Always(nn.Sequential(nn.Linear(64, 16), nn.Tanh(), nn.Linear(16, n_outputs)))
    first = estimator(2, encoder=make, max_iter=20, random_state=0).fit(digits[:900])
    assert first.best_iter_ > 0
    codes, score = first.transform(digits), first.score(digits)
    second = estimator(2, encoder=make, max_iter=20, random_state=1).fit(digits[900:])
    assert second.best_iter_ > 0
    np.testing.assert_array_equal(first.transform(digits), codes)
    assert first.score(digits) == score


def test_a_network_that_is_encoder_and_decoder_is_not_tied_to_itself():
    X = np.random.default_rng(0).normal(size=(300, 4)) ** 3
    make = Always(nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 4)))
    model = AutoEncoder(4, encoder=make, decoder=make, init="random", max_iter=3, random_state=0)
    module = model.fit(X).net_.module_
    ours, others = ({id(p) for p in part.parameters()} for part in (module.encoder, module.decoder))
    assert ours
    assert not ours & others


seen = {}


class Watched(nn.Linear):
    """A layer that notes which share of its inputs is zero in training."""

    def __init__(self, n_inputs, n_outputs, name):
        super().__init__(n_inputs, n_outputs)
        self.name = name

    def forward(self, x):
        if self.training:
            seen.setdefault(self.name, []).append((x == 0).float().mean().item())
        return super().forward(x)


class SharedActivation(nn.Module):
    """A network whose only activation is used twice, or also for its outputs."""

    def __init__(self, n_inputs, n_outputs, is_last=False):
        super().__init__()
        self.first = nn.Linear(n_inputs, 32)
        self.second = Watched(32, 32, "second")
        self.third = Watched(32, n_outputs, "third")
        self.is_last = is_last
        self.activation = nn.Sigmoid()  # never zero

    def forward(self, x):
        h = self.activation(self.second(self.activation(self.first(x))))
        h = self.third(h)
        return self.activation(h) if self.is_last else h


def shared_in_a_row(n_inputs, n_outputs):
    activation = nn.Sigmoid()
    return nn.Sequential(
        nn.Linear(n_inputs, 32),
        activation,
        Watched(32, 32, "second"),
        activation,
        Watched(32, n_outputs, "third"),
    )


def two_layers(n_inputs, n_outputs):
    return nn.Sequential(nn.Linear(n_inputs, 32), nn.ReLU(), nn.Linear(32, n_outputs))


@pytest.mark.parametrize("decoder", [SharedActivation, shared_in_a_row, two_layers])
@pytest.mark.parametrize("encoder", [SharedActivation, shared_in_a_row])
def test_dropout_leaves_out_units_at_every_use_of_an_activation(encoder, decoder, digits):
    seen.clear()
    model = DropoutAutoEncoder(
        2, dropout=0.3, encoder=encoder, decoder=decoder, max_iter=3, random_state=0
    )
    assert model.fit(digits[:600]).n_iter_ == 3
    for name in ("second", "third"):
        np.testing.assert_allclose(np.median(seen[name]), 0.3, atol=0.03)


class Outputs(nn.Module):
    """Notes which share of a network's outputs is zero in training."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        y = self.network(x)
        if self.training:
            seen.setdefault("outputs", []).append((y == 0).float().mean().item())
        return y


def shared_and_last(n_inputs, n_outputs):
    activation = nn.Sigmoid()
    layers = [nn.Linear(n_inputs, 32), activation, Watched(32, n_outputs, "second"), activation]
    return Outputs(nn.Sequential(*layers))


def test_dropout_spares_the_outputs_where_their_activation_is_also_a_hidden_one(digits):
    seen.clear()
    model = DropoutAutoEncoder(2, dropout=0.3, encoder=shared_and_last, max_iter=3, random_state=0)
    assert model.fit(digits[:600]).n_iter_ == 3
    np.testing.assert_allclose(np.median(seen["second"]), 0.3, atol=0.03)
    assert max(seen["outputs"]) == 0


def test_dropout_takes_an_activation_that_a_module_of_ones_own_uses_for_its_outputs_too(digits):
    def make(n_inputs, n_outputs):
        return SharedActivation(n_inputs, n_outputs, is_last=True)

    seen.clear()
    model = DropoutAutoEncoder(2, dropout=0.3, encoder=make, max_iter=3, random_state=0)
    model.fit(digits[:600])
    np.testing.assert_allclose(np.median(seen["third"]), 0.3, atol=0.03)


class AlwaysNoisy(nn.Module):
    def __init__(self, n_inputs, n_outputs):
        super().__init__()
        self.last = nn.Linear(n_inputs, n_outputs)

    def forward(self, x):
        return self.last(x + 0.1 * torch.randn_like(x))


def test_a_network_that_draws_in_evaluation_mode_draws_the_same(digits):
    model = AutoEncoder(2, encoder=AlwaysNoisy, init="random", max_iter=4, random_state=0)
    first, second = fit_twice(model, digits[:200])
    assert first.best_iter_ > 0
    np.testing.assert_array_equal(first.transform(digits), first.transform(digits))
    np.testing.assert_array_equal(first.transform(digits), second.transform(digits))


def in_place(n_inputs, n_outputs):
    return nn.Sequential(nn.ReLU(inplace=True), nn.Linear(n_inputs, n_outputs))


def test_a_network_that_writes_into_the_rows_is_refused(digits):
    with pytest.raises(ValueError, match=r"encoder=.*writes into its input.*inplace=False"):
        AutoEncoder(2, encoder=in_place, **SHORT).fit(digits[:100])


class Locked(nn.Linear):
    """A network that cannot be copied."""

    def __init__(self, n_inputs, n_outputs):
        super().__init__(n_inputs, n_outputs)
        self.lock = threading.Lock()


def test_a_network_that_cannot_be_copied_is_trained_once(digits):
    parameters = {"init": "random", "max_iter": 3, "random_state": 0}
    assert AutoEncoder(2, encoder=Locked, **parameters).fit(digits[:200]).best_iter_ > 0
    same = Always(Locked(64, 2))
    AutoEncoder(2, encoder=same, **parameters).fit(digits[:200])
    with pytest.raises(ValueError, match=r"encoder=.*that an earlier fit has.*build a new one"):
        AutoEncoder(2, encoder=same, **parameters).fit(digits[:200])


def test_a_network_with_an_extra_state_is_refused(spots):
    class Extra(nn.Linear):
        def get_extra_state(self):
            return {"a": 1}

    with pytest.raises(ValueError, match=r"encoder=.*whose state has a dict, '_extra_state'"):
        AutoEncoder(2, encoder=Extra).fit(spots)
