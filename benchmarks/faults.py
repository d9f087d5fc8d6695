"""What autoencoders for Python do with bad rows, bad settings and accidents.

    python benchmarks/faults.py

Each case runs in a forked process of its own with a time-out: skae's ``AutoEncoder``, PyOD's,
scikit-learn's ``MLPRegressor`` that is to return its input, pythae's ``AE``, and ``PCA``. A library
that is not installed is left out. The outcome is in a few words; "own words" are a ValueError or
TypeError that the library, or scikit-learn's checks of input, raised itself.
"""

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path

import numpy as np
import torch

TIME_OUT = 40
ROWS = np.random.default_rng(0).normal(size=(300, 6))
# On a curved surface, so that networks train.
CURVED = np.tanh(2 * ROWS[:, :2] @ np.random.default_rng(1).normal(size=(2, 6)))


# -- the libraries: fit(X, seed, rate, batch, n_epochs), codes(model, X) -------------------


class Skae:
    """skae's AutoEncoder."""

    package = "skae"
    # What the library writes itself, where that is not one file.
    files = "writes none"

    def fit(self, X, seed=0, rate=None, batch=32, epochs=5):
        options = {"learning_rate_init": rate or "auto", "batch_size": batch, "max_iter": epochs}
        return self.new(seed, options).fit(X)

    def new(self, seed, options):
        from skae import AutoEncoder

        return AutoEncoder(2, random_state=seed, **options)

    def codes(self, model, X):
        return model.transform(X)

    def refit(self, model, X):
        return model.fit(X)


class SkaeWithFiles(Skae):
    """skae's AutoEncoder, which writes files."""

    def save(self, model, path):
        model.save(path)

    def load(self, path):
        import skae

        return skae.load(path)


class PCA(Skae):
    """scikit-learn's PCA."""

    package = "sklearn"

    def new(self, seed, options):
        from sklearn.decomposition import PCA

        return PCA(2, random_state=seed)


class MLP(Skae):
    """scikit-learn's MLPRegressor from X to X; its predictions are compared, for want of codes."""

    package = "sklearn"

    def fit(self, X, seed=0, rate=None, batch=32, epochs=5):
        from sklearn.neural_network import MLPRegressor

        options = {"learning_rate_init": rate or 1e-3, "batch_size": batch, "max_iter": epochs}
        return self.refit(
            MLPRegressor(hidden_layer_sizes=(16, 2, 16), random_state=seed, **options), X
        )

    def refit(self, model, X):
        return model.fit(X, X)

    def codes(self, model, X):
        return model.predict(X)


class PyOD(Skae):
    """PyOD's AutoEncoder; its scores are compared, for want of codes."""

    package = "pyod.models.auto_encoder"

    def fit(self, X, seed=0, rate=None, batch=32, epochs=5):
        from pyod.models.auto_encoder import AutoEncoder

        options = {"lr": rate or 1e-3, "batch_size": batch, "epoch_num": epochs, "verbose": 0}
        model = AutoEncoder(hidden_neuron_list=[16, 2], random_state=seed, **options)
        model.fit(X)
        return model

    def codes(self, model, X):
        return model.decision_function(X)


class Pythae(Skae):
    """pythae's AE, with its trainer."""

    package = "pythae.models"
    files = "writes a folder, with a pickle"

    def fit(self, X, seed=0, rate=None, batch=32, epochs=5):
        from pythae.models import AE, AEConfig

        torch.manual_seed(seed)
        model = AE(AEConfig(input_dim=(X.shape[1],), latent_dim=2))
        model.options = {
            "output_dir": tempfile.mkdtemp(),
            "num_epochs": epochs,
            "learning_rate": rate or 1e-3,
            "per_device_train_batch_size": batch,
            "seed": seed,
            "no_cuda": True,
        }
        return self.refit(model, X)

    def refit(self, model, X):
        from pythae.pipelines import TrainingPipeline
        from pythae.trainers import BaseTrainerConfig

        TrainingPipeline(model=model, training_config=BaseTrainerConfig(**model.options))(
            train_data=X.astype(np.float32)
        )
        return model

    def codes(self, model, X):
        return model.embed(torch.as_tensor(X.astype(np.float32))).detach().numpy()


PEERS = {
    "skae": SkaeWithFiles(),
    "PyOD": PyOD(),
    "MLPRegressor": MLP(),
    "pythae": Pythae(),
    "PCA": PCA(),
}


# -- the faults ----------------------------------------------------------------------------


def tell(values):
    """Say whether results are finite."""
    return "finite" if np.isfinite(values).all() else "NaN without a word"


def with_value(value):
    X = ROWS.copy()
    X[3, 2] = value
    return X


def fits(X, **options):
    return lambda peer: tell(peer.codes(peer.fit(X, **options), X))


def flipped_bits(peer):
    """Flip a bit at each of twenty places of the pickle, and count what is noticed."""
    model = peer.fit(CURVED, epochs=60)
    return damage(peer, model, pickle.dumps(model), pickle.loads)


def flipped_bits_of_file(peer):
    """Do the same with the file that the library itself writes, where that is one file."""
    if not hasattr(peer, "save"):
        return peer.files
    model = peer.fit(CURVED, epochs=60)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        peer.save(model, path)

        def load(damaged):
            path.write_bytes(damaged)
            return peer.load(path)

        return damage(peer, model, path.read_bytes(), load)


