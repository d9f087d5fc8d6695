"""What do several processes gain, what do they wait for, and where do more stop paying?

speed: one and two processes, of one thread each, on a wide network; the same network with torch's
    DistributedDataParallel; the all-reduce in a step and alone; the peak memory of a worker.
floor: test errors of fits of two processes, over those of PCA and of a fit of one process.
model: seconds of a step on 8, 64 and 512 machines, predicted from one process and the latency and
    bandwidth of a network, and simulated: one process computes its share of a step, and waits for
    as long as the all-reduce would take.

    SKAE_DATA=… python benchmarks/distributed.py [--only speed floor model] [--rounds 3]
"""

import argparse
import contextlib
import math
import multiprocessing
import os
import resource
import statistics
import time
from itertools import pairwise

import numpy as np
import torch
import torch.distributed as dist
from sklearn import datasets
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from skae import AutoEncoder
from skae._cluster.processes import Processes
from skae._data.world import World
from skae.datasets import data_folder
from skae.distributed import fit

N_FEATURES, HIDDEN, CODE, BATCH = 784, (512, 256), 16, 512
ADDRESS = "127.0.0.1"
# name: bits and seconds of a network between machines.
NETWORKS = {"10 Gbit/s, 50 µs": (10e9, 50e-6), "100 Gbit/s, 5 µs": (100e9, 5e-6)}
MACHINES = (8, 64, 512)
N_STEPS = 16  # of an epoch that is simulated


def make_rows(n_rows):
    """Return rows near a curved surface of eight dimensions: the first of a table of a seed."""
    rng = np.random.default_rng(0)
    mixing = rng.standard_normal((8, N_FEATURES), dtype=np.float32) / np.float32(np.sqrt(2))
    X = np.tanh(rng.standard_normal((n_rows, 8), dtype=np.float32) @ mixing)
    return X + np.float32(0.1) * rng.standard_normal(X.shape, dtype=np.float32)


class Clock(Callback):
    """Notes the processor's seconds of each epoch, of all threads of the process."""

    def on_epoch_begin(self, net, **kwargs):
        self.started = time.process_time()

    def on_epoch_end(self, net, **kwargs):
        net.history.record("processor", time.process_time() - self.started)


def estimator(batch, precision, epochs):
    return AutoEncoder(
        CODE,
        hidden_layer_sizes=HIDDEN,
        batch_size=batch,
        max_iter=epochs,
        early_stopping=False,
        precision=precision,
        random_state=0,
        callbacks=[Clock()],
    )


# -- processes -----------------------------------------------------------------------------


class Workers:
    """Processes of one thread each in a group of torch.distributed, which do what they are told."""

    def __init__(self, size):
        spawn = multiprocessing.get_context("spawn")
        self.store = dist.TCPStore(ADDRESS, 0, is_master=True, wait_for_workers=False)
        self.pipes, self.processes = [], []
        for rank in range(size):
            here, there = spawn.Pipe()
            arguments = (rank, size, self.store.port, there)
            self.processes.append(spawn.Process(target=work, args=arguments, daemon=True))
            self.pipes.append(here)
        for process in self.processes:
            process.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for pipe, process in zip(self.pipes, self.processes, strict=True):
            with contextlib.suppress(BrokenPipeError):
                pipe.send(None)
            process.join()

    def call(self, n_processes, function, *args):
        """Call a function in the first processes at once, and return what each returned."""
        for pipe in self.pipes[:n_processes]:
            pipe.send((function, n_processes, args))
        return [pipe.recv() for pipe in self.pipes[:n_processes]]


def work(rank, size, port, pipe):
    torch.set_num_threads(1)
    store = dist.TCPStore(ADDRESS, port, is_master=False)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=size)
    while (task := pipe.recv()) is not None:
        function, n_processes, args = task
        pipe.send(function(n_processes, *args))
    dist.destroy_process_group()


def own_rows(X, n_processes):
    return np.array_split(X, n_processes)[dist.get_rank() if n_processes > 1 else 0]


