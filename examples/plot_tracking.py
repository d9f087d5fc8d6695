"""How do I follow a training with TensorBoard, MLflow or a file?
==============================================================

``callbacks`` takes skorch's callbacks, among them those for TensorBoard and MLflow, and any object
with a hook such as ``on_epoch_end``. The one here writes a CSV file, and needs nothing installed.
"""

# %%
# A callback of your own
# -----------------------
# ``net.history[-1]`` has what is known of an epoch. ``fit`` works on copies of the callbacks, so
# what one collects belongs into a file, or is read from ``model.net_.callbacks_``.
import csv
import tempfile
from importlib.util import find_spec
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from skae import AutoEncoder

NAMES = ("epoch", "train_loss", "valid_loss", "dur")


class WriteCSV:
    """Append each epoch to a file that any program can follow."""

    def __init__(self, path):
        self.path = path

    def on_epoch_end(self, net, **kwargs):
        with open(self.path, "a", newline="") as file:
            csv.writer(file).writerow(net.history[-1, NAMES])


# %%
# The same for TensorBoard and MLflow
# -----------------------------------
# skorch has ``MlflowLogger()`` for MLflow, which goes into the same list.
folder = tempfile.TemporaryDirectory()
path = Path(folder.name) / "training.csv"
callbacks = [WriteCSV(path)]
if find_spec("tensorboard"):
    from skorch.callbacks import TensorBoard
    from torch.utils.tensorboard import SummaryWriter

    callbacks.append(TensorBoard(SummaryWriter(folder.name)))
X_train, X_test = train_test_split(load_digits().data / 16, random_state=0)
model = AutoEncoder(8, callbacks=callbacks, random_state=0).fit(X_train)
table = pd.read_csv(path, names=NAMES, index_col="epoch")
print(table.tail(3))
folder.cleanup()
axis = table[["train_loss", "valid_loss"]].plot(ylabel="loss", title="From the CSV file")
axis.axvline(model.best_iter_, color="0.5", linestyle=":", label="its weights were kept")
axis.legend()
plt.show()
