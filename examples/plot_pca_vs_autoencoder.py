"""What do I gain when AutoEncoder(k) stands where PCA(k) stood?
=============================================================

Images come back from two or eight numbers with about half of PCA's squared error, and a classifier
behind is right more often. With thirty numbers there is less to gain. ``--data mnist`` takes MNIST
from the folder that SKAE_DATA names, or else from OpenML.
"""

# %%
# Data
# ----
import argparse

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from skae import AutoEncoder
from skae.datasets import fetch_mnist

parser = argparse.ArgumentParser(description="PCA and AutoEncoder side by side.")
parser.add_argument("--data", choices=["digits", "mnist"], default="digits")
parser.add_argument("--out", default="pca_vs_autoencoder.png", help="where the picture goes")
options = parser.parse_args()

X, y = load_digits(return_X_y=True) if options.data == "digits" else fetch_mnist()
X = (X / X.max()).astype(np.float32)  # pixels from 0 to 1
n_test = len(X) // 4 if options.data == "digits" else 10_000
split = {"random_state": 0, "stratify": y} if options.data == "digits" else {"shuffle": False}
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=n_test, **split)


# %%
# The same classifier behind both
# -------------------------------
# Errors and accuracies are those of test images. Codes are standardised for the classifier.
def behind(model):
    steps = [("ae", model), ("scale", StandardScaler()), ("clf", LogisticRegression(max_iter=500))]
    return Pipeline(steps)


print(f"{options.data}: {len(X_train)} images to train, {len(X_test)} to test")
print("  k   squared error per image    accuracy of the same classifier")
print("          PCA   AutoEncoder          PCA   AutoEncoder")
pictures = {}
for k in (2, 8, 30):
    errors, accuracies = [], []
    for model in (PCA(k, random_state=0), AutoEncoder(k, random_state=0)):
        pipe = behind(model).fit(X_train, y_train)
        X_hat = model.inverse_transform(model.transform(X_test))
        errors.append(np.square(X_hat - X_test).sum(axis=1).mean())
        accuracies.append(pipe.score(X_test, y_test))
        pictures[type(model).__name__, k] = X_hat
    print(f"{k:3} {errors[0]:9.3f} {errors[1]:13.3f} {accuracies[0]:12.3f} {accuracies[1]:13.3f}")

# %%
# The size of the code is a parameter to search
# ---------------------------------------------
few = slice(2000)  # enough for a demonstration
search = GridSearchCV(behind(AutoEncoder(random_state=0)), {"ae__n_components": [2, 8, 30]}, cv=3)
search.fit(X_train[few], y_train[few])
print(f"GridSearchCV chooses {search.best_params_}, accuracy {search.score(X_test, y_test):.3f}")

# %%
# Ten test images, from eight numbers each
# ----------------------------------------
shown = [np.flatnonzero(y_test == digit)[0] for digit in range(10)]
rows = [
    ("original", X_test),
    ("AutoEncoder", pictures["AutoEncoder", 8]),
    ("PCA", pictures["PCA", 8]),
]
side = int(np.sqrt(X.shape[1]))
figure, axes = plt.subplots(3, 10, figsize=(10, 3.4), layout="constrained")
figure.suptitle(f"{options.data}: ten test images from 8 numbers each")
for line, (name, images) in zip(axes, rows, strict=True):
    for axis, image in zip(line, images[shown], strict=True):
        axis.imshow(image.reshape(side, side), cmap="gray_r", vmin=0, vmax=1)
        axis.set(xticks=[], yticks=[])
    line[0].set_ylabel(name)
figure.savefig(options.out, dpi=120)
print(f"The picture is in {options.out}")
