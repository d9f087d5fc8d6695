"""The files of checkpoints, and what goes wrong with them and their folder."""

import os
import time

import numpy as np
import pytest
import skorch.callbacks
from crashing import Watch, assert_same_fit, crash, go_on
from estimators import trains
from filelock import FileLock
from sklearn.base import clone
from watching import find
from worlds import fit_together, shards_of

import skae._training.resume.disk as disk
from skae import AutoEncoder, ModelFileError
from skae._estimator.checkpoints import identity
from skae._files.format import open_file, write_file


def test_what_was_half_written_is_not_used_and_removed(spots, tmp_path, every_epoch):
    model = trains(AutoEncoder, checkpoint=tmp_path)
    crash(model, spots, 5)
    (file,) = tmp_path.glob("*.safetensors")
    part = file.with_name(f".{file.name}.0123abcd.part")
    part.write_bytes(file.read_bytes()[:1000])
    again = go_on(clone(model).set_params(callbacks=[Watch()]), spots)
    assert find(again, Watch).epochs[0] == 5
    assert not part.exists()


def test_a_damaged_checkpoint_is_refused(spots, tmp_path, every_epoch):
    model = trains(AutoEncoder, checkpoint=tmp_path)
    crash(model, spots, 5)
    (file,) = tmp_path.glob("*.safetensors")
    data = bytearray(file.read_bytes())
    data[-100] ^= 1
    file.write_bytes(data)
    with pytest.raises(ModelFileError, match=r"sha256 .* delete it, and the fit begins anew"):
        go_on(clone(model).set_params(callbacks=[Watch()]), spots)


