"""Fits over several processes: the same model as from one, in all of them."""

import copy
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import torch
import torch.distributed as dist
from estimators import ESTIMATORS, SOME, fit_trained, make_spots, trains
from scipy import sparse
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback
from torch import nn
from worlds import fit_together, run_together, shards_of

import skae
import skae.distributed
from skae._cluster.processes import OtherProcessError, Processes, ProcessLostError
from skae._data.batch import counting, mean_over_rows
from skae._data.batches import RowDataset
from skae._data.shares import count_batches, share_out
from skae._data.sources import ArraySource, SparseSource
from skae._data.split import row_keys, scramble, split_shards
from skae._data.sums.moments import Moments
from skae._data.world import ALONE
from skae._start.pca import fit_pca
from skae._training.outside.callbacks import StopTraining
from skae._training.resume.kept import KeptInMemory

# Those that draw nothing at random while they train.
QUIET = [
    skae.AutoEncoder,
    skae.ContractiveAutoEncoder,
    skae.SparseAutoEncoder,
    skae.WassersteinAutoEncoder,
]
# Training amplifies rounding, and in float32 so much that even the order of rows matters.
EXACT = {
    "dtype": "float64",
    "residual_noise": 0,
    "early_stopping": False,
    "max_iter": 4,
    "learning_rate_init": 0.005,
}


def rebuilt(model, X):
    return model.inverse_transform(model.transform(X))


def assert_same(models):
    first = {n: v for n, v in models[0]._get_state()["_weights"].items()}
    for model in models[1:]:
        for name, value in model._get_state()["_weights"].items():
            np.testing.assert_array_equal(value, first[name], err_msg=name)
        for name in (
            "n_iter_",
            "best_iter_",
            "loss_curve_",
            "validation_scores_",
            "pca_score_",
            "noise_variance_",
            "scale_",
        ):
            assert getattr(model, name) == getattr(models[0], name)
        np.testing.assert_array_equal(model.mean_, models[0].mean_)


# -- agreement -----------------------------------------------------------------------------


@pytest.mark.parametrize("estimator", SOME)
def test_a_world_of_one_process_gives_the_bits_of_fit(estimator):
    X = make_spots()
    alone = fit_trained(trains(estimator), X)
    (together,) = fit_together(trains(estimator), [X])
    assert_same([alone, together])
    np.testing.assert_array_equal(together.transform(X), alone.transform(X))


@pytest.mark.parametrize(
    "estimator, n_processes",
    [*((skae.AutoEncoder, n) for n in (2, 3, 4)), *zip(QUIET[1:], (2, 3, 4), strict=True)],
)
def test_processes_agree_with_one_on_full_batches(estimator, n_processes):
    X, new = make_spots(), make_spots(seed=1)
    model = trains(estimator, batch_size=len(X), **EXACT)
    alone = fit_trained(model, X)
    models = fit_together(model, shards_of(X, n_processes))
    assert_same(models)
    np.testing.assert_allclose(rebuilt(models[0], new), rebuilt(alone, new), atol=1e-5)
    np.testing.assert_allclose(models[0].loss_curve_, alone.loss_curve_, rtol=1e-5)


@pytest.mark.parametrize(
    ("estimator", "weighted"), [(kind, bool(i % 2)) for i, kind in enumerate(QUIET)]
)
def test_processes_agree_with_one_on_the_same_batches(monkeypatch, estimator, weighted):
    monkeypatch.setattr(RowDataset, "order", lambda self, *args: torch.arange(len(self)))
    X, n_batches = make_spots(), 8
    weights = np.random.default_rng(0).uniform(0.5, 2, len(X)) if weighted else None
    shards = shards_of(np.arange(len(X)), 120, 80, 40)
    by_batch = [rows.reshape(n_batches, -1) for rows in shards]
    order = np.hstack(by_batch).ravel()

    def of(rows):
        return None if weights is None else weights[rows]

    kl = {"penalty": "kl"} if estimator is skae.SparseAutoEncoder else {}
    model = trains(estimator, batch_size=30, **EXACT, **kl)
    alone = clone(model).fit(X[order], sample_weight=of(order))
    assert alone.best_iter_ > 0
    models = fit_together(model, [X[rows] for rows in shards], [of(rows) for rows in shards])
    np.testing.assert_allclose(rebuilt(models[0], X), rebuilt(alone, X), atol=1e-5)
    np.testing.assert_allclose(models[0].loss_curve_, alone.loss_curve_, rtol=1e-5)


