"""Methods of one's own have autograd's gradients, however they use their networks."""

from typing import ClassVar

import numpy as np
import pytest
import skorch.callbacks
import torch
from estimators import ResidualNetwork, cubes
from sklearn.decomposition import PCA
from torch import nn
from watching import WatchGradients, find

import skae
from skae import AutoEncoder
from skae._training.engine import proof
from skae.base import AutoEncoderModule, BaseAutoEncoder, estimator
from skae.functional import squared_error


class OwnSiLU(nn.Module):
    """A class of the user's, which is left to autograd."""

    def forward(self, x):
        return nn.functional.silu(x)


def gradients(kind, X, **parameters):
    """Return the gradients of every step, by name, of networks with random weights."""
    model = kind(
        3,
        init="random",
        hidden_layer_sizes=(16,),
        batch_size=32,
        max_iter=2,
        callbacks=[WatchGradients()],
        random_state=0,
        **parameters,
    ).fit(X)
    assert model.best_iter_ > 0
    steps = find(model, WatchGradients).steps
    assert len(steps) >= 4
    assert all(grad.abs().sum() > 0 for grad in steps[0].values())
    return steps


def assert_same_gradients(one, other):
    assert len(one) == len(other)
    for step, expected in zip(one, other, strict=True):
        torch.testing.assert_close(step, expected, rtol=1e-3, atol=1e-4)


def method(forward):
    """Return an estimator whose module has this ``forward``."""

    @estimator
    class Method(BaseAutoEncoder):
        """A method of one's own.

        Parameters
        ----------
        {parameters}
        """

        _module: ClassVar = type("Module", (AutoEncoderModule,), {"forward": forward})

    return Method


def pulled(module, x, fixed_target):
    """Reconstruct ``x``, and pull each reconstruction towards half of what it is."""
    z = module.encoder(x)
    output = module.decoder(z)
    pull = (output - 0.5 * fixed_target(module, x, z)).square().sum(dim=1)
    return output, {"reconstruction": module.loss(x, output), "pull": pull}


def decoded_and_detached(module, x, z):
    return module.decoder(z).detach()


def decoded_without_a_gradient(module, x, z):
    with torch.no_grad():
        return module.decoder(z)


def decoded_with_gradients_set_off(module, x, z):
    with torch.set_grad_enabled(False):
        return module.decoder(z)


@torch.no_grad()
def decoded_by_a_function_without_a_gradient(module, x, z):
    return module.decoder(z)


def encoded_and_decoded_without_a_gradient(module, x, z):
    with torch.no_grad():
        return module.decoder(module.encoder(x))


@pytest.mark.parametrize(
    "target",
    [
        decoded_without_a_gradient,
        decoded_with_gradients_set_off,
        decoded_by_a_function_without_a_gradient,
        encoded_and_decoded_without_a_gradient,
    ],
)
def test_no_gradient_flows_through_what_is_computed_under_no_grad(target, digits):
    X = digits[:200]
    expected, actual = (
        gradients(method(lambda module, x, t=t: pulled(module, x, t)), X)
        for t in (decoded_and_detached, target)
    )
    assert_same_gradients(actual, expected)


def test_a_loss_under_no_grad_has_no_gradient(digits):
    def weighted(module, x, without):
        output = module.decoder(module.encoder(x))
        if without:
            with torch.no_grad():
                weight = module.loss(x, output)
        else:
            weight = module.loss(x, output).detach()
        loss = module.loss(x, output)
        return output, {"reconstruction": loss * (1 + weight / weight.mean())}

    steps = [
        gradients(method(lambda module, x, w=w: weighted(module, x, w)), digits[:200])
        for w in (True, False)
    ]
    assert_same_gradients(*steps)


def test_an_encoder_under_no_grad_is_not_trained(digits):
    def decode_only(module, x):
        with torch.no_grad():
            z = module.encoder(x)
        output = module.decoder(z)
        return output, {"reconstruction": module.loss(x, output)}

    model = method(decode_only)(
        3, init="random", max_iter=2, callbacks=[WatchGradients()], random_state=0
    ).fit(digits[:200])
    assert model.best_iter_ > 0
    for step in find(model, WatchGradients).steps:
        sizes = {name: grad.abs().sum() for name, grad in step.items()}
        assert all((size > 0) == name.startswith("decoder") for name, size in sizes.items())


def cycle(module, x, loss):
    """Let the reconstruction of a reconstruction be the reconstruction, from both sides."""
    output = module.decoder(module.encoder(x))
    again = module.decoder(module.encoder(output))
    return output, {"reconstruction": loss(x, output), "cycle": loss(output, again)}


