"""skorch's history and callbacks."""

import copy
import functools
import pickle
import subprocess
import sys

import numpy as np
import pytest
import skorch.callbacks
import torch
from sklearn.base import clone
from skorch import NeuralNet

from skae import AutoEncoder
from skae._autoencoder import PlainModule
from skae._data.batches import Batches, RowDataset, place
from skae._data.sources import ArraySource
from skae._data.units import Units
from skae._model.losses import make_loss
from skae._model.make_module import make_module
from skae._model.networks.make_networks import make_networks
from skae._model.networks.mlp import ACTIVATIONS, MLP
from skae._model.spec import ModelSpec
from skae._training.engine.optimizer import FlatAdamW, one_cycle
from skae._training.engine.speed import takes_bfloat16
from skae._training.engine.tape import Tape
from skae._training.make_net import make_net
from skae._training.outside.callbacks import StopTraining


def fit(digits, **parameters):
    return AutoEncoder(2, **{"max_iter": 6, "random_state": 0, **parameters}).fit(digits)


def test_history_has_every_loss_term_by_name(digits):
    model = fit(digits)
    assert isinstance(model.net_, NeuralNet)
    for column in ("loss", "reconstruction"):
        assert np.isfinite(model.net_.history[:, [f"train_{column}", f"valid_{column}"]]).all()
    assert model.loss_curve_ == model.net_.history[:, "train_loss"]


def test_the_net_predicts_reconstructions_in_the_models_units(digits):
    model = fit(digits)
    x = ((digits - model.mean_) / model.scale_).astype(np.float32)
    X_hat = model.net_.predict(x) * model.scale_ + model.mean_
    np.testing.assert_allclose(X_hat, model.inverse_transform(model.transform(digits)), atol=1e-4)


def test_callbacks_that_watch_batches_change_no_number(digits):
    class Watch(skorch.callbacks.Callback):
        def __init__(self):
            self.batches = 0

        def on_batch_end(self, net, batch, training, loss, y_pred, **kwargs):
            assert y_pred.shape == batch[0].shape
            self.batches += training

    plain, watched = fit(digits), fit(digits, callbacks=[Watch()])
    assert plain.loss_curve_ == watched.loss_curve_
    assert plain.validation_scores_ == watched.validation_scores_
    np.testing.assert_array_equal(plain.transform(digits), watched.transform(digits))
    watch = dict(watched.net_.callbacks_)["Watch"]
    assert watch.batches == sum(watched.net_.history[:, "train_batch_count"])
    assert watched.callbacks[0].batches == 0  # the parameter is the user's


def test_gradients_can_be_watched(digits):
    seen = []

    class Watch(skorch.callbacks.Callback):
        def on_grad_computed(self, net, named_parameters, **kwargs):
            seen.append({name: value.grad is not None for name, value in named_parameters})

    fit(digits, callbacks=[Watch()])
    assert seen


def test_learning_rate_schedulers_work(digits):
    scheduler = skorch.callbacks.LRScheduler(torch.optim.lr_scheduler.StepLR, step_size=1)
    model = fit(digits, callbacks=[scheduler], learning_rate="constant")
    rates = model.net_.history[:, "event_lr"]
    np.testing.assert_allclose(rates, model.net_.lr * 0.1 ** np.arange(6))


def test_checkpoints_are_written_and_load(digits, tmp_path):
    checkpoint = skorch.callbacks.Checkpoint(dirname=tmp_path)
    model = fit(digits, callbacks=[checkpoint])
    assert (tmp_path / "params.pt").exists()
    model.net_.load_params(checkpoint=dict(model.net_.callbacks_)["Checkpoint"])


def test_scores_of_each_epoch_are_recorded(digits):
    scoring = skorch.callbacks.EpochScoring("neg_mean_squared_error", name="mse")
    model = fit(digits, callbacks=[scoring])
    columns = model.net_.history[:, ["mse", "valid_loss"]]
    np.testing.assert_allclose([-32 * a for a, _ in columns], [b for _, b in columns], rtol=1e-4)


