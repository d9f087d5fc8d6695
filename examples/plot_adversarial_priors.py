"""Can codes be given any distribution that I like?
================================================

Codes of a plain autoencoder, as PCA's, have the shape that the data give them. An adversarial and
a Wasserstein autoencoder are trained to have codes like draws of a distribution that you choose, a
prior, so that draws of it decode to new rows. A classifier tries to tell codes and draws apart.
"""

# %%
# How it is measured
# ------------------
# An AUC of 0.5 means that codes of test images and draws cannot be told apart. R² is the share of
# variance that comes back; PCA, whose codes have no prior, returns less. "normal" and "mixture"
# are the other priors, and you can pass a distribution of torch.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.metrics import r2_score
from sklearn.model_selection import cross_val_score, train_test_split
from sklearn.neighbors import KNeighborsClassifier

from skae import AdversarialAutoEncoder, WassersteinAutoEncoder

X, y = load_digits(return_X_y=True)
train, test, _, y_test = train_test_split(X / 16, y, test_size=0.5, random_state=0, stratify=y)
pca = PCA(2).fit(train)
X_hat = pca.inverse_transform(pca.transform(test))
print(f"PCA: R² {r2_score(test, X_hat, multioutput='variance_weighted'):.2f}")
models = {
    "adversarial, uniform": AdversarialAutoEncoder(2, prior="uniform", random_state=0),
    "adversarial, swiss roll": AdversarialAutoEncoder(2, prior="swiss_roll", random_state=0),
    "Wasserstein, swiss roll": WassersteinAutoEncoder(2, prior="swiss_roll", random_state=0),
}

# %%
# Codes of test images over draws of the prior in grey
# ----------------------------------------------------
figure, axes = plt.subplots(1, 3, figsize=(12, 4.6), layout="constrained")
for axis, (name, model) in zip(axes, models.items(), strict=True):
    codes = model.fit(train).transform(test)
    draws = model.sample_codes(len(test), random_state=1)
    both, is_draw = np.vstack([codes, draws]), np.repeat([0, 1], len(test))
    order = np.random.default_rng(0).permutation(len(both))
    judge = KNeighborsClassifier(15)
    auc = cross_val_score(judge, both[order], is_draw[order], scoring="roc_auc").mean()
    print(f"{name:23} AUC {auc:.2f}, R² {model.score(test):.2f}")
    axis.scatter(*draws.T, s=8, color="0.85")
    for digit in range(10):
        mark = {"marker": f"${digit}$", "color": f"C{digit}"}
        axis.scatter(*codes[y_test == digit].T, s=22, linewidths=0.3, **mark)
    axis.set(title=f"{name}: AUC {auc:.2f}", xticks=[], yticks=[], aspect="equal")
plt.show()