@pytest.mark.parametrize("counts", [[100], [100, 100], [7, 1, 0], [1, 0, 0, 0], [1000, 3, 17]])
@pytest.mark.parametrize("batch_size", [1, 8, 32, 5000])
def test_batches_of_all_processes_are_no_larger_than_wanted(counts, batch_size):
    n = count_batches(counts, batch_size)
    sizes = np.array([share_out(c, n, r, len(counts)) for r, c in enumerate(counts)])
    np.testing.assert_array_equal(sizes.sum(axis=1), counts)
    assert sizes.sum(axis=0).max() <= max(batch_size, 3 * np.count_nonzero(counts))
    if len(counts) > 1:  # batch norm needs two rows
        assert 1 not in sizes[np.array(counts) > 1]
    else:
        assert np.ptp(sizes) <= 1
    if len(counts) == 1:
        assert n == np.ceil(counts[0] / batch_size)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_every_estimator_trains_in_several_processes(estimator):
    X = make_spots()
    models = fit_together(trains(estimator), shards_of(X, 100, 0, 140))
    assert models[0].best_iter_ > 0
    assert_same(models)
    assert max(models[0].validation_scores_) > models[0].pca_score_


def test_rows_of_several_processes_have_the_pca_of_all():
    X = make_spots()[:, :30] + 100

    def pca(shard, kind):
        def of_rank(world):
            source = kind(shard)
            source.world = world
            return fit_pca(source, Moments.of(source), 5, 0)

        return of_rank

    for rows, kinds in [  # more rows than features, and fewer; sparse rows beside dense ones
        (X, [ArraySource] * 3),
        (X[:20], [ArraySource] * 3),
        (X, [SparseSource, ArraySource, SparseSource]),
        (X[:20], [SparseSource] * 3),
    ]:
        shards = shards_of(rows, 3)
        shards = [
            sparse.csr_array(s) if k is SparseSource else s
            for s, k in zip(shards, kinds, strict=True)
        ]
        found, errors = run_together([pca(s, k) for s, k in zip(shards, kinds, strict=True)])
        assert errors == [None] * 3
        expected = PCA(5).fit(rows)
        for own in found:
            np.testing.assert_allclose(own.mean, rows.mean(axis=0), rtol=1e-12)
            np.testing.assert_allclose(own.variances, expected.explained_variance_, rtol=1e-8)
            overlap = np.abs(np.sum(own.components * expected.components_, axis=1))
            np.testing.assert_allclose(overlap, 1, rtol=1e-8)


@pytest.mark.parametrize("folder", ["/dev/shm", "/nowhere"])
def test_sums_in_shared_memory_are_those_over_connections(folder, monkeypatch):
    def of_rank(world):
        found = []
        for n in (5, 1000, 7):  # the second needs more memory than there is
            for share in (1.0, 0.5, 0.0):
                values = torch.arange(n, dtype=torch.float32) ** (world.rank + 1)
                if share == 0 and world.rank == 1:
                    values /= 0
                world.add_up(values, share if world.rank == 1 else 0.25)
                found.append(values.numpy())
        return found

    over_connections, _ = run_together([of_rank] * 3)
    monkeypatch.setattr("skae._cluster.processes.MANY_BYTES", 1)
    monkeypatch.setattr("skae._cluster.shared_memory.FOLDER", folder)
    in_memory, errors = run_together([of_rank] * 3)
    assert errors == [None] * 3
    for own in in_memory:
        for sums, first, expected in zip(own, in_memory[0], over_connections[0], strict=True):
            np.testing.assert_array_equal(sums, first)
            np.testing.assert_allclose(sums, expected, rtol=1e-6)


# -- rows of every kind --------------------------------------------------------------------


class Batchwise(nn.Module):
    """A user's encoder whose batch norm keeps statistics of the rows it sees."""

    def __init__(self, n_features, n_components):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(n_features, 16), nn.BatchNorm1d(16), nn.Tanh(), nn.Linear(16, n_components)
        )

    def forward(self, x):
        return self.layers(x)


