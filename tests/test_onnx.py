"""What ONNX files compute in onnxruntime is what the models compute."""

import importlib
import json
import logging
import sys

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
import skl2onnx
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
from processes import disk_of
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, Int64TensorType
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

import skae
from skae._model.networks.mlp import ACTIVATIONS
from skae.onnx import register, to_onnx

NEW_ROWS = make_spots(40, seed=1).astype(np.float32)


def session_of(model):
    """Load a model into onnxruntime, for one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    content = model if isinstance(model, str) else model.SerializeToString()
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def run(session, rows):
    """Return the first output; there is one input."""
    return session.run(None, {session.get_inputs()[0].name: rows})[0]


def assert_same(model, X, **options):
    """Assert that all files of a model do what it does, for many rows and for one."""
    encode, decode, reconstruct = (
        session_of(to_onnx(model, part=part, **options))
        for part in ("encode", "decode", "reconstruct")
    )
    rows = X.astype(model.dtype)
    for some in (slice(None), slice(1)):
        codes = model.transform(X[some])
        X_hat = model.inverse_transform(codes)
        assert_close(run(encode, rows[some]), codes)
        assert_close(run(decode, codes), X_hat)
        assert_close(run(reconstruct, rows[some]), X_hat)
        (again,) = reconstruct.run(["codes"], {"X": rows[some]})
        assert_close(again, codes)
        assert {again.dtype, run(decode, codes).dtype} == {np.dtype(model.dtype)}


# -- files ----------------------------------------------------------------------------------------


def without_torch_onnx():
    """Yield what skae writes itself."""
    yield from map(trains, ESTIMATORS)
    for kind in ("dense", "images", "random", "tied"):
        yield skae.AutoEncoder(2, **TRAINS, **NETWORKS[kind])
    for activation in ACTIVATIONS:
        if activation != "identity":  # with which no network beats PCA
            settings = {**TRAINS, "max_iter": 30, "learning_rate_init": 0.05}
            yield skae.AutoEncoder(2, activation=activation, hidden_layer_sizes=(32,), **settings)
    for loss in ("binary_cross_entropy", "poisson", cubes):
        yield trains(skae.AutoEncoder, loss=loss)
    yield trains(skae.VariationalAutoEncoder, loss="poisson")
    yield trains(skae.AutoEncoder, whiten=True, dtype="float64")
    for activation in ("gelu", "elu"):
        yield trains(skae.AutoEncoder, activation=activation, dtype="float64")
    yield skae.AutoEncoder(2, **TRAINS, **NETWORKS["images"], dtype="float64")


@pytest.mark.parametrize("estimator", list(without_torch_onnx()), ids=repr)
def test_files_are_the_model(estimator, trained, monkeypatch):
    monkeypatch.setattr(torch.onnx, "export", None)
    assert_same(trained(estimator), NEW_ROWS)


def plain_sequence(n_inputs, n_outputs):
    layers = nn.Linear(n_inputs, 12), nn.Dropout(0.1), nn.ReLU(), nn.Linear(12, n_outputs)
    return nn.Sequential(*layers)


def over_sequences(n_inputs, n_outputs):
    """Return a user's network in which rows are sequences, so that layers have three axes."""
    return nn.Sequential(
        nn.Unflatten(1, (8, n_inputs // 8)),
        nn.Linear(n_inputs // 8, 4),
        nn.GELU(approximate="tanh"),
        nn.Flatten(),
        nn.utils.parametrizations.weight_norm(nn.Linear(32, n_outputs)),
    )


BY_TORCH = {
    "a user's": {"encoder": ResidualNetwork, "decoder": plain_sequence},
    "a user's, float64": {"encoder": over_sequences, "dtype": "float64"},
    "an activation": {"activation": nn.Mish, "hidden_layer_sizes": (16,)},
}


@pytest.mark.parametrize("kind", BY_TORCH)
def test_files_of_networks_that_torch_writes(kind, trained, capfd, caplog):
    model = trained(skae.AutoEncoder(2, **TRAINS, **BY_TORCH[kind]))
    file = to_onnx(model)  # the encoder's alone: torch.onnx takes a second
    on_this_machine = b".py", b"site-packages", b"estimators"
    assert not any(words in file.SerializeToString() for words in on_this_machine)
    session = session_of(file)
    for rows in (NEW_ROWS, NEW_ROWS[:1]):
        assert_close(run(session, rows.astype(model.dtype)), model.transform(rows))
    said = capfd.readouterr()
    assert said.out == said.err == ""
    assert not [record for record in caplog.records if record.levelno > logging.INFO]


def test_a_users_sequence_of_known_layers_needs_no_torch_onnx(trained, monkeypatch):
    networks = {"encoder": plain_sequence, "decoder": plain_sequence}
    model = trained(skae.AutoEncoder(2, **TRAINS, **networks))
    monkeypatch.setattr(torch.onnx, "export", None)
    assert_same(model, NEW_ROWS)


@pytest.mark.parametrize("opset", [13, np.int64(17), onnx.defs.onnx_opset_version() - 3])
def test_files_have_the_operators_asked_for(opset, trained):
    model = trained(trains(skae.AutoEncoder))
    assert_same(model, NEW_ROWS, opset=opset)
    (version,) = to_onnx(model, opset=opset).opset_import
    assert version.version == opset


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_large_mean_costs_no_digits(dtype, spots):
    X = (1e5 + spots + 0.1).astype(dtype)
    model = trains(skae.AutoEncoder).fit(X)
    assert model.best_iter_ > 0
    narrow = X.astype(np.float32)
    assert_close(run(session_of(to_onnx(model)), narrow), model.transform(narrow))
    pipeline = session_of(skl2onnx.to_onnx(model, X[:1]))
    assert_close(run(pipeline, X), model.transform(X))


def test_a_fit_that_ends_at_pca_and_rows_far_outside(spots, trained):
    model = skae.AutoEncoder(0.8, max_iter=1, random_state=0).fit(spots)
    assert_same(model, NEW_ROWS)
    assert_same(trained(trains(skae.AutoEncoder)), 50 * NEW_ROWS - 20)
    assert_same(trained(trains(skae.AutoEncoder, loss="poisson")), 50 * NEW_ROWS)


def test_a_file_says_where_it_comes_from(spots, tmp_path):
    frame = pd.DataFrame(spots, columns=[f"pixel {i}" for i in range(64)])
    model = skae.AutoEncoder(2, max_iter=1, random_state=0).fit(frame)
    path = tmp_path / "model.onnx"
    path.write_text("an older file")
    to_onnx(model, path, part="reconstruct")
    assert [*tmp_path.iterdir()] == [path]
    session = session_of(str(path))
    assert_close(run(session, NEW_ROWS), model.inverse_transform(model.transform(NEW_ROWS_FRAME)))
    about = session.get_modelmeta().custom_metadata_map
    names = json.loads(about.pop("feature_names"))
    assert names == list(frame.columns)
    assert about == {
        "skae_version": skae.__version__,
        "estimator": "AutoEncoder",
        "part": "reconstruct",
    }


NEW_ROWS_FRAME = pd.DataFrame(NEW_ROWS, columns=[f"pixel {i}" for i in range(64)])


def test_a_full_disk_leaves_the_old_file(trained, tmp_path):
    path = tmp_path / "model.onnx"
    path.write_text("an older file")
    with disk_of(1000), pytest.raises(OSError, match=r"model.onnx' cannot be written.*stays as it"):
        to_onnx(trained(trains(skae.AutoEncoder)), path)
    assert [*tmp_path.iterdir()] == [path]
    assert path.read_text() == "an older file"


def test_a_link_and_the_mode_of_a_file_stay(trained, tmp_path):
    path, link = tmp_path / "model.onnx", tmp_path / "newest.onnx"
    path.write_text("an older file")
    path.chmod(0o640)
    link.symlink_to(path)
    file = to_onnx(trained(trains(skae.AutoEncoder)), link)
    assert link.is_symlink() and path.read_bytes() == file.SerializeToString()
    assert path.stat().st_mode & 0o777 == 0o640


# -- pipelines ------------------------------------------------------------------------------------


def labels_of(X):
    """Return three classes of spots, by where they are."""
    return (X[:, :32].sum(axis=1) > X[:, 32:].sum(axis=1)) + (X[:, ::8].sum(axis=1) > 0.5) * 1


def assert_predicts_the_same(pipeline, X, **options):
    options = {"options": {"zipmap": False}, **options}
    model = skl2onnx.to_onnx(pipeline, X[:1], **options)
    session = session_of(model)
    labels, probabilities = session.run(None, {"X": X})
    np.testing.assert_array_equal(labels, pipeline.predict(X))
    assert_close(probabilities, pipeline.predict_proba(X))
    return model


PIPELINES = [
    *map(trains, ESTIMATORS),
    *(skae.AutoEncoder(2, **TRAINS, **NETWORKS[kind]) for kind in ("images", "mixed", "tied")),
    trains(skae.AutoEncoder, dtype="float64", whiten=True),
]


@pytest.mark.parametrize("estimator", PIPELINES, ids=repr)
def test_pipelines_predict_the_same(estimator, spots, trained):
    # All steps are fitted before they are a pipeline: the scaler gives spots back.
    mean, scale = np.linspace(-3, 3, 64), np.linspace(0.5, 2, 64)
    scaler = StandardScaler().fit(np.array([mean - scale, mean + scale]))
    model = trained(estimator)
    classifier = LogisticRegression().fit(model.transform(spots), labels_of(spots))
    pipeline = make_pipeline(scaler, model, classifier)
    assert_predicts_the_same(pipeline, (mean + scale * NEW_ROWS).astype(np.float32))


@pytest.fixture(scope="module")
def pipeline(spots):
    steps = StandardScaler(), trains(skae.AutoEncoder), trains(skae.SparseAutoEncoder)
    return make_pipeline(*steps, LogisticRegression()).fit(spots, labels_of(spots))


@pytest.mark.parametrize("opset", [13, 18, 21])
def test_a_pipeline_has_the_operators_asked_for(opset, pipeline):
    model = assert_predicts_the_same(pipeline, NEW_ROWS, target_opset={"": opset, "ai.onnx.ml": 3})
    versions = {entry.domain: entry.version for entry in model.opset_import}
    assert versions[""] == opset


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [(Int64TensorType, np.int64), (DoubleTensorType, np.float64), (FloatTensorType, np.float32)],
)
@pytest.mark.parametrize("of_model", ["float32", "float64"])
def test_rows_of_any_type_become_codes(kind, dtype, of_model):
    X = np.round(100 * make_spots())
    model = trains(skae.AutoEncoder, dtype=of_model).fit(X)
    assert model.best_iter_ > 0
    exported = skl2onnx.convert_sklearn(model, initial_types=[("X", kind([None, 64]))])
    codes = run(session_of(exported), X.astype(dtype))
    assert_close(codes, model.transform(X.astype(dtype)))
    assert codes.dtype == (np.float64 if dtype == np.float64 else np.float32)


def test_columns_of_a_frame_are_one_input_each(spots):
    frame = pd.DataFrame(spots, columns=[f"c{i}" for i in range(64)]).astype({"c1": np.float32})
    pipeline = make_pipeline(trains(skae.AutoEncoder), LogisticRegression())
    pipeline.fit(frame, labels_of(spots))
    assert pipeline[0].best_iter_ > 0
    model = skl2onnx.to_onnx(pipeline, frame[:1], options={"zipmap": False})
    rows = {name: frame[[name]].to_numpy() for name in frame}
    labels, probabilities = session_of(model).run(None, rows)
    np.testing.assert_array_equal(labels, pipeline.predict(frame))
    assert_close(probabilities, pipeline.predict_proba(frame))


def test_an_estimator_of_ones_own_is_registered(spots):
    @register
    class OfOnesOwn(skae.SparseAutoEncoder):
        pass

    model = OfOnesOwn(2, **TRAINS).fit(spots)
    assert_close(
        run(session_of(skl2onnx.to_onnx(model, NEW_ROWS)), NEW_ROWS), model.transform(NEW_ROWS)
    )


# -- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"part": "transform"}, ValueError, "part='transform' is not one of 'encode', 'decode'"),
        ({"opset": 9}, ValueError, "opset=9 must be an integer from 13 to"),
        ({"opset": True}, ValueError, "opset=True must be an integer"),
        ({"opset": "18"}, ValueError, "opset='18' must be an integer"),
        ({"path": "no/such/folder/a.onnx"}, FileNotFoundError, "in a folder that exists"),
        ({"path": "."}, IsADirectoryError, "it is a folder"),
    ],
)
def test_bad_parameters_are_named(options, error, words, trained):
    with pytest.raises(error, match=words):
        to_onnx(trained(trains(skae.AutoEncoder)), **options)


