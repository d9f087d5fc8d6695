"""Pickle, joblib, skops and cloudpickle: what they hold of users' functions, and what they say."""

import copy
import io
import pickle
import pickletools
import sys

import cloudpickle
import joblib
import numpy as np
import pytest
import skops.io
import skorch
import torch
from estimators import SMALL, cubes, trains
from sklearn.base import clone
from torch import distributions as d
from torch import nn

import skae
from skae import (
    AdversarialAutoEncoder,
    AutoEncoder,
    AutoEncoderImputer,
    DenoisingAutoEncoder,
    WassersteinAutoEncoder,
)


def local_parts():
    """Yield an estimator and its parameter that plain pickle cannot hold."""

    class Bent(nn.Module):
        def forward(self, x):
            return x.clamp(-1, 1)

    class Quiet(skorch.callbacks.Callback):
        pass

    timer = skorch.callbacks.EpochTimer()
    timer.then = lambda: None

    def linear(n_inputs, n_outputs):
        return nn.Linear(n_inputs, n_outputs)

    yield AutoEncoder, "loss", lambda x, x_hat: (x - x_hat).square().sum(dim=1)
    yield AutoEncoder, "encoder", linear
    yield AutoEncoder, "decoder", lambda *sizes: nn.Linear(*sizes)
    yield AutoEncoder, "activation", Bent
    yield AutoEncoder, "callbacks", [("quiet", Quiet())]
    yield AutoEncoder, "callbacks", [timer]
    yield DenoisingAutoEncoder, "noise", lambda x, generator: x
    draw = lambda n, generator: torch.randn(n, 2, generator=generator)  # noqa: E731
    yield AdversarialAutoEncoder, "prior", draw


PARTS = [pytest.param(*part, id=f"{part[1]} {i}") for i, part in enumerate(local_parts())]


def dump_with_joblib(model):
    joblib.dump(model, io.BytesIO())


@pytest.mark.parametrize("dump", [pickle.dumps, dump_with_joblib])
@pytest.mark.parametrize(("kind", "name", "part"), PARTS)
def test_an_error_names_the_parameter_that_pickle_cannot_hold(kind, name, part, dump):
    with pytest.raises(pickle.PicklingError, match=f"^{name}=.* cannot be pickled .*model.save"):
        dump(kind(2, **SMALL, **{name: part}))


@pytest.mark.parametrize(("kind", "name", "part"), PARTS)
def test_what_copies_functions_with_their_code_goes_on(kind, name, part, spots):
    X = spots[:40]
    model = kind(2, **{**SMALL, name: part}).fit(X)
    codes = model.transform(X)
    content = cloudpickle.dumps(model)
    for again in (pickle.loads(content), copy.copy(model), copy.deepcopy(model)):
        np.testing.assert_array_equal(again.transform(X), codes)


def test_dill_goes_on():
    dill = pytest.importorskip("dill")
    model = AutoEncoder(2, loss=lambda x, x_hat: (x - x_hat).abs().sum(1))
    assert callable(dill.loads(dill.dumps(model)).loss)


def test_workers_of_joblib_get_local_functions(spots):
    from joblib.externals.loky.backend import reduction  # how they get what they work on

    model = AutoEncoder(2, **SMALL, loss=lambda x, x_hat: (x - x_hat).abs().sum(1)).fit(spots)
    again = pickle.loads(reduction.dumps(model))
    np.testing.assert_array_equal(again.transform(spots), model.transform(spots))


def test_workers_of_dask_get_local_functions(spots):
    serialization = pytest.importorskip("distributed.protocol.pickle")
    model = AutoEncoder(2, **SMALL, loss=lambda x, x_hat: (x - x_hat).abs().sum(1)).fit(spots)
    again = serialization.loads(serialization.dumps(model))
    np.testing.assert_array_equal(again.transform(spots), model.transform(spots))


@pytest.mark.parametrize("module", ["mytools.copy", "copying", "tests.dill.tools"])
def test_a_module_that_is_named_like_what_copies_functions_is_told_the_parameter(module):
    model = AutoEncoder(loss=lambda x, x_hat: (x - x_hat).abs().sum(1))
    mine = {"__name__": module, "dumps": pickle.dumps}
    exec("def store(model): return dumps(model)", mine)
    with pytest.raises(pickle.PicklingError, match=r"^loss="):
        mine["store"](model)


