"""How do I find outliers?
=======================

A model of normal rows reconstructs normal rows well, and others badly. ``score_samples`` is minus
the squared error of each row, so that outliers score low. Train on rows that are normal, and take
the threshold from normal rows that did not train.
"""

# %%
# Eights, and ill heartbeats
# --------------------------
# An 8 is to be found among other digits. Where the environment variable ``SKAE_DATA`` names a
# folder with ``ecg5000/ecg5000.npz``, so are ill heartbeats among healthy ones.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

from skae import AutoEncoder
from skae.datasets import data_folder
from skae.display import ReconstructionDisplay

X, y = load_digits(return_X_y=True)
tables = {"digits": (X / 16, y == 8, (8, 8))}
folder = data_folder()
if folder is not None and (folder / "ecg5000").is_dir():
    ecg = np.load(folder / "ecg5000" / "ecg5000.npz")
    tables["heartbeats"] = (ecg["X"], ecg["y_anomaly"] == 1, None)

# %%
# Is PCA enough?
# --------------
# An AUC of 1 puts all outliers before all normal rows. PCA's is 0.98 for heartbeats, nearly the
# autoencoder's 0.99. It is lower for eights: eight straight directions leave as much of any other
# digit. At the threshold about one normal row in twenty is flagged. The six worst rows are shown.
for name, (X, is_outlier, shape) in tables.items():
    split = train_test_split(X, is_outlier, random_state=0, stratify=is_outlier)
    X_rest, X_test, rest_is_outlier, is_outlier = split
    X_train, X_held_out = train_test_split(X_rest[~rest_is_outlier], random_state=0)
    pca, model = PCA(8).fit(X_train), AutoEncoder(8, random_state=0).fit(X_train)
    of_pca = -np.square(X_test - pca.inverse_transform(pca.transform(X_test))).sum(axis=1)
    scores = model.score_samples(X_test)
    aucs = [roc_auc_score(~is_outlier, each) for each in (of_pca, scores)]
    flagged = scores < np.quantile(model.score_samples(X_held_out), 0.05)
    print(f"{name}: AUC of PCA {aucs[0]:.2f}, of the autoencoder {aucs[1]:.2f}")
    print(f"  flagged: {flagged[is_outlier].mean():.0%} of outliers,", end=" ")
    print(f"{flagged[~is_outlier].mean():.0%} of normal rows")
    worst = np.argsort(scores)[:6]
    ReconstructionDisplay.from_estimator(model, X_test, rows=worst, pca=pca, image_shape=shape)
    plt.show()