def test_what_is_no_fitted_autoencoder_is_refused(spots):
    with pytest.raises(NotFittedError):
        to_onnx(skae.AutoEncoder())
    with pytest.raises(TypeError, match=r"model is a Pipeline.*take skl2onnx.to_onnx"):
        to_onnx(make_pipeline(skae.AutoEncoder()))
    imputer = skae.AutoEncoderImputer(max_iter=1).fit(spots)
    with pytest.raises(TypeError, match="model is a AutoEncoderImputer"):
        to_onnx(imputer)
    with pytest.raises(NotImplementedError, match="AutoEncoderImputer cannot be exported"):
        skl2onnx.to_onnx(imputer, NEW_ROWS)
    with pytest.raises(TypeError, match="must be a class of autoencoders"):
        register(StandardScaler)


def test_old_operators_of_a_users_network_are_refused(trained):
    model = trained(skae.AutoEncoder(2, **TRAINS, **BY_TORCH["a user's"]))
    with pytest.raises(ValueError, match=r"opset=15 is too old for the network ResidualNetwork"):
        to_onnx(model, opset=15)


class Unwritable(nn.Module):
    """An activation whose computation depends on values."""

    def forward(self, x):
        return x.relu() if x.sum().item() > 0 else x.tanh()


def test_a_network_that_torch_cannot_write_is_named(spots):
    model = skae.AutoEncoder(2, activation=Unwritable, max_iter=1, random_state=0).fit(spots)
    with pytest.raises(ValueError, match=r"torch\.onnx cannot export the network Unwritable"):
        to_onnx(model)


@pytest.mark.parametrize("package", ["onnx", "skl2onnx"])
def test_without_onnx_the_remedy_is_named(package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=r'install it with pip install "skae\[onnx\]"'):
        importlib.reload(skae.onnx)
