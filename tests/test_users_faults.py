"""Bad networks and callbacks of users: each works, or is refused in words of our own."""

import pickle
import threading

import numpy as np
import pytest
import torch
from comparing import assert_finite, assert_same, results
from estimators import ESTIMATORS, SHORT, WITH_PRIOR, make_spots, trains
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from torch import nn
from watching import find

import skae
from skae import (
    AutoEncoder,
    ContractiveAutoEncoder,
    VariationalAutoEncoder,
)

ROWS = np.random.default_rng(0).normal(size=(60, 6))
every_estimator = pytest.mark.parametrize("estimator", ESTIMATORS)


# -- users' networks -----------------------------------------------------------------------


class Network(nn.Module):
    """A user's network; of the kind that a test needs in training, and harmless before."""

    def __init__(self, n_inputs, n_outputs):
        super().__init__()
        self.first, self.norm = nn.Linear(n_inputs, 8), nn.BatchNorm1d(8)
        self.last = nn.Linear(8, n_outputs)
        self.n_passes = 0

    def forward(self, x):
        self.n_passes += self.training
        return self.last(self.norm(self.first(x)).relu())


class Double(Network):
    def forward(self, x):
        return super().forward(x).double()


class Half(Network):
    def forward(self, x):
        return super().forward(x).half()


class Whole(Network):
    def forward(self, x):
        return super().forward(x).long()


class Complex(Network):
    def forward(self, x):
        return super().forward(x).to(torch.complex64)


class WritesInTraining(Network):
    def forward(self, x):
        return super().forward(x.mul_(0.5) if self.training else x)


class NaN(Network):
    def forward(self, x):
        return super().forward(x) * torch.nan


class NaNLater(Network):
    def forward(self, x):
        y = super().forward(x)
        return y * torch.nan if self.training and self.n_passes > 3 else y


class WiderInTraining(Network):
    def forward(self, x):
        y = super().forward(x)
        return torch.cat([y, y], dim=1) if self.training else y


class PairInTraining(Network):
    def forward(self, x):
        y = super().forward(x)
        return (y, y) if self.training else y


class Detached(Network):
    def forward(self, x):
        return super().forward(x).detach()


def frozen(n_inputs, n_outputs):
    return nn.Linear(n_inputs, n_outputs).requires_grad_(False)


parts = pytest.mark.parametrize("part", ["encoder", "decoder"])
starts = pytest.mark.parametrize("init", ["pca", "random"])


@parts
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("network", [Double, Half])
def test_a_network_of_another_dtype_trains(network, dtype, part):
    model = AutoEncoder(2, **{part: network}, init="random", dtype=dtype, **SHORT).fit(ROWS)
    assert model.best_iter_ > 0
    assert model.transform(ROWS).dtype == dtype
    assert_finite(model, ROWS)


@starts
@parts
@pytest.mark.parametrize(
    ("network", "message"),
    [
        (Whole, "gives torch.int64"),
        (Complex, "gives torch.complex64"),
        (NaN, "gives NaN or infinity"),
        (WritesInTraining, "writes into its input in training"),
        (WiderInTraining, r"returned \(\d+, (4|12)\) in place of \(\d+, (2|6)\)"),
        (PairInTraining, "returned tuple in place of"),
    ],
)
def test_a_network_that_returns_what_cannot_train_is_named(network, message, part, init):
    with pytest.raises(ValueError, match=f"^{part}.*{message}"):
        AutoEncoder(2, **{part: network}, init=init, **SHORT).fit(ROWS)


@starts
def test_a_network_without_a_gradient_is_named(init):
    with pytest.raises(ValueError, match=r"^decoder has a network whose outputs have no gradient"):
        AutoEncoder(2, decoder=Detached, init=init, **SHORT).fit(ROWS)


@pytest.mark.parametrize("encoder", [Detached, frozen])
def test_networks_with_nothing_to_train_are_named(encoder):
    with pytest.raises(ValueError, match=r"^encoder and decoder leave nothing to train"):
        AutoEncoder(2, encoder=encoder, decoder=frozen, init="random", **SHORT).fit(ROWS)


def test_a_network_that_writes_into_rows_that_have_a_gradient_is_named():
    with pytest.raises(ValueError, match=r"^encoder has a network that writes"):
        ContractiveAutoEncoder(2, encoder=WritesInTraining, init="random", **SHORT).fit(ROWS)


@parts
def test_a_network_that_returns_nan_later_leaves_the_weights_before(part):
    model = AutoEncoder(2, **{part: NaNLater}, max_iter=20, random_state=0)
    with pytest.warns(ConvergenceWarning, match=f"whether the networks of {part} return NaN"):
        model.fit(ROWS)
    assert_finite(model, ROWS)
    with pytest.raises(ValueError, match=f"whether the networks of {part} return NaN"):
        clone(model).set_params(init="random", batch_size=8).fit(ROWS)


