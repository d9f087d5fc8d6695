"""Rows that are not in memory: memory maps, and arrays of files, of which slices are read."""

from itertools import product

import numpy as np
import pytest
import torch
from estimators import ESTIMATORS, SOME, fit_trained, make_spots, trains

from skae import AutoEncoder
from skae._data import batches, checks, sources
from skae._data.batches import RowDataset
from skae._data.sources import StoredSource
from skae._data.sums import centred
from skae._data.units import Units

some_estimators = pytest.mark.parametrize("estimator", SOME)


class Stored:
    """An array of a file, as those of h5py and zarr: a shape, a dtype, and slices of rows.

    It notes which rows have been read.
    """

    def __init__(self, table):
        self.table, self.reads = table, []

    @property
    def shape(self):
        return self.table.shape

    @property
    def dtype(self):
        return self.table.dtype

    def __getitem__(self, rows):
        assert isinstance(rows, slice), "h5py reads nothing else as fast"
        assert rows.step in (None, 1)
        first, last, _ = rows.indices(len(self.table))
        self.reads.append((first, last))
        return self.table[rows].copy()


def mapped(table, folder):
    """Return a memory map of a table."""
    path = folder / f"{table.dtype}.dat"
    written = np.memmap(path, table.dtype, "w+", shape=table.shape)
    written[:] = table
    written.flush()
    return np.memmap(path, table.dtype, "r", shape=table.shape)


def assert_same_bits(model, other, X, stored):
    assert model.loss_curve_ == other.loss_curve_
    assert (model.best_iter_, model.pca_score_) == (other.best_iter_, other.pca_score_)
    codes = model.transform(X)
    np.testing.assert_array_equal(other.transform(stored), codes)
    np.testing.assert_array_equal(other.inverse_transform(codes), model.inverse_transform(codes))
    np.testing.assert_array_equal(other.score_samples(stored), model.score_samples(X))
    assert other.score(stored) == model.score(X)


# -- the same fit --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("estimator", "dtype"),
    [  # every estimator, and every dtype with some
        *((estimator, np.float32) for estimator in ESTIMATORS),
        *product(SOME, [np.float64, np.uint8]),
    ],
)
def test_they_give_the_same_bits_as_the_array(estimator, dtype, spots, tmp_path, monkeypatch):
    monkeypatch.setattr(checks, "MAX_MAPPED", 0)
    X = (255 * spots).astype(dtype)
    model = fit_trained(trains(estimator), X)
    for stored in (Stored(X), mapped(X, tmp_path)):
        assert checks.is_stored(stored)
        assert_same_bits(model, fit_trained(trains(estimator), stored), X, stored)


@some_estimators
def test_missing_values_are_filled_as_those_of_an_array(estimator, spots):
    hidden = np.random.default_rng(0).random(spots.shape) < 0.3
    X = np.where(hidden, np.nan, spots)
    stored = Stored(X)
    model, other = (fit_trained(trains(estimator), table) for table in (X, stored))
    np.testing.assert_allclose(other.transform(stored), model.transform(X), atol=1e-5)
    np.testing.assert_allclose(other.score(stored), model.score(X), rtol=1e-5)


@pytest.mark.parametrize("estimator", [AutoEncoder])
def test_weights_and_groups_are_those_of_an_array(estimator, spots):
    rng = np.random.default_rng(0)
    weights, groups = rng.uniform(size=240) * (rng.random(240) < 0.9), rng.integers(80, size=240)
    stored = Stored(spots)
    model, other = (
        trains(estimator).fit(table, sample_weight=weights, groups=groups)
        for table in (spots, stored)
    )
    assert model.best_iter_ > 0
    np.testing.assert_array_equal(other.transform(stored), model.transform(spots))
    scores = (m.score(t, sample_weight=weights) for m, t in ((model, spots), (other, stored)))
    assert len(set(scores)) == 1


# -- what is read --------------------------------------------------------------------------


@some_estimators
def test_they_are_never_read_whole(estimator, monkeypatch):
    for module in (batches, sources, centred):
        monkeypatch.setattr(module, "PART_SIZE", 2**13)
    for name, size in (("BUFFER_SIZE", 2**14), ("N_BLOCKS", 4), ("MAX_COPY", 0)):
        monkeypatch.setattr(batches, name, size)
    stored = Stored(make_spots(1500).astype(np.float32))
    model = fit_trained(trains(estimator, max_iter=3), stored)
    model.transform(stored), model.score(stored)
    assert max(last - first for first, last in stored.reads) <= 256  # the least of a part


