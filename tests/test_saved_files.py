"""Files that are damaged, forged, of another kind or of a newer version, and disks that fail."""

import importlib.util
import json
import os
import pickle
import random
import struct
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch
from estimators import SMALL, trains
from processes import run_script

import skae
from skae import AdversarialAutoEncoder, AutoEncoder, AutoEncoderImputer, ModelFileError
from skae._files.format import StoredFile, open_file, write_file


def benchmark(name):
    """Return a file of the benchmarks as a module."""
    path = Path(__file__).parents[1] / "benchmarks" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "model.safetensors"
    AutoEncoder(2, **SMALL).fit(np.random.default_rng(0).normal(size=(60, 5))).save(path)
    return path


def other_file(path, change=lambda document: None, change_arrays=lambda arrays: None):
    """Write a copy of a file with another document or arrays, and the sha256; return where."""
    with open_file(path, "model") as stored:
        document, arrays = stored.document, stored.arrays()
    change(document)
    change_arrays(arrays)
    forged = path.with_name("forged")
    write_file(forged, "model", document, arrays)
    return forged


NONE_OF_OURS = {
    "empty": (b"", "has 0 bytes"),
    "garbage": (bytes(range(256)) * 9, "cut short, or damaged"),
    "text": (b"hello, world, this is no model", "cut short, or damaged"),
    "pickle": (pickle.dumps([print]), "a pickle, which could run any code"),
    "zip": (b"PK\x03\x04" + bytes(99), "zip archive"),
    "safetensors": (safetensors.numpy.save({"a": np.zeros(3)}), "none that skae wrote"),
    "no document": (
        safetensors.numpy.save({"a": np.zeros(3)}, {"skae": "[1"}),
        "has no valid JSON document",
    ),
    "other document": (
        safetensors.numpy.save({}, {"skae": '{"format_version":1,"kind":"model","document":3}'}),
        "no valid JSON document .the document or the version is of another type",
    ),
    "deep": (safetensors.numpy.save({}, {"skae": "[" * 10**5}), "has no valid JSON document"),
    "long header": (struct.pack("<Q", 2**60) + bytes(50), "cut short, or damaged"),
}


@pytest.mark.parametrize("kind", NONE_OF_OURS)
def test_other_files_are_refused_in_words(kind, tmp_path):
    content, message = NONE_OF_OURS[kind]
    other = tmp_path / "other"
    other.write_bytes(content)
    with pytest.raises(ModelFileError, match=message):
        skae.load(other)


def test_a_newer_version_is_refused(path):
    content = path.read_bytes()
    newer = path.with_name("newer")
    newer.write_bytes(content.replace(b'format_version\\":1,', b'format_version\\":9,'))
    with pytest.raises(ModelFileError, match=r"format version 9.*install a newer skae"):
        skae.load(newer)


def in_state(**values):
    return lambda document: document["state"].update(values)


def in_spec(**values):
    return lambda document: document["state"]["_spec"].update(values)