@pytest.mark.parametrize(
    "parameters",
    [
        {"image_shape": (1, 8, 8)},
        {"tied_weights": True},
        {"encoder": Batchwise},
        {"init": "random", "max_iter": 30},
        {"loss": "binary_cross_entropy"},
        {"loss": "poisson"},
        {"loss": "absolute_error"},
        {"callbacks": [Callback()]},
    ],
    ids=lambda parameters: next(iter(parameters)),
)
def test_networks_and_losses_train_in_several_processes(parameters):
    X = make_spots()
    model = trains(skae.AutoEncoder, **parameters)
    models = fit_together(model, shards_of(X, 90, 150, 0))
    assert models[0].best_iter_ > 0
    assert_same(models)
    assert models[0].score(X) > 0.6


def in_shards(X):
    return shards_of(X, 90, 150, 0)


def test_rows_of_any_kind_train_in_several_processes():
    X = np.where(make_spots() > 0.3, make_spots(), 0)
    with_holes = X.copy()
    with_holes[np.random.default_rng(0).random(X.shape) < 0.1] = np.nan
    model = trains(skae.AutoEncoder)
    weights = np.random.default_rng(1).uniform(0, 2, len(X))
    for name, shards, options in [
        ("sparse", [sparse.csr_array(part) for part in in_shards(X)], {}),
        ("missing", in_shards(with_holes), {}),
        ("weights", in_shards(X), {"weights": in_shards(weights)}),
        ("weights of some", in_shards(X), {"weights": [None, in_shards(weights)[1], None]}),
        ("groups", in_shards(X), {"groups": in_shards(np.arange(len(X)) // 3)}),
        ("mixed", [X[:90].astype(np.float32), sparse.csr_array(X[90:])], {}),
    ]:
        models = fit_together(model, shards, **options)
        assert models[0].best_iter_ > 0, name
        assert models[0].score(X) > 0.7, name
        assert_same(models)


def test_few_rows_of_many_features_agree_with_one_process():
    rng = np.random.default_rng(0)
    X = np.tanh(rng.normal(size=(60, 3)) @ rng.normal(size=(3, 700)))
    model = trains(skae.AutoEncoder, batch_size=60, **EXACT)
    alone = clone(model).fit(X)
    models = fit_together(model, shards_of(X, 20, 0, 40))
    assert_same(models)
    assert models[0].best_iter_ > 0
    np.testing.assert_allclose(models[0].score(X), alone.score(X), rtol=1e-3)


def test_a_warm_start_goes_on_in_several_processes():
    X, new = make_spots(), make_spots(seed=2)
    model = trains(skae.AutoEncoder, warm_start=True)
    first = fit_together(model, shards_of(X, 2))[0]
    results, errors = run_together(
        [
            lambda world, part=part: copy.deepcopy(first)._fit_together(part, None, None, world)
            for part in shards_of(np.concatenate([X, new]), 2)
        ]
    )
    assert errors == [None, None]
    assert results[0].score(new) > first.score(new)
    assert_same(results)


def test_equal_rows_are_on_one_side_whichever_process_has_them():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 4))[rng.integers(0, 100, size=300)]

    def split(shard):
        def of_rank(world):
            keys = scramble(row_keys(ArraySource(shard), np.float64), 7)
            found = split_shards(keys, "auto", np.zeros(len(shard), dtype=bool), None, world)
            return shard[found.training], shard[found.validation], found

        return of_rank

    sides = {}
    for sizes in [(150, 150), (10, 0, 290)]:
        found, _ = run_together([split(shard) for shard in shards_of(X, *sizes)])
        training = {row.tobytes() for part, _, _ in found for row in part}
        validation = {row.tobytes() for _, part, _ in found for row in part}
        assert len(validation) >= 10
        assert not training & validation
        assert found[0][2].n_validation == sum(len(part) for _, part, _ in found)
        np.testing.assert_array_equal(found[0][2].groups, found[-1][2].groups)
        sides[sizes] = validation
    assert len({frozenset(side) for side in sides.values()}) == 1


# -- failure -------------------------------------------------------------------------------


def test_an_error_of_one_process_ends_all_with_its_traceback():
    X = make_spots()
    bad = X.copy()
    bad[3, 5] = np.inf
    shards = [X, bad, X]
    results, errors = run_together(
        [
            lambda world, part=part: trains(skae.AutoEncoder)._fit_together(part, None, None, world)
            for part in shards
        ]
    )
    assert results == [None] * 3
    assert isinstance(errors[1], ValueError)
    for error in (errors[0], errors[2]):
        assert isinstance(error, OtherProcessError)
        assert "process 1 of 3" in str(error)
        assert "X contains infinity" in str(error)


@pytest.mark.parametrize(
    "shards, parameters, message",
    [
        ([np.ones((5, 3)), np.ones((5, 4))], [{}, {}], "3 in process 0, 4 in process 1"),
        ([np.ones((5, 3))] * 2, [{"tol": 0.1}, {}], "tol is 0.1 in process 0 and 0.0001 in"),
        ([np.ones((1, 3)), np.ones((0, 3))], [{}, {}], "X has 1 row"),
    ],
)
def test_processes_that_disagree_are_told(shards, parameters, message):
    _, errors = run_together(
        [
            lambda world, X=X, p=p: skae.AutoEncoder(2, **p)._fit_together(X, None, None, world)
            for X, p in zip(shards, parameters, strict=True)
        ]
    )
    for error in errors:
        assert isinstance(error, ValueError)
        assert message in str(error)


class Rates(Callback):
    """Records the learning rate of each epoch's last step."""

    def on_epoch_end(self, net, **kwargs):
        net.history.record("rate", net.optimizer_.param_groups[0]["lr"])


class Fails(Callback):
    """Raises in one of the processes at the end of an epoch."""

    def __init__(self, epoch, how):
        self.epoch, self.how = epoch, how

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == self.epoch and net.world.rank == 1:
            raise self.how


class Stops(Callback):
    """Ends the training in the fifth epoch of the second process."""

    def __init__(self, hook):
        self.hook = hook

    def stop(self, hook, net):
        if hook == self.hook and len(net.history) == 5 and net.world.rank == 1:
            raise StopTraining

    def on_epoch_begin(self, net, **kwargs):
        self.stop("on_epoch_begin", net)

    def on_batch_end(self, net, **kwargs):
        self.stop("on_batch_end", net)

    def on_epoch_end(self, net, **kwargs):
        self.stop("on_epoch_end", net)


@pytest.mark.parametrize("hook", ["on_epoch_begin", "on_batch_end", "on_epoch_end"])
def test_a_process_that_wants_to_stop_stops_all(hook):
    model = trains(skae.AutoEncoder, callbacks=[Stops(hook)])
    models = fit_together(model, shards_of(make_spots(), 3))
    assert_same(models)
    assert models[0].n_iter_ == 5


@pytest.mark.parametrize("estimator", SOME)
def test_a_training_goes_on_from_the_last_epoch_with_the_processes_that_are_left(estimator):
    X, kept = make_spots(), [KeptInMemory(), KeptInMemory(), KeptInMemory()]
    model = trains(estimator, random_state=None, callbacks=[Fails(5, OSError("gone"))])
    with pytest.raises(OSError, match="gone"):
        fit_together(model, shards_of(X, 3), kept=kept)
    assert {len(own.checkpoint.history) for own in kept} <= {4, 5}
    kept[0] = KeptInMemory()  # a new process in the place of the one that was lost
    seed, model = kept[1].seed, trains(estimator, random_state=None, callbacks=[Rates()])
    models = fit_together(model, shards_of(X, 100, 140), kept=kept[:2])
    assert kept[0].seed == seed
    rates = models[0].net_.history[:, "rate"]
    assert rates[-1] == min(rates[4:]) < 0.1 * max(rates)
    assert_same(models)
    assert models[0].n_iter_ == 12
    assert models[0].best_iter_ > 5
    assert max(models[0].validation_scores_) > models[0].pca_score_


@pytest.mark.parametrize("kind", ["rows", "groups", "missing"])
def test_the_same_rows_validate_when_a_fit_goes_on_with_other_processes(kind, monkeypatch):
    X = make_spots()
    if kind == "missing":
        X[np.random.default_rng(0).random(X.shape) < 0.05] = np.nan
    groups = np.arange(len(X)) // 3 if kind == "groups" else None
    validation = []
    split = split_shards

    def watched(keys, fraction, known, weights, world):
        found = split(keys, fraction, known, weights, world)
        validation.append((world.size, keys[found.validation].tolist()))
        return found

    monkeypatch.setattr("skae._estimator.jobs.choice.split_shards", watched)
    model = trains(skae.AutoEncoder, max_iter=1)
    for sizes in [(80, 80, 80), (100, 140), (240,)]:
        given = {} if groups is None else {"groups": shards_of(groups, *sizes)}
        fit_together(model, shards_of(X, *sizes), kept=[KeptInMemory() for _ in sizes], **given)
    sides = [set(), set(), set()]
    for size, keys in validation:
        sides[size - 1].update(keys)
    assert len(sides[0]) >= 10
    assert sides[0] == sides[1] == sides[2]


def test_a_row_without_values_in_one_process_is_left_out():
    X = make_spots()
    X[5] = np.nan
    model = trains(skae.AutoEncoder)
    with pytest.warns(UserWarning, match="no value in 1 of its 120 rows"):
        models = fit_together(model, shards_of(X, 2), timeout=20)
    assert_same(models)
    assert models[0].best_iter_ > 0


def test_weights_of_an_adversarial_fit_count_as_in_one_process(monkeypatch):
    def draw(self, n, generator=None):  # the same in all processes
        return torch.full((n, self.n_components), 0.5)

    monkeypatch.setattr("skae._model.prior.PriorModule.draw_prior", draw)
    X, weights = make_spots(), np.r_[np.full(120, 0.1), np.full(120, 1.9)]
    model = trains(skae.AdversarialAutoEncoder, batch_size=240, **EXACT)
    alone = clone(model).fit(X, sample_weight=weights)
    models = fit_together(model, shards_of(X, 2), shards_of(weights, 2))
    found, expected = (m.net_.history[:, "discriminator_loss"] for m in (models[0], alone))
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    np.testing.assert_allclose(rebuilt(models[0], X), rebuilt(alone, X), atol=1e-4)
    assert_same(models)


def test_a_mean_over_rows_has_the_gradient_of_all_rows_in_terms_of_single_rows_too():
    X = torch.from_numpy(make_spots()[:, :3])

    def gradient(rows, world, share):
        weight = torch.ones(3, dtype=torch.float64, requires_grad=True)
        with counting(None, None, world, share):
            z = rows * weight
            term = (z - mean_over_rows(z)).square().sum(dim=1)
        term.mean().backward()
        return world.sum(share * weight.grad)

    expected = gradient(X, ALONE, 1.0)
    shards = shards_of(X.numpy(), 60, 180)
    found, errors = run_together(
        [lambda world, s=s: gradient(torch.from_numpy(s), world, len(s) / len(X)) for s in shards]
    )
    assert errors == [None, None]
    for own in found:
        torch.testing.assert_close(own, expected)


def test_sums_in_shared_memory_are_right_for_tensors_of_any_length(monkeypatch):
    monkeypatch.setattr("skae._cluster.processes.MANY_BYTES", 1)

    def sums(world):
        rng = np.random.default_rng(0)
        for n in rng.integers(1, 5000, size=40):
            if rng.random() < 0.3 and world.rank == 0:
                time.sleep(0.002)
            values = torch.full((int(n),), world.rank + 1.0)
            world.add_up(values)
            if not (values == 6).all():
                return False
        return world.shared is not None

    found, errors = run_together([sums] * 3)
    assert errors == [None] * 3
    assert found == [True] * 3


class Averages(nn.Module):
    """A user's encoder that keeps a running mean of its inputs by itself."""

    def __init__(self, n_features, n_components):
        super().__init__()
        self.linear = nn.Linear(n_features, n_components)
        self.register_buffer("mean", torch.zeros(n_features))

    def forward(self, x):
        if self.training:
            with torch.no_grad():
                self.mean.lerp_(x.mean(dim=0), 0.1)
        return self.linear(x - self.mean).tanh()


@pytest.mark.parametrize("encoder", [Averages, Batchwise])
def test_what_users_networks_keep_is_the_same_in_all_processes(encoder):
    X = make_spots()
    models = fit_together(trains(skae.AutoEncoder, encoder=encoder), shards_of(X, 235, 5, 0))
    assert models[0].best_iter_ > 0
    assert_same(models)


def test_another_model_in_one_process_is_told():
    X = make_spots()
    model = trains(skae.AutoEncoder, warm_start=True)
    fitted = clone(model).fit(X)
    _, errors = run_together(
        [lambda world, m=m: m._fit_together(X, None, None, world) for m in (fitted, clone(model))],
        timeout=20,
    )
    for error in errors:
        assert "what was fitted before" in str(error)


LOSES = """
import os, signal, sys
import numpy as np
import torch.distributed as dist
from skorch.callbacks import Callback
from skae import AutoEncoder
from skae.distributed import fit

class Dies(Callback):
    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == 3 and dist.get_rank() == 1:
            os.kill(os.getpid(), signal.SIGKILL)

rank = int(sys.argv[1])
store = dist.FileStore(sys.argv[2], 3)
dist.init_process_group("gloo", store=store, rank=rank, world_size=3)
X = np.random.default_rng(rank).normal(size=(100, 5))
fit(AutoEncoder(2, max_iter=50, batch_size=32, callbacks=[Dies()]), X, timeout=20)
"""


def test_a_process_that_is_killed_ends_the_others_within_seconds(tmp_path):
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", LOSES, str(rank), str(tmp_path / "store")],
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(3)
    ]
    outputs = [process.communicate(timeout=60)[1] for process in processes]
    assert processes[1].returncode == -signal.SIGKILL
    for rank in (0, 2):
        assert processes[rank].returncode == 1
        assert re.search(r"ProcessLostError: process 1 \(.* of 3 was lost", outputs[rank])


