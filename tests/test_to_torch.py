"""What `to_torch` returns is the fitted model, for torch alone."""

import copy
import io

import numpy as np
import pytest
import torch
from comparing import assert_close
from estimators import (
    ESTIMATORS,
    NETWORKS,
    TRAINS,
    ResidualNetwork,
    cubes,
    make_spots,
    trains,
)
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from torch import nn

import skae
from skae._model.plain.exportable import Exportable

# torch deprecates its own TorchScript, which users' programs in C++ read.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")

NEW_ROWS = make_spots(40, seed=1).astype(np.float32)


def assert_same(module, model, X):
    """Assert that a module does what a model does, for many rows and for one."""
    rows = torch.from_numpy(X.astype(model.dtype))
    for some in (slice(None), slice(1)):
        codes = model.transform(X[some])
        X_hat = model.inverse_transform(codes)
        with torch.no_grad():
            assert_close(module.encode(rows[some]), codes)
            assert_close(module.decode(torch.from_numpy(codes)), X_hat)
            assert_close(module.reconstruct(rows[some]), X_hat)
            assert torch.equal(module(rows[some]), module.reconstruct(rows[some]))


def with_networks():
    return [skae.AutoEncoder(2, **TRAINS, **kind) for kind in NETWORKS.values()]


def with_settings():
    yield from (trains(skae.AutoEncoder, activation=kind) for kind in ("gelu", nn.Mish))
    losses = ("binary_cross_entropy", "poisson", cubes)
    yield from (trains(skae.AutoEncoder, loss=loss) for loss in losses)
    yield trains(skae.VariationalAutoEncoder, loss="poisson")
    yield trains(skae.AutoEncoder, dtype="float64", whiten=True)
    yield trains(skae.DropoutAutoEncoder, encoder=ResidualNetwork)


EVERY = [*map(trains, ESTIMATORS), *with_networks(), *with_settings()]


@pytest.mark.parametrize("estimator", EVERY, ids=repr)
def test_the_module_is_the_model(estimator, trained):
    model = trained(estimator)
    module = model.to_torch()
    assert_same(module, model, NEW_ROWS)
    assert not module.training
    assert {value.dtype for value in module.parameters()} == {getattr(torch, model.dtype)}
    homes = {type(layer).__module__ for layer in module.modules()}
    assert not [home for home in homes if "skae." in home and "skae._model.plain." not in home]


SCRIPTED = [trains(skae.VariationalAutoEncoder), *with_networks(), *with_settings()]


@pytest.mark.parametrize("estimator", SCRIPTED, ids=repr)
def test_the_module_can_be_scripted_and_traced(estimator, trained):
    model = trained(estimator)
    module = model.to_torch()
    rows = torch.from_numpy(NEW_ROWS.astype(model.dtype))
    scripted, traced = torch.jit.script(module), torch.jit.trace(module, rows[:3])
    for some in (rows, rows[:1]):
        with torch.no_grad():
            assert torch.equal(traced(some), module(some))
            assert torch.equal(scripted(some), module(some))
            assert torch.equal(scripted.decode(scripted.encode(some)), module(some))


@pytest.mark.parametrize("kind", ["dense", "images", "user's"])
def test_the_module_can_be_exported_for_any_number_of_rows(kind, trained):
    module = trained(skae.AutoEncoder(2, **TRAINS, **NETWORKS[kind])).to_torch()
    rows = torch.from_numpy(NEW_ROWS)
    shapes = ({0: torch.export.Dim.DYNAMIC},)
    exported = torch.export.export(module, (rows[:3],), dynamic_shapes=shapes).module()
    for n in (1, len(rows)):
        assert torch.allclose(exported(rows[:n]), module(rows[:n]), atol=1e-6)


