"""Detectors in files and pickles: they hold all of it, and loading executes nothing."""

import copy
import functools
import pickle
import pickletools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import skops.io
import torch
from estimators import SMALL, Cubes, make_spots, trains
from sklearn.exceptions import NotFittedError
from torch import nn

import skae
from skae import (
    AutoEncoder,
    AutoEncoderImputer,
    AutoEncoderOutlierDetector,
    ModelFileError,
    VariationalAutoEncoder,
)
from skae._files.format import StoredFile, open_file, write_file

NETWORK = {"hidden_layer_sizes": (16,)}
ONE = trains(AutoEncoder, **NETWORK)
BENT = trains(AutoEncoder, **NETWORK, activation=nn.Mish)
VARIATIONAL = trains(VariationalAutoEncoder, **NETWORK)
DETECTORS = {
    "one": AutoEncoderOutlierDetector(ONE, standardize=True),
    "three": AutoEncoderOutlierDetector(BENT, n_estimators=3, contamination=0.1, standardize=True),
    "variational": AutoEncoderOutlierDetector(VARIATIONAL, standardize=False, refit=True),
    "three variational": AutoEncoderOutlierDetector(VARIATIONAL, n_estimators=3, standardize=True),
}


@pytest.fixture(scope="module")
def fitted():
    """A function that fits one of DETECTORS to rows with missing values, once for all tests."""

    @functools.cache
    def fit(kind):
        detector = DETECTORS[kind].fit(rows()[:200])
        assert all(model.best_iter_ > 0 for model in detector.estimators_)
        assert (detector.scale_ is None) == (kind == "variational")
        return detector

    return fit


@functools.cache
def rows():
    """Return parts of images, some of which lack a value."""
    X = make_spots()[:, 8:48:2]
    X[::9, 3] = np.nan
    X.flags.writeable = False
    return X


def results(detector, X):
    """Return all that a detector says of rows."""
    shares = [detector.explain(X[:4], part=part).to_numpy() for part in ("all", "code")]
    return [detector.score_samples(X), detector.predict(X), detector.p_values(X), *shares]


def assert_same_detector(one, other):
    X = rows()[::3, : one.n_features_in_]
    for value, wanted in zip(results(other, X), results(one, X), strict=True):
        np.testing.assert_array_equal(value, wanted)
    assert repr(other.get_params()) == repr(one.get_params())
    assert vars(other).keys() == vars(one).keys()
    assert other.offset_ == one.offset_ and type(other.estimator_) is type(one.estimator_)
    np.testing.assert_array_equal(other.calibration_scores_, one.calibration_scores_)


def through_file(detector, folder):
    detector.save(folder / "detector")
    return skae.load(folder / "detector")


def through_pickle(detector, folder):
    content = pickle.dumps(detector)
    names = {a for _, a, _ in pickletools.genops(content) if isinstance(a, str)}
    mine = {name for name in names if name.startswith("torch.nn.modules.activation")}
    assert not {name for name in names if name.startswith("torch")} - mine
    return pickle.loads(content)


def through_skops(detector, folder):
    content = skops.io.dumps(detector)
    types = skops.io.get_untrusted_types(data=content)
    estimators = {type(detector), type(detector.estimator), nn.Mish}
    assert {*types} <= {f"{cls.__module__}.{cls.__name__}" for cls in estimators}
    return skops.io.loads(content, trusted=types)


# -- all of a detector ----------------------------------------------------------------------------


@pytest.mark.parametrize("through", [through_file, through_pickle, through_skops])
@pytest.mark.parametrize("kind", DETECTORS)
def test_a_loaded_detector_gives_the_same_bits(kind, through, fitted, tmp_path):
    before = torch.get_rng_state()
    assert_same_detector(fitted(kind), through(fitted(kind), tmp_path))
    assert torch.equal(before, torch.get_rng_state())


def test_a_loaded_detector_is_saved_calibrated_and_fitted_as_the_saved_one(fitted, tmp_path):
    detector, X = copy.deepcopy(fitted("one")), rows()
    loaded = through_file(through_file(detector, tmp_path), tmp_path)
    assert_same_detector(detector.calibrate(X[200:]), loaded.calibrate(X[200:]))
    assert_same_detector(detector.fit(X[:150]), loaded.fit(X[:150]))


