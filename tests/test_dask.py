"""Dask: fits on the workers that hold the rows, lazy results, and workers that are lost."""

import logging
import os
import signal
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from estimators import SHORT, SOME
from processes import run_script
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from skorch.callbacks import Callback

from skae import AutoEncoder, AutoEncoderImputer, VariationalAutoEncoder

pytest.importorskip("distributed")

import dask
import dask.array as da
import dask.dataframe as dd
from distributed import Client, LocalCluster, wait

import skae.dask
from skae._cluster.dask import lazy
from skae._cluster.dask.blocks import StoredBlocks
from skae._cluster.dask.client import Workers
from skae._cluster.dask.collection import Beside
from skae._cluster.dask.here import HERE
from skae._cluster.dask.worker import Collector
from skae._cluster.place import Place

# One cluster for all: its processes take seconds to start.
pytestmark = pytest.mark.xdist_group("dask")

ROWS = np.random.default_rng(0).normal(size=(200, 6)) * [5, 4, 3, 2, 1, 1]
NAMES = list("abcdef")


@pytest.fixture(scope="module")
def cluster():
    # A LocalCluster gives up a worker that takes longer to come back: 15 s, on busy cores too few.
    patience = dask.config.set({"distributed.deploy.lost-worker-timeout": "120s"})
    with (
        patience,
        LocalCluster(
            n_workers=2,
            threads_per_worker=2,
            dashboard_address=":0",
            silence_logs=logging.CRITICAL,
            memory_limit="2GB",
        ) as made,
    ):
        yield made


@pytest.fixture
def client(cluster):
    """A client of two workers, of which the test before may have killed one."""
    with Client(cluster) as made:
        made.wait_for_workers(2)
        yield made
        assert_nothing_is_left(made)


def assert_nothing_is_left(client, seconds=5):
    deadline = time.monotonic() + seconds
    while left := kept_by_workers(client):
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


def kept_by_workers(client):
    """Return what fits have left: tasks, folders, threads."""

    def look(dask_worker):
        left = [name for name, fit in HERE.items() if not fit.is_ended]
        folders = [name for name in os.listdir(dask_worker.local_directory) if "skae" in name]
        state = dask_worker.state
        return left + folders + [task.key for task in state.executing | state.long_running]

    return [name for found in client.run(look).values() for name in found]


def table(chunks=(60, 0, 100, 40)):
    """Return the rows as a Dask array of uneven blocks, one of them empty."""
    return da.from_array(ROWS, chunks=(chunks, (6,)))


def unknown(X):
    """Return the rows of a Dask array whose numbers of rows Dask does not know."""
    return X[X[:, 0] < np.inf]


class Slow(Callback):
    """Makes an epoch take a while, and says that it has begun."""

    def __init__(self, path, seconds=0.2):
        self.path, self.seconds = str(path), seconds

    def on_epoch_end(self, net, **more):
        with open(self.path, "a") as file:
            file.write(f"{os.getpid()}\n")
        time.sleep(self.seconds)


def slow(path, **parameters):
    return AutoEncoder(2, max_iter=8, random_state=0, callbacks=[Slow(path)], **parameters)


def wait_for(path):
    """Wait until a training has begun; return the processes that have written so."""
    deadline = time.monotonic() + 60
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return set(map(int, path.read_text().split()))


def in_thread(function):
    thread = threading.Thread(target=function)
    thread.start()
    return thread


# -- lazy results --------------------------------------------------------------------------


@pytest.fixture(scope="module", params=SOME, ids=lambda kind: kind.__name__)
def fitted(request):
    return request.param(2, **SHORT).fit(ROWS)


