"""Does a fit with ``checkpoint=`` survive, what does that cost, and how soon does Ctrl-C end a fit?

kills       SIGKILL at twenty random moments of fits in processes of their own, after each of which
            another process goes on; at the end, the bits of an uninterrupted fit.
cost        seconds of epochs with checkpoints over those without, in turns, in one fit.
interrupts  seconds from SIGINT to the end of ``fit``, at random moments of fits of several kinds.
budgets     ``max_time`` of shares of the time that the default training takes: seconds until the
            end of ``fit``, and the squared error on test rows over that of a fit of as many epochs.

    SKAE_DATA=… python benchmarks/long_fits.py [--only kills cost interrupts budgets] [--seed 0]
"""

import argparse
import hashlib
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import skorch.callbacks

import skae
import skae._training.resume.disk as disk
from skae.datasets import fetch_mnist

FITS = {
    "digits": ("AutoEncoder", {"n_components": 8}),
    "variational": ("VariationalAutoEncoder", {"n_components": 8}),
    "adversarial": ("AdversarialAutoEncoder", {"n_components": 2, "max_iter": 60}),
    "mnist": ("AutoEncoder", {"n_components": 30, "max_iter": 6}),
    "wide": ("AutoEncoder", {"n_components": 8}),
    "many features": ("AutoEncoder", {"n_components": 8, "max_iter": 20}),
}


def rows_of(name):
    """Return the rows of a fit."""
    rng = np.random.default_rng(0)
    if name == "mnist":
        return (fetch_mnist()[0] / 255).astype(np.float32)[:60_000]
    if name == "wide":
        return np.tanh(rng.normal(size=(1000, 5)) @ rng.normal(size=(5, 4096)))
    if name == "many features":
        return np.tanh(rng.normal(size=(6000, 5)) @ rng.normal(size=(5, 3000)))
    from sklearn.datasets import load_digits

    return load_digits().data / 16


def run(name, folder):
    """Fit in this process, and say how it ended."""
    kind, parameters = FITS[name]
    model = getattr(skae, kind)(**parameters, random_state=0, checkpoint=folder or None)
    X = rows_of(name)
    print("begin", flush=True)
    try:
        model.fit(X)
    except KeyboardInterrupt as interrupt:
        print("interrupted", time.time(), *getattr(interrupt, "__notes__", []), flush=True)
        return
    state = model.net_.module_.state_dict()
    digest = hashlib.sha256(b"".join(v.numpy().tobytes() for v in state.values()))
    digest.update(repr([model.best_iter_, model.loss_curve_]).encode())
    digest.update(model.transform(X[:500]).tobytes())
    print("ended", model.best_iter_, model.n_iter_, digest.hexdigest(), flush=True)


def start(name, folder=""):
    """Start a fit in a process of its own, and return when it begins."""
    command = [sys.executable, __file__, "--run", name, "--folder", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "begin\n"
    return process, time.monotonic()


KILLED = ("digits", "variational", "adversarial", "mnist")


def kills(rng, names, n_kills=5):
    print("| fit | kills | epochs kept when killed | bits of an uninterrupted fit |")
    print("|---|---:|---|---|", flush=True)
    for name in names:
        process, began = start(name)
        whole = process.communicate()[0]
        seconds = time.monotonic() - began
        left, kept = n_kills, []
        with tempfile.TemporaryDirectory() as folder:
            while left:
                process, _ = start(name, folder)
                try:
                    process.wait(rng.uniform(0, 0.6 * seconds))
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGKILL)
                    left -= 1
                process.communicate()
                kept.append(epochs_in(folder))
                if process.returncode == 0:
                    for file in Path(folder).glob("*.safetensors"):
                        file.unlink()
            process, _ = start(name, folder)
            same = process.communicate()[0] == whole
        print(f"| {name} | {n_kills} | {kept} | {same} |", flush=True)


def epochs_in(folder):
    """Return how many epochs the checkpoint in a folder has."""
    from skae._files.format import open_file

    for path in Path(folder).glob("*.safetensors"):
        with open_file(path, "checkpoint") as file:
            return len(file.document["checkpoint"]["history"])
    return 0


class Begins(skorch.callbacks.Callback):
    """Notes when epochs begin."""

    def on_train_begin(self, net, **kwargs):
        self.times_ = []

    def on_epoch_begin(self, net, **kwargs):
        self.times_.append(time.perf_counter())


