"""What does a variational autoencoder know that PCA does not?
===========================================================

Probabilistic PCA and the variational autoencoder are models of images: both say how likely an
image is, how sure they are of its code, and draw new ones. The autoencoder starts as probabilistic
PCA, and is trained on what is not Gaussian about digits.
"""

# %%
# How likely is a test image?
# ---------------------------
# In nats. The ELBO is a lower bound of the log-likelihood, and the importance-weighted bound a
# closer one.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split

from skae import VariationalAutoEncoder
from skae.display import LatentTraversalDisplay

X, y = load_digits(return_X_y=True)
train, test, _, y_test = train_test_split(X / 16, y, random_state=0, stratify=y)
vae, pca = VariationalAutoEncoder(5, random_state=0).fit(train), PCA(5).fit(train)
weighted = vae.score_samples(test, n_importance_samples=500).mean()
print(
    f"PCA {pca.score(test):.1f}, ELBO {vae.score(test):.1f}, weighted {weighted:.1f} nats an image"
)

# %%
# New images, and the way from one to another
# -------------------------------------------
# PCA's draws are grey clouds: its codes are Gaussian, and digits are not. The way from a 0 to a 4
# goes in a straight line between their codes.
rng = np.random.default_rng(0)
codes = rng.normal(size=(10, 5)) * np.sqrt(pca.explained_variance_)
ends = vae.transform([test[y_test == digit][0] for digit in (0, 4)])
rows = {
    "test images": test[:10],
    "drawn from PCA": pca.inverse_transform(codes),
    "drawn from VAE": vae.sample(10, random_state=0),
    "from 0 to 4": vae.inverse_transform(np.linspace(*ends, 10)),
}
figure, axes = plt.subplots(len(rows), 10, figsize=(8.4, 3.2), layout="constrained")
for line, (name, images) in zip(axes, rows.items(), strict=True):
    line[0].set_ylabel(name, rotation=0, ha="right", va="center")
    for axis, image in zip(line, images, strict=True):
        axis.imshow(image.reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
        axis.set(xticks=[], yticks=[])
plt.show()

# %%
# What each number of a code changes
# ----------------------------------
LatentTraversalDisplay.from_estimator(vae, test, image_shape=(8, 8))
plt.show()