def test_early_stopping_of_skorch_ends_the_training(digits):
    stop = skorch.callbacks.EarlyStopping(patience=1, threshold=0.9)
    model = fit(digits, callbacks=[("stop", stop)])
    assert model.n_iter_ < 6


HOOKS = "train_begin epoch_begin batch_begin grad_computed batch_end epoch_end train_end"


@pytest.mark.parametrize("hook", [f"on_{hook}" for hook in HOOKS.split()])
def test_a_callback_can_end_the_training_at_any_point(hook, digits):
    class Stop(skorch.callbacks.Callback):
        pass

    def interrupt(self, net, **kwargs):
        if len(net.history) >= (3 if "train" not in hook else 0):
            raise StopTraining

    setattr(Stop, hook, interrupt)
    model = fit(digits, callbacks=[Stop()])
    expected = {"on_train_begin": 0, "on_train_end": 6, "on_epoch_end": 3}
    assert model.n_iter_ == len(model.validation_scores_) == expected.get(hook, 2)
    assert model.score(digits) > 0


def test_a_real_interrupt_is_not_swallowed(digits, monkeypatch):
    def interrupted(*args):
        raise KeyboardInterrupt

    model = fit(digits)
    before = model.transform(digits)
    monkeypatch.setattr(torch.nn.Tanh, "forward", interrupted)
    with pytest.raises(KeyboardInterrupt):
        model.set_params(activation="tanh").fit(digits)
    np.testing.assert_array_equal(model.transform(digits), before)


def test_two_schedules_at_once_are_refused(digits):
    class Own(skorch.callbacks.LRScheduler):
        pass

    for scheduler in (skorch.callbacks.LRScheduler, skorch.callbacks.LRScheduler(), Own):
        with pytest.raises(ValueError, match="set learning_rate='constant'"):
            fit(digits, callbacks=[("schedule", scheduler)])


@pytest.mark.parametrize("part_size", [1, 300, 2**20])
@pytest.mark.parametrize("n_rows", [1, 5, 128, 129, 1000])
def test_every_row_is_in_one_batch_and_batches_are_equal(n_rows, part_size, monkeypatch):
    monkeypatch.setattr("skae._data.batches.PART_SIZE", part_size)
    rows = torch.arange(n_rows, dtype=torch.float32)[:, None]
    batches = [x for x, _ in Batches(RowDataset(rows), 128, torch.Generator().manual_seed(0))]
    lengths = {len(batch) for batch in batches}
    assert max(lengths) <= 128
    assert max(lengths) - min(lengths) <= 1
    assert torch.equal(torch.cat(batches).sort(dim=0).values, rows)


@pytest.mark.parametrize("offset", [0, 1e5])
@pytest.mark.parametrize("make", [np.ascontiguousarray, np.asfortranarray, np.float64])
def test_rows_reach_the_net_in_its_units(make, offset, digits):
    X = make(digits.astype(np.float32) + np.float32(offset))
    center, scale = X.mean(axis=0, dtype=np.float64), 0.3
    rows = place(ArraySource(X), Units(center, scale), "cpu")
    order = torch.randperm(len(X), generator=torch.Generator().manual_seed(0))
    expected = ((X - center) / scale).astype(np.float32)
    np.testing.assert_allclose(rows.X, expected, atol=1e-6 * max(1, offset * 1e-3))
    np.testing.assert_array_equal(rows.subset(order[:99]).X, rows.X[order[:99]])
    assert torch.equal(rows[7][0], rows.X[7])
    if make is np.ascontiguousarray:
        assert rows.table.table is X  # not copied


def test_one_cycle_is_torchs():
    for n_steps in (1, 2, 3, 10, 333):
        parameter = torch.nn.Parameter(torch.zeros(1))
        optimizer = torch.optim.SGD([parameter], lr=1)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, 1, total_steps=n_steps + 1, cycle_momentum=False
        )
        for step in range(n_steps):
            np.testing.assert_allclose(one_cycle(step, n_steps), optimizer.param_groups[0]["lr"])
            optimizer.step()
            schedule.step()


