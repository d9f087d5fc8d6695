"""Can codes be given any distribution that I like?

Codes of test digits from an adversarial and a Wasserstein autoencoder, one column for each
prior, over draws of the prior in grey; and what a classifier between the two finds (AUC: 0.5 means
that they cannot be told apart).
"""

import argparse

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import cross_val_score, train_test_split
from sklearn.neighbors import KNeighborsClassifier

from skae import AdversarialAutoEncoder, WassersteinAutoEncoder

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--out", default="adversarial_priors.png", help="where the picture goes")
options = parser.parse_args()

X, y = load_digits(return_X_y=True)
train, test, _, y_test = train_test_split(X / 16, y, random_state=0, stratify=y)
estimators = (AdversarialAutoEncoder, WassersteinAutoEncoder)
priors = ("normal", "uniform", "swiss_roll", "mixture")

figure, axes = plt.subplots(2, 4, figsize=(11, 5.8), layout="constrained")
for line, estimator in zip(axes, estimators, strict=True):
    for axis, prior in zip(line, priors, strict=True):
        model = estimator(2, prior=prior, random_state=0).fit(train)
        codes, draws = model.transform(test), model.sample_codes(len(test), random_state=1)
        both, which = np.vstack([codes, draws]), np.repeat([0, 1], len(test))
        order = np.random.default_rng(0).permutation(len(both))
        judge = KNeighborsClassifier(15)
        auc = cross_val_score(judge, both[order], which[order], scoring="roc_auc").mean()
        print(f"{estimator.__name__:24} {prior:10} AUC {auc:.2f}, R² {model.score(test):.2f}")
        axis.scatter(*draws.T, s=8, color="0.8")
        axis.scatter(*codes.T, s=8, c=y_test, cmap="tab10")
        axis.set(title=f"{prior}, AUC {auc:.2f}", xticks=[], yticks=[], aspect="equal")
    line[0].set_ylabel(estimator.__name__)
figure.suptitle("Codes of test digits, by digit, over draws of the prior")
figure.savefig(options.out, dpi=110)
print(f"The picture is in {options.out}")