@pytest.mark.parametrize("chunks", [table().chunks, ((200,), (6,)), ((150, 50), (2, 4))])
def test_lazy_results_are_those_of_the_rows(fitted, chunks):
    X = da.from_array(ROWS, chunks=chunks)
    codes = fitted.transform(X)
    lazy_and_eager = [
        (codes, fitted.transform(ROWS)),
        (fitted.inverse_transform(codes), fitted.inverse_transform(fitted.transform(ROWS))),
        (fitted.score_samples(X), fitted.score_samples(ROWS)),
    ]
    for found, expected in lazy_and_eager:
        assert isinstance(found, da.Array)
        assert found.chunks[0] == X.chunks[0]
        assert found.shape == expected.shape
        assert found.dtype == found._meta.dtype == expected.dtype
        assert found._meta.ndim == expected.ndim
        blocks = dask.compute(*found.to_delayed().ravel(), scheduler="sync")
        assert [block.shape[0] for block in blocks] == list(X.chunks[0])
        assert {block.dtype for block in blocks} == {expected.dtype}
        np.testing.assert_allclose(np.concatenate(blocks), expected, rtol=1e-4, atol=1e-5)
    assert fitted.score(X) == pytest.approx(fitted.score(ROWS))


def test_unknown_chunks_stay_unknown():
    model = AutoEncoder(2, **SHORT).fit(ROWS)
    X = unknown(table())
    codes = model.transform(X)
    assert codes.chunks[1] == (2,)
    assert np.isnan(codes.chunks[0]).all()
    np.testing.assert_allclose(codes.compute(), model.transform(ROWS), rtol=1e-4, atol=1e-5)
    assert model.score(X) == pytest.approx(model.score(ROWS))


def test_frames_keep_their_index_where_frames_are_asked_for():
    frame = pd.DataFrame(ROWS, columns=NAMES, index=np.arange(200) * 2)
    model = AutoEncoder(2, **SHORT).fit(frame)
    X = dd.from_pandas(frame, npartitions=3)
    codes = model.transform(X)
    assert isinstance(codes, da.Array)
    assert codes.chunks[1] == (2,)
    np.testing.assert_allclose(codes.compute(), model.transform(frame), rtol=1e-4, atol=1e-5)
    assert model.score_samples(X).compute().shape == (200,)
    model.set_output(transform="pandas")
    pd.testing.assert_frame_equal(
        model.transform(X).compute(), model.transform(frame), rtol=1e-4, atol=1e-5
    )
    from_array = model.fit(ROWS).transform(table())
    assert list(from_array.columns) == ["autoencoder0", "autoencoder1"]
    assert from_array.compute().shape == (200, 2)
    with pytest.raises(ValueError, match="pass 'pandas' or 'default'"):
        model.set_output(transform="polars").transform(table())


def test_scores_are_weighted_over_all_blocks():
    model = VariationalAutoEncoder(2, **SHORT).fit(ROWS)
    weights = np.random.default_rng(1).uniform(size=200)
    weights[:60] = 0  # all of the first block
    expected = model.score(ROWS, sample_weight=weights)
    for own in (weights, list(weights), da.from_array(weights, chunks=70)):
        assert model.score(table(), sample_weight=own) == pytest.approx(expected)
    assert skae.dask.score(model, table(), sample_weight=weights) == pytest.approx(expected)
    with pytest.raises(ValueError, match="not zero"):
        model.score(table(), sample_weight=np.zeros(200))
    with pytest.raises(ValueError, match=r"sample_weight has the shape \(3,\)"):
        model.score(table(), sample_weight=np.ones(3))
    with pytest.raises(ValueError, match="compute_chunk_sizes"):
        model.score(unknown(table()), sample_weight=weights)


def test_a_lazy_result_is_that_of_the_model_as_it_was():
    model = AutoEncoder(2, **SHORT).fit(ROWS)
    codes, before = model.transform(table()), model.transform(ROWS)
    model.fit(ROWS[:50] ** 2)
    np.testing.assert_allclose(codes.compute(), before, rtol=1e-4, atol=1e-5)


def test_errors_come_before_anything_is_computed():
    model = AutoEncoder(2, **SHORT)
    with pytest.raises(NotFittedError):
        model.transform(table())
    model.fit(ROWS)
    with pytest.raises(ValueError, match="5 features"):
        model.transform(table()[:, :5])
    with pytest.raises(ValueError, match="n_components_=2"):
        model.inverse_transform(table())
    with pytest.raises(ValueError, match=r"expected a dask\.array of two dimensions"):
        model.transform(table()[:, 0])
    with pytest.raises(ValueError, match="compute_chunk_sizes"):
        model.transform(table()[:, table()[0] < 9])
    model.fit(pd.DataFrame(ROWS, columns=NAMES))
    with pytest.raises(ValueError, match="feature names"):
        model.transform(dd.from_pandas(pd.DataFrame(ROWS, columns=list("uvwxyz")), npartitions=2))
    with pytest.warns(UserWarning, match="feature names"):
        model.transform(table())