def damage(peer, model, data, load):
    """Count what becomes of a model in whose bytes a bit is flipped, at twenty places."""
    expected, failed, changed = peer.codes(model, CURVED), 0, 0
    for place in np.linspace(0, len(data), 22, dtype=int)[1:-1]:
        damaged = bytearray(data)
        damaged[place] ^= 0x40
        try:
            changed += not np.array_equal(peer.codes(load(damaged), CURVED), expected)
        except Exception:
            failed += 1
    return f"{failed} of 20 fail, {changed} give other numbers"


def fresh_process(peer):
    name = next(name for name, each in PEERS.items() if each is peer)
    model = peer.fit(ROWS)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        path.write_bytes(pickle.dumps((model, peer.codes(model, ROWS))))
        code = (
            "import sys, pickle, numpy as np; from faults import PEERS, ROWS\n"
            "model, codes = pickle.load(open(sys.argv[1], 'rb'))\n"
            f"print(np.allclose(PEERS[{name!r}].codes(model, ROWS), codes))"
        )
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code, str(path)],
            capture_output=True,
            text=True,
            cwd=Path(__file__).parent,
        )
    if done.returncode:
        return "crash: " + done.stderr.strip().splitlines()[-1][:50]
    return "same" if done.stdout.split()[-1] == "True" else "other numbers"


def interrupt(peer):
    X = np.random.default_rng(0).normal(size=(4000, 6))
    timer = threading.Timer(1.5, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    start = time.perf_counter()
    try:
        model = peer.fit(X, epochs=100_000)
    except KeyboardInterrupt:
        return "KeyboardInterrupt"
    except Exception as error:
        return f"as {type(error).__name__}"
    finally:
        timer.cancel()
    if time.perf_counter() - start < 1.5:
        return "over before"
    peer.codes(model, X)
    return "silently trained half"


def failed_refit(peer):
    model = peer.fit(ROWS)
    before = peer.codes(model, ROWS)
    try:
        if type(peer) is PyOD:
            model.fit(with_value(np.nan)[:, :5])
        else:
            peer.refit(model, np.full((50, 5), np.inf))
    except Exception:
        pass
    else:
        return "does not fail"
    try:
        same = np.array_equal(peer.codes(model, ROWS), before)
    except Exception as error:
        return f"old model lost: {type(error).__name__}"
    return "old model stays" if same else "old model changed"


def four_threads(peer):
    expected = peer.codes(peer.fit(ROWS), ROWS)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: peer.codes(peer.fit(ROWS), ROWS), range(4)))
    return f"{sum(np.array_equal(each, expected) for each in found)} of 4 as alone"


FAULTS = {
    "NaN in X": fits(with_value(np.nan)),
    "infinity in X": fits(with_value(np.inf)),
    "1e300 in X": fits(with_value(1e300)),
    "1e30 beside 1e-30": fits(ROWS * np.array([1e30, 1e-30, 1, 1, 1, 1])),
    "learning rate 1e3": fits(ROWS, rate=1e3),
    "3 rows": fits(ROWS[:3]),
    "all rows equal": fits(np.ones((50, 6))),
    "batch larger than rows": fits(ROWS, batch=1000),
    "flipped bits in the pickle": flipped_bits,
    "flipped bits in its own file": flipped_bits_of_file,
    "pickle in a fresh process": fresh_process,
    "Ctrl-C in fit": interrupt,
    "a refit on infinite rows": failed_refit,
    "same seed in four threads": four_threads,
}


# -- running them --------------------------------------------------------------------------


def outcome(peer, fault):
    """Run a case, and say in a few words what became of it."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            found = FAULTS[fault](peer)
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1].filename
            package = peer.package.partition(".")[0]
            own = f"/{package}/" in where or "/sklearn/utils/" in where
            if own and isinstance(error, ValueError | TypeError):
                return "error in its own words"
            return f"crash: {type(error).__name__}: {str(error).splitlines()[0][:40]}"
    kinds = sorted({each.category.__name__ for each in told} - {"DeprecationWarning"})
    if found == "NaN without a word" and kinds:
        found = "NaN"
    if kinds and found.startswith(("finite", "NaN")):
        return f"{found}; {', '.join(kinds)}"
    return found


def in_process(queue, peer, fault):
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    torch.set_num_threads(1)
    queue.put(outcome(PEERS[peer], fault))


def main():
    fork, table = multiprocessing.get_context("fork"), {}
    torch.set_num_threads(1)
    installed = []
    for name, peer in PEERS.items():
        try:
            import_module(peer.package)
            installed.append(name)
        except ImportError as error:
            print(f"{name} is left out: {error}")
    for fault in FAULTS:
        for name in installed:
            queue = fork.Queue()
            process = fork.Process(target=in_process, args=(queue, name, fault))
            process.start()
            try:
                table[fault, name] = queue.get(timeout=TIME_OUT)
            except Exception:
                table[fault, name] = f"no answer in {TIME_OUT} s, or the process died"
            process.kill()
            process.join()
    print("| fault |", " | ".join(installed), "|")
    print("|---" * (len(installed) + 1) + "|")
    for fault in FAULTS:
        print(f"| {fault} |", " | ".join(table[fault, name] for name in installed), "|", flush=True)


if __name__ == "__main__":
    main()
