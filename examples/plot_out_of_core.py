"""Can I train on a table that is larger than my memory?

A table is written to a file, part by part, and mapped into memory. ``fit`` reads it from there;
``partial_fit`` takes one chunk after the other, wherever they come from. IncrementalPCA is PCA
by chunks. Private memory is what training adds to the process, pages of files excluded: the
system can drop these at any time. It hardly grows with the table: try ``--chunks 40``. It is read
where Linux has it, in /proc.
"""

import argparse
import re
import tempfile
import threading
import time
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from sklearn.decomposition import IncrementalPCA
from sklearn.metrics import r2_score

from skae import AutoEncoder

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--chunks", type=int, default=9, help="of 50,000 rows of 160 numbers")
parser.add_argument("--out", default="out_of_core.png", help="where the picture goes")
options = parser.parse_args()
rng, n_rows = np.random.default_rng(0), 50_000 * options.chunks
mixing = rng.normal(size=(4, 160))


def make_rows(n):
    """Return rows near a curved surface of four dimensions."""
    rows = np.tanh(rng.normal(size=(n, 4)) @ mixing)
    return (rows + 0.1 * rng.normal(size=rows.shape)).astype(np.float32)


def watch_memory(peaks):
    """Note the megabytes that this process holds, pages of files excluded."""
    while (status := Path("/proc/self/status")).exists():
        peaks.append(int(re.search(r"RssAnon:\s+(\d+)", status.read_text())[1]) / 1024)
        time.sleep(0.02)


def train_by_chunks(model, X):
    for start in range(0, len(X), 50_000):
        model.partial_fit(X[start : start + 50_000])


with tempfile.TemporaryDirectory() as folder:
    X = np.memmap(Path(folder) / "rows", np.float32, "w+", shape=(n_rows, 160))
    for start in range(0, n_rows, 50_000):
        X[start : start + 50_000] = make_rows(50_000)
    X_test, models, peaks = make_rows(5_000), {}, []
    models["IncrementalPCA"] = IncrementalPCA(4), train_by_chunks
    models["partial_fit"] = AutoEncoder(4, random_state=0), train_by_chunks
    models["fit"] = AutoEncoder(4, max_iter=1, random_state=0), AutoEncoder.fit
    threading.Thread(target=watch_memory, args=(peaks,), daemon=True).start()
    time.sleep(0.1)
    base, figures = max(peaks, default=np.nan), {}
    print(f"{n_rows:,} rows of 160 numbers, {X.nbytes / 2**20:.0f} MB; a code of 4 numbers")
    print("                 R² of new rows   seconds   private memory")
    for name, (model, train) in models.items():
        started = time.perf_counter()
        peaks.clear()
        train(model, X)
        seconds, peak = time.perf_counter() - started, max(peaks, default=np.nan) - base
        X_hat = model.inverse_transform(model.transform(X_test))
        figures[name] = r2_score(X_test, X_hat, multioutput="variance_weighted"), seconds, peak
        print("{:16} {:14.3f} {:9.1f} {:13.0f} MB".format(name, *figures[name]))
    del X

figure, axes = plt.subplots(1, 3, figsize=(11, 3.4), layout="constrained")
titles = ("R² of new rows", "seconds", "private memory in MB")
for axis, title, values in zip(axes, titles, zip(*figures.values(), strict=True), strict=True):
    axis.bar(list(figures), values, color=["0.6", "tab:cyan", "tab:blue"])
    axis.set_title(title)
figure.suptitle(f"A table of {n_rows * 640 / 2**20:.0f} MB, a code of 4 numbers")
figure.savefig(options.out, dpi=120)
print(f"The picture is in {options.out}")