def test_names_and_what_users_set_are_loaded(tmp_path):
    pandas = pytest.importorskip("pandas")
    X = pandas.DataFrame(rows()[:, :3], columns=[*"abc"])
    detector = AutoEncoderOutlierDetector(AutoEncoder(2, **SMALL)).fit(X)
    detector.estimator = None
    detector.note_, detector.estimator_.note_ = {"by": ("me", 3)}, "first"
    loaded = through_file(detector, tmp_path)
    assert loaded.estimator is None and loaded.note_ == detector.note_
    assert loaded.estimator_.note_ == "first" and [*loaded.feature_names_in_] == [*"abc"]
    np.testing.assert_array_equal(loaded.p_values(X), detector.p_values(X))


def test_the_autoencoder_that_was_passed_is_loaded_fitted_or_not(fitted, tmp_path):
    detector, X = copy.deepcopy(fitted("one")), rows()
    parameters = {"n_components": np.int64(3), "random_state": np.random.RandomState(3)}
    detector.estimator = AutoEncoder(**parameters, activation=nn.Mish, checkpoint=tmp_path / "a")
    detector.estimator.set_output(transform="pandas")
    loaded = through_file(detector, tmp_path).estimator
    assert type(loaded.n_components) is np.int64 and loaded.activation is nn.Mish
    assert loaded.random_state.rand() == detector.estimator.random_state.rand()
    assert loaded.checkpoint is None  # a folder of another machine
    assert loaded._sklearn_output_config == {"transform": "pandas"}
    with pytest.raises(NotFittedError):
        loaded.transform(X)
    detector.estimator = AutoEncoder(2, **SMALL).fit(X)
    loaded = through_file(detector, tmp_path).estimator
    np.testing.assert_array_equal(loaded.transform(X), detector.estimator.transform(X))


def test_where_it_is_to_compute_may_change(fitted, tmp_path):
    fitted("three").save(tmp_path / "detector")
    loaded = skae.load(tmp_path / "detector", device="cpu")
    assert {model.device for model in [loaded.estimator, *loaded.estimators_]} == {"cpu"}
    with pytest.raises(ValueError, match="device='cuda:99' cannot be used here"):
        skae.load(tmp_path / "detector", device="cuda:99")


@pytest.mark.parametrize("through", [through_file, through_pickle, through_skops])
def test_a_device_that_is_missing_is_not_asked_for(through, fitted, tmp_path):
    detector = copy.deepcopy(fitted("one"))
    for model in [detector.estimator, detector.estimator_]:
        model.device = "privateuseone"
    loaded = through(detector, tmp_path)
    assert loaded.estimator_.net_.device == "cpu"
    assert_same_detector(detector, loaded)


# -- users' parts ---------------------------------------------------------------------------------


class Powers:
    """A user's loss that does not say when it is equal to another."""

    def __init__(self, power):
        self.power = power

    def __call__(self, x, x_hat):
        return (x - x_hat).abs().pow(self.power).sum(dim=1)


class Weights(Powers):
    """A user's loss of which Python cannot tell whether copies are the same."""

    def __init__(self, power):
        self.power = torch.full((8,), power)


class Mine(AutoEncoder):
    """A user's estimator."""


def of_users(**parts):
    estimator = AutoEncoder(2, **SMALL, **parts)
    return AutoEncoderOutlierDetector(estimator, n_estimators=2).fit(rows()[:100, :8])


def broken(n_inputs, n_outputs):
    raise FileNotFoundError("my weights")


LOSSES = {"equal": Cubes(), "alike": Powers(3), "partial": functools.partial(Powers(3))}


@pytest.mark.parametrize("kind", LOSSES)
def test_parts_of_the_autoencoder_are_handed_in_again(kind, tmp_path):
    loss = LOSSES[kind]
    detector, path = of_users(loss=loss, encoder=nn.Linear), tmp_path / "detector"
    detector.save(path)
    with pytest.raises(ModelFileError, match=r"does not hold your encoder, loss \(.*loss=…\)"):
        skae.load(path)
    with pytest.raises(TypeError, match="AutoEncoderOutlierDetector has no parameter 'lose'"):
        skae.load(path, lose=loss)
    with pytest.raises(ValueError, match=r"loss='huber' is handed in, .* saved with yours"):
        skae.load(path, loss="huber", encoder=nn.Linear)
    with pytest.raises(ModelFileError, match="loss=3 is not valid"):
        skae.load(path, loss=3, encoder=nn.Linear)
    with pytest.raises(ModelFileError, match=r"encoder=.*broken.* raised FileN.*: my weights"):
        skae.load(path, loss=loss, encoder=broken)
    loaded = skae.load(path, loss=loss, encoder=nn.Linear)
    assert loaded.estimator.loss is loss and loaded.estimator_.encoder is nn.Linear
    assert_same_detector(detector, loaded)


