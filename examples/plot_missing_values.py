"""What becomes of a code when values are missing?
===============================================

Pixels of digits are hidden at random, in training and in test images. ``AutoEncoder`` takes the
holes as they are; PCA needs an imputer before it. Each code is judged by the accuracy of the same
classifier, and by the error of the hidden pixels when they come back.
"""

# %%
# NaN is not observed
# -------------------
# Holes are filled with what the observed pixels of the image let expect, and only observed ones
# count in scores. Imputers are steps of the pipeline, so that test images teach them nothing.
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

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X / 16, y, random_state=0, stratify=y)
models = {
    "PCA after the mean": (SimpleImputer(), PCA(8, random_state=0)),
    "PCA after neighbours": (KNNImputer(), PCA(8, random_state=0)),
    "AutoEncoder": (AutoEncoder(8, random_state=0),),
}
for share in (0.1, 0.5):
    rng = np.random.default_rng(0)
    with_holes = np.where(rng.random(X_train.shape) < share, np.nan, X_train)
    is_hidden = rng.random(X_test.shape) < share
    test_with_holes = np.where(is_hidden, np.nan, X_test)
    pictures = {"original": X_test, "seen": test_with_holes}
    for name, steps in models.items():
        judge = make_pipeline(*steps, StandardScaler(), LogisticRegression(max_iter=500))
        accuracy = judge.fit(with_holes, y_train).score(test_with_holes, y_test)
        codes = judge[: len(steps)].transform(test_with_holes)
        pictures[name] = X_hat = steps[-1].inverse_transform(codes)
        rmse = np.sqrt(np.square(X_hat - X_test)[is_hidden].mean())
        print(f"{share:.0%} hidden  {name:20}  accuracy {accuracy:.3f}  RMSE {rmse:.3f}")

# %%
# Half of each image
# ------------------
# Hidden pixels are orange. All reconstructions are made of eight numbers.
figure, axes = plt.subplots(len(pictures), 10, figsize=(9, 4.6), layout="constrained")
for line, (name, images) in zip(axes, pictures.items(), strict=True):
    line[0].set_ylabel(name, rotation=0, ha="right", va="center")
    for digit, axis in enumerate(line):
        axis.imshow(images[y_test == digit][0].reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
        axis.set(xticks=[], yticks=[], facecolor="tab:orange")  # behind what is hidden
plt.show()
