"""What does a short code of a text know that TruncatedSVD's does not?

Words of texts, weighed and in a sparse matrix that is never made dense, become k numbers, from
which a classifier tells what part of scikit-learn or SciPy a text is from. The texts are the
docstrings of both, so that nothing is downloaded. R² is the share of the words' variance that
comes back from the code.
"""

import argparse
import inspect
from importlib import import_module

import matplotlib

matplotlib.use("Agg")
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

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--out", default="sparse_text.png", help="where the picture goes")
options = parser.parse_args()

PARTS = """
    scipy.interpolate scipy.linalg scipy.ndimage scipy.optimize scipy.signal scipy.special
    scipy.stats sklearn.cluster sklearn.decomposition sklearn.ensemble sklearn.linear_model
    sklearn.metrics sklearn.model_selection sklearn.preprocessing
"""
parts = {}  # what a text is from
for part in PARTS.split():
    public = [x for x in vars(import_module(part)).values() if callable(x)]
    own = [x for x in public if getattr(x, "__module__", "").startswith(part)]
    methods = [m for x in own if inspect.isclass(x) for m in vars(x).values() if callable(m)]
    parts |= {text: part for x in own + methods if len(text := inspect.getdoc(x) or "") > 300}
split = train_test_split(*zip(*parts.items(), strict=True), random_state=0, test_size=0.3)
texts, texts_test, y, y_test = split
words = TfidfVectorizer(min_df=3, max_df=0.5, sublinear_tf=True, token_pattern="[a-z]{3,}")
X, X_test = words.fit_transform(texts), words.transform(texts_test)
print(f"{len(parts)} texts, {X.shape[1]} words, {X.nnz / np.prod(X.shape):.1%} of X is not zero")

print("  k   R² of the words' weights       accuracy of the same classifier")
print("       TruncatedSVD  AutoEncoder      TruncatedSVD  AutoEncoder")
figure, axes = plt.subplots(1, 2, figsize=(11, 5), layout="constrained")
for k in (2, 8):
    r2, accuracy = [], []
    models = (TruncatedSVD(k, random_state=0), AutoEncoder(k, random_state=0))
    for model, axis in zip(models, axes, strict=True):
        pipe = make_pipeline(model, StandardScaler(), LogisticRegression(max_iter=500)).fit(X, y)
        codes = model.transform(X_test)
        back = model.inverse_transform(codes)
        r2.append(r2_score(X_test.toarray(), back, multioutput="variance_weighted"))
        accuracy.append(pipe.score(X_test, y_test))
        for i, part in enumerate(PARTS.split() if k == 2 else ()):
            points = codes[np.array(y_test) == part].T
            axis.scatter(*points, s=8, color=plt.cm.tab20(i), label=part)
            axis.set_title(f"{type(model).__name__}(2), accuracy {accuracy[-1]:.2f}")
    print(f"{k:3} {r2[0]:15.2f} {r2[1]:12.2f} {accuracy[0]:17.2f} {accuracy[1]:12.2f}")
figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right", markerscale=2)
figure.savefig(options.out, dpi=110)
print(f"The picture is in {options.out}")