class Watched(Processes):
    """Processes that note how long they take to add gradients up."""

    n_worlds = 0

    def __init__(self):
        Watched.n_worlds += 1
        store = dist.PrefixStore(
            f"watched/{Watched.n_worlds}", dist.distributed_c10d._get_default_store()
        )
        self.seconds, self.n_bytes = [], 0
        super().__init__(store, dist.get_rank(), dist.get_world_size(), 300.0, ADDRESS)

    def add_up(self, values, share=1.0):
        started = time.perf_counter()
        super().add_up(values, share)
        if values.is_floating_point():
            self.seconds.append(time.perf_counter() - started)
            self.n_bytes = values.nbytes


# -- speed ---------------------------------------------------------------------------------


def skae_epochs(n_processes, n_rows, batch, precision, epochs):
    """Return the seconds of an epoch by the clock and the processor's, and, of an all-reduce in
    a step, the seconds and the bytes.
    """
    X, model = own_rows(make_rows(n_rows), n_processes), estimator(batch, precision, epochs)
    if n_processes == 1:
        model.fit(X)
        return *epoch_seconds(model), 0.0, 0
    world = Watched()
    with world.together():
        model._fit_together(X, None, None, world)
    n_steps = math.ceil(n_rows / batch)
    return *epoch_seconds(model), statistics.median(world.seconds[n_steps:]), world.n_bytes


def epoch_seconds(model):
    """Return the medians of the seconds of an epoch but the first, by the clock and processor's."""
    history = model.net_.history[1:]
    return tuple(statistics.median(e[name] for e in history) for name in ("dur", "processor"))


class Beside(nn.Module):
    """A network beside a linear map that is not trained, as in skae's encoder and decoder."""

    def __init__(self, sizes):
        super().__init__()
        self.linear = nn.Linear(sizes[0], sizes[-1]).requires_grad_(False)
        layers = []
        for n_inputs, n_outputs in pairwise(sizes):
            layers += [nn.Linear(n_inputs, n_outputs), nn.SiLU()]
        self.network = nn.Sequential(*layers[:-1])

    def forward(self, x):
        return self.linear(x) + self.network(x)


def torch_epochs(n_processes, n_rows, batch, precision, epochs):
    """Return the same of a hand-written loop; of many processes with torch's DDP."""
    rows = torch.from_numpy(own_rows(make_rows(n_rows), n_processes))
    sizes = (N_FEATURES, *HIDDEN, CODE)
    net = nn.Sequential(Beside(sizes), Beside(sizes[::-1]))
    optimizer = torch.optim.AdamW([p for p in net.parameters() if p.requires_grad], fused=True)
    if n_processes > 1:
        net = DistributedDataParallel(net, gradient_as_bucket_view=True)
    seconds, processor = [], []
    for _ in range(epochs):
        started = time.perf_counter(), time.process_time()
        for x in rows[torch.randperm(len(rows))].split(batch // n_processes):
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=precision != "float32"):
                x_hat = net(x)
            nn.functional.mse_loss(x_hat, x).backward()
            optimizer.step()
        seconds.append(time.perf_counter() - started[0])
        processor.append(time.process_time() - started[1])
    return statistics.median(seconds[1:]), statistics.median(processor[1:]), 0.0, 0


