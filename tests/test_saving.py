"""Files that save writes: they hold all of a model, and loading them executes nothing."""

import copy
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import skorch
import torch
from comparing import assert_same_bits
from estimators import ESTIMATORS, NETWORKS, SMALL, SOME, cubes, trained_variants, trains
from sklearn import config_context
from sklearn.exceptions import NotFittedError
from torch import nn

import skae
from skae import AutoEncoder, AutoEncoderImputer, DenoisingAutoEncoder, ModelFileError
from skae.base import BaseAutoEncoder, Rule, estimator, parameter, real

GOLDEN = Path(__file__).parent / "golden"


def users_parts(model):
    """Return those parameters of a model that no file holds."""
    own = ("loss", "encoder", "decoder", "noise", "callbacks", "prior")
    parameters = model.get_params(deep=False)
    parts = {name: parameters[name] for name in own if name in parameters}
    return {name: v for name, v in parts.items() if v is not None and not isinstance(v, str)}


def saved_and_loaded(model, tmp_path, **handed_in):
    path = tmp_path / "model.safetensors"
    model.save(path)
    return skae.load(path, **handed_in)


# -- all of a model -------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [*trained_variants()], ids=repr)
def test_a_loaded_model_gives_the_same_bits(model, trained, spots, tmp_path):
    fitted, before = trained(model), torch.get_rng_state()
    loaded = saved_and_loaded(fitted, tmp_path, **users_parts(fitted))
    assert torch.equal(before, torch.get_rng_state())
    assert_same_bits(fitted, loaded, spots)
    assert loaded.net_.history == fitted.net_.history
    assert loaded.get_params() == fitted.get_params()
    assert vars(loaded).keys() == vars(fitted).keys()


@pytest.mark.parametrize("kind", SOME)
@pytest.mark.parametrize("network", NETWORKS)
def test_every_network_is_loaded(kind, network, spots, tmp_path):
    settings = {"whiten": True, "dtype": "float64", "max_iter": 2, **NETWORKS[network]}
    X = spots[:50]
    fitted = trains(kind, **settings).fit(X)
    assert_same_bits(fitted, saved_and_loaded(fitted, tmp_path, **users_parts(fitted)), X)


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_partial_fit_goes_on_from_a_loaded_model_as_from_the_model(kind, spots, tmp_path):
    X = spots.copy()
    X[::9, 3] = np.nan
    model = trains(kind, hidden_layer_sizes=(6,), max_iter=3)
    for part in (X[:120], X[120:130]):
        model.partial_fit(part)
    assert model._stream.waiting is not None and model._stream.iterate is not None
    loaded = saved_and_loaded(model, tmp_path)
    for part in (X[130:140], X[140:]):
        model.partial_fit(part)
        loaded.partial_fit(part)
        assert_same_bits(model, loaded, X)


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_a_warm_start_goes_on_from_a_loaded_model_as_from_the_model(kind, spots, tmp_path):
    model = trains(kind, warm_start=True, hidden_layer_sizes=(16,)).fit(spots[:200])
    loaded = saved_and_loaded(model, tmp_path)
    model.fit(spots)
    assert_same_bits(model, loaded.fit(spots), spots)


@pytest.mark.parametrize("kind", [scipy.sparse.csr_array, pd.DataFrame])
def test_models_of_sparse_rows_and_of_frames_are_loaded(kind, spots, tmp_path):
    X = kind(spots)
    if kind is pd.DataFrame:
        X.columns = [f"$tuple {i}" for i in range(64)]
    model = AutoEncoder(2, **SMALL).set_output(transform="pandas").fit(X)
    loaded = saved_and_loaded(model, tmp_path)
    pd.testing.assert_frame_equal(loaded.transform(X), model.transform(X))
    if kind is pd.DataFrame:
        np.testing.assert_array_equal(loaded.feature_names_in_, model.feature_names_in_)