def test_the_function_of_the_last_fit_is_named_too(spots):
    model = AutoEncoder(2, **SMALL, loss=lambda x, x_hat: (x - x_hat).abs().sum(1)).fit(spots)
    with pytest.raises(pickle.PicklingError, match=r"^loss="):
        pickle.dumps(model.set_params(loss="huber"))


def test_an_attribute_that_pickle_cannot_hold_is_named(spots):
    for model in (AutoEncoder(2, **SMALL).fit(spots), AutoEncoderImputer()):
        model.note_ = {"by": [lambda: 1]}
        with pytest.raises(pickle.PicklingError, match=r"^note_=.*; or delete it, as in `del mod"):
            pickle.dumps(model)
        model.note_ = {"by": [cubes]}
        assert pickle.loads(pickle.dumps(model)).note_ == model.note_


def test_attributes_that_hold_themselves_or_the_estimator_are_pickled(spots):
    model = AutoEncoder(2, **SMALL).fit(spots)
    model.note_ = [1]
    model.note_.append(model.note_)
    model.whole_ = {"of": model}
    again = pickle.loads(pickle.dumps(model))
    assert again.whole_["of"] is again and again.note_[1] is again.note_


def test_functions_of_modules_are_pickled(spots):
    model = AutoEncoder(2, **SMALL, loss=cubes).fit(spots)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.transform(spots), model.transform(spots))


# -- functions of __main__ -------------------------------------------------------------------


@pytest.fixture
def of_main(monkeypatch):
    """A loss that is defined in __main__, as in a script or a notebook."""

    def users_loss(x, x_hat):
        return (x - x_hat).abs().sum(dim=1)

    users_loss.__module__, users_loss.__qualname__ = "__main__", "users_loss"
    monkeypatch.setattr(sys.modules["__main__"], "users_loss", users_loss, raising=False)
    return users_loss


@pytest.mark.parametrize("dump", [pickle.dumps, dump_with_joblib])
def test_a_function_of_the_script_is_told_to_load_nowhere_else(dump, of_main, spots):
    model = AutoEncoder(2, **SMALL, loss=of_main)
    message = r"^loss=.*users_loss.* is defined in __main__.*in a module.*model.save.*cloudpickle"
    for each in (model, model.fit(spots)):
        with pytest.warns(UserWarning, match=message) as told:
            dump(each)
        assert len(told) == 1
    assert told[0].filename == __file__


def test_copies_workers_and_caches_are_not_told(of_main, spots, tmp_path):
    from multiprocessing.reduction import ForkingPickler

    from joblib.externals.loky.backend import reduction

    model = AutoEncoder(2, **SMALL, loss=of_main).fit(spots)
    for dump in (cloudpickle.dumps, reduction.dumps, ForkingPickler.dumps, joblib.hash):
        dump(model)
    copy.copy(model), copy.deepcopy(model), clone(model)
    joblib.Memory(tmp_path, verbose=0).cache(clone)(model)
    joblib.Parallel(2, backend="multiprocessing")(joblib.delayed(repr)(m) for m in [model] * 2)


def test_workers_of_dask_are_not_told(of_main, spots):
    serialization = pytest.importorskip("distributed.protocol.pickle")
    serialization.dumps(AutoEncoder(2, **SMALL, loss=of_main).fit(spots))


def test_strings_of_main_are_no_functions(spots):
    model = AutoEncoder(2, **SMALL)
    model.note_ = {"by": cubes, "text": "see __main__ for the rest"}
    pickle.dumps(model)


# -- distributions --------------------------------------------------------------------------------