def test_an_imputer_fills_lazily():
    X = ROWS.copy()
    X[::3, 1] = np.nan
    imputer = AutoEncoderImputer(hidden_layer_sizes=(), random_state=0).fit(X)
    filled = imputer.transform(da.from_array(X.astype(np.float32), chunks=(70, 6)))
    assert filled.dtype == np.float32
    np.testing.assert_allclose(filled.compute(), imputer.transform(X), rtol=1e-3, atol=1e-4)


class Counted(Callback):
    """Writes a line whenever it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __setstate__(self, state):
        self.__dict__ = state
        with open(self.path, "a") as file:
            file.write(f"{os.getpid()}\n")


def test_the_model_travels_to_each_worker_once(client, tmp_path):
    path = tmp_path / "unpickled"
    model = AutoEncoder(2, callbacks=[Counted(path)], **SHORT).fit(ROWS)
    codes = model.transform(da.from_array(ROWS, chunks=(5, 6)))
    (graph,) = dask.optimize(codes)
    holding = [key for key, node in dict(graph.dask).items() if "Packed" in repr(node)]
    (name,) = [key for key in dict(graph.dask) if str(key).startswith("skae-model-")]
    assert holding == [name]
    path.unlink(missing_ok=True)
    codes.compute()

    def received(dask_worker):
        log = dask_worker.transfer_incoming_log
        return sum(name in transfer["keys"] for transfer in log)

    assert max(client.run(received).values()) <= 1
    processes = path.read_text().split()
    assert len(processes) == len(set(processes)) <= 2


# -- fits ----------------------------------------------------------------------------------

KINDS = {
    "array": table,
    "unknown": lambda: unknown(table()),
    "columns": lambda: table().rechunk((50, 2)),
    "float32": lambda: table().astype(np.float32),
    "frame": lambda: dd.from_pandas(pd.DataFrame(ROWS, columns=NAMES), npartitions=3),
    "one row each": lambda: table()[:9].rechunk((1, 6)),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("where", ["here", "workers"])
def test_fits_are_those_of_all_rows(kind, where, request):
    if where == "workers":
        request.getfixturevalue("client")
    X = KINDS[kind]()
    rows = X.compute()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore" if len(rows) < 20 else "error")
        model = AutoEncoder(2, **SHORT).fit(X)
        expected = AutoEncoder(2, **SHORT).fit(rows)
    assert model.n_features_in_ == 6
    assert hasattr(model, "feature_names_in_") == (kind == "frame")
    np.testing.assert_allclose(model.mean_, expected.mean_, rtol=1e-6)
    assert model.score(rows) == pytest.approx(expected.score(rows), abs=0.02)
    codes = model.transform(X)
    np.testing.assert_allclose(codes.compute(), model.transform(rows), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("local", [True, False])
def test_weights_and_groups_go_with_their_rows(client, local):
    weights = np.repeat([0.0, 1.0, 3.0], [60, 100, 40])
    groups = np.repeat(np.arange(40), 5)
    own = [weights, groups] if local else [da.from_array(v, chunks=70) for v in (weights, groups)]
    model = AutoEncoder(2, **SHORT).fit(table(), sample_weight=own[0], groups=own[1])
    expected = AutoEncoder(2, **SHORT).fit(ROWS, sample_weight=weights, groups=groups)
    np.testing.assert_allclose(model.mean_, expected.mean_, rtol=1e-6)
    with pytest.raises(ValueError, match=r"groups has the shape \(3,\), expected \(200,\)"):
        clone(model).fit(table(), groups=[1, 2, 3])
    with pytest.raises(ValueError, match="same partitions"):
        clone(model).fit(unknown(table()), sample_weight=da.ones(200, chunks=50))


def test_pipelines_of_steps_that_know_dask(client):
    halve = FunctionTransformer(lambda X: X / 2)
    pipeline = make_pipeline(halve, AutoEncoder(2, **SHORT))
    codes = pipeline.fit_transform(table())
    assert isinstance(codes, da.Array)
    np.testing.assert_allclose(codes.compute(), pipeline.transform(ROWS), rtol=1e-3, atol=1e-4)
    assert pipeline.score(table()) == pytest.approx(pipeline.score(ROWS))
    pipeline.set_output(transform="pandas")
    assert isinstance(pipeline[-1:].fit_transform(table()), dd.DataFrame)


@pytest.mark.parametrize("kind", ["array", "frame"])
def test_partitions_stay_on_the_workers_that_hold_them(client, kind):
    X = client.persist(KINDS[kind]())
    wait(X)
    held = client.who_has(X)
    none = [Beside("sample_weight"), Beside("groups")]
    blocks = StoredBlocks(Workers(client, 30), "skae-test", X, none)
    for i, part in enumerate(blocks.wait()):
        (holder,) = next(workers for key, workers in held.items() if key[1] == i)
        assert part.worker == holder
    blocks.release()


def test_the_fit_of_a_task_uses_the_other_threads(client):
    def fit():
        return AutoEncoder(2, **SHORT).fit(table()).n_features_in_

    assert client.submit(fit).result(timeout=60) == 6


def test_fits_at_the_same_time_do_not_wait_for_each_other(client):
    models = [AutoEncoder(2, **SHORT) for _ in range(3)]
    started = [in_thread(lambda m=m: skae.dask.fit(m, table(), client=client)) for m in models]
    for thread in started:
        thread.join(60)
    assert all(hasattr(model, "net_") for model in models)


def test_a_warning_of_the_fit_reaches_the_user(client):
    with pytest.warns(UserWarning, match="too few to validate"):
        AutoEncoder(2, **SHORT).fit(table()[:12])


def test_parameters_of_the_fit_are_checked(client):
    for name, value in [("timeout", 0), ("wait", "1"), ("retries", -1), ("client", 3)]:
        with pytest.raises((ValueError, TypeError), match=name):
            skae.dask.fit(AutoEncoder(2), table(), **{name: value})
    with pytest.raises(ValueError, match="n_components=0"):
        AutoEncoder(0).fit(table())


# -- trouble -------------------------------------------------------------------------------


def test_what_a_worker_raises_reaches_the_user_with_its_traceback(client):
    X = table().map_blocks(lambda block: np.where(block > 1e9, block, np.inf), dtype=float)
    model = AutoEncoder(2, **SHORT).fit(ROWS)
    before = dict(vars(model))
    with pytest.raises(ValueError, match="infinity") as raised:
        model.fit(X)
    assert "_fit_together" in [entry.name for entry in raised.traceback]
    assert vars(model) == before
    with pytest.raises(ValueError, match="dtype complex128"):
        model.fit(table().astype(complex))
    with pytest.raises(ValueError, match="sample"):
        model.fit(table()[:0])


def test_an_interrupt_that_a_callback_raises_is_one(client):
    class Interrupts(Callback):
        def on_epoch_end(self, net, **more):
            raise KeyboardInterrupt("enough")

    with pytest.raises(KeyboardInterrupt, match="enough"):
        AutoEncoder(2, callbacks=[Interrupts()], **SHORT).fit(table())
    assert len(client.nthreads()) == 2


def test_ctrl_c_ends_the_tasks_of_all_workers(client, tmp_path):
    path = tmp_path / "epochs"

    raised = threading.Event()

    def interrupt():
        wait_for(path)
        # As who gets no answer: Dask's own threads and finalizers may take the first one.
        while not raised.is_set():
            signal.raise_signal(signal.SIGINT)
            raised.wait(5)

    thread = in_thread(interrupt)
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        try:
            slow(path).set_params(max_iter=2_000).fit(table())
        finally:
            raised.set()
    thread.join()
    assert time.monotonic() - started < 30
    assert not any(client.processing().values())


@pytest.mark.parametrize("retries", [0, 1])
def test_a_fit_survives_or_names_a_worker_that_is_killed(client, tmp_path, retries):
    path = tmp_path / "epochs"

    def kill():
        os.kill(wait_for(path).pop(), signal.SIGKILL)

    thread = in_thread(kill)
    model, started = slow(path), time.monotonic()
    if retries:
        skae.dask.fit(model, table(), retries=retries)
        assert model.n_iter_ == 8
    else:
        with pytest.raises(skae.dask.ProcessLostError, match=r"worker tcp://.*process id \d+"):
            skae.dask.fit(model, table(), retries=retries)
        assert not hasattr(model, "net_")
    thread.join()
    assert time.monotonic() - started < 30


def test_a_client_that_is_gone_leaves_nothing(cluster, client, tmp_path):
    path, raised = tmp_path / "epochs", []

    def fit():
        try:
            skae.dask.fit(slow(path).set_params(max_iter=10_000), table(), client=leaving)
        except Exception as error:
            raised.append(error)

    leaving = Client(cluster, set_as_default=False)
    thread = in_thread(fit)
    wait_for(path)
    leaving.close()
    assert_nothing_is_left(client, 30)
    thread.join(30)
    assert raised


def test_what_the_page_shows_works(client):
    page = Path(__file__).parents[1] / "docs/many_machines.md"
    (block,) = [b for b in page.read_text().split("```") if "skae.dask.fit(model" in b]
    made, address = "Client(n_workers=2, threads_per_worker=1)", client.scheduler.address
    assert made in block
    block = block.removeprefix("python").replace(made, f"Client({address!r})")
    namespace = {"__name__": "__main__"}
    exec(block, namespace)
    namespace["client"].close()


# -- the parts -----------------------------------------------------------------------------


def test_stored_rows_are_read_in_slices_over_parts(tmp_path):
    place = Place(str(tmp_path))
    blocks = [ROWS[:70], ROWS[70:70], ROWS[70:71].astype(np.float32), ROWS[71:].astype(int)]
    parts = [place.store(block) for block in blocks]
    rows = place.rows(parts, np.dtype(np.float64), in_memory=False)
    expected = np.concatenate(blocks)
    assert rows.shape == expected.shape
    for start, stop in [(0, 200), (60, 80), (70, 71), (199, 300), (5, 5)]:
        np.testing.assert_array_equal(rows[start:stop], expected[start:stop])
    place.remove()
    assert not list(tmp_path.iterdir())


def test_few_models_stay_unpickled():
    models = lazy.Models()
    packed = [lazy.Packed.of(AutoEncoder(n)) for n in range(1, 8)]
    found = [models.get(p.name, p.content) for p in packed]
    assert models.get(packed[-1].name, b"") is found[-1]
    assert len(models._models) == lazy.MOST_MODELS


def test_nothing_imports_dask_unasked_and_its_absence_has_a_remedy():
    script = """
