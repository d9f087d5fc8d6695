"""Can I draw new rows of a table?
===============================

A ``VariationalAutoEncoder`` is a model of the rows, so that new ones can be drawn from it, as from
probabilistic PCA. Both are Gaussian where nothing else helps, but the autoencoder's rows lie about
a curved surface. A judge that is to tell drawn from real rows says how good they are.
"""

# %%
# Draw a code, decode it, add the noise
# -------------------------------------
# ``score`` is the mean log-likelihood of test rows in nats, or a lower bound of it. Columns have
# unlike units, so they are scaled. ``sample(noise=True)`` adds the noise that the model found about
# its surface: without it rows vary less than real ones. The noise is the same for all columns, as
# in PCA: too much for those that follow exactly from others, such as an area from a radius.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import cross_val_score, train_test_split
from sklearn.preprocessing import StandardScaler

from skae import VariationalAutoEncoder

data = load_breast_cancer()
train, test = train_test_split(data.data, random_state=0)
scaler = StandardScaler().fit(train)
X, X_test, n = scaler.transform(train), scaler.transform(test), len(test)
vae, pca = VariationalAutoEncoder(10, random_state=0).fit(X), PCA(10).fit(X)
print(f"log-likelihood of a test row: PCA {pca.score(X_test):.1f}, VAE {vae.score(X_test):.1f}")
rng = np.random.default_rng(0)
drawn = {
    "PCA": rng.multivariate_normal(pca.mean_, pca.get_covariance(), n),
    "VAE without noise": vae.sample(n, random_state=0),
    "VAE": vae.sample(n, random_state=0, noise=True),
}

# %%
# Do they look real?
# ------------------
# A judge that can only guess has an AUC of 0.5. The area of a cell grows with the square of its
# radius. The autoencoder has found that; PCA cannot, and draws small cells of negative area.
figure, axes = plt.subplots(1, 4, figsize=(11, 3.2), sharex=True, sharey=True, layout="constrained")
columns = [list(data.feature_names).index(name) for name in ("mean radius", "mean area")]
for axis, (name, rows) in zip(axes, {"test rows": X_test, **drawn}.items(), strict=True):
    if name in drawn:
        both, is_drawn = np.vstack([X_test, rows]), np.repeat([0, 1], n)
        judge = RandomForestClassifier(random_state=0)
        auc = cross_val_score(judge, both, is_drawn, scoring="roc_auc", cv=5).mean()
        spread = (rows.std(axis=0) / X_test.std(axis=0)).mean()
        print(f"{name:18} AUC of the judge {auc:.2f}, spread {spread:.2f} of the real rows'")
    axis.scatter(*scaler.inverse_transform(rows)[:, columns].T, s=10, alpha=0.6)
    axis.axhline(0, color="0.6", linewidth=1)
    axis.set(title=name, xlabel="mean radius")
axes[0].set_ylabel("mean area")
plt.show()