@pytest.mark.parametrize("options", [{}, {"add_indicator": True}, {"keep_empty_features": True}])
@pytest.mark.parametrize("has_network", [True, False])
def test_an_imputer_is_loaded(options, has_network, spots, tmp_path):
    X = spots[:, ::5].copy()
    X[np.random.default_rng(1).random(X.shape) < 0.3] = np.nan
    X = pd.DataFrame(X, columns=[*"abcdefghijklm"])
    sizes = (64, 64) if has_network else ()
    imputer = AutoEncoderImputer(**options, hidden_layer_sizes=sizes, random_state=0)
    imputer.fit(X)
    assert (imputer.best_iter_ > 0) == has_network
    loaded = saved_and_loaded(imputer, tmp_path)
    np.testing.assert_array_equal(loaded.transform(X), imputer.transform(X))
    np.testing.assert_array_equal(loaded.statistics_, imputer.statistics_)
    assert list(loaded.get_feature_names_out()) == list(imputer.get_feature_names_out())
    again = saved_and_loaded(loaded, tmp_path)
    np.testing.assert_array_equal(again.transform(X), imputer.transform(X))


def test_parameters_of_every_kind_are_loaded(spots, tmp_path):
    parameters = {
        "n_components": np.int64(2),
        "loss": np.str_("huber"),
        "hidden_layer_sizes": [6],
        "learning_rate_init": np.float32(0.01),
        "activation": nn.Mish,
        "random_state": np.random.RandomState(3),
        "max_iter": 2,
        "verbose": False,
    }
    model = AutoEncoder(**parameters).fit(spots)
    loaded = saved_and_loaded(model, tmp_path)
    assert_same_bits(model, loaded, spots)
    assert loaded.activation is nn.Mish and loaded.hidden_layer_sizes == [6]
    assert type(loaded.n_components) is np.int64
    assert model.random_state.rand() == loaded.random_state.rand()


def test_a_history_that_is_too_long_for_a_header_is_loaded(trained, spots, tmp_path):
    model = copy.deepcopy(trained(trains(AutoEncoder)))
    for row in model.net_.history:
        row["note"] = 'a"b' * 100_000
    loaded = saved_and_loaded(model, tmp_path)
    assert loaded.net_.history == model.net_.history


def test_what_a_history_cannot_hold_is_named_as_users_know_it(trained, spots, tmp_path):
    model = copy.deepcopy(trained(trains(AutoEncoder)))
    model.net_.history[0]["thing"] = object()
    with pytest.raises(
        ValueError, match=r"^net_\.history=.*: net_\.history\.0\.thing is an object,"
    ):
        model.save(tmp_path / "model")
    imputer = AutoEncoderImputer(hidden_layer_sizes=(64, 64), random_state=0)
    X = spots[:, ::5]
    imputer.fit(np.where(np.random.default_rng(1).random(X.shape) < 0.3, np.nan, X))
    assert imputer.best_iter_ > 0
    imputer.net_.history[1]["thing"] = 1j
    with pytest.raises(ValueError, match=r"net_\.history\.1\.thing is a complex, and a file"):
        imputer.save(tmp_path / "model")


def test_what_users_set_stays_where_it_is_plain(trained, spots, tmp_path):
    model = copy.deepcopy(trained(trains(AutoEncoder)))
    model.note_, model.table_ = {"by": ("me", 3)}, np.arange(3)
    loaded = saved_and_loaded(model, tmp_path)
    assert loaded.note_ == model.note_ and loaded.table_.tolist() == [0, 1, 2]
    model.other_ = object()
    with pytest.raises(ValueError, match=r"^other_=.*: other_ is an object, and a file"):
        model.save(tmp_path / "model")
    del model.other_
    model.transform = 3
    with pytest.raises(ValueError, match="transform hides"):
        model.save(tmp_path / "model")


def nested(n):
    """Return a list in a list in a list, and so on."""
    value = []
    for _ in range(n):
        value = [value]
    return value


def holds_itself():
    """Return a list that is in itself."""
    value = [1]
    value.append(value)
    return value


UNSTORABLE = {
    "bfloat16": (torch.zeros(2, dtype=torch.bfloat16), "of torch.bfloat16"),
    "float8": (torch.zeros(2).to(torch.float8_e4m3fn), "of torch.float8_e4m3fn"),
    "complex tensor": (torch.zeros(2, dtype=torch.complex64), "of torch.complex64"),
    "sparse": (torch.eye(2).to_sparse(), "torch.sparse_coo"),
    "meta": (torch.zeros(2, device="meta"), "on meta"),
    "itself": (holds_itself(), "it holds itself"),
    "deep": (nested(500), "is nested too deeply"),
    "digits": (10**5000, "4300 digits"),
    "half a character": ({"\ud800": np.zeros(2)}, "surrogates"),
    "keys": ({(1, object()): 2}, r"note_\.1 is an object"),
    "complex": (np.zeros(2, complex), "ndarray of complex128"),
    "date": (np.array(["2020-01-01"], "M8[D]"), r"ndarray of datetime64\[D\]"),
    "table of strings": (np.array([["a"]]), "ndarray of <U1, with 2 dimensions"),
    "masked": (np.ma.array([1.0], mask=[1]), "MaskedArray of float64"),
    "objects": (np.array(["a", None], object), "not all of them str"),
}