LIES = {
    "n_features": (in_spec(n_features=10**9), "n_features_in_ is 5"),
    "n_components": (in_spec(n_components=10**9), "n_components_ is 2"),
    "sizes": (in_spec(hidden_layer_sizes={"$tuple": [10**9]}), "needs 5,000,000,000 weights"),
    "other sizes": (in_spec(hidden_layer_sizes={"$tuple": [5]}), "encoder.network.0.weight"),
    "layers": (in_spec(hidden_layer_sizes={"$tuple": [1] * 20_000}), "encoder.network.0.weight is"),
    "image": (in_spec(image_shape={"$tuple": [10**5, 10**5]}), "pixels"),
    "dtype": (in_spec(dtype="float64"), "float32 of shape"),
    "tied": (in_spec(tied_weights=True), "decoder.network.0.weight"),
    "loss": (in_spec(loss="poisson"), "loss.highest"),
    "activation": (in_spec(activation={"$other": {"activation": "system"}}), "no value"),
    "both": (in_state(n_features_in_=7), "n_features_in_ is 7"),
    "scale": (in_state(scale_=-1.0), "scale_ is -1.0"),
    "curve": (in_state(loss_curve_=["x"]), "loss_curve_ is"),
    "twice": (in_state(mean_={"$array": "_gaussian.mean"}), "no value is"),
    "missing": (lambda d: d["state"].pop("mean_"), "lacks .'mean_'"),
    "unknown": (in_state(extra=1), "has .'extra'"),
    "parameter": (lambda d: d["parameters"].update(max_iter=-1), "max_iter=-1 is not valid"),
    "huge": (lambda d: d["parameters"].update(tol=10**400), "tol=1000"),
    "method": (lambda d: d["users"].update(transform=1), "'transform'"),
    "class": (lambda d: d["class"].update(name="os.system"), "has none such"),
    "part": (lambda d: d["parts"].update(loss="<function f>"), r"does not hold your loss \("),
    "entry": (lambda d: d.pop("users"), "entries"),
    "request": (lambda d: d.update(requests={"fit": {"X": True}}), "X"),
    "no request": (lambda d: d.update(requests={"use": {"X": True}}), "requests for 'use', a meth"),
    "no request of fit": (
        lambda d: d.update(requests={"fit": {"a": True}}),
        "that fit does not tak",
    ),
    "alias": (
        lambda d: d.update(requests={"fit": {"groups": "a b"}}),
        "requests that fit does not take, {'groups': 'a b'}",
    ),
    "no part": (lambda d: d["parts"].update(bogus="3"), r"\['bogus'\], which AutoEncoder has no"),
    "name": (lambda d: d["users"].update({"a b": 1}), "'a b', which is no name that a user may"),
    "both loss": (in_spec(parameters={"loss": "poison"}), "_spec.parameters.loss='poison'"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_forged_file_is_refused_in_words(lie, path):
    change, message = LIES[lie]
    with pytest.raises(ModelFileError, match=message):
        skae.load(other_file(path, change))


def test_a_discriminator_that_is_larger_than_the_file_is_refused(path):
    model = AdversarialAutoEncoder(2, discriminator_layer_sizes=(3,), **SMALL)
    model.fit(np.random.default_rng(0).normal(size=(60, 5))).save(path.with_name("other"))
    larger = {"discriminator_layer_sizes": [10**9], "prior": "normal", "alpha": 0.5}
    forged = other_file(path.with_name("other"), in_spec(parameters=larger))
    with pytest.raises(ModelFileError, match="at least 4,000,000,001 numbers, and"):
        skae.load(forged)


def wide_gaussian(arrays, path, n):
    """Replace a Gaussian's arrays by those of n columns and no factors."""
    for name in ("mean", "scale", "low", "high", "noise"):
        arrays[f"{path}.{name}"] = np.ones(n)
    arrays[f"{path}.matrix"] = np.zeros((n, 0))


def of_n_features(n, k, dtype):
    """Return how to forge a file of n features and k components with few bytes of weights."""

    def change(document):
        state = document["state"]
        sizes = {"$tuple": [1]}
        state["_spec"].update(n_features=n, n_components=k, hidden_layer_sizes=sizes)
        state.update(n_features_in_=n, n_components_=k)
        state["_gaussian"]["noise"] = {"$array": "_gaussian.noise"}

    def change_arrays(arrays):
        arrays["mean_"] = np.ones(n)
        for name in ("_code_mean", "explained_variance_", "explained_variance_ratio_"):
            arrays[name] = np.ones(k)
        wide_gaussian(arrays, "_gaussian", n)
        weights = [name for name in arrays if name.startswith("_weights")]
        arrays.update({name: np.zeros(1, dtype) for name in weights})
        arrays[weights[0]] = np.zeros(3 * n + 2 * k * k + 10 * k, dtype)

    return change, change_arrays


def imputer_of_n_features(n):
    """Return how to forge an imputer's file of n features."""
    state = "_filler.gaussian", "_filler.scores.gaussian"

    def change(document):
        document["state"]["n_features_in_"] = n
        filler = document["state"]["_filler"]
        filler["sizes"] = {"$tuple": [1]}
        for path, gaussian in zip(
            state, (filler["gaussian"], filler["scores"]["gaussian"]), strict=True
        ):
            gaussian["noise"] = {"$array": f"{path}.noise"}

    def change_arrays(arrays):
        arrays["_kept"], arrays["statistics_"] = np.ones(n, dtype=bool), np.ones(n)
        for path in state:
            wide_gaussian(arrays, path, n)
        for name in ("values", "scores"):
            shape = n, arrays[f"_filler.scores.{name}"].shape[1]
            arrays[f"_filler.scores.{name}"] = np.zeros(shape)
        weights = [name for name in arrays if name.startswith("_filler.weights")]
        arrays.update({name: np.zeros(1, np.uint8) for name in weights})
        arrays[weights[0]] = np.zeros(8 * n, np.uint8)

    return change, change_arrays


@pytest.fixture(scope="module")
def imputer(path):
    pixels = np.arange(8) - np.random.default_rng(1).uniform(0, 7, size=(300, 1))
    X = np.exp(-np.square(pixels) / 4)
    X[np.random.default_rng(2).random(X.shape) < 0.3] = np.nan
    model = AutoEncoderImputer(hidden_layer_sizes=(32,), random_state=0).fit(X)
    assert model.best_iter_ > 0
    model.save(path.with_name("imputer"))
    return path.with_name("imputer")


BOMBS = {
    "PCA": of_n_features(20_000, 500, np.uint8),
    "few bytes": of_n_features(2000, 50, np.float32),
    "imputer": imputer_of_n_features(2000),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_nothing_is_built_that_has_more_weights_than_the_file(bomb, path, imputer, monkeypatch):
    forged = other_file(imputer if bomb == "imputer" else path, *BOMBS[bomb])

    def must_not_run(*args, **kwargs):
        raise KeyboardInterrupt

    for name in ("use.make_module", "saving.content.Content.build"):
        monkeypatch.setattr(f"skae._estimator.{name}", must_not_run)
    monkeypatch.setattr("skae._training.imputer.filler.build", must_not_run)
    # Nor are arrays read, but for the digest, one after the other.
    monkeypatch.setattr(StoredFile, "arrays", must_not_run)
    with pytest.raises(ModelFileError, match="networks described need float32 of shape"):
        skae.load(forged)


def with_numbers(*numbers):
    """Return how to put other numbers at the beginning of an array."""

    def change(array):
        array.flat[: len(numbers)] = numbers

    return change


NAN, INF = with_numbers(np.nan), with_numbers(-np.inf)
NO_NUMBERS = {
    "_weights.encoder.linear.weight": (NAN, INF),
    "_weights.decoder.network.0.bias": (NAN, INF),
    "_weights.frame.axes": (NAN, INF),
    "_weights.encoder.low": (NAN,),
    "mean_": (NAN, INF),
    "explained_variance_": (NAN, INF, with_numbers(-1.0)),
    "_code_mean": (NAN, INF),
    "_gaussian.mean": (NAN, INF),
    "_gaussian.scale": (NAN, INF, with_numbers(-1.0)),
    "_gaussian.matrix": (NAN, INF, with_numbers(-1.0)),
    "_stream.train.mean": (NAN, INF),
    "_stream.held.diagonal": (NAN, INF, with_numbers(-1.0)),
    "_stream.train.products": (NAN, INF),
    "_stream.reservoir.rows": (NAN, INF),
    "_stream.iterate.state.encoder.0.weight": (NAN, INF),
    "_stream.iterate.optimizer.0.exp_avg": (NAN,),
}


@pytest.fixture(scope="module")
def stream(path):
    rows = np.random.default_rng(0).normal(size=(90, 5))
    model = AutoEncoder(2, **SMALL, init="random").partial_fit(rows[:60]).partial_fit(rows[60:])
    model.save(path.with_name("stream"))
    pca = AutoEncoder(2, **SMALL).partial_fit(rows)
    pca.save(path.with_name("pca"))
    return path.with_name("stream"), path.with_name("pca")


@pytest.mark.parametrize("name", NO_NUMBERS)
def test_forged_arrays_without_sense_are_refused(name, stream):
    for path in stream:
        with open_file(path, "model") as stored:
            if name in stored.shapes:
                break
    for change in NO_NUMBERS[name]:
        forged = other_file(path, change_arrays=lambda arrays, change=change: change(arrays[name]))
        with pytest.raises(ModelFileError, match=r"_?\w+.* is an? .*, expected an? "):
            skae.load(forged)


SCALARS = {
    "noise_variance_": ({"$float": "nan"}, {"$float": "-inf"}, -1.0),
    "pca_score_": ({"$float": "nan"}, {"$float": "-inf"}),
    "best_iter_": (77, -1),
    "n_iter_": (10**300,),
    "loss_curve_": ([{"$float": "nan"}, 1.0], [{"$float": "nan"}] * 2),
    "validation_scores_": ([{"$float": "inf"}, 1.0],),
}


@pytest.mark.parametrize("name", SCALARS)
def test_forged_numbers_without_sense_are_refused(name, path):
    for value in SCALARS[name]:
        with pytest.raises(ModelFileError, match=f"{name} is "):
            skae.load(other_file(path, in_state(**{name: value})))


@pytest.mark.parametrize("init", ["pca", "random"])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_what_a_training_leaves_that_diverged_is_loaded(init, path):
    X = np.random.default_rng(0).normal(size=(800, 5))
    model = AutoEncoder(2, hidden_layer_sizes=(6,), max_iter=30, random_state=0, init=init)
    model.set_params(learning_rate_init=1e3).fit(X[:80])
    assert not np.isfinite(model.loss_curve_[-1]) or not np.isfinite(model.validation_scores_[-1])
    for rows in (None, X[:400], X[400:]):
        if rows is not None:
            model.partial_fit(rows)
        model.save(path.with_name("diverged"))
        loaded = skae.load(path.with_name("diverged"))
        np.testing.assert_array_equal(loaded.transform(X), model.transform(X))


@pytest.mark.parametrize("pos", [-1, 625, 10**9, 10**30, 0.5, None])
def test_a_random_state_is_not_read_beyond_its_end(pos, path):
    """NumPy takes any position, and reads there."""
    options = {**SMALL, "random_state": np.random.RandomState(0)}
    model = AutoEncoder(2, **options).fit(np.random.default_rng(0).normal(size=(60, 5)))
    model.save(path.with_name("random"))

    def change(document):
        document["parameters"]["random_state"]["$random_state"]["state"]["pos"] = pos

    assert skae.load(path.with_name("random")).random_state.rand() == model.random_state.rand()
    with pytest.raises(ModelFileError, match=r"no value is \$random_state"):
        skae.load(other_file(path.with_name("random"), change))


def test_a_device_that_torch_does_not_have_is_not_asked_for(path):
    change = lambda document: document["parameters"].update(device="privateuseone")  # noqa: E731
    assert skae.load(other_file(path, change)).net_.device == "cpu"
    with pytest.raises(ValueError, match="device='privateuseone' cannot be used here"):
        skae.load(path, device="privateuseone")


def test_a_variance_that_no_float_holds_is_loaded(path):
    X = np.random.default_rng(0).uniform(size=(60, 5)) * 1e-25
    model = AutoEncoder(2, loss="poisson", **SMALL).fit(X)
    model.save(path.with_name("tiny"))
    assert skae.load(path.with_name("tiny")).noise_variance_ == model.noise_variance_


def test_damaged_and_forged_files_are_refused_or_the_same(tmp_path):
    fuzz = benchmark("fuzz_files")
    rows, rng = fuzz.make_rows(), random.Random(5)
    model = fuzz.make_models()["AutoEncoder, in parts"]
    path = tmp_path / "model"
    model.save(path)
    damaged = fuzz.try_damages(path, model, rows, 100, rng)
    forged = fuzz.try_forgeries(path, model, rows, 60, rng)
    assert set(damaged) <= {"refused", "identical"}, damaged
    assert set(forged) <= {"refused", "identical", "another model", "refused in use"}, forged
    assert damaged["refused"] > 90 and forged["refused"] > 20


# -- the disk ------------------------------------------------------------------------------------


def test_what_cannot_be_written_leaves_the_old_file(trained, tmp_path):
    model, path = trained(trains(AutoEncoder)), tmp_path / "model"
    model.save(path)
    before = path.read_bytes()
    with pytest.raises(FileNotFoundError, match=r"gone.*cannot be written.*nothing was written"):
        model.save(tmp_path / "gone" / "model")
    with pytest.raises(OSError, match="cannot be written"):
        model.save(path / "model")
    with pytest.raises(IsADirectoryError, match="it is a folder"):
        model.save(tmp_path)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["model"]


def test_what_cannot_be_read_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none' cannot be read .*; pass the path"):
        skae.load(tmp_path / "none")
    with pytest.raises(IsADirectoryError, match="cannot be read"):
        skae.load(tmp_path)


SCRIPT = """
import os, random, resource, signal, time
import numpy as np
import skae

X = np.random.default_rng(0).normal(size=(60, 5))
folder, path = {folder!r}, {folder!r} + "/model"
models = [
    skae.AutoEncoder(2, hidden_layer_sizes=(300,), max_iter=2, random_state=i).fit(X)
    for i in range(2)
]
codes = [model.transform(X).tobytes() for model in models]
models[0].save(path)

for _ in range(25):
    child = os.fork()
    if not child:
        while True:
            for model in models:
                model.save(path)
    time.sleep(random.uniform(0.005, 0.06))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert skae.load(path).transform(X).tobytes() in codes
print("whole after each kill")

for part in os.listdir(folder):
    if part != "model":
        os.remove(folder + "/" + part)
before = open(path, "rb").read()
soft = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, resource.RLIM_INFINITY))
try:
    models[1].save(path)
except OSError as error:
    print("full:", type(error).__name__, "stays as it was" in str(error))
print(open(path, "rb").read() == before, os.listdir(folder))

peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
usual = peak()
try:
    skae.load({forged!r})
except skae.ModelFileError:
    print("refused with little memory:", peak() - usual < 50)
"""


def test_kills_full_disks_and_lies_leave_files_whole_and_memory_free(path, tmp_path):
    forged = str(other_file(path, LIES["sizes"][0]))
    printed = run_script(SCRIPT.format(folder=str(tmp_path), forged=forged))
    assert printed.splitlines() == [
        "whole after each kill",
        "full: OSError True",
        "True ['model']",
        "refused with little memory: True",
    ]


def test_a_file_says_what_it_is_without_skae(path):
    with safetensors.safe_open(path, framework="np") as file:
        whole = json.loads(file.metadata()["skae"])
    document = whole["document"]
    assert document["class"] == {"name": "AutoEncoder", "of_skae": True}
    assert {*document["versions"]} == {
        *("python", "skae", "torch", "numpy", "scikit-learn", "skorch")
    }
    assert document["versions"]["torch"].partition("+")[0] == torch.__version__.partition("+")[0]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a system without pipes")
def test_pipes_are_neither_replaced_nor_read(path, tmp_path):
    model = skae.load(path)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="it is a pipe or a device"):
        model.save(pipe)
    assert not pipe.is_file()
    with pytest.raises(ModelFileError, match="is no file, but a pipe"):
        skae.load(pipe)


@pytest.mark.parametrize("wrong", ["a\0b", "circle", "nowhere/model", "."])
def test_a_path_that_is_none_is_an_error_of_the_system(wrong, path, tmp_path, monkeypatch):
    model = skae.load(path)
    monkeypatch.chdir(tmp_path)
    os.symlink("circle", "circle")
    with pytest.raises(OSError, match="cannot be written"):
        model.save(wrong)
    assert os.listdir() == ["circle"]


def test_long_names_and_bytes_are_paths(path, tmp_path):
    model, long = skae.load(path), os.fsencode(tmp_path / ("x" * 250))
    model.save(long)
    assert skae.load(long).loss_curve_ == model.loss_curve_


def test_a_file_that_is_cut_short_while_it_is_read_is_refused(path, tmp_path):
    saved = tmp_path / "model"
    saved.write_bytes(path.read_bytes())
    with (
        pytest.raises(ModelFileError, match="was cut short while it was read"),
        open_file(saved, "model") as file,
    ):
        os.truncate(saved, os.path.getsize(saved) // 2)
        file.arrays()


@pytest.mark.parametrize("change", ["an entry twice", "blanks", "other metadata"])
def test_a_header_that_save_did_not_write_is_refused(change, path, tmp_path):
    with safetensors.safe_open(path, framework="np") as file:
        arrays, text = file.get_tensors(), file.metadata()["skae"]
    metadata = {
        "an entry twice": {"skae": '{"document":{"evil":1},' + text[1:]},
        "blanks": {"skae": text.replace(",", ", ", 1)},
        "other metadata": {"skae": text, "more": "than that"},
    }[change]
    forged = tmp_path / "forged"
    safetensors.numpy.save_file(arrays, forged, metadata)
    with pytest.raises(ModelFileError, match="its header has no valid JSON document"):
        skae.load(forged)


def test_a_file_of_a_version_that_lacked_a_parameter_is_loaded_with_its_default(path):
    def forget(document):
        del document["parameters"]["checkpoint"]

    model = skae.load(other_file(path, forget))
    assert model.checkpoint is None
    assert model.get_params() == skae.load(path).get_params()