@pytest.mark.parametrize("n_rows", [2, 3, 60, 61])
@pytest.mark.parametrize("batch_size", [1, 2])
def test_batch_normalisation_trains_or_the_batch_of_one_row_is_named(batch_size, n_rows):
    X = np.random.default_rng(1).normal(size=(n_rows, 6))
    model = AutoEncoder(
        2, encoder=Network, decoder=Network, batch_size=batch_size, early_stopping=False, **SHORT
    )
    if n_rows % batch_size == 0 and batch_size > 1:
        assert_finite(model.fit(X), X)
        return
    with pytest.raises(ValueError, match=r"^encoder has a normalisation.*change batch_size"):
        model.fit(X)


# -- callbacks -----------------------------------------------------------------------------


class OneHook:
    """No callback of skorch's, with one hook, and things that a copy has to leave alone."""

    def __init__(self, lock=False):
        self.lock = threading.Lock() if lock else None
        self.epochs, self.nested, self.names = [], {"epochs": []}, set()
        self.same, self.me = self.nested["epochs"], self

    def on_epoch_end(self, net, **kwargs):
        self.epochs.append(len(net.history))
        self.names.add(len(net.history))
        self.nested["epochs"].append(len(net.history))
        self.same.append(len(net.history))


@pytest.mark.parametrize("lock", [False, True])
@pytest.mark.parametrize("named", [False, True])
def test_a_callback_of_any_class_with_one_hook_works_and_stays_as_it_was(named, lock):
    hook = OneHook(lock)
    model = AutoEncoder(2, callbacks=[("mine", hook) if named else hook], **SHORT).fit(ROWS)
    assert hook.epochs == hook.nested["epochs"] == []
    assert hook.names == set()
    copied = next(c.callback for _, c in model.net_.callbacks_ if hasattr(c, "callback"))
    assert copied.epochs == [1, 2, 3]
    assert copied.same is copied.nested["epochs"] and copied.me is copied
    assert copied.lock is hook.lock
    plain = AutoEncoder(2, **SHORT).fit(ROWS)
    assert_same(results(model, ROWS), results(plain, ROWS))


def test_a_net_with_a_callback_of_any_class_is_pickled():
    net = AutoEncoder(2, callbacks=[OneHook()], **SHORT).fit(ROWS).net_
    copied = pickle.loads(pickle.dumps(net))
    assert find(type("M", (), {"net_": copied}), skae._training.outside.callbacks.Borrowed)


@pytest.mark.parametrize("names", [("a", "a"), ("epoch_timer", "b"), ("_keep_best", "b")])
def test_names_of_callbacks_that_are_taken_are_refused(names):
    with pytest.raises(ValueError, match=f"callbacks has the name '{names[0]}'"):
        AutoEncoder(2, callbacks=[(name, OneHook()) for name in names], **SHORT).fit(ROWS)


# -- what users do with a fitted net -------------------------------------------------------


@every_estimator
def test_results_stay_where_a_user_sets_networks_to_training_mode(estimator):
    model = trains(
        estimator, encoder=Network, init="random", max_iter=3, batch_size=16, n_components=2
    )
    model.fit(ROWS)
    expected = results(model, ROWS)
    state = pickle.dumps(model.net_.module_.state_dict())
    for part in (model.net_.module_, model.net_.module_.encoder):
        for _ in range(2):
            part.train()
            assert_same(results(model, ROWS), expected)
    assert pickle.dumps(model.net_.module_.state_dict()) == state


@every_estimator
def test_a_pickled_net_is_little_larger_than_its_weights(estimator):
    X = make_spots(60)
    net = estimator(2, **SHORT, init="random").fit(X).net_
    state = net.module_.state_dict()
    size = sum(value.nbytes for value in state.values())
    pickled = pickle.dumps(net)
    draws = 40_000 if estimator in WITH_PRIOR else 0  # fixed draws of the prior
    assert len(pickled) < 1.1 * size + 30_000 + draws
    again = pickle.loads(pickled)
    assert again.module is again.module_
    for name, value in again.module_.state_dict().items():
        assert torch.equal(value, state[name])
    for p in again.module_.parameters():
        assert p.untyped_storage().nbytes() == p.nbytes


def test_variational_draws_stay_where_only_the_decoder_is_in_training_mode():
    model = VariationalAutoEncoder(2, decoder=Network, init="random", **SHORT).fit(ROWS)
    expected = results(model, ROWS)
    model.net_.module_.decoder.train()
    assert_same([model.sample(4, random_state=0)], [expected[4]])