def cost():
    """Compare, in one fit, epochs before which a checkpoint was made with those without.

    Fits differ from each other by more than checkpoints cost.
    """
    columns = ["fit", "ms of an epoch", "after a checkpoint / without", "copy, ms"]
    print("|", " | ".join([*columns, "writing, ms of CPU", "share of an ordinary fit"]), "|")
    print("|---|---:|---:|---:|---:|---:|", flush=True)
    keep, kept, copied, written = disk.KeptOnDisk.keep, [], [], []

    def keep_every_other(self, training):
        kept.append(self)
        if len(training.net.history) % 2:
            written.append(self.writes.last)
            self.copies, self.writes = disk.Budget(np.inf), disk.Budget(np.inf)
            keep(self, training)
            copied.append(self.copies.last)

    def keep_and_note(self, training):
        kept.append(self)
        keep(self, training)

    for name, n_epochs in (("mnist", 25), ("digits", 160), ("variational", 160)):
        kind, parameters = FITS[name]
        model = getattr(skae, kind)(**{**parameters, "max_iter": n_epochs}, random_state=0)
        model.set_params(callbacks=[Begins()], n_iter_no_change=n_epochs)
        copied.clear()
        written.clear()
        for way in (keep_every_other, keep_and_note):
            disk.KeptOnDisk.keep = way
            with tempfile.TemporaryDirectory() as folder:
                model.set_params(checkpoint=folder).fit(rows_of(name))
            times = next(c for _, c in model.net_.callbacks_ if isinstance(c, Begins)).times_
            if way is keep_every_other:
                every = np.diff(times)
                # The copy is made at the end of the odd ones, and written during the even ones.
                without, after = every[2::2].copy(), every[1::2]
                copy, writing = np.median(copied), np.median(written[1:])
        share = (kept[-1].copies.spent + kept[-1].writes.spent) / (times[-1] - times[0])
        disk.KeptOnDisk.keep = keep
        ratio = np.median(after) / (np.median(without) - copy)
        print(
            f"| {name} | {1000 * np.median(every):.1f} | {ratio:.3f} | {1000 * copy:.1f} | "
            f"{1000 * writing:.1f} | {share:.1%} |",
            flush=True,
        )


def interrupts(rng, n=4):
    print("| fit | seconds from SIGINT to the end of fit, at random moments |")
    print("|---|---|", flush=True)
    for name in FITS:
        process, began = start(name)
        process.communicate()
        seconds, found = time.monotonic() - began, []
        while len(found) < n:
            process, _ = start(name)
            time.sleep(rng.uniform(0, seconds))
            told = time.time()
            process.send_signal(signal.SIGINT)
            last = process.communicate()[0].split()
            if last[:1] == ["interrupted"]:
                found.append(float(last[1]) - told)
            elif last[:1] != ["ended"]:
                raise RuntimeError(f"{name} ended with {last}")
        print(f"| {name} | {', '.join(f'{s:.2f}' for s in sorted(found))} |", flush=True)


def budgets(shares=(0.1, 0.25, 0.5)):
    """Compare trainings that a budget ends with trainings of as many epochs."""
    print("rows      share  budget  fit took  epochs  error over that of as many epochs")
    for name in ("digits", "mnist"):
        X = rows_of(name)
        n_test = len(X) // 5
        train, test = X[n_test:], X[:n_test]
        kind, parameters = FITS[name]
        parameters = {**parameters, "max_iter": "auto", "random_state": 0}

        def fit(train=train, kind=kind, parameters=parameters, **others):
            model = getattr(skae, kind)(**{**parameters, **others})
            begin = time.monotonic()
            model.fit(train)
            return model, time.monotonic() - begin

        def error(model, test=test):
            X_hat = model.inverse_transform(model.transform(test))
            return np.square(X_hat - test).sum(axis=1).mean()

        fit(max_iter=1)  # warm up
        _, seconds = fit()
        for share in shares:
            limited, took = fit(max_time=share * seconds)
            as_many, _ = fit(max_iter=limited.n_iter_)
            ratio = error(limited) / error(as_many)
            print(
                f"{name:8}  {share:5.0%}  {share * seconds:6.2f}  {took:8.2f}"
                f"  {limited.n_iter_:6}  {ratio:.3f}",
                flush=True,
            )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", default=["kills", "cost", "interrupts", "budgets"])
    parser.add_argument("--killed", nargs="*", default=KILLED, choices=KILLED)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--run", help=argparse.SUPPRESS)
    parser.add_argument("--folder", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if options.run:
        run(options.run, options.folder)
        return
    rng = np.random.default_rng(options.seed)
    if "kills" in options.only:
        kills(rng, options.killed)
    if "cost" in options.only:
        cost()
    if "interrupts" in options.only:
        interrupts(rng)
    if "budgets" in options.only:
        budgets()


if __name__ == "__main__":
    main()
