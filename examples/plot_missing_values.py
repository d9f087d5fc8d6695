"""What becomes of a code when pixels are missing?

Pixels of digits are hidden at random, in training and in test images. AutoEncoder takes the
holes as they are; PCA needs an imputer before it. The table has each code's accuracy under the
same classifier, and the error of what comes back, on hidden pixels and on all of them.
"""

import argparse

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skae import AutoEncoder

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--k", type=int, default=8, help="numbers of a code")
parser.add_argument("--out", default="missing_values.png", help="where the picture goes")
options = parser.parse_args()

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X / 16, y, random_state=0, stratify=y)
models = {
    "PCA, mean": (SimpleImputer(), PCA(options.k, random_state=0)),
    "PCA, neighbours": (KNNImputer(), PCA(options.k, random_state=0)),
    "AutoEncoder": (AutoEncoder(options.k, random_state=0),),
}
print(f"{len(X_train)} images to train, {len(X_test)} to test; codes of {options.k} numbers")
print("hidden  code              accuracy   RMSE of hidden pixels   of all pixels")
pictures = {}
for hidden in (0.1, 0.3, 0.5):
    rng = np.random.default_rng(0)
    with_holes = np.where(rng.random(X_train.shape) < hidden, np.nan, X_train)
    is_hidden = rng.random(X_test.shape) < hidden
    test_with_holes = np.where(is_hidden, np.nan, X_test)
    pictures[hidden] = {"seen": test_with_holes}
    for name, steps in models.items():
        coder = make_pipeline(*steps).fit(with_holes)
        judge = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
        judge.fit(coder.transform(with_holes), y_train)
        codes = coder.transform(test_with_holes)
        X_hat = pictures[hidden][name] = steps[-1].inverse_transform(codes)
        errors = np.square(X_hat - X_test)
        rmse, all_rmse = np.sqrt(errors[is_hidden].mean()), np.sqrt(errors.mean())
        accuracy = judge.score(codes, y_test)
        print(f"{hidden:6.0%}  {name:17} {accuracy:8.3f} {rmse:23.3f} {all_rmse:15.3f}")

rows = {"original": X_test, **pictures[0.5]}
figure, axes = plt.subplots(len(rows), 10, figsize=(10, 5.4), layout="constrained")
figure.suptitle(f"Test images of which half is hidden, back from {options.k} numbers each")
for line, (name, images) in zip(axes, rows.items(), strict=True):
    for digit, axis in enumerate(line):
        image = images[y_test == digit][0].reshape(8, 8)
        axis.imshow(image, cmap="gray_r", vmin=0, vmax=1)
        axis.set(xticks=[], yticks=[], facecolor="tab:orange")  # behind what is hidden
    line[0].set_ylabel(name.replace(", ", ",\n"))
figure.savefig(options.out, dpi=120)
print(f"The picture is in {options.out}")