def bare_all_reduce(n_processes, n_bytes, repeats):
    """Return the seconds of an all-reduce of so many bytes, one after the other."""
    world, values = Watched(), torch.ones(n_bytes // 4, dtype=torch.float32)
    with world.together():
        for _ in range(repeats):
            values.fill_(1)
            world.add_up(values)
    return statistics.median(world.seconds)


def peak_memory(n_processes, function, n_rows):
    """Return the MiB that a fit holds at most, beyond the rows and what a small one holds."""
    function(n_processes, 4 * BATCH, BATCH, "float32", 2)
    make_rows(n_rows)
    before = peak_bytes()
    function(n_processes, n_rows, BATCH, "float32", 2)
    return (peak_bytes() - before) / 2**20, peak_bytes() / 2**20


def peak_bytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def spread(values, scale=1, digits=3):
    low, middle, high = (scale * f(values) for f in (min, statistics.median, max))
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def ratios(over, under):
    return spread([a / b for a, b in zip(over, under, strict=True)], digits=2)


def run_speed(options):
    n_rows, precisions = options.rows, ("float32", "auto")
    n_steps = math.ceil(n_rows / BATCH)
    runs = {
        "skae, 1": (1, skae_epochs, n_rows, BATCH),
        "skae, 2": (2, skae_epochs, n_rows, BATCH),
        "torch, 1": (1, torch_epochs, n_rows, BATCH),
        "torch, 2": (2, torch_epochs, n_rows, BATCH),
        "skae, 1, half": (1, skae_epochs, n_rows // 2, BATCH // 2),
        "torch, 1, half": (1, torch_epochs, n_rows // 2, BATCH // 2),
    }
    with Workers(2) as workers:
        for precision in precisions:
            seconds, processor = ({name: [] for name in runs} for _ in range(2))
            adding = []
            for _ in range(options.rounds):  # in turn, so that a busy machine is busy for all
                for name, (n, function, *sizes) in runs.items():
                    found = workers.call(n, function, *sizes, precision, options.epochs)
                    seconds[name].append(max(each[0] for each in found))
                    processor[name].append(statistics.fmean(each[1] for each in found))
                    if name == "skae, 2":
                        adding.append(min(each[2] for each in found))
                        n_bytes = found[0][3]
            bare = min(workers.call(2, bare_all_reduce, n_bytes, 100))
            print(f"speed, {precision}: {n_rows:,} x {N_FEATURES}, hidden {HIDDEN}, batch {BATCH}")
            for name, found in seconds.items():
                print(
                    f"  {name:16} {spread(found)} s an epoch, "
                    f"{spread(found, 1e3 / n_steps, 2)} ms a step, "
                    f"{spread(processor[name], 1e3 / n_steps, 2)} of a processor"
                )
            for own in ("skae", "torch"):
                one, two, half = (seconds[f"{own}, {n}"] for n in ("1", "2", "1, half"))
                print(
                    f"  {own}: two processes {ratios(one, two)} times one; weak {ratios(half, two)}"
                )
            for n in ("1", "2"):
                own, others = seconds[f"skae, {n}"], seconds[f"torch, {n}"]
                print(f"  skae over torch, {n} process(es): {ratios(own, others)}")
            steps = [s / n_steps - a for s, a in zip(seconds["skae, 2"], adding, strict=True)]
            print(
                f"  in a step of two: {n_bytes:,} bytes, {spread(adding, 1e6, 0)} µs in the "
                f"all-reduce, {bare * 1e6:.0f} alone, {spread(steps, 1e6, 0)} µs else",
                flush=True,
            )
    for n in (1, 2):
        for name, function in (("skae", skae_epochs), ("torch", torch_epochs)):
            with Workers(n) as workers:
                beyond, peak = max(workers.call(n, peak_memory, function, n_rows))
            print(
                f"  memory of one of {n}, {name}: {n_rows // n:,} rows of "
                f"{n_rows // n * N_FEATURES * 4 / 2**20:.0f} MiB, peak {peak:.0f} MiB, "
                f"{beyond:.0f} more than after a small fit",
                flush=True,
            )


# -- floor ---------------------------------------------------------------------------------


def tables():
    for name in ("digits", "breast_cancer", "wine"):
        yield name, getattr(datasets, f"load_{name}")().data.astype(float)
    if data_folder():
        for name in ("12_fault", "28_pendigits", "6_cardio"):
            path = data_folder() / "adbench" / f"{name}.npz"
            yield name, np.load(path, allow_pickle=True)["X"].astype(float)


def fitted_error(n_processes, train, test, k):
    """Return the squared error of test rows, and the epoch that was kept."""
    model = AutoEncoder(k, random_state=0)
    if n_processes > 1:
        fit(model, own_rows(train, n_processes))
    else:
        model.fit(train)
    return squared_error(model, test), model.best_iter_


def squared_error(model, X):
    return np.square(model.inverse_transform(model.transform(X)) - X).sum(axis=1).mean()


def run_floor(options):
    over_pca, over_one = [], []
    with Workers(2) as workers:
        for name, X in tables():
            train, test = train_test_split(StandardScaler().fit_transform(X), random_state=0)
            for k in (2, 8):
                pca = squared_error(PCA(k).fit(train), test)
                ((one, _),) = workers.call(1, fitted_error, train, test, k)
                (two, epoch), other = workers.call(2, fitted_error, train, test, k)
                assert other == (two, epoch)
                over_pca.append(two / pca)
                over_one.append(two / one)
                print(
                    f"floor: {name:14} {len(train):5} x {X.shape[1]:2}, k = {k}: two processes "
                    f"{two / pca:.4f} of PCA's error, one {one / pca:.4f}; epoch {epoch} kept",
                    flush=True,
                )
    print(
        f"floor: {len(over_pca)} fits of two processes, worst {max(over_pca):.4f} of PCA's error, "
        f"geometric mean {statistics.geometric_mean(over_pca):.3f}; of one process's error "
        f"{statistics.geometric_mean(over_one):.3f} ({min(over_one):.3f} to {max(over_one):.3f})",
        flush=True,
    )


# -- model ---------------------------------------------------------------------------------


def ring(n_machines, n_bytes, network):
    """Return the seconds of an all-reduce in a ring, as of gloo."""
    bits, latency = NETWORKS[network]
    share = 2 * (n_machines - 1) / n_machines
    return share * 8 * n_bytes / bits + 2 * (n_machines - 1) * latency


def halving(n_machines, n_bytes, network):
    """Return the seconds of an all-reduce by halving and doubling: as many bytes, fewer waits."""
    bits, latency = NETWORKS[network]
    share = 2 * (n_machines - 1) / n_machines
    return share * 8 * n_bytes / bits + 2 * math.log2(n_machines) * latency


ALL_REDUCES = {"ring": ring, "halving": halving}


class Simulated(World):
    """One of many machines, of which all others have rows equal to its own.

    Adding gradients up takes as long as between that many machines; other sums take no time.
    """

    def __init__(self, size, all_reduce, network):
        self.size, self.wait = size, lambda n_bytes: all_reduce(size, n_bytes, network)
        self.idle, self.n_bytes = [], 0

    def sum(self, values):
        return self.size * values

    def add_up(self, values, share=1.0):
        started, worked = time.perf_counter(), time.process_time()
        until = started + self.wait(values.nbytes)
        values.mul_(share * self.size)
        self.n_bytes = values.nbytes
        time.sleep(max(0.0, until - time.perf_counter() - 2e-4))
        while time.perf_counter() < until:  # sleep is not exact
            pass
        worked = time.process_time() - worked
        self.idle.append(time.perf_counter() - started - worked)

    def concatenate(self, rows):
        join = torch.cat if isinstance(rows, torch.Tensor) else np.concatenate
        return join([rows] * self.size)

    def gather(self, value):
        return [value] * self.size


def simulated_step(n_processes, rows_a_step, n_steps, n_machines, all_reduce, network):
    """Return the seconds of a step by the clock, those of the processor and of waiting, and the
    bytes that are added up.
    """
    X, world = (
        make_rows(rows_a_step * n_steps),
        Simulated(n_machines, ALL_REDUCES[all_reduce], network),
    )
    model = estimator(rows_a_step * n_machines, "float32", 3)
    model._fit_together(X, None, None, world)
    assert len(model.net_.history) == 3
    by_clock, of_processor = epoch_seconds(model)
    idle = statistics.fmean(world.idle[n_steps:])
    return by_clock / n_steps, of_processor / n_steps + idle, world.n_bytes


def one_process_step(n_processes, batch, n_steps):
    model = estimator(batch, "float32", 3).fit(make_rows(batch * n_steps))
    return epoch_seconds(model)[1] / n_steps


class Model:
    """Seconds of a step: those of computing with so many rows, and of the all-reduce.

    Those of computing are the processor's, with which other work on the machine interferes least.
    """

    def __init__(self, by_rows, n_bytes):
        self.pieces, self.n_bytes = list(pairwise(sorted(by_rows.items()))), n_bytes

    def computing(self, n_rows):
        """Return the seconds without the all-reduce, on the line through the next two measured."""
        nearest = (piece for piece in self.pieces if n_rows <= piece[1][0])
        (few, at_few), (many, at_many) = next(nearest, self.pieces[-1])
        return at_few + (n_rows - few) / (many - few) * (at_many - at_few)

    def step(self, batch, n_machines, all_reduce, network, between=1):
        """Return the seconds of a step, if gradients are added up once in so many steps."""
        adding = ALL_REDUCES[all_reduce](n_machines, self.n_bytes, network)
        return self.computing(batch / n_machines) + adding / between

    def efficiency(self, batch, n_machines, *args):
        return self.computing(batch) / n_machines / self.step(batch, n_machines, *args)

    def last_that_pays(self, batch_of, *args):
        """Return the largest number of machines, up to 4,096, that are more than half used."""
        pays = [n for n in range(2, 4097) if self.efficiency(batch_of(n), n, *args) >= 0.5]
        return max(pays, default=1)


BATCHES = {"512": lambda n: BATCH, "128 a machine": lambda n: 128 * n}


def run_model(options):
    with Workers(1) as workers:
        by_rows = {}
        for n_rows in (8, 128, BATCH):
            found = [workers.call(1, one_process_step, n_rows, N_STEPS)[0] for _ in range(5)]
            by_rows[n_rows] = statistics.median(found)
        *_, n_bytes = workers.call(1, simulated_step, 32, 8, 2, "ring", next(iter(NETWORKS)))[0]
        model = Model(by_rows, n_bytes)
        steps = ", ".join(f"{s * 1e3:.2f} ms with {n} rows" for n, s in by_rows.items())
        print(f"model: a step of one process {steps}; gradients of {n_bytes:,} bytes")
        for network in NETWORKS:
            for batch_name, batch_of in BATCHES.items():
                for n in MACHINES:
                    describe(workers, model, network, batch_name, batch_of(n), n)
                for all_reduce in ALL_REDUCES:
                    last = model.last_that_pays(batch_of, all_reduce, network)
                    print(
                        f"  batch {batch_name}, {all_reduce}: half of it pays up to {last} machines"
                    )
        for network in NETWORKS:
            for n in MACHINES:
                gains = ", ".join(
                    f"{h}: {model.efficiency(128 * n, n, 'ring', network, h):.2f}"
                    for h in (1, 4, 16, 64)
                )
                print(f"  {network}, {n} machines, 128 rows each, steps between sums {gains}")


def describe(workers, model, network, batch_name, batch, n):
    """Print what a step takes by the model, and simulated."""
    for all_reduce in ALL_REDUCES:
        predicted = model.step(batch, n, all_reduce, network)
        args = (batch // n, N_STEPS, n, all_reduce, network)
        by_clock, simulated, _ = workers.call(1, simulated_step, *args)[0]
        print(
            f"  {network}, batch {batch_name}, {all_reduce:8} {n:4} machines: predicted "
            f"{predicted * 1e3:7.2f} ms, simulated {simulated * 1e3:7.2f} "
            f"({by_clock * 1e3:.2f} by the clock); "
            f"{model.computing(batch) / simulated:6.1f} times one, "
            f"efficiency {model.computing(batch) / simulated / n:.3f}",
            flush=True,
        )


RUNS = {"speed": run_speed, "floor": run_floor, "model": run_model}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=list(RUNS), default=list(RUNS))
    parser.add_argument("--rows", type=int, default=20_000, help="rows of the speed's table")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=4, help="of which the first is not counted")
    options = parser.parse_args()
    # One thread a process, of NumPy's products too; and no way but within this machine.
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", GLOO_SOCKET_IFNAME="lo")
    load = ", ".join(f"{x:.2f}" for x in os.getloadavg())
    print(f"torch {torch.__version__}, {os.cpu_count()} cores, load {load}", flush=True)
    for name in options.only:
        RUNS[name](options)


if __name__ == "__main__":
    main()
