"""Which loss suits my data?
=========================

What a number of X is decides it: ``"squared_error"``, the default, is for real numbers,
``"binary_cross_entropy"`` for yes and no, ``"poisson"`` for counts, and ``"absolute_error"`` for
numbers of which some are wild. Each is compared here with the default and with PCA, by the error
that suits the data, on rows that did not train.
"""

# %%
# Three kinds of data
# -------------------
# A pixel of a digit counts black dots in its cell. "More than 8 dots?" is yes or no. For the third
# kind one pixel in fifty is overwritten by noise, in the training images only. Negative counts, and
# probabilities beyond 0 and 1, are clipped: PCA returns some.
import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.metrics import log_loss, mean_absolute_error, mean_poisson_deviance
from sklearn.model_selection import train_test_split

from skae import AdviceWarning, AutoEncoder

warnings.simplefilter("ignore", AdviceWarning)  # which names the loss for zeros and ones
dots, new_dots = train_test_split(load_digits().data, random_state=0)
rng = np.random.default_rng(0)
wild = np.where(rng.random(dots.shape) < 0.02, rng.normal(0, 160, dots.shape), dots)
kinds = {  # what trains, what tests, the loss, and the error by which results are judged
    "yes or no": (dots > 8, new_dots > 8, "binary_cross_entropy", log_loss),
    "counts": (dots, new_dots, "poisson", mean_poisson_deviance),
    "some are wild": (wild, new_dots, "absolute_error", mean_absolute_error),
}
limits = {
    "yes or no": (1e-3, 0.999),
    "counts": (1e-3, np.inf),
    "some are wild": (-np.inf, np.inf),
}

# %%
# That loss against the default
# -----------------------------
# Counts gain, and numbers among which some are wild gain most. For yes and no the gain is small.
figure, axis = plt.subplots(layout="constrained")
for i, (kind, (X, X_test, loss, error)) in enumerate(kinds.items()):
    models = {name: AutoEncoder(5, loss=name, random_state=0) for name in ("squared_error", loss)}
    errors = {}
    for name, model in {"PCA": PCA(5, random_state=0), **models}.items():
        X_hat = model.fit(X).inverse_transform(model.transform(X_test))
        errors[name] = error(X_test.ravel(), X_hat.clip(*limits[kind]).ravel())
        print(f"{kind:13}  {name:20}  {error.__name__} {errors[name]:.3f}")
    for j, (name, color) in enumerate(zip(errors, ("0.85", "tab:cyan", "tab:orange"), strict=True)):
        axis.barh(-i - j / 4, errors[name] / errors["PCA"], 0.22, color=color)
        axis.text(0.02, -i - j / 4, name, va="center")
axis.set(yticks=-np.arange(3) - 0.25, yticklabels=kinds, xlabel="error of test images, PCA = 1")
plt.show()