def make_dataset(n_rows, index=None):
    table = np.arange(n_rows, dtype=np.float32)[:, None] * np.ones((1, 4), np.float32)
    stored = Stored(table)
    index = None if index is None else torch.from_numpy(index)
    return stored, RowDataset(StoredSource(stored), Units(np.zeros(4), 1.0), index)


@pytest.mark.parametrize("which", ["all", "some"])
def test_each_epoch_has_every_row_once_and_reads_blocks(which, monkeypatch):
    monkeypatch.setattr(batches, "BUFFER_SIZE", 4 * 1600)
    monkeypatch.setattr(batches, "N_BLOCKS", 8)
    every = np.random.default_rng(0).permutation(10_000)
    index = None if which == "all" else every[:6000]
    stored, rows = make_dataset(10_000, index)
    wanted = np.arange(10_000) if index is None else np.sort(index)
    generator, orders = torch.Generator().manual_seed(0), []
    for _ in range(2):
        stored.reads.clear()
        passes = batches.Batches(rows, 128, generator)
        numbers = np.concatenate([batch.x[:, 0].numpy() for batch in passes]).astype(int)
        np.testing.assert_array_equal(np.sort(numbers), wanted)
        orders.append(numbers)
        # a buffer holds 1,600 rows, of 8 blocks, which are read in one piece each, or a few
        assert len(stored.reads) <= 3 * 8 * (len(wanted) // 1500 + 1)
        assert sum(last - first for first, last in stored.reads) <= 12_000
    assert (orders[0] != orders[1]).any()


def test_rows_are_shuffled_between_blocks_and_within(monkeypatch):
    monkeypatch.setattr(batches, "BUFFER_SIZE", 4 * 1600)
    monkeypatch.setattr(batches, "N_BLOCKS", 8)
    _, rows = make_dataset(10_000)
    order = rows.order(torch.Generator().manual_seed(0), [1600] * 6 + [400]).numpy()
    first = order[:1600]
    assert len(np.unique(first // 200)) == 8  # blocks of 200 rows, from everywhere
    assert np.ptp(first) > 5000
    assert (np.abs(np.diff(first)) > 200).mean() > 0.7  # neighbours come from different blocks
    assert (np.diff(first[first // 200 == first[0] // 200]) < 0).mean() > 0.3


def test_random_rows_are_read_in_order_of_position_and_returned_as_asked():
    stored, rows = make_dataset(5000)
    which = np.random.default_rng(0).permutation(5000)[:400]
    np.testing.assert_array_equal(rows.take(torch.from_numpy(which))[:, 0].numpy(), which)
    firsts = [first for first, _ in stored.reads]
    assert firsts == sorted(firsts)


def test_a_row_that_comes_twice_is_returned_twice():
    _, rows = make_dataset(50)
    which = torch.tensor([7, 3, 7, 49, 0])
    np.testing.assert_array_equal(rows.take(which)[:, 0].numpy(), which.numpy())


# -- what is no table ----------------------------------------------------------------------


@some_estimators
@pytest.mark.parametrize(
    ("table", "message"),
    [
        (np.zeros((9, 8, 8)), r"shape \(9, 8, 8\).*needs a 2D table of real numbers"),
        (np.zeros(9), r"shape \(9,\).*needs a 2D table"),
        (np.full((9, 3), "a"), "dtype <U1; .* needs a 2D table of real numbers"),
        (np.zeros((9, 3), complex), "dtype complex128; .* needs a 2D table of real"),
        (np.zeros((1, 3)), r"array with 1 sample\(s\).*minimum of 2"),
        (np.zeros((9, 0)), r"0 feature\(s\)"),
        (np.where(np.arange(27).reshape(9, 3) == 10, np.inf, 1.0), r"infinity.*X\[3, 1\] = inf"),
    ],
)
def test_what_is_no_table_is_refused_in_words(estimator, table, message):
    with pytest.raises(ValueError, match=message):
        estimator(2).fit(Stored(table))


@some_estimators
def test_one_row_is_transformed_and_another_number_of_features_refused(estimator, trained, spots):
    model = trained(trains(estimator))
    np.testing.assert_array_equal(model.transform(Stored(spots[:1])), model.transform(spots[:1]))
    with pytest.raises(ValueError, match=r"X has 63 features, but .* is expecting 64"):
        model.transform(Stored(spots[:, 1:]))


def test_a_small_memory_map_is_read_as_an_array(tmp_path, spots):
    assert not checks.is_stored(mapped(spots, tmp_path))
    assert not checks.is_stored(spots)
    assert not checks.is_stored(torch.from_numpy(spots))