def turned(module, x, loss):
    """Pass the loss's arguments the other way round, which for the squared error is the same."""
    output = module.decoder(module.encoder(x))
    return output, {"reconstruction": loss(output, x)}


@pytest.mark.parametrize("forward", [cycle, turned])
def test_a_target_with_a_gradient_has_autograds(forward, digits):
    X = digits[:200]
    actual = gradients(method(lambda module, x: forward(module, x, module.loss)), X)
    expected = gradients(method(lambda module, x: forward(module, x, squared_error)), X)
    assert_same_gradients(actual, expected)


def contract(module, x):
    """Add ‖∂f/∂x v‖² for v of ones, by autograd, to the loss."""
    with torch.enable_grad():
        rows = x.detach().requires_grad_()
        z = module.encoder(rows)
        (slope,) = torch.autograd.grad(z.sum(), rows, create_graph=module.training)
    output = module.decoder(z)
    terms = {"reconstruction": module.loss(x, output), "slope": slope.square().sum(dim=1)}
    return output, terms


def contract_the_decoder(module, x):
    """As :func:`contract`, of the decoder with respect to the codes, which have a gradient."""
    with torch.enable_grad():
        z = module.encoder(x)
        if not z.requires_grad:
            z = z.requires_grad_()
        output = module.decoder(z)
        (slope,) = torch.autograd.grad(output.sum(), z, create_graph=module.training)
    terms = {"reconstruction": module.loss(x, output), "slope": slope.square().sum(dim=1)}
    return output, terms


@pytest.mark.parametrize("forward", [contract, contract_the_decoder])
def test_a_method_may_differentiate_its_networks_without_saying_so(forward, digits):
    X = digits[:200]
    actual = gradients(method(forward), X)
    assert_same_gradients(actual, gradients(method(forward), X, activation=OwnSiLU))
    model = method(forward)(3, max_iter=20, random_state=0).fit(digits)
    assert model.best_iter_ > 0


# -- encoders with more outputs than codes -------------------------------------------------


class WideModule(AutoEncoderModule):
    """A code, and beside it a number for each of its own that is to be small."""

    outputs_per_component = 2

    def forward(self, x):
        z, others = self.encoder(x).split(self.n_components, dim=1)
        output = self.decoder(z)
        terms = {"reconstruction": self.loss(x, output), "others": others.square().sum(dim=1)}
        return output, terms


@estimator
class WideAutoEncoder(BaseAutoEncoder):
    """An autoencoder whose encoder gives twice as many numbers as the code has.

    Parameters
    ----------
    {parameters}
    """

    _module: ClassVar = WideModule


@pytest.mark.parametrize("hidden_layer_sizes", [(), (16,)])
def test_an_encoder_with_more_outputs_than_codes_starts_at_pca(hidden_layer_sizes, digits):
    model = WideAutoEncoder(
        5, hidden_layer_sizes=hidden_layer_sizes, max_iter=1, learning_rate_init=1e-30
    ).fit(digits)
    pca = PCA(5).fit(digits)
    codes = pca.transform(digits)
    np.testing.assert_allclose(model.transform(digits), codes, atol=2e-3)
    X_hat = model.inverse_transform(model.transform(digits))
    np.testing.assert_allclose(X_hat, pca.inverse_transform(codes), atol=2e-3)
    explained = pca.explained_variance_ratio_.sum()
    np.testing.assert_allclose(model.score(digits), explained, atol=1e-4)


@pytest.mark.parametrize("init", ["pca", "random"])
def test_an_encoder_with_more_outputs_than_codes_trains_and_scores(init, digits):
    model = WideAutoEncoder(5, init=init, max_iter=30, random_state=0).fit(digits)
    assert model.best_iter_ > 0
    assert model.transform(digits).shape == (len(digits), 5)
    X_hat = model.inverse_transform(model.transform(digits))
    errors = np.square(X_hat - digits).sum(axis=1)
    np.testing.assert_allclose(-model.score_samples(digits), errors, rtol=1e-3, atol=1e-3)
    explained = 1 - errors.mean() / np.square(digits - digits.mean(axis=0)).sum(axis=1).mean()
    np.testing.assert_allclose(model.score(digits), explained, atol=1e-4)
    if init == "pca":
        assert model.score(digits) > model.pca_score_


class ManyRows(AutoEncoderModule):
    """A method that needs more rows than the engine's trial has."""

    def forward(self, x):
        assert len(x) > 16
        output = self.decoder(self.encoder(x))
        return output, {"reconstruction": self.loss(x, output)}