ZEROS, ONES = torch.zeros(2), torch.ones(2)
PRIORS = {
    "normal": d.Normal(ZEROS, ONES),
    "float64": d.Normal(ZEROS.double(), ONES.double()),
    "uniform": d.Uniform(-ONES, ONES),
    "laplace": d.Laplace(ZEROS, ONES),
    "student": d.StudentT(5 * ONES, ZEROS, ONES),
    "gamma": d.Gamma(2 * ONES, ONES),
    "beta": d.Beta(ONES, 2 * ONES),
    "exponential": d.Exponential(ONES),
    "gumbel": d.Gumbel(ZEROS, ONES),
    "half": d.HalfNormal(ONES),
    "log normal": d.LogNormal(ZEROS, 0.3 * ONES),
    "correlated": d.MultivariateNormal(ZEROS, torch.tensor([[2.0, 0.3], [0.3, 1.0]])),
    "independent": d.Independent(d.Normal(ZEROS, ONES), 1),
    "mixture": d.MixtureSameFamily(
        d.Categorical(torch.tensor([0.3, 0.7])),
        d.Independent(d.Normal(torch.eye(2), torch.ones(2, 2)), 1),
    ),
    "logits": d.MixtureSameFamily(
        d.Categorical(logits=torch.tensor([0.0, 0.5])),
        d.MultivariateNormal(torch.eye(2), torch.eye(2)),
    ),
}
RARE = d.TransformedDistribution(d.Normal(ZEROS, ONES), [d.transforms.TanhTransform()])


def through_skops(model, folder):
    dumped = skops.io.dumps(model)
    types = skops.io.get_untrusted_types(data=dumped)
    assert not [t for t in types if t.startswith("torch")]
    return skops.io.loads(dumped, trusted=types)


def through_file(model, folder):
    model.save(folder / "model")
    return skae.load(folder / "model")


@pytest.mark.parametrize("prior", PRIORS)
def test_distributions_are_loaded_exactly(prior, spots, tmp_path):
    model = WassersteinAutoEncoder(2, prior=PRIORS[prior], early_stopping=False, **SMALL)
    model.fit(spots[:18, :5])
    names = {a for _, a, _ in pickletools.genops(pickle.dumps(model)) if isinstance(a, str)}
    assert not {name for name in names if name.startswith("torch")}
    for through in (through_skops, through_file):
        again = through(model, tmp_path)
        assert type(again.prior) is type(model.prior)
        np.testing.assert_array_equal(again.sample(20, 0), model.sample(20, 0))
    unfitted = pickle.loads(pickle.dumps(AdversarialAutoEncoder(prior=PRIORS[prior])))
    assert type(unfitted.prior) is type(model.prior)


def test_torchs_defaults_change_nothing_of_a_file(spots, tmp_path):
    model = WassersteinAutoEncoder(2, prior=PRIORS["independent"], **SMALL).fit(spots)
    with torch.device("meta"):
        again = through_file(model, tmp_path)
        copied = pickle.loads(pickle.dumps(model))
    for other in (again, copied):
        np.testing.assert_array_equal(other.sample(20, 0), model.sample(20, 0))
        assert other.prior.base_dist.loc.device.type == "cpu"


def test_a_distribution_that_is_rare_is_pickled_or_handed_in(spots, tmp_path):
    model = WassersteinAutoEncoder(2, prior=RARE, **SMALL).fit(spots)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.sample(20, 0), model.sample(20, 0))
    with pytest.raises(TypeError, match=r"prior=.* is a distribution that skops cannot hold"):
        skops.io.dumps(model)
    model.save(tmp_path / "model")
    with pytest.raises(skae.ModelFileError, match="prior=…"):
        skae.load(tmp_path / "model")
    again = skae.load(tmp_path / "model", prior=RARE)
    np.testing.assert_array_equal(again.sample(20, 0), model.sample(20, 0))


# -- other versions -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [AutoEncoder, AutoEncoderImputer])
def test_a_pickle_that_lacks_something_names_its_version(kind, spots):
    fitted = kind(**{**SMALL, "hidden_layer_sizes": ()}).fit(spots)
    state = fitted.__getstate__()
    del state["best_iter_"]
    with pytest.raises(ValueError, match=r"written with skae \d.* and lacks best_iter_"):
        object.__new__(kind).__setstate__(state)


def test_weights_of_another_shape_are_named(trained):
    state = trained(trains(AutoEncoder)).__getstate__()
    state["_weights"] = {**state["_weights"], "frame.axes": np.zeros((3, 3), np.float32)}
    with pytest.raises(ValueError, match=r"frame.axes are float32 of shape \(3, 3\)"):
        object.__new__(AutoEncoder).__setstate__(state)