def test_flat_adamw_is_torchs():
    networks = [MLP((5, 7, 3), "tanh", torch.Generator().manual_seed(0)) for _ in range(2)]
    optimizers = [
        make(
            [
                {"params": [p for p in network.parameters() if p.dim() == 1], "weight_decay": 0},
                {"params": [p for p in network.parameters() if p.dim() == 2]},
            ],
            lr=0.1,
            betas=(0.8, 0.95),
            weight_decay=0.3,
        )
        for make, network in zip((FlatAdamW, torch.optim.AdamW), networks, strict=True)
    ]
    x = torch.randn(20, 5, generator=torch.Generator().manual_seed(1))

    def train():
        for network, optimizer in zip(networks, optimizers, strict=True):
            for i in range(10):
                optimizer.zero_grad()
                network(x).square().sum().backward()
                optimizer.step()
                if i == 5:
                    optimizer.param_groups[1]["lr"] = 0.01
                    network[0].requires_grad_(False)
                    network.zero_grad()  # sets gradients to None
        for ours, torchs in zip(*(network.parameters() for network in networks), strict=True):
            torch.testing.assert_close(ours, torchs)

    train()
    states = [optimizer.state_dict() for optimizer in optimizers]
    for optimizer, state in zip(optimizers, states, strict=True):
        optimizer.load_state_dict(copy.deepcopy(state))
    train()


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("hidden_layer_sizes", [(), (6,), (8, 6)])
@pytest.mark.parametrize("floor", [True, False])
def test_the_tape_has_autograds_gradients(floor, hidden_layer_sizes, activation):
    generator = torch.Generator().manual_seed(0)
    spec = ModelSpec(5, 2, hidden_layer_sizes, "pca" if floor else "random", activation=activation)
    encoder, decoder = make_networks(spec, 2, generator)
    module = PlainModule(encoder, decoder, 2, make_loss("squared_error", Units(np.zeros(5), 1.0)))
    for value in module.parameters():
        value.data.normal_(generator=generator)
    x = torch.randn(20, 5, generator=generator)

    def terms():
        # Beside the tape: a path through autograd between two networks, twice, and a scalar.
        z = module.encoder(x)
        x_hat = module.decoder(2 * z.tanh())
        return [
            module.loss(x, module.decoder(z)),
            module.loss(x, x_hat),
            x_hat.abs().sum(dim=1),
            z.square().mean(),
        ]

    def gradients():
        return [p.grad.clone() for p in module.parameters() if p.requires_grad]

    optimizer = FlatAdamW([p for p in module.parameters() if p.requires_grad], lr=1)
    sum(term.mean() for term in terms()).backward()
    expected = gradients()
    optimizer.zero_grad()
    tape = Tape(module.modules())
    tape.backward(terms())
    tape.close()
    torch.testing.assert_close(gradients(), expected, rtol=1e-4, atol=1e-4)
    assert all(grad.abs().sum() > 0 for grad in expected)


def test_rows_train_with_the_residuals_of_others(digits):
    class Watch(skorch.callbacks.Callback):
        def on_train_begin(self, net, **kwargs):
            self.rows, self.seen = [], []
            net.module_.register_forward_pre_hook(self.see)

        def see(self, module, inputs):
            if module.training:
                self.seen.append(inputs[0].clone())

        def on_batch_end(self, net, batch, training, y_pred, **kwargs):
            if training:
                self.rows.append((batch[0].clone(), y_pred.clone()))

    def watch(**parameters):
        model = fit(digits[:200], batch_size=48, max_iter=2, callbacks=[Watch()], **parameters)
        return next(c for _, c in model.net_.callbacks_ if isinstance(c, Watch))

    watched = watch(residual_noise=0.4)
    assert {len(x) for x, _ in watched.rows} == {37, 38}
    first = (watched.seen[0] - watched.rows[0][0]) / 0.4
    assert first.abs().mean() > 0.1  # PCA's residuals
    noise = first.clone()
    for (rows, x_hat), x in zip(watched.rows, watched.seen, strict=True):
        expected = rows + 0.4 * noise[: len(rows)]
        torch.testing.assert_close(x, expected)
        noise = torch.zeros_like(noise)
        noise[: len(x)] = x - x_hat
    plain = watch(residual_noise=0)
    assert all(x.equal(rows) for (rows, _), x in zip(plain.rows, plain.seen, strict=True))