class LateDerivative(AutoEncoderModule):
    """A method that differentiates its decoder in the second half of the training."""

    def forward(self, x):
        z = self.encoder(x)
        output = self.decoder(z)
        terms = {"reconstruction": self.loss(x, output)}
        if self.training and self.progress > 0.5:
            (slope,) = torch.autograd.grad(output.sum(), z, create_graph=True)
            terms["slope"] = 0.01 * slope.square().sum(dim=1)
        else:
            terms["slope"] = 0 * terms["reconstruction"]
        return output, terms


class Jacobians(AutoEncoderModule):
    """A method that takes its decoder's Jacobians by torch.func."""

    def forward(self, x):
        z = self.encoder(x)
        output = self.decoder(z)
        jacobian = torch.func.vmap(torch.func.jacrev(lambda row: self.decoder(row[None])[0]))(z)
        slope = 0.01 * jacobian.square().sum(dim=(1, 2))
        return output, {"reconstruction": self.loss(x, output), "slope": slope}


def make_estimator(module):
    @estimator
    class Method(BaseAutoEncoder):
        """A method."""

        _module = module

    return Method


@pytest.mark.parametrize("module", [ManyRows, LateDerivative, Jacobians])
def test_whatever_a_method_does_is_left_to_autograd(module, digits):
    model = make_estimator(module)(2, max_iter=8, hidden_layer_sizes=(16,), random_state=0)
    assert model.fit(digits).best_iter_ > 0


def test_hooks_on_parameters_are_called(digits):
    class Freeze(skorch.callbacks.Callback):
        def on_train_begin(self, net, **kwargs):
            for p in net.module_.parameters():
                if p.requires_grad:
                    p.register_hook(torch.zeros_like)

    parameters = {"weight_decay": 0, "residual_noise": 0, "init": "random", "random_state": 0}
    model = AutoEncoder(
        2, max_iter=3, early_stopping=False, callbacks=[Freeze()], **parameters
    ).fit(digits[:200])
    np.testing.assert_allclose(model.loss_curve_, model.loss_curve_[0], rtol=1e-5)


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (lambda x, loss: x, "must return the decoder's output and a dict"),
        (lambda x, loss: (x, {"reconstruction": loss, "loss": loss}), "'loss', which is a column"),
        (lambda x, loss: (x, {"reconstruction": loss, "a": 0.5}), "'a': 'float'"),
        (lambda x, loss: (x, {"reconstruction": loss[:3]}), "terms of shape"),
    ],
)
def test_what_breaks_the_contract_of_a_method_is_said_in_words(returned, message, digits):
    class Broken(AutoEncoderModule):
        def forward(self, x):
            output = self.decoder(self.encoder(x))
            return returned(output, self.loss(x, output))

    with pytest.raises(ValueError, match=message):
        make_estimator(Broken)(2, max_iter=2, random_state=0).fit(digits[:100])


class Tries:
    """Counts how often written-out gradients are tried against autograd's."""

    def __init__(self, patch):
        self.n, own = 0, proof.try_both

        def count(*args):
            self.n += 1
            return own(*args)

        patch.setattr(proof, "try_both", count)
        patch.setattr(proof, "_PROVED", {})


@pytest.mark.parametrize("estimator", [skae.AutoEncoder, skae.VariationalAutoEncoder])
def test_what_was_proved_once_is_not_tried_again(estimator, spots, monkeypatch):
    tries, model = Tries(monkeypatch), estimator(2, max_iter=1, random_state=0)
    model.fit(spots)
    model.set_params(random_state=1).fit(spots + 1)
    assert tries.n == 1
    model.set_params(activation="tanh").fit(spots)
    model.set_params(hidden_layer_sizes=(9,)).fit(spots)
    model.fit(spots[:, :50])
    assert tries.n == 4


def test_parameters_of_a_method_are_tried_anew(spots, monkeypatch):
    tries = Tries(monkeypatch)
    for alpha in (0.1, 0.2, 0.1):
        skae.ContractiveAutoEncoder(2, alpha=alpha, max_iter=1, random_state=0).fit(spots)
    assert tries.n == 2


def watch_hidden(net, **kwargs):
    net.module_.encoder.register_forward_hook(lambda *args: None)


@pytest.mark.parametrize(
    "parameters",
    [
        {"loss": cubes},
        {"decoder": ResidualNetwork},
        {"callbacks": [type("Watch", (), {"on_train_begin": staticmethod(watch_hidden)})()]},
    ],
    ids=["loss", "network", "hook"],
)
def test_what_users_bring_is_tried_in_each_fit(parameters, spots, monkeypatch):
    tries = Tries(monkeypatch)
    for _ in range(2):
        skae.AutoEncoder(2, max_iter=1, random_state=0, **parameters).fit(spots)
    assert tries.n == 2
