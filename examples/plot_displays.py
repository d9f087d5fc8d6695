"""How do I see what an autoencoder has learned?
=============================================

``skae.display`` draws what a fitted autoencoder, or a pipeline that ends in one, has learned, with
PCA beside it: how the training went, which columns come back and which do not, where rows lie in
the code, and what each number of the code stands for.
"""

# %%
# Did training gain anything?
# ---------------------------
# The columns have unlike units, so they are scaled. Above the dashed line the autoencoder is better
# than PCA on rows that did not train; the epoch whose weights were kept is marked.
import matplotlib.pyplot as plt
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skae import AutoEncoder
from skae.display import (
    LatentSpaceDisplay,
    LatentTraversalDisplay,
    LearningCurveDisplay,
    ReconstructionErrorDisplay,
)

X, y = load_breast_cancer(return_X_y=True, as_frame=True)
X_train, X_test, _, y_test = train_test_split(X, y, random_state=0, stratify=y)
pipe = make_pipeline(StandardScaler(), AutoEncoder(5, random_state=0)).fit(X_train)
LearningCurveDisplay.from_estimator(pipe)
plt.show()

# %%
# Which columns come back?
# ------------------------
# Errors are those of test rows; PCA is fitted to the training rows, with as many components.
ReconstructionErrorDisplay.from_estimator(pipe, X_test, X_train=X_train)
plt.show()

# %%
# Where are the rows?
# -------------------
LatentSpaceDisplay.from_estimator(pipe, X_test, y_test.map({0: "malignant", 1: "benign"}))
plt.show()

# %%
# What does a number of the code change?
# --------------------------------------
LatentTraversalDisplay.from_estimator(pipe, X_test)
plt.show()
