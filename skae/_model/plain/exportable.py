"""What a module of skae is outside it."""

import copy
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn


class Exportable(nn.Module, ABC):
    """A module that says of which of torch's own layers its computation is made.

    skae's networks are exportable, and so are the layers that it puts into users' networks.
    """

    @abstractmethod
    def to_torch(self) -> nn.Module:
        """Return plain layers that compute what this module does in evaluation mode.

        They share no memory with this module.
        """


def export(network: nn.Module) -> nn.Module:
    """Return a copy of a network in which plain layers are in the place of skae's.

    A user's network is copied as it is, but for the layers that skae has put into it.
    """
    if isinstance(network, Exportable):
        return network.to_torch()
    try:
        twin = copy.deepcopy(network)
    except Exception as error:
        raise ValueError(
            f"to_torch cannot copy the network {type(network).__name__} ({error}); let "
            "copy.deepcopy work on it."
        ) from error
    _replace_within(twin)
    for parameter in twin.parameters():
        parameter.grad = None
    return twin


def _replace_within(network: nn.Module) -> None:
    for name, layer in list(network._modules.items()):
        if isinstance(layer, Exportable):
            setattr(network, name, layer.to_torch())
        elif layer is not None:
            _replace_within(layer)


def copy_as(layer: nn.Module, kind: type[nn.Module]) -> nn.Module:
    """Return a copy of a layer that is of its base class, from which it differs in draws only."""
    twin = copy.deepcopy(layer)
    twin.__class__ = kind
    for parameter in twin.parameters():
        parameter.grad = None
    return twin


def make_plain_linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    """Build a linear layer with copies of these weights; none are drawn."""
    n_outputs, n_inputs = weight.shape
    # On the meta device nothing is drawn from torch's global generator.
    layer = nn.Linear(n_inputs, n_outputs, device="meta", dtype=weight.dtype)
    copies = (
        value.detach().clone(memory_format=torch.contiguous_format) for value in (weight, bias)
    )
    layer.weight, layer.bias = map(nn.Parameter, copies)
    return layer
