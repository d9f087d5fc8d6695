"""Is AutoEncoder worse than PCA on the rows of new groups, and does ``groups`` mend it?

Linear Gaussian rows of 40 groups, each with a centre of its own, so that a network can only learn
the groups by heart; the test rows are of 60 other groups. A ratio is the autoencoder's squared test
error over PCA's.

    python benchmarks/groups.py [--seeds 8]
"""

import argparse

import numpy as np
from pca_floor import squared_error
from sklearn.decomposition import PCA

from skae import AutoEncoder

N_ROWS = 15  # of a group


def make_rows(rng, loadings, n_groups):
    k, n_features = loadings.shape
    groups = np.repeat(np.arange(n_groups), N_ROWS)
    centres = 1.5 * rng.normal(size=(n_groups, n_features))
    common = rng.normal(size=(len(groups), k)) @ loadings
    return centres[groups] + common + 0.2 * rng.normal(size=common.shape), groups


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=8)
    options = parser.parse_args()
    ratios = {"without groups": [], "with groups": []}
    for n_features, k in ((10, 2), (20, 3)):
        for seed in range(options.seeds):
            rng = np.random.default_rng(seed)
            loadings = rng.normal(size=(k, n_features))
            X, groups = make_rows(rng, loadings, 40)
            test, _ = make_rows(rng, loadings, 60)
            pca_error = squared_error(PCA(k).fit(X), test)
            for name, given in zip(ratios, (None, groups), strict=True):
                model = AutoEncoder(k, max_iter=150, random_state=seed).fit(X, groups=given)
                ratios[name].append(squared_error(model, test) / pca_error)
    for name, measured in ratios.items():
        worse = sum(ratio > 1.005 for ratio in measured)
        print(
            f"{name}: {worse} of {len(measured)} fits worse than PCA by more than 0.5 %, "
            f"worst {max(measured):.3f}"
        )


if __name__ == "__main__":
    main()
