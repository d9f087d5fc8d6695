"""Can codes be given any distribution that I like?
================================================

Codes of a plain autoencoder, as PCA's, have the shape that the data give them. An adversarial and
a Wasserstein autoencoder are trained to have codes like draws of a distribution that you choose, a
prior, so that draws of it decode to new rows. A classifier tries to tell codes and draws apart.
"""

# %%
# A square and a roll
# -------------------
# An AUC of 0.5 means that codes of test images and draws cannot be told apart. R² is the share of
# variance that comes back, which is above PCA's with any of them. 60 epochs keep the example short:
# the default, 150 here, brings back more. "normal" and "mixture" are the other priors, or pass a
# distribution of torch.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.metrics import r2_score
from sklearn.model_selection import cross_val_score, train_test_split
from sklearn.neighbors import KNeighborsClassifier

from skae import AdversarialAutoEncoder, WassersteinAutoEncoder

X, y = load_digits(return_X_y=True)
train, test, _, y_test = train_test_split(X / 16, y, random_state=0, stratify=y)
pca = PCA(2).fit(train)
X_hat = pca.inverse_transform(pca.transform(test))
print(f"PCA: R² {r2_score(test, X_hat, multioutput='variance_weighted'):.2f}")
estimators = (AdversarialAutoEncoder, WassersteinAutoEncoder)
priors = ("uniform", "swiss_roll")

# %%
# Codes of test images over draws of the prior in grey
# ----------------------------------------------------
figure, axes = plt.subplots(2, 2, figsize=(6.8, 6.4), layout="constrained")
for line, estimator in zip(axes, estimators, strict=True):
    for axis, prior in zip(line, priors, strict=True):
        model = estimator(2, prior=prior, max_iter=60, random_state=0).fit(train)
        codes, draws = model.transform(test), model.sample_codes(len(test), random_state=1)
        both, is_draw = np.vstack([codes, draws]), np.repeat([0, 1], len(test))
        order = np.random.default_rng(0).permutation(len(both))
        judge = KNeighborsClassifier(15)
        auc = cross_val_score(judge, both[order], is_draw[order], scoring="roc_auc").mean()
        print(f"{estimator.__name__:22} {prior:10} AUC {auc:.2f}, R² {model.score(test):.2f}")
        axis.scatter(*draws.T, s=8, color="0.8")
        for digit in range(10):
            mark = {"marker": f"${digit}$", "color": f"C{digit}"}
            axis.scatter(*codes[y_test == digit].T, s=22, linewidths=0.3, **mark)
        axis.set(title=f"{prior}, AUC {auc:.2f}", xticks=[], yticks=[], aspect="equal")
    line[0].set_ylabel(estimator.__name__)
plt.show()