def test_parts_that_are_not_the_same_everywhere_are_refused(tmp_path):
    detector = of_users(loss=Powers(3))
    detector.set_params(estimator__loss=Powers(4))
    with pytest.raises(ValueError, match="loss was changed after the fit"):
        detector.save(tmp_path / "detector")
    with pytest.raises(ValueError, match=r"copies of one object, give its class an __eq__, or p"):
        of_users(loss=Weights(3)).save(tmp_path / "detector")
    assert not [*tmp_path.iterdir()]


def test_an_autoencoder_of_a_users_class_is_refused(tmp_path):
    detector = AutoEncoderOutlierDetector(Mine(2, **SMALL)).fit(rows())
    with pytest.raises(ValueError, match=r"holds one of Mine, a class of yours.*: keep it with p"):
        detector.save(tmp_path / "detector")
    assert not [*tmp_path.iterdir()]
    assert_same_detector(detector, pickle.loads(pickle.dumps(detector)))


class MyDetector(AutoEncoderOutlierDetector):
    """A user's detector."""


def test_a_detector_of_a_users_class_is_handed_in(tmp_path):
    path = tmp_path / "detector"
    detector = MyDetector(AutoEncoder(2, **SMALL)).fit(rows())
    detector.save(path)
    assert_same_detector(detector, skae.load(path, estimator=MyDetector))
    with pytest.raises(ModelFileError, match=r"load\(path, estimator=MyDetector\)"):
        skae.load(path)


def test_pickle_names_the_parameter_of_the_autoencoder():
    detector = of_users(loss=lambda x, x_hat: (x - x_hat).square().sum(dim=1))
    with pytest.raises(pickle.PicklingError, match=r"^loss=<function.* hand it in again"):
        pickle.dumps(detector)
    assert_same_detector(detector, copy.deepcopy(detector))


# -- what is refused ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def path(tmp_path_factory, fitted):
    path = tmp_path_factory.mktemp("saved") / "detector"
    fitted("three").save(path)
    return path


def forged(path, change):
    """Write a copy of a file with another document or arrays, and the sha256; return where."""
    with open_file(path, "model") as stored:
        document, arrays = stored.document, stored.arrays()
    change(document, arrays)
    other = path.with_name("forged")
    write_file(other, "model", document, arrays)
    return other


def in_state(**values):
    return lambda document, arrays: document["state"].update(values)


def in_member(**values):
    return lambda document, arrays: document["state"]["_members"][1].update(values)


def model_of(document):
    return document["state"]["_members"][1]["model"]["$other"]["estimator"]


def in_model(entry, **values):
    return lambda document, arrays: model_of(document)[entry].update(values)


def in_array(name, change):
    """Return how to put what ``change`` makes of an array in its place."""
    return lambda document, arrays: arrays.update({name: change(arrays[name])})


def with_first(number):
    return lambda array: np.concatenate([[number], array[1:]]).astype(array.dtype)


def without(prefix, change):
    """Return how to change a file, and to remove the arrays below a path from it."""

    def change_both(document, arrays):
        change(document, arrays)
        for name in [name for name in arrays if name.startswith(prefix)]:
            del arrays[name]

    return change_both


