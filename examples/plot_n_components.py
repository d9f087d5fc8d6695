"""How many components do I need?
==============================

``n_components=0.9`` is, as in PCA, the number with which *PCA* keeps 90 % of the variance. An
autoencoder keeps as much with fewer: ``select_n_components`` fits some sizes, scores them on rows
that had no part in any fit, and returns the smallest one that keeps the share.
"""

# %%
# A share to keep
# ---------------
# Test images stay out of the choice too, and tell whether it holds for a full fit.
import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.metrics import r2_score
from sklearn.model_selection import train_test_split

from skae import AutoEncoder, select_n_components
from skae.display import ComponentsDisplay

X_train, X_test = train_test_split(load_digits().data / 16, random_state=0)
found = select_n_components(X_train, 0.9, random_state=0)
print(f"{found.n_components} numbers for the autoencoder, {found.n_components_pca} for PCA")
ComponentsDisplay.from_selection(found)
plt.show()

# %%
# Does it hold?
# -------------
# The search takes a quarter of the steps for each fit: the full fit keeps a little more than was
# asked for. PCA of the same size keeps much less.
k = found.n_components
for model in (AutoEncoder(k, random_state=0), PCA(k, random_state=0)):
    X_hat = model.fit(X_train).inverse_transform(model.transform(X_test))
    share = r2_score(X_test, X_hat, multioutput="variance_weighted")
    print(f"{type(model).__name__}({k}) keeps {share:.1%} of the variance of test images")

# %%
# No share in mind
# ----------------
# What is a code for? If a classifier follows, its accuracy is the measure, and a grid search over
# ``n_components`` of the pipeline finds the size. For reconstruction itself, ``rule="one_se"``
# takes the smallest size that is as good as the best one up to chance.
