"""The dropout autoencoder."""

from typing import Any, ClassVar

from torch import Tensor, nn

from skae._estimator.fit import BaseAutoEncoder
from skae._estimator.parameters import estimator, parameter, real
from skae._model.module import AutoEncoderModule
from skae._model.networks.mlp import Dropout, replace_layers
from skae._model.seeding import SeededLayer


def is_activation(layer: nn.Module) -> bool:
    """Tell whether a layer is a nonlinearity: one of torch's, or a user's without parameters."""
    if type(layer).__module__.startswith("torch."):
        return type(layer).__module__ == nn.ReLU.__module__ and not [*layer.children()]
    if isinstance(layer, SeededLayer):
        return is_activation(layer.layer)
    has_parts = [*layer.children(), *layer.parameters()]
    return not has_parts and not isinstance(layer, Dropout)


class DropoutModule(AutoEncoderModule):
    """min over f and g of the mean of L(x, g(f(x))), hidden units being left out at random."""

    has_noise = True

    def __init__(self, *parts: Any, dropout: float) -> None:
        super().__init__(*parts)

        def drop(layer: nn.Module) -> nn.Module | None:
            return nn.Sequential(layer, Dropout(dropout)) if is_activation(layer) else None

        networks = (self.encoder, self.decoder)
        if not sum(replace_layers(network, drop, keep_last=True) for network in networks):
            raise ValueError(
                f"dropout={dropout!r} finds no hidden units to leave out: the networks have no "
                "hidden layer with an activation; give hidden_layer_sizes, an activation that is "
                "not linear, or use layers such as torch.nn.ReLU in place of functions."
            )

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Reconstruct ``x``."""
        output = self.decoder(self.encoder(x))
        return output, {"reconstruction": self.loss(x, output)}


@estimator
class DropoutAutoEncoder(BaseAutoEncoder):
    r"""Autoencoder whose hidden units are left out at random in training.

    It is trained to minimise, over the training rows x,

    .. math:: \frac{1}{n} \sum_x L(x, g(f(x)))

    where L is the loss, and in each step every hidden unit of f and g is zero with probability
    ``dropout`` and 1/(1 − dropout) times as large otherwise. Inputs, codes and PCA's part are
    never left out, and nothing is after the training. In networks of one's own the outputs of
    torch's activations are hidden units, and those of modules without parameters, but for a
    network's last.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    {attributes}

    See Also
    --------
    DenoisingAutoEncoder : Leaves out inputs instead, with ``noise="masking"``.

    References
    ----------
    .. [1] Srivastava, N., Hinton, G., Krizhevsky, A., Sutskever, I. and Salakhutdinov, R.,
       "Dropout: a simple way to prevent neural networks from overfitting", JMLR 15, 2014.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skae import DropoutAutoEncoder
    >>> X, _ = load_digits(return_X_y=True)
    >>> model = DropoutAutoEncoder(8, dropout=0.1, max_iter=20, random_state=0).fit(X)
    >>> max(model.validation_scores_) > model.pca_score_
    True
    """

    _module: ClassVar[type[AutoEncoderModule]] = DropoutModule

    dropout: float = parameter(
        0.1,
        real(0, 1, "[)"),
        """
        Probability that a hidden unit is left out. Raise it when new rows are reconstructed much
        worse than the training rows, and widen the layers with it.
        """,
    )
