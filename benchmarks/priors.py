"""Do the codes of new rows follow the prior, and what does that cost?

Codes of two numbers under every prior: how well 15 nearest neighbours tell the codes of test rows
from as many draws (AUC over five folds, mean over ten sets of draws; 0.5: not at all). Codes of
eight, normal prior: the squared error of test rows over that of `AutoEncoder`. Digits, and MNIST
where $SKAE_DATA has it.

    SKAE_DATA=… python benchmarks/priors.py [--seeds 0 1 2]
"""

import argparse
import time

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import cross_val_score, train_test_split
from sklearn.neighbors import KNeighborsClassifier

from skae import AdversarialAutoEncoder, AutoEncoder, WassersteinAutoEncoder
from skae.datasets import data_folder, fetch_mnist

ESTIMATORS = (AdversarialAutoEncoder, WassersteinAutoEncoder)
PRIORS = ("normal", "uniform", "swiss_roll", "mixture")


def tables():
    yield "digits", train_test_split(load_digits().data / 16, random_state=0)
    folder = data_folder()
    if folder and (folder / "mnist").is_dir():
        X, _ = fetch_mnist()
        X = X.astype(np.float32) / 255
        yield "mnist", (X[:60_000], X[60_000:])


def told_apart(model, X):
    """Return the AUC of a classifier between the codes of rows and draws of the prior."""
    codes, judge = model.transform(X), KNeighborsClassifier(15)
    aucs = []
    for seed in range(10):
        both = np.vstack([codes, model.sample_codes(len(X), random_state=seed)])
        order = np.random.default_rng(seed).permutation(len(both))
        aucs.append(cross_val_score(judge, both[order], order < len(X), scoring="roc_auc"))
    return np.mean(aucs)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    options = parser.parse_args()
    for name, (train, test) in tables():
        for estimator in ESTIMATORS:
            for prior in PRIORS:
                started = time.perf_counter()
                models = [
                    estimator(2, prior=prior, random_state=s).fit(train) for s in options.seeds
                ]
                seconds = (time.perf_counter() - started) / len(models)
                aucs = [told_apart(model, test) for model in models]
                scores = [model.score(test) for model in models]
                print(
                    f"{name:6} {estimator.__name__:22} {prior:10} AUC {np.median(aucs):.3f} "
                    f"({min(aucs):.3f} to {max(aucs):.3f}), R² {np.median(scores):.3f}, "
                    f"{seconds:.0f} s a fit",
                    flush=True,
                )
        for seed in options.seeds:
            plain = 1 - AutoEncoder(8, random_state=seed).fit(train).score(test)
            for estimator in ESTIMATORS:
                error = 1 - estimator(8, random_state=seed).fit(train).score(test)
                print(
                    f"{name:6} {estimator.__name__:22} k = 8, seed {seed}: squared error "
                    f"{error / plain:.2f} of AutoEncoder's",
                    flush=True,
                )


if __name__ == "__main__":
    main()
