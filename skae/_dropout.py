"""The dropout autoencoder."""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from skae._estimator.fit import BaseAutoEncoder
from skae._estimator.parameters.rules import estimator, parameter, real
from skae._files.words import shown
from skae._model.module import AutoEncoderModule
from skae._model.networks.floored import inner_network
from skae._model.networks.mlp import Dropout, places, replace_layers
from skae._model.plain.exportable import Exportable, export
from skae._model.seeding import SeededLayer


def is_activation(layer: nn.Module) -> bool:
    """Tell whether a layer is a nonlinearity: one of torch's, or a user's without parameters."""
    if isinstance(layer, SeededLayer):
        return is_activation(layer.layer)
    if type(layer).__module__.startswith("torch."):
        return type(layer).__module__ == nn.ReLU.__module__ and not [*layer.children()]
    has_parts = [*layer.children(), *layer.parameters()]
    return not has_parts and not isinstance(layer, Dropout)


class DropoutActivation(Exportable):
    """An activation whose outputs are dropped out, but for those that are the network's own.

    Parameters
    ----------
    activation : nn.Module
    dropout : Dropout
    is_output : list of bool
        For each call of the activation in one pass through the network, whether it gives the
        network's outputs.
    """

    def __init__(self, activation: nn.Module, dropout: Dropout, is_output: list[bool]) -> None:
        super().__init__()
        self.activation, self.dropout = activation, dropout
        self.is_output, self.n_calls = is_output, 0

    def forward(self, x: Tensor) -> Tensor:
        """Apply the activation, and drop units out in training."""
        h: Tensor = self.activation(x)
        call = self.n_calls % len(self.is_output)
        self.n_calls += 1
        return h if self.is_output[call] else self.dropout(h)

    def to_torch(self) -> nn.Module:
        """Return the activation."""
        return export(self.activation)


def watch_activations(network: nn.Module, n_inputs: int) -> dict[nn.Module, list[bool]]:
    """Return the activations that a network calls, and which of the calls give its outputs."""
    calls: list[tuple[nn.Module, Tensor]] = []
    layers = {layer for _, _, layer in places(network) if is_activation(layer)}
    hooks = [
        layer.register_forward_hook(lambda layer, _, output: calls.append((layer, output)))
        for layer in layers
    ]
    try:
        with torch.no_grad():
            output = network.eval()(torch.zeros(3, n_inputs, dtype=torch.float32))
    finally:
        for hook in hooks:
            hook.remove()
    network.train()
    return {
        layer: [result is output for called, result in calls if called is layer]
        for layer in layers
        if any(called is layer for called, _ in calls)
    }


class DropoutModule(AutoEncoderModule):
    """min over f and g of the mean of L(x, g(f(x))), hidden units being left out at random."""

    is_isotropic = True

    has_noise = True

    def __init__(self, *parts: Any, dropout: float) -> None:
        super().__init__(*parts)
        n_places = 0
        for network, n_inputs in (
            (self.encoder, self.units.n_features),
            (self.decoder, self.n_components),
        ):
            inner = inner_network(network)
            replacements = {
                layer: DropoutActivation(layer, Dropout(dropout), is_output)
                for layer, is_output in watch_activations(inner, n_inputs).items()
                if not all(is_output)
            }
            n_places += replace_layers(inner, replacements.get)
        if not n_places:
            raise ValueError(
                f"dropout={shown(dropout)} finds no hidden units to leave out: the networks have "
                "no hidden layer with an activation; give hidden_layer_sizes, an activation that "
                "is not linear, or use layers such as torch.nn.ReLU in place of functions."
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
    never left out, and nothing is after the training. In networks of one's own the hidden units
    are the outputs of torch's activations and of modules without parameters, unless these are
    the network's own outputs.

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
    >>> model.best_validation_score_ > model.pca_score_
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