def test_without_validation_rows_noise_does_not_hide_progress(digits):
    model = fit(digits, early_stopping=False, residual_noise=0.7, max_iter=40)
    assert model.best_iter_ > 20
    assert model.score(digits) > model.pca_score_


def test_the_tape_changes_no_fit(digits, monkeypatch):
    taped = fit(digits)
    monkeypatch.setattr("skae._estimator.fit.make_net", functools.partial(make_net, tape=False))
    plain = fit(digits)
    np.testing.assert_allclose(taped.loss_curve_, plain.loss_curve_, rtol=1e-4)
    np.testing.assert_allclose(taped.validation_scores_, plain.validation_scores_, rtol=1e-4)


def test_bfloat16_trains_and_leaves_a_float32_model(digits):
    model = AutoEncoder(8, precision="bfloat16", max_iter=30, random_state=0).fit(digits)
    assert max(model.validation_scores_) > model.pca_score_
    assert {p.dtype for p in model.net_.module_.parameters()} == {torch.float32}
    codes = model.transform(digits)
    np.testing.assert_allclose(codes[:7], model.transform(digits[:7]), rtol=1e-5, atol=1e-5)
    exact = AutoEncoder(8, precision="float32", max_iter=30, random_state=0).fit(digits)
    np.testing.assert_allclose(model.score(digits), exact.score(digits), atol=0.01)
    assert model.loss_curve_ != exact.loss_curve_


@pytest.mark.parametrize("hardware", [True, False])
@pytest.mark.parametrize("width", [16, 1024])
def test_auto_takes_bfloat16_for_large_networks_where_the_hardware_has_it(
    width, hardware, monkeypatch
):
    monkeypatch.setattr("skae._training.engine.speed.has_bfloat16", lambda device: hardware)
    network = MLP((300, width, 4), "relu", torch.Generator().manual_seed(0))
    assert takes_bfloat16("auto", "cpu", network) is (hardware and width == 1024)
    assert takes_bfloat16("bfloat16", "cpu", network)
    assert not takes_bfloat16("float32", "cpu", network)


def test_a_fit_leaves_the_number_of_threads_and_the_tape_as_they_were(digits):
    def stop(net, **kwargs):
        assert torch.get_num_threads() == 1
        raise RuntimeError("stopped")

    n_threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        fit(digits)
        assert torch.get_num_threads() == 2
        callback = skorch.callbacks.Callback()
        callback.on_epoch_end = stop
        model = AutoEncoder(2, random_state=0)
        with pytest.raises(RuntimeError, match="stopped"):
            model.set_params(callbacks=[callback]).fit(digits)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(n_threads)


def test_fitted_modules_are_differentiated_by_autograd(digits):
    model = fit(digits)
    codes, module = model.transform(digits), model.net_.module_.train()
    x = torch.zeros(3, 64, requires_grad=True)
    jacobian = torch.func.vmap(torch.func.jacrev(lambda row: module.encoder(row[None])[0]))(x)
    assert jacobian.shape == (3, 2, 64)
    assert jacobian.abs().sum() > 0
    module.eval()
    np.testing.assert_array_equal(model.transform(digits), codes)


