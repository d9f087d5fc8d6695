"""What does a short code of a text know that TruncatedSVD's does not?
===================================================================

The words of a text, weighed and in a sparse matrix that is never made dense, become a few numbers,
from which a classifier tells what part of scikit-learn or SciPy a text is from. The texts are
docstrings of both, so that nothing is downloaded.
"""

# %%
# Texts as sparse rows
# --------------------
# Words and their weights are those of the training texts. They have one unit: nothing scales them.
import inspect
from importlib import import_module

import matplotlib.pyplot as plt
import numpy as np
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import r2_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skae import AutoEncoder

PARTS = "scipy.ndimage scipy.signal scipy.special scipy.stats"
PARTS += " sklearn.ensemble sklearn.linear_model sklearn.metrics sklearn.preprocessing"
parts = {}  # what each text is from
for part in PARTS.split():
    public = [x for x in vars(import_module(part)).values() if callable(x)]
    own = [x for x in public if getattr(x, "__module__", "").startswith(part)]
    methods = [m for x in own if inspect.isclass(x) for m in vars(x).values() if callable(m)]
    parts |= {text: part for x in own + methods if len(text := inspect.getdoc(x) or "") > 300}
texts, texts_test, y, y_test = train_test_split([*parts], [*parts.values()], random_state=0)
words = TfidfVectorizer(min_df=3, max_df=0.5, sublinear_tf=True, token_pattern="[a-z]{3,}")
X, X_test = words.fit_transform(texts), words.transform(texts_test)
print(f"{len(parts)} texts, {X.shape[1]} words, {X.nnz / np.prod(X.shape):.1%} of X is not zero")

# %%
# Two numbers for each text
# -------------------------
# Dots are parts of SciPy, crosses parts of scikit-learn.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
figure, axes = plt.subplots(1, 2, figsize=(10, 4.4), layout="constrained")
models = (TruncatedSVD(2, random_state=0), AutoEncoder(2, random_state=0))
for model, axis in zip(models, axes, strict=True):
    judge = make_pipeline(model, StandardScaler(), LogisticRegression(max_iter=500)).fit(X, y)
    accuracy, codes = judge.score(X_test, y_test), model.transform(X_test)
    X_hat = model.inverse_transform(codes)
    r2 = r2_score(X_test.toarray(), X_hat, multioutput="variance_weighted")
    print(f"{type(model).__name__:12} accuracy {accuracy:.2f}, R² of the words' weights {r2:.2f}")
    for i, part in enumerate(PARTS.split()):
        style = {"color": COLORS[i % 4], "marker": "ox"[i // 4], "s": 14}
        axis.scatter(*codes[np.array(y_test) == part].T, label=part, **style)
    axis.set_title(f"{type(model).__name__}(2): accuracy {accuracy:.2f}")
figure.legend(*axis.get_legend_handles_labels(), loc="outside right", markerscale=2)
plt.show()
