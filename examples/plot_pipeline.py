"""How do I swap PCA for an autoencoder in a pipeline and a grid search?
=====================================================================

Like any other step: ``AutoEncoder`` has PCA's methods and PCA's ``n_components``. Here a grid
search tries both before the same classifier, with codes of four sizes. Folds of the training
images decide; the test images are used once, at the end.
"""

# %%
# Both models, one grid
# ---------------------
# Pixels have one unit, so nothing scales them. Columns of unlike units need a ``StandardScaler``
# before the autoencoder, as they do before PCA. The one here, *behind* it, gives all numbers of a
# code the same weight in the classifier.
import matplotlib.pyplot as plt
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from skae import AutoEncoder

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0, stratify=y)
classifier = LogisticRegression(max_iter=500)
pipe = Pipeline([("reduce", PCA()), ("scale", StandardScaler()), ("classify", classifier)])
grid = {
    "reduce": [PCA(random_state=0), AutoEncoder(random_state=0)],
    "reduce__n_components": [2, 5, 10, 20],
}
search = GridSearchCV(pipe, grid, cv=3).fit(X_train, y_train)
print("The search chooses", search.best_params_)
print(f"Its accuracy on test images is {search.score(X_test, y_test):.3f}")

# %%
# How small may the code be?
# --------------------------
# Two numbers of the autoencoder tell digits apart in three of four images, two of PCA in three of
# five. With twenty numbers both are the same, and then PCA is the better choice: its fit takes
# milliseconds. So list PCA in the grid: of equal candidates the search takes the first.
table = pd.DataFrame(search.cv_results_)
table["model"] = [type(step).__name__ for step in table["param_reduce"]]
figure, axis = plt.subplots(layout="constrained")
for (model, rows), style in zip(table.groupby("model"), ("o-", "s--"), strict=True):
    sizes = rows["param_reduce__n_components"]
    means, spread = rows["mean_test_score"], rows["std_test_score"]
    print(f"{model:12} accuracy of folds", *(f"{mean:.3f}" for mean in means))
    axis.errorbar(sizes, means, spread, fmt=style, capsize=4, label=model)
axis.set(title="Digits: mean and spread over three folds", xticks=sizes)
axis.set(xlabel="numbers of a code", ylabel="accuracy of logistic regression")
axis.legend()
plt.show()
