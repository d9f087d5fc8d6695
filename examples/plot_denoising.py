"""How do I take the noise out of images?
======================================

A ``DenoisingAutoEncoder`` is shown spoiled images and has to return the clean ones, so that it
learns to tell one from the other. It takes clean images to train with, and spoils them itself,
anew in each epoch. Test images are spoiled in two ways: by normal noise, and by dead pixels.
"""

# %%
# The noise that you expect
# -------------------------
# A level of normal noise is a share of the data's scale, the root of the mean variance of the
# pixels; for "masking" it is the share of pixels that are set to 0.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split

from skae import AutoEncoder, DenoisingAutoEncoder

X_train, X_test = train_test_split(load_digits().data / 16, random_state=0)
rng = np.random.default_rng(0)
normal, dead = rng.normal(0, 0.3, X_test.shape), rng.random(X_test.shape) < 0.3
spoiled = {"gaussian": X_test + normal, "masking": np.where(dead, 0, X_test)}
levels = {"gaussian": 0.3 / np.sqrt(X_train.var(axis=0).mean()), "masking": 0.3}

# %%
# What comes back
# ---------------
# PCA and the plain autoencoder return much of the noise with the image. The autoencoder that knew
# the noise leaves half of PCA's error under normal noise, and 0.3 of it under dead pixels.
figure = plt.figure(figsize=(8, 6.4), layout="constrained")
for part, (noise, X_spoiled) in zip(figure.subfigures(2), spoiled.items(), strict=True):
    denoising = DenoisingAutoEncoder(16, noise=noise, noise_level=levels[noise], random_state=0)
    models = (PCA(16, random_state=0), AutoEncoder(16, random_state=0), denoising)
    images = {"clean": X_test, "spoiled": X_spoiled}
    for model in models:
        model.fit(X_train)
        images[type(model).__name__] = model.inverse_transform(model.transform(X_spoiled))
    for line, (name, X_hat) in zip(part.subplots(5, 10), images.items(), strict=True):
        error = np.square(X_hat - X_test).sum(axis=1).mean()
        print(f"{noise:9} {name:21} squared error {error:.2f}")
        for axis, image in zip(line, X_hat, strict=False):
            axis.imshow(image.reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
            axis.set(xticks=[], yticks=[])
        line[0].set_ylabel(name, rotation=0, ha="right", va="center")
    part.suptitle(f"Test images, noise: {noise}")
plt.show()