def test_a_scripted_file_needs_no_skae(trained):
    model = trained(trains(skae.AutoEncoder))
    file = io.BytesIO()
    torch.jit.save(torch.jit.script(model.to_torch()), file)
    file.seek(0)
    assert_same(torch.jit.load(file), model, NEW_ROWS)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_large_mean_costs_no_digits(dtype, spots):
    X = (1e5 + spots + 0.1).astype(dtype)
    model = trains(skae.AutoEncoder).fit(X)
    assert model.best_iter_ > 0
    assert model.net_.module_.units.low is not None
    with torch.no_grad():
        codes = model.to_torch().encode(torch.from_numpy(X))
    assert_close(codes, model.transform(X))


def test_rows_far_outside_are_clipped_as_in_the_model(trained):
    model = trained(trains(skae.AutoEncoder))
    assert_same(model.to_torch(), model, 50 * NEW_ROWS - 20)
    counts = trained(trains(skae.AutoEncoder, loss="poisson"))
    assert_same(counts.to_torch(), counts, 50 * NEW_ROWS)


def test_a_share_of_the_variance_and_a_fit_that_ends_at_pca(spots):
    model = skae.AutoEncoder(0.8, max_iter=1, random_state=0).fit(spots)
    assert_same(model.to_torch(), model, NEW_ROWS)


@pytest.mark.parametrize("kind", NETWORKS)
def test_training_the_module_further_leaves_the_model_as_it_is(kind, trained):
    model = copy.deepcopy(trained(skae.AutoEncoder(2, **TRAINS, **NETWORKS[kind])))
    codes = model.transform(NEW_ROWS)
    module, rows = model.to_torch(), torch.from_numpy(NEW_ROWS)
    before = module(rows).detach()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.01)
    (module(rows) - rows).square().mean().backward()
    assert all(value.grad is not None for value in module.parameters())
    optimizer.step()
    assert not torch.equal(module(rows), before)
    np.testing.assert_array_equal(model.transform(NEW_ROWS), codes)


def test_the_module_is_of_the_fit_though_torch_is_set_otherwise(trained):
    model = trained(trains(skae.AutoEncoder))
    state = torch.random.get_rng_state()
    with torch.inference_mode():
        module = model.to_torch()
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not any(value.is_inference() for value in module.parameters())
    assert all(value.requires_grad for value in module.parameters())


def test_parameters_that_a_user_has_frozen_stay_frozen(spots):
    def encoder(n_inputs, n_outputs):
        network = nn.Sequential(nn.Linear(n_inputs, 8), nn.ReLU(), nn.Linear(8, n_outputs))
        network[0].requires_grad_(False)
        return network

    model = skae.AutoEncoder(2, encoder=encoder, **TRAINS).fit(spots)
    frozen = [value for value in model.to_torch().parameters() if not value.requires_grad]
    assert [tuple(value.shape) for value in frozen] == [(8, 64), (8,)]


class Draws(nn.Module):
    """An activation that draws in evaluation mode too."""

    def forward(self, x):
        return torch.relu(x) + 0.01 * torch.randn_like(x)


def test_what_draws_outside_training_is_refused(spots):
    model = skae.AutoEncoder(2, activation=Draws, max_iter=1, random_state=0).fit(spots)
    with pytest.raises(ValueError, match=r"Draws, which draws at random in evaluation mode too"):
        model.to_torch()


def test_an_estimator_that_is_not_fitted_says_so():
    with pytest.raises(NotFittedError):
        clone(trains(skae.AutoEncoder)).to_torch()


def test_a_layer_that_does_not_say_what_it_is_for_torch_cannot_be_built():
    with pytest.raises(TypeError, match="abstract"):
        type("Layer", (Exportable,), {})()


def test_a_transform_of_ones_own_is_not_left_out(spots):
    class Twice(skae.AutoEncoder):
        def transform(self, X):
            return 2 * super().transform(X)

    model = Twice(2, max_iter=1, random_state=0).fit(spots)
    with pytest.raises(TypeError, match="Twice has a transform of its own"):
        model.to_torch()
