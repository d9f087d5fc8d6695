"""Can I train on a table that is larger than my memory?
=====================================================

Yes, in two ways. Rows that come chunk by chunk go to ``partial_fit``, as to ``IncrementalPCA``. A
table in a file is trained on where it lies: ``fit`` takes ``np.memmap``, and h5py and zarr arrays.
"""

# %%
# A table in a file
# -----------------
# Rows near a curved surface of four dimensions. The table is small, so that the example is short.
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.decomposition import IncrementalPCA
from sklearn.metrics import r2_score

from skae import AutoEncoder

rng = np.random.default_rng(0)
mixing = rng.normal(size=(4, 160))


def make_rows(n):
    rows = np.tanh(rng.normal(size=(n, 4)) @ mixing)
    return (rows + 0.1 * rng.normal(size=rows.shape)).astype(np.float32)


def score(model):
    X_hat = model.inverse_transform(model.transform(X_test))
    return r2_score(X_test, X_hat, multioutput="variance_weighted")


# %%
# Chunk by chunk, or from the file
# --------------------------------
# Training starts at the PCA of the first chunk. ``partial_fit`` passes over a chunk some times, and
# ``fit`` here over the table once. Chunks may come again, for as long as new rows gain.
X_test, streamed, pca = make_rows(5_000), AutoEncoder(4, random_state=0), IncrementalPCA(4)
scores = {"AutoEncoder": [], "IncrementalPCA": []}
with tempfile.TemporaryDirectory() as folder:
    X = np.memmap(Path(folder, "rows"), np.float32, "w+", shape=(40_000, 160))
    for start in range(0, 40_000, 5_000):
        X[start : start + 5_000] = chunk = make_rows(5_000)
        for model in (streamed, pca):
            scores[type(model).__name__].append(score(model.partial_fit(chunk)))
    of_fit = score(AutoEncoder(4, max_iter=1, random_state=0).fit(X))
    del X
figure, axis = plt.subplots(layout="constrained")
for (name, curve), style in zip(scores.items(), ("o-", "s--"), strict=True):
    print(f"{name}.partial_fit, R² of new rows:", *(f"{value:.3f}" for value in curve))
    axis.plot(range(5, 45, 5), curve, style, label=f"{name}.partial_fit")
print(f"AutoEncoder.fit, one pass, R² of new rows: {of_fit:.3f}")
axis.axhline(of_fit, color="0.4", linestyle=":", label="AutoEncoder.fit, one pass over the file")
axis.set(xlabel="thousands of rows that were seen", ylabel="R² of new rows", ylim=(0.85, 1))
axis.legend()
plt.show()