def test_a_folder_that_cannot_be_made_is_an_error_before_training(spots, tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(
            OSError, match=r"checkpoint=.*is no folder that can be made or written to"
        ):
            AutoEncoder(2, checkpoint=folder).fit(spots)


@pytest.mark.parametrize("n_written", [0, 3])
def test_a_disk_that_is_full_ends_the_fit_and_leaves_the_last_checkpoint(
    n_written, spots, tmp_path, every_epoch, monkeypatch
):
    model = trains(AutoEncoder, checkpoint=tmp_path).fit(spots[:100])
    codes = model.transform(spots)
    n_fsyncs = 0

    def fill(descriptor):
        nonlocal n_fsyncs
        n_fsyncs += 1
        if n_fsyncs > 2 * n_written:  # a file's and its folder's
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("skae._files.replace.os.fsync", fill)
        with pytest.raises(OSError, match=r"checkpoint=.*No space left on device") as caught:
            model.fit(spots)
    assert caught.value.errno == 28
    assert ("call fit again" in str(caught.value)) == (n_written > 0)
    np.testing.assert_array_equal(model.transform(spots), codes)
    assert not list(tmp_path.glob(".*.part"))
    model.fit(spots)
    assert_same_fit(model, clone(model).set_params(checkpoint=None).fit(spots), spots)


def test_several_processes_are_told_that_they_keep_none(spots, tmp_path):
    with pytest.raises(ValueError, match=r"checkpoint=.* is for fits of one process"):
        fit_together(AutoEncoder(2, checkpoint=tmp_path), shards_of(spots, 2))


def test_a_folder_without_rights_or_locks_is_an_error_before_training(spots, tmp_path, monkeypatch):
    def refuse(self, *args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(FileLock, "acquire", refuse)
    with pytest.raises(PermissionError, match=r"checkpoint=.*that you may write to"):
        AutoEncoder(2, checkpoint=tmp_path).fit(spots)


def test_an_empty_name_is_no_folder(spots):
    with pytest.raises(ValueError, match="checkpoint='' is not valid"):
        AutoEncoder(2, checkpoint="").fit(spots)


def test_a_thread_that_fails_to_write_ends_the_fit(spots, tmp_path, every_epoch, monkeypatch):
    n_written, write = [], disk.write_file

    def fail(*args):
        n_written.append(args)
        if len(n_written) > 3:
            raise MemoryError("no more")
        write(*args)

    monkeypatch.setattr(disk, "write_file", fail)
    with pytest.raises(MemoryError, match="no more") as caught:
        trains(AutoEncoder, checkpoint=tmp_path).fit(spots)
    assert "while checkpoint=" in caught.value.__notes__[0]


def test_a_history_that_cannot_be_kept_is_named(spots, tmp_path, every_epoch):
    class Record(skorch.callbacks.Callback):
        def on_epoch_end(self, net, **kwargs):
            net.history.record("thing", object())

    with pytest.raises(ValueError, match=r"net\.history\.0\.thing is a object"):
        trains(AutoEncoder, checkpoint=tmp_path, callbacks=[Record()]).fit(spots)


def test_a_checkpoint_of_other_networks_is_refused(spots, tmp_path, every_epoch):
    model = trains(AutoEncoder, checkpoint=tmp_path, hidden_layer_sizes=(8,))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(identity, "IDLE", (*identity.IDLE, "hidden_layer_sizes"))
        crash(model, spots, 5)
        model.set_params(hidden_layer_sizes=(9,))
        with pytest.raises(ModelFileError, match="of a fit with other networks; delete its file"):
            go_on(clone(model).set_params(callbacks=[Watch()]), spots)


def test_a_file_that_lacks_something_is_refused(spots, tmp_path, every_epoch):
    model = trains(AutoEncoder, checkpoint=tmp_path)
    crash(model, spots, 5)
    (path,) = tmp_path.glob("*.safetensors")
    with open_file(path, "checkpoint") as file:
        document, arrays = file.document, file.arrays()
    del document["checkpoint"]["own"]
    write_file(path, "checkpoint", document, arrays)
    with pytest.raises(ModelFileError, match="is no checkpoint of this version of skae"):
        go_on(clone(model).set_params(callbacks=[Watch()]), spots)


@pytest.mark.parametrize("ends", ["by patience", "by its last epoch"])
def test_a_fit_that_is_killed_when_it_has_just_ended_trains_no_more(
    ends, spots, tmp_path, every_epoch, monkeypatch
):
    model = trains(AutoEncoder, checkpoint=tmp_path)
    if ends == "by patience":
        model.set_params(max_iter=40, n_iter_no_change=2, learning_rate_init=0.3)
    whole = clone(model).set_params(checkpoint=None).fit(spots)
    assert (whole.n_iter_ < model.max_iter) == (ends == "by patience")
    with monkeypatch.context() as patch:
        patch.setattr(disk.KeptOnDisk, "end", lambda self, training: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            clone(model).fit(spots)
    assert_same_fit(model.fit(spots), whole, spots)
    (file,) = tmp_path.glob("*.safetensors")
    assert "interrupted" not in file.name


@pytest.mark.parametrize("folder", ["a\0b", "~nobody-of-this-name/below"])
def test_a_name_that_is_none_is_an_error_before_training(folder, spots):
    with pytest.raises(OSError, match=r"checkpoint=.*is no folder that can be made"):
        AutoEncoder(2, checkpoint=folder).fit(spots)


def test_a_folder_is_where_it_was_when_the_fit_began(spots, tmp_path, every_epoch, monkeypatch):
    class Moves(skorch.callbacks.Callback):
        def on_epoch_begin(self, net, **kwargs):
            os.chdir("/")

    monkeypatch.chdir(tmp_path)
    trains(AutoEncoder, checkpoint="here", callbacks=[Moves()]).fit(spots)
    assert len(list(tmp_path.glob("here/*.safetensors"))) == 1


def test_the_file_of_a_fit_that_has_ended_holds_little_more_than_the_model(spots, tmp_path):
    model = trains(AutoEncoder, checkpoint=tmp_path / "kept").fit(spots)
    model.save(tmp_path / "model")
    (kept,) = tmp_path.glob("kept/*.safetensors")
    assert kept.stat().st_size < 1.2 * (tmp_path / "model").stat().st_size


def test_a_slow_writer_loses_no_end(spots, tmp_path, every_epoch, monkeypatch):
    write = disk.write_file

    def slowly(*arguments):
        time.sleep(0.02)  # longer than an epoch
        write(*arguments)

    monkeypatch.setattr(disk, "write_file", slowly)
    model = trains(AutoEncoder, checkpoint=tmp_path).fit(spots)
    monkeypatch.setattr("skae._training.net.AutoEncoderNet.train_step", None)
    assert_same_fit(clone(model).fit(spots), model, spots)
    assert [file.name.count("interrupted") for file in tmp_path.glob("*.safetensors")] == [0]
