"""Can I bring a network of my own?
================================

A function that is given the numbers of inputs and outputs and returns a ``torch.nn.Module`` takes
the place of the encoder's network, or the decoder's. The rest stays: training starts at PCA, as
what the network says is added to PCA's, and validation rows decide whether anything was gained.
"""

# %%
# Two networks
# ------------
# One has residual blocks, the other is the default with dropout. Neither knows of units, of PCA or
# of the training. Layers draw from ``random_state``, so that a fit can be repeated.
import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

from skae import AutoEncoder


class Block(nn.Module):
    """Add to a row what two layers make of it."""

    def __init__(self, width):
        super().__init__()
        up, down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.layers = nn.Sequential(nn.LayerNorm(width), up, nn.GELU(), down)

    def forward(self, x):
        return x + self.layers(x)


def residual(n_inputs, n_outputs):
    return nn.Sequential(nn.Linear(n_inputs, 96), Block(96), Block(96), nn.Linear(96, n_outputs))


def dropout(n_inputs, n_outputs):
    first = (nn.Linear(n_inputs, 128), nn.SiLU(), nn.Dropout(0.1))
    return nn.Sequential(*first, nn.Linear(128, 128), nn.SiLU(), nn.Linear(128, n_outputs))


# %%
# Is it better?
# -------------
# Images that did not train decide: on these digits dropout gains a little, and residual blocks
# lose. ``encoder`` and ``decoder`` are parameters like others, so that a grid search can choose.
X_train, X_test = train_test_split(load_digits().data / 16, random_state=0)
figure, axis = plt.subplots(layout="constrained")
networks = {"default": None, "residual": residual, "dropout": dropout}
for (name, network), style in zip(networks.items(), ("-", ":", "-."), strict=True):
    model = AutoEncoder(8, encoder=network, decoder=network, random_state=0).fit(X_train)
    print(f"{name:8} share of the variance of test images: {model.score(X_test):.3f}")
    axis.plot(range(1, model.n_iter_ + 1), model.validation_scores_, style, label=name)
axis.axhline(model.pca_score_, color="0.4", linestyle="--", label="PCA")
axis.set(xlabel="epoch", ylabel="R² of validation images")
axis.legend()
plt.show()
