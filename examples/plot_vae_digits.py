"""What does a variational autoencoder know that PCA does not?

Draws from both models of the digits, what each code changes in a picture, the way from one digit
to another, and the likelihood of test images, in nats.
"""

import argparse

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split

from skae import VariationalAutoEncoder

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--out", default="vae_digits.png", help="where the picture goes")
options = parser.parse_args()

X, y = load_digits(return_X_y=True)
train, test, _, y_test = train_test_split(X / 16, y, random_state=0, stratify=y)
vae = VariationalAutoEncoder(5, random_state=0).fit(train)
pca = PCA(5).fit(train)
print(f"log-likelihood of a test image: PCA {pca.score(test):.2f}, ELBO {vae.score(test):.2f}, ")
weighted = vae.score_samples(test, n_importance_samples=500).mean()
print(f"importance-weighted bound {weighted:.2f}; {vae.active_units_} of 5 codes in use")

rng = np.random.default_rng(0)
codes = rng.normal(size=(10, 5)) * np.sqrt(pca.explained_variance_)
steps = np.linspace(-2.5, 2.5, 10)
traversals = [vae.inverse_transform(step * np.eye(5)) for step in steps]  # one code at a time
ends = vae.transform(test[[np.flatnonzero(y_test == digit)[0] for digit in (0, 4)]])
way = np.linspace(*ends, 10)

rows = [
    ("test images", test[:10]),
    ("PCA draws", pca.inverse_transform(codes)),
    ("VAE draws", vae.sample(10, random_state=0)),
    *((f"code {j + 1}", np.array([images[j] for images in traversals])) for j in range(5)),
    ("from 0 to 4", vae.inverse_transform(way)),
]
figure, axes = plt.subplots(len(rows), 10, figsize=(8, 7.6), layout="constrained")
figure.suptitle("Digits: draws, codes from −2.5 to 2.5, and the way between two images")
for line, (name, images) in zip(axes, rows, strict=True):
    for axis, image in zip(line, images, strict=True):
        axis.imshow(image.reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
        axis.set(xticks=[], yticks=[])
    line[0].set_ylabel(name, rotation=0, ha="right", va="center")
figure.savefig(options.out, dpi=110)
print(f"The picture is in {options.out}")