@pytest.mark.parametrize("kind", UNSTORABLE)
def test_an_attribute_that_no_file_holds_is_named(kind, trained, tmp_path):
    model, (value, message) = copy.copy(trained(trains(AutoEncoder))), UNSTORABLE[kind]
    model.note_ = value
    with pytest.raises(ValueError, match=rf"(?s)^note_=.* cannot be saved: .*{message}"):
        model.save(tmp_path / "model")
    assert not [*tmp_path.iterdir()]


def test_a_net_that_is_none_is_named(trained, tmp_path):
    model = copy.copy(trained(trains(AutoEncoder)))
    model.net_ = 3
    with pytest.raises(ValueError, match="net_=3 is not the net that fit has set"):
        model.save(tmp_path / "model")


def test_nested_attributes_are_loaded(trained, tmp_path):
    model = copy.copy(trained(trains(AutoEncoder)))
    model.note_ = nested(140)
    assert saved_and_loaded(model, tmp_path).note_ == model.note_


def test_requests_of_metadata_are_loaded(trained, tmp_path):
    model = copy.deepcopy(trained(trains(AutoEncoder)))
    with config_context(enable_metadata_routing=True):
        model.set_fit_request(sample_weight=True, groups="people")
        loaded = saved_and_loaded(model, tmp_path)
        assert repr(loaded.get_metadata_routing()) == repr(model.get_metadata_routing())


def test_save_says_what_it_cannot_save(trained, tmp_path):
    path = tmp_path / "model"
    with pytest.raises(NotFittedError):
        AutoEncoder().save(path)
    with pytest.raises(NotFittedError):
        AutoEncoderImputer().save(path)
    model = copy.deepcopy(trained(trains(AutoEncoder)))
    with pytest.raises(ValueError, match="max_iter=-1 "):
        model.set_params(max_iter=-1).save(path)
    assert not path.exists()
    model = copy.deepcopy(trained(AutoEncoder(2, loss=cubes, hidden_layer_sizes=(), max_iter=2)))
    with pytest.raises(ValueError, match="loss was changed after the fit"):
        model.set_params(loss=lambda x, x_hat: x.sum(1)).save(path)


