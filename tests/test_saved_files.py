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
from skae import AdversarialAutoEncoder, AutoEncoder, ModelFileError
from skae._files.format import open_file, write_file


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


def other_file(path, change):
    """Write a copy of a file with another document, and its sha256; return where it is."""
    with open_file(path, "model") as stored:
        document, arrays = stored.document, stored.arrays()
    change(document)
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
    "layers": (in_spec(hidden_layer_sizes={"$tuple": [1] * 20_000}), "20000 hidden layers"),
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
    with pytest.raises(ModelFileError, match=r"at least 3,000,000,\d+ numbers"):
        skae.load(forged)


def test_damaged_and_forged_files_are_refused_or_the_same(tmp_path):
    fuzz = benchmark("fuzz_files")
    rows, rng = fuzz.make_rows(), random.Random(5)
    model = fuzz.make_models()["AutoEncoder, in parts"]
    path = tmp_path / "model"
    model.save(path)
    damaged = fuzz.try_damages(path, model, rows, 100, rng)
    forged = fuzz.try_forgeries(path, model, rows, 60, rng)
    assert set(damaged) <= {"refused", "identical"}, damaged
    assert set(forged) <= {"refused", "identical", "another model"}, forged
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