def test_without_a_process_group_the_error_says_what_to_do():
    with pytest.raises(RuntimeError, match="init_process_group"):
        skae.distributed.fit(skae.AutoEncoder(2), make_spots())


def test_a_pipeline_is_refused_in_words():
    with pytest.raises(TypeError, match="fit the other steps of a pipeline before"):
        skae.distributed.fit(make_pipeline(StandardScaler(), skae.AutoEncoder(2)), make_spots())


def test_names_of_columns_are_those_of_the_processes_that_have_rows():
    frame = pd.DataFrame(make_spots()[:, :3], columns=["a", "b", "c"])
    model = skae.AutoEncoder(2, max_iter=2)
    models = fit_together(model, [frame[:100], np.empty((0, 3)), frame[100:]])
    for own in models:
        assert list(own.feature_names_in_) == ["a", "b", "c"]
    other = frame[100:].rename(columns={"b": "d"})
    with pytest.raises(ValueError, match="process 1 than in process 0: column 1 is 'd', not 'b'"):
        fit_together(model, [frame[:100], other])


def test_a_process_that_never_comes_is_named():
    with pytest.raises(ProcessLostError, match=r"process 1 \(which has not come to fit\) of 2"):
        Processes(dist.HashStore(), 0, 2, timeout=1, address="127.0.0.1")


def test_a_random_state_of_each_process_is_taken():
    model = trains(skae.AutoEncoder, max_iter=2, random_state=np.random.RandomState(0))
    assert_same(fit_together(model, shards_of(make_spots(), 2)))


@pytest.mark.parametrize("timeout", [0, -1, "3", None, np.inf, np.nan])
def test_a_timeout_that_is_no_number_of_seconds_is_refused(timeout, tmp_path):
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/s", rank=0, world_size=1)
    try:
        with pytest.raises(ValueError, match=r"timeout=.* is not a number of seconds"):
            skae.distributed.fit(skae.AutoEncoder(2), make_spots(), timeout=timeout)
    finally:
        dist.destroy_process_group()


def test_a_group_of_one_process_fits_as_fit_does(tmp_path):
    X, model = make_spots(), trains(skae.AutoEncoder)
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/s", rank=0, world_size=1)
    try:
        together = skae.distributed.fit(clone(model), X)
    finally:
        dist.destroy_process_group()
    assert_same([fit_trained(model, X), together])