CHANGES = {
    "feature_names_in_": lambda model: [*"abcdefgh"] * 8,
    "mean_": lambda model: model.mean_.astype(np.float32),
    "loss_curve_": lambda model: np.array(model.loss_curve_),
    "best_iter_": lambda model: None,
    "scale_": lambda model: -1.0,
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_file_that_could_not_be_loaded_does_not_take_the_place_of_another(
    name, trained, tmp_path
):
    model, path = copy.deepcopy(trained(trains(AutoEncoder))), tmp_path / "model"
    model.save(path)
    before = path.read_bytes()
    setattr(model, name, CHANGES[name](model))
    with pytest.raises(ValueError, match=rf"could not be loaded: {name} is .* or fit again\."):
        model.save(path)
    assert path.read_bytes() == before


# -- users' parts ---------------------------------------------------------------------------------


def test_users_parts_are_handed_in_again(spots, tmp_path):
    def loss(x, x_hat):
        return (x - x_hat).abs().sum(dim=1)

    def noise(x, generator):
        return x + torch.randn(x.shape, generator=generator)

    class Bent(nn.Module):
        def forward(self, x):
            return x.clamp(-1, 1)

    callback = skorch.callbacks.EpochTimer()
    parts = {"loss": loss, "noise": noise, "activation": Bent, "callbacks": [callback]}
    model = DenoisingAutoEncoder(2, **SMALL, **parts).fit(spots)
    path = tmp_path / "model"
    model.save(path)
    with pytest.raises(ModelFileError) as error:
        skae.load(path, loss=loss)
    assert "the file does not hold your activation, callbacks, noise (" in str(error.value)
    for text in ("noise was <function", "activation was <class", "callbacks was [<skorch"):
        assert text in str(error.value)
    assert "loss was" not in str(error.value) and "callbacks=None" not in str(error.value)
    with pytest.raises(ModelFileError, match=r"load\(path, callbacks=…\), or callbacks=None"):
        skae.load(path, **{n: part for n, part in parts.items() if n != "callbacks"})
    loaded = skae.load(path, **parts)
    assert_same_bits(model, loaded, spots)
    assert loaded.get_params() == model.get_params()
    without = skae.load(path, **{**parts, "callbacks": None})
    assert without.callbacks is None
    assert_same_bits(model, without, spots)


def test_what_is_handed_in_is_checked(trained, tmp_path):
    path = tmp_path / "model"
    trained(trains(AutoEncoder)).save(path)
    with pytest.raises(ValueError, match=r"loss='huber' is handed in, and .* has its own"):
        skae.load(path, loss="huber")
    with pytest.raises(TypeError, match="no parameter 'lose'"):
        skae.load(path, lose=1)
    with pytest.raises(ValueError, match="device='cuda:99' cannot be used here"):
        skae.load(path, device="cuda:99")
    assert skae.load(path, device="cpu").device == "cpu"
    with pytest.raises(ValueError, match="estimator=DenoisingAutoEncoder is not the class"):
        skae.load(path, estimator=DenoisingAutoEncoder)
    with pytest.raises(TypeError, match="no class of an estimator"):
        skae.load(path, estimator=dict)
    AutoEncoder(2, loss=cubes, **SMALL).fit(np.eye(30)).save(path)
    with pytest.raises(ValueError, match="loss=3 is not valid"):
        skae.load(path, loss=3)
    with pytest.raises(ValueError, match=r"loss='huber' is .* saved with yours, cubes; hand that"):
        skae.load(path, loss="huber")
    AutoEncoder(2, encoder=nn.Linear, **SMALL).fit(np.eye(30)).save(path)
    with pytest.raises(ValueError, match=r"encoder=None is handed in, and .* with yours"):
        skae.load(path, encoder=None)


def test_networks_that_raise_or_are_others_are_named(spots, tmp_path):
    def small(n_inputs, n_outputs):
        return nn.Sequential(nn.Linear(n_inputs, 5), nn.ReLU(), nn.Linear(5, n_outputs))

    def broken(n_inputs, n_outputs):
        raise FileNotFoundError("my weights")

    class Bent(nn.Module):
        def forward(self, x):
            return x.clamp(-1, 1)

    path = tmp_path / "model"
    AutoEncoder(2, **SMALL, encoder=small, decoder=small).fit(spots).save(path)
    message = r"cannot be loaded: decoder=.*Linear.* is not what .* \(the state .*was fitted with\."
    with pytest.raises(ModelFileError, match=message) as error:
        skae.load(path, encoder=small, decoder=nn.Linear)
    assert "encoder=" not in str(error.value)
    wide = lambda *sizes: nn.Sequential(nn.Linear(sizes[0], 7), nn.ReLU(), nn.Linear(7, sizes[1]))  # noqa: E731
    with pytest.raises(
        ModelFileError, match=r"encoder=.*lambda.* is not what .* of shape \(5, 64\)"
    ):
        skae.load(path, encoder=wide, decoder=small)
    with pytest.raises(ModelFileError, match=r"encoder=.*broken.* raised FileN.*: my w") as error:
        skae.load(path, encoder=broken, decoder=small)
    assert isinstance(error.value.__cause__.__cause__, FileNotFoundError)
    AutoEncoder(2, **SMALL, activation=Bent).fit(spots).save(path)
    with pytest.raises(ModelFileError, match=r"activation=.*PReLU.* is not what the estimator"):
        skae.load(path, activation=nn.PReLU)


@estimator
class Mine(BaseAutoEncoder):
    """A user's method.

    Parameters
    ----------
    {parameters}
    """

    factor: float = parameter(1.0, real(0, 9), """A number.""")
    path: object = parameter(None, Rule("anything", lambda value: True), """Where from.""")
    _module = type(
        "Module",
        (AutoEncoder._module,),
        {"__init__": lambda self, *parts, **own: AutoEncoder._module.__init__(self, *parts)},
    )


def test_a_class_of_a_user_is_handed_in(spots, tmp_path):
    path = tmp_path / "model"
    model = Mine(2, **SMALL, factor=3.0, path=print).fit(spots)
    model.save(path)
    with pytest.raises(ModelFileError, match="estimator=Mine"):
        skae.load(path)
    loaded = skae.load(path, estimator=Mine, path=print)
    assert type(loaded) is Mine and loaded.factor == 3 and loaded.path is print
    assert_same_bits(model, loaded, spots)
    for other in (AutoEncoder, type("Other", (Mine,), {})):
        with pytest.raises(ValueError, match=r"is not the class of .* yours named 'Mine'; pass"):
            skae.load(path, estimator=other, path=print)


class WithInit(AutoEncoder):
    """A user's class with a constructor of fewer parameters, and of one that is its own."""

    def __init__(self, n_components=2, *, alpha=1.0, max_iter=2, random_state=0):
        super().__init__(n_components, max_iter=max_iter, random_state=random_state)
        self.alpha = alpha


def test_a_class_whose_constructor_has_fewer_parameters_is_loaded(spots, tmp_path):
    model = WithInit(2, alpha=print).fit(spots[:60])
    with pytest.raises(ModelFileError, match="does not hold your alpha "):
        saved_and_loaded(model, tmp_path, estimator=WithInit)
    loaded = saved_and_loaded(model, tmp_path, estimator=WithInit, alpha=print)
    assert_same_bits(model, loaded, spots)
    assert loaded.get_params() == model.get_params() and vars(loaded).keys() == vars(model).keys()


@estimator
class Wrapping(Mine):
    """A user's method.

    Parameters
    ----------
    {parameters}
    """

    estimator: object = parameter(None, Rule("anything", lambda value: True), """Another.""")


def test_a_parameter_that_load_could_not_be_handed_is_refused(spots, tmp_path):
    model = Wrapping(2, **SMALL, estimator=print).fit(spots)
    with pytest.raises(ValueError, match="Wrapping has a parameter named 'estimator'"):
        model.save(tmp_path / "model")
    assert not [*tmp_path.iterdir()]


# -- files of former versions --------------------------------------------------------------------


def golden_rows():
    """Return rows, as a frame with the names that the model knows, and their codes."""
    names = [f"pixel {i}" for i in range(13)]
    rows = pd.DataFrame(np.load(GOLDEN / "rows.npy"), columns=names)
    return rows, np.load(GOLDEN / "codes.npy")


def test_a_file_of_the_first_format_is_loaded():
    model, (rows, codes) = skae.load(GOLDEN / "autoencoder_format1.safetensors"), golden_rows()
    np.testing.assert_allclose(model.transform(rows), codes, atol=1e-5)
    assert list(model.feature_names_in_) == list(rows)
    assert model.best_iter_ > 0 and len(model.net_.history) == model.n_iter_


def test_a_pickle_of_the_first_version_is_loaded():
    # Of plain values and NumPy's arrays: no version of torch, skorch or scikit-learn is in it.
    # Parameters that are newer than the pickle have their defaults.
    model, (rows, codes) = (
        pickle.loads((GOLDEN / "autoencoder_0.1.0.pickle").read_bytes()),
        (golden_rows()),
    )
    np.testing.assert_allclose(model.transform(rows), codes, atol=1e-5)
    assert model.get_params().keys() == AutoEncoder().get_params().keys()


class DrawsWhenBuilt(nn.Module):
    """A user's network that keeps draws outside of its state."""

    def __init__(self, n_inputs, n_outputs):
        super().__init__()
        self.layer = nn.Linear(n_inputs, n_outputs)
        self.register_buffer("mask", (torch.rand(n_outputs) > 0.5).float(), persistent=False)
        self.shift = torch.randn(n_outputs)

    def forward(self, x):
        return self.layer(x) * (1 + self.mask) + self.shift


@pytest.mark.parametrize("loaded", ["save", "pickle", "deepcopy"])
def test_what_a_network_draws_when_it_is_built_is_drawn_again(loaded, spots, tmp_path):
    model = trains(AutoEncoder, encoder=DrawsWhenBuilt, decoder=DrawsWhenBuilt, init="random")
    model = model.set_params(early_stopping=False).fit(spots)
    assert model.best_iter_ > 0
    if loaded == "save":
        model.save(tmp_path / "model")
        again = skae.load(tmp_path / "model", encoder=DrawsWhenBuilt, decoder=DrawsWhenBuilt)
    else:
        again = pickle.loads(pickle.dumps(model)) if loaded == "pickle" else copy.deepcopy(model)
    np.testing.assert_array_equal(again.transform(spots), model.transform(spots))
    np.testing.assert_array_equal(again.score_samples(spots), model.score_samples(spots))