@pytest.mark.filterwarnings("ignore:To be able to .* f_pickle")
def test_a_net_is_pickled_while_it_trains(digits, tmp_path):
    checkpoint = skorch.callbacks.Checkpoint(dirname=tmp_path, f_pickle="net.pkl")
    model = fit(digits, callbacks=[checkpoint])
    with open(tmp_path / "net.pkl", "rb") as file:
        loaded = pickle.load(file)
    x = ((digits - model.mean_) / model.scale_).astype(np.float32)
    assert loaded.predict(x).shape == digits.shape


def test_the_net_takes_what_skorch_nets_take(digits):
    net = fit(digits).net_
    x = (digits - digits.mean(axis=0)).astype(np.float32)
    np.testing.assert_allclose(net.forward(x).numpy(), net.predict(x))
    np.testing.assert_allclose(net.predict(x.astype(np.float64)), net.predict(x), atol=1e-5)
    clone(net)


def test_the_state_of_torch_around_a_fit_changes_nothing(digits):
    expected = fit(digits)
    codes = expected.transform(digits)
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        np.testing.assert_array_equal(fit(digits).transform(digits), codes)
        np.testing.assert_array_equal(expected.transform(digits), codes)
    fit(digits, precision="bfloat16")
    with torch.inference_mode():
        np.testing.assert_array_equal(fit(digits).transform(digits), codes)
        fit(digits, precision="bfloat16")


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_a_fitted_net_says_how_to_train_it_further(method, digits):
    model = fit(digits)
    codes = model.transform(digits)
    with pytest.raises(NotImplementedError, match="warm_start=True"):
        getattr(model.net_, method)(digits)
    np.testing.assert_array_equal(model.transform(digits), codes)


def test_gradients_can_be_clipped_and_layers_frozen(digits):
    class Watch(skorch.callbacks.Callback):
        def on_train_begin(self, net, **kwargs):
            self.norms = []

        def on_grad_computed(self, net, named_parameters, **kwargs):
            squares = [p.grad.square().sum() for _, p in named_parameters]
            self.norms.append(torch.stack(squares).sum().sqrt().item())

    def fit_with(*callbacks):
        model = AutoEncoder(
            2, callbacks=[*callbacks, ("watch", Watch())], init="random", max_iter=8, random_state=0
        ).fit(digits)
        assert model.best_iter_ > 0
        return model, model.net_.module_.state_dict(), dict(model.net_.callbacks_)["watch"].norms

    model, free, norms = fit_with()
    least = min(norms)
    _, clipped, norms = fit_with(skorch.callbacks.GradientNormClipping(0.5 * least))
    np.testing.assert_allclose(norms, 0.5 * least, rtol=1e-4)
    assert not torch.equal(clipped["encoder.0.weight"], free["encoder.0.weight"])
    _, frozen, _ = fit_with(skorch.callbacks.Freezer("encoder*"))
    start = make_module(PlainModule, model._spec, model.net_.module_.units, seeded_as(model))
    for name, value in start.state_dict().items():
        if name.startswith(("encoder", "decoder")):
            same = torch.equal(value, frozen[name])
            assert same == name.startswith("encoder"), name


def seeded_as(model):
    """Return the generator that drew the weights of a fit of random_state=0 on 1,797 rows."""
    seed = int(np.random.RandomState(0).randint(2**31 - 1))
    generator = torch.Generator().manual_seed(seed)
    torch.randperm(1797, generator=generator)
    return generator


MEMORY = """
import resource, sys
import numpy as np
from skae import AutoEncoder

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

parameters = {"hidden_layer_sizes": (4,), "max_iter": 1, "random_state": 0}
X = np.random.default_rng(0).standard_normal((50_000, 200), dtype=np.float32)
AutoEncoder(2, **parameters).fit(X[:5000]).transform(X[:5000])  # what is loaded once
X.setflags(write=False)
before = peak()
AutoEncoder(2, **parameters).fit(X).transform(X)
print((peak() - before) / X.nbytes)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in kilobytes on Linux")
def test_a_float32_table_is_never_copied():
    # In a process of its own, whose peak of memory counts torch's tensors too.
    found = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    assert float(found.stdout) < 0.5
