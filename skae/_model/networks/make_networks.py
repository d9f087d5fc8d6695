"""Encoders and decoders from their description."""

from typing import cast

import torch
from torch import nn

from skae._model.networks.convolution import ConvDecoder, ConvEncoder
from skae._model.networks.floored import FlooredNetwork, Gated
from skae._model.networks.mlp import MLP, make_linear
from skae._model.networks.tied import TiedMLP
from skae._model.networks.users import build_network
from skae._model.spec import ModelSpec

Generator = torch.Generator | None


def make_networks(
    spec: ModelSpec, n_outputs: int, generator: Generator
) -> tuple[nn.Module, nn.Module]:
    """Build the encoder and the decoder that ``spec`` describes.

    The encoder has ``n_outputs``, of which the code is the first.
    """
    n_features, k, hidden = spec.n_features, spec.n_components, spec.hidden_layer_sizes
    floored = spec.init == "pca"
    encoder = make_part("encoder", spec, (n_features, *hidden, n_outputs), generator)
    twin = encoder
    if floored:
        encoder = add_floor(encoder, n_features, n_outputs, generator)
    if spec.tied_weights:
        decoder: nn.Module = TiedMLP(cast(MLP, twin), k, spec.activation, generator)
    else:
        decoder = make_part("decoder", spec, (k, *hidden[::-1], n_features), generator)
    if floored:
        decoder = add_floor(decoder, k, n_features, generator)
    return encoder, decoder


def add_floor(network: nn.Module, n_inputs: int, n_outputs: int, generator: Generator) -> nn.Module:
    """Put a linear map that can be PCA beside a network, unless the network is one."""
    if isinstance(network, MLP | TiedMLP) and len(network) == 1:
        return network
    linear = make_linear(n_inputs, n_outputs, generator)
    return FlooredNetwork(linear, start_at_zero(network, n_inputs, n_outputs))


def make_part(
    kind: str, spec: ModelSpec, sizes: tuple[int, ...], generator: Generator
) -> nn.Module:
    """Build the network of the ``kind`` "encoder" or "decoder", with layers of these sizes."""
    users = getattr(spec, kind)
    if users is not None:
        return build_network(kind, users, sizes[0], sizes[-1], generator)
    shape = spec.image_shape
    if shape is None:
        return MLP(sizes, spec.activation, generator)
    if kind == "encoder":
        return ConvEncoder(shape, sizes[1:-1], sizes[-1], spec.activation, generator)
    return ConvDecoder(shape, sizes[-2:0:-1], sizes[0], spec.activation, generator)


def start_at_zero(network: nn.Module, n_inputs: int, n_outputs: int) -> nn.Module:
    """Make all outputs of a network zero, in a way that training can change."""
    with torch.no_grad():
        if isinstance(network, TiedMLP):
            # With the twin's last layer at zero its outputs are constant.
            x = torch.zeros(1, n_inputs, dtype=torch.float32)
            network[-1].bias -= network(x)[0]
        elif isinstance(network, MLP | ConvEncoder | ConvDecoder):
            for layer in network.last:
                for value in layer.parameters():
                    value.zero_()
        else:
            return Gated(network, n_outputs)
    return network