CLASS = {"class": "AutoEncoder", "parameters": {}, "state": {}, "users": {}, "requests": {}}
ARRAY = {"$array": "calibration_scores_"}
FORGERIES = {
    "columns": (in_state(n_features_in_=21), "scale_ is"),
    "columns of none": (in_state(n_features_in_=None), "n_features_in_ is None"),
    "scale": (in_array("scale_", with_first(0)), "scale_ is .* of finite numbers > 0"),
    "infinite scale": (in_array("scale_", with_first(np.inf)), "scale_ is"),
    "scale of n": (in_array("scale_", lambda a: a[1:]), "scale_ is .* shape .19,.*shape .20"),
    "order": (in_array("calibration_scores_", lambda a: a[::-1].copy()), "numbers <= 0 in order"),
    "sign": (in_array("calibration_scores_", lambda a: -a[::-1].copy()), "calibration_scores_ is"),
    "NaN": (in_array("calibration_scores_", with_first(np.nan)), "calibration_scores_ is"),
    "no scores": (in_array("calibration_scores_", lambda a: a[:0]), "calibration_scores_ is"),
    "table": (in_array("calibration_scores_", lambda a: a[None]), "calibration_scores_ is"),
    "format": (
        in_array("calibration_scores_", lambda a: a.astype(np.float32)),
        "calibration_scores_ is",
    ),
    "offset": (in_state(offset_={"$float": "nan"}), "offset_ is nan, expected a number"),
    "offset of str": (in_state(offset_="0"), "offset_ is '0'"),
    "no members": (without("_members.", in_state(_members=[])), "_members is .*, not empty"),
    "a number": (
        without("_members.", in_state(_members=[3])),
        "_members.0.model is None, expected a fitted autoencoder",
    ),
    "model": (without("_members.1.model.", in_member(model=3)), "_members.1.model is 3"),
    "names": (in_member(more=3), r"_members.1 has .*'more'"),
    "mean": (in_array("_members.1.mean", with_first(np.nan)), "_members.1.mean is"),
    "mean of k": (in_array("_members.1.mean", lambda a: a[1:]), "_members.1.mean is"),
    "variances": (in_array("_members.1.variances", with_first(0)), "_members.1.variances is"),
    "variances of k": (in_array("_members.1.variances", lambda a: a[1:]), "variances is"),
    "error": (in_member(error_variance=0.0), "error_variance is 0.0, expected a finite number > 0"),
    "infinite error": (in_member(error_variance={"$float": "inf"}), "error_variance is inf"),
    "median": (in_member(median=-1.0), "median is -1.0"),
    "code": (in_model("state", n_components_=3), "n_components_ is 3, expected 4"),
    "columns of one": (in_model("state", n_features_in_=7), "n_features_in_ is 7"),
    "weights": (
        in_array("_members.1.model._weights.encoder.network.0.bias", lambda a: a[1:]),
        "networks described need float32",
    ),
    "numbers": (
        in_array("_members.1.model._weights.encoder.network.0.bias", with_first(np.nan)),
        "is an array of float32.*expected an array",
    ),
    "sizes": (
        lambda d, a: model_of(d)["state"]["_spec"].update(hidden_layer_sizes={"$tuple": [10**9]}),
        "weights",
    ),
    "no fit": (
        without("_members.1.model.", lambda d, a: model_of(d)["state"].clear()),
        "_members.1.model is <AutoEncoder>, expected a fitted autoenc",
    ),
    "parameter": (in_model("parameters", max_iter=-1), "max_iter=-1 is not valid"),
    "unknown": (in_model("parameters", more=1), "of the parameters it has .'more'"),
    "method": (in_model("users", transform=1), "'transform', which is no name"),
    "request": (in_model("requests", use={"X": True}), "requests for 'use'"),
    "class": (lambda d, a: model_of(d).update({"class": "os.system"}), "'os.system', and this ver"),
    "no class": (lambda d, a: model_of(d).update({"class": ["AutoEncoder"]}), "no value is"),
    "entry": (lambda d, a: model_of(d).pop("users"), "has the entries"),
    "kind of entry": (lambda d, a: model_of(d).update(users=3), "'AutoEncoder', is none"),
    "estimator": (
        lambda d, a: d["parameters"].update(estimator={"$other": {"estimator": 3}}),
        "no value is",
    ),
    "checkpoint": (in_model("parameters", checkpoint="/tmp"), "values of .'checkpoint'"),
    "another kind": (
        lambda d, a: d["parameters"].update(
            estimator={"$other": {"estimator": {**CLASS, "class": "AutoEncoderImputer"}}}
        ),
        "estimator=.* is not valid",
    ),
    "elsewhere": (
        lambda d, a: d["parameters"].update(refit={"$other": {"estimator": CLASS}}),
        "no value is estimator",
    ),
    "users": (
        lambda d, a: d["users"].update(note_={"$other": {"estimator": CLASS}}),
        "no value is estimator",
    ),
    "twice": (in_member(mean=ARRAY), "no value is"),
    "part": (
        lambda d, a: model_of(d)["parameters"].update(loss={"$other": {"part": "loss"}}),
        "no value is part of 'loss'",
    ),
}