import sys, skae

print({"dask", "distributed", "ray"} & set(sys.modules))
sys.modules["distributed"] = None
try:
    import skae.dask
except ImportError as error:
    print(error)
"""
    imported, error = run_script(script).splitlines()
    assert imported == "set()"
    assert "pip install skae[dask]" in error


def test_sparse_blocks_beside_others_are_refused(tmp_path):
    place = Place(str(tmp_path))
    parts = [place.store(np.ones((5, 3))), place.store(sparse.csr_array(np.eye(3)))]
    with pytest.raises(ValueError, match="X has sparse partitions and others"):
        place.rows(parts, np.dtype(float), in_memory=True)


def test_what_is_no_collection_of_dask_is_sent_to_the_estimator():
    with pytest.raises(TypeError, match="X is a ndarray, no collection of Dask"):
        skae.dask.fit(AutoEncoder(2), np.ones((5, 3)))
    with pytest.raises(TypeError, match=r"which skae\.dask"):
        AutoEncoder(2).partial_fit(da.from_array(np.ones((50, 3))))


def test_warnings_go_where_they_went_after_fits_that_overlap():
    show, filters = warnings.showwarning, list(warnings.filters)
    collector, entered, leave = Collector(), threading.Event(), threading.Event()
    found = []

    def other():
        with collector.collected() as caught:
            entered.set()
            leave.wait(10)
            warnings.warn("of the other", stacklevel=1)
        found.append(caught)

    with collector.collected() as caught:
        thread = threading.Thread(target=other)
        thread.start()
        entered.wait(10)
        warnings.warn("mine", stacklevel=1)
    leave.set()
    thread.join()
    assert caught == [(UserWarning, "mine")]
    assert found == [[(UserWarning, "of the other")]]
    assert warnings.showwarning is show
    assert list(warnings.filters) == filters
