"""Draw the floor: rows near a curve, what PCA and AutoEncoder make of them, and who decides.

python docs/draw_the_floor.py
"""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from sklearn.decomposition import PCA

from skae import AutoEncoder

rng = np.random.default_rng(0)
t = rng.uniform(-1, 1, 400)
X = np.column_stack([3 * t, 2 * t**2]) + 0.08 * rng.normal(size=(400, 2))

pca = PCA(1).fit(X)
model = AutoEncoder(1, random_state=0).fit(X)


def reconstruct(fitted):
    """Return what comes back from the codes of X, in the order of the codes."""
    codes = fitted.transform(X)
    return fitted.inverse_transform(codes[np.argsort(codes[:, 0])])


figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
left.scatter(*X.T, s=8, color="0.75", label="rows")
left.plot(*reconstruct(pca).T, color="tab:orange", lw=2.5, label="PCA of one number")
left.plot(*reconstruct(model).T, color="tab:blue", lw=2.5, label="AutoEncoder of one number")
left.set(title="One number keeps more of a row on a curve", xlabel="feature 1", ylabel="feature 2")
left.legend(loc="upper center", frameon=False)

unexplained = 1 - np.array(model.validation_scores_)
floor, best = 1 - model.pca_score_, model.best_iter_
epochs = np.arange(1, len(unexplained) + 1)
right.axhline(floor, color="tab:orange", lw=2.5, label="PCA: the floor")
right.plot(epochs, unexplained, color="tab:blue", lw=1.2, label="after each epoch")
right.plot(best, unexplained[best - 1], "o", color="tab:blue", label=f"kept: epoch {best}")
right.set(
    title="Rows that did not train decide what is kept",
    xlabel="epoch",
    ylabel="variance not explained",
    yscale="log",
)
right.legend(frameon=False)
path = Path(__file__).parent / "the_floor.png"
figure.savefig(path, dpi=110)
print(f"The picture is in {path}; epoch {best} is kept")