@pytest.mark.parametrize("lie", FORGERIES)
def test_a_forged_file_is_refused_in_words(lie, path):
    change, message = FORGERIES[lie]
    with pytest.raises(ModelFileError, match=message):
        skae.load(forged(path, change))


def test_what_later_versions_have_added_is_none_in_autoencoders_of_older_files(path):
    older = forged(path, lambda document, arrays: model_of(document)["state"].pop("n_samples_"))
    assert [model.n_samples_ is None for model in skae.load(older).estimators_] == [0, 1, 0]


def test_nothing_is_read_or_built_before_shapes_are_checked(path, monkeypatch):
    wrong = forged(path, in_model("state", n_features_in_=7))

    def must_not_run(*args, **kwargs):
        raise KeyboardInterrupt

    for name in ("use.make_module", "saving.content.Content.build"):
        monkeypatch.setattr(f"skae._estimator.{name}", must_not_run)
    monkeypatch.setattr(StoredFile, "arrays", must_not_run)
    with pytest.raises(ModelFileError, match="n_features_in_ is 7"):
        skae.load(wrong)


def test_a_damaged_file_is_refused(path):
    content, damaged = path.read_bytes(), path.with_name("damaged")
    for at in range(0, len(content), len(content) // 20):
        damaged.write_bytes(content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :])
        with pytest.raises(ModelFileError):
            skae.load(damaged)
    damaged.write_bytes(content[:-9])
    with pytest.raises(ModelFileError):
        skae.load(damaged)


def test_what_could_not_be_loaded_is_not_saved(fitted, tmp_path):
    with pytest.raises(NotFittedError):
        AutoEncoderOutlierDetector().save(tmp_path / "detector")
    detector = copy.deepcopy(fitted("one"))
    with pytest.raises(ValueError, match=r"n_estimators=0 "):
        detector.set_params(n_estimators=0).save(tmp_path / "detector")
    detector.set_params(n_estimators=1)
    detector.offset_ = None
    with pytest.raises(ValueError, match=r"could not be loaded: offset_ is None"):
        detector.save(tmp_path / "detector")
    detector = copy.deepcopy(fitted("one"))
    detector.estimator_.scale_ = -1.0
    with pytest.raises(ValueError, match=r"could not be loaded: scale_ is -1.0"):
        detector.save(tmp_path / "detector")
    assert not [*tmp_path.iterdir()]


def test_scores_of_minus_infinity_are_loaded(fitted, tmp_path):
    detector = copy.deepcopy(fitted("one"))
    detector.calibration_scores_ = np.append(-np.inf, detector.calibration_scores_)
    assert_same_detector(detector, through_file(detector, tmp_path))


def test_a_pickle_that_lacks_something_names_its_version(fitted):
    state = fitted("one").__getstate__()
    assert state["_skae_version"]
    del state["offset_"]
    with pytest.raises(ValueError, match=r"written with skae \d.* and lacks offset_"):
        object.__new__(AutoEncoderOutlierDetector).__setstate__(state)


def test_an_imputer_is_no_autoencoder_of_a_detector(fitted, tmp_path):
    detector = copy.deepcopy(fitted("one"))
    imputer = AutoEncoderImputer(hidden_layer_sizes=()).fit(rows())
    object.__setattr__(detector._members[0], "model", imputer)
    with pytest.raises(ValueError, match="expected a fitted autoencoder"):
        detector.save(tmp_path / "detector")


# -- files of former versions ----------------------------------------------------------------


@pytest.mark.parametrize("name", ["detector_format1.safetensors", "detector_0.1.0.pickle"])
def test_files_of_the_first_version_are_loaded(name):
    path = Path(__file__).parent / "golden" / name
    is_pickle = path.suffix == ".pickle"
    detector = pickle.loads(path.read_bytes()) if is_pickle else skae.load(path)
    names = [f"pixel {i}" for i in range(13)]
    rows = pd.DataFrame(np.load(path.with_name("rows.npy")), columns=names)
    np.testing.assert_allclose(
        detector.score_samples(rows), np.load(path.with_name("scores.npy")), rtol=1e-3
    )
    np.testing.assert_allclose(detector.explain(rows).sum(axis=1), 1)
    assert [model.best_iter_ > 0 for model in detector.estimators_] == [True, True]
