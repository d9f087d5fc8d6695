"""The module layer: encoders and decoders from their description."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import nn

from skae._model.networks.convolution import ConvDecoder, ConvEncoder
from skae._model.networks.mlp import (
    MLP,
    Dropout,
    FlooredNetwork,
    Gated,
    TiedMLP,
    make_linear,
    replace_layers,
)

Generator = torch.Generator | None

# torch's modules draw their weights from its global generator, which all threads share.
_global_generator = threading.Lock()


def make_networks(
    architecture: dict[str, Any], n_outputs: int, generator: Generator
) -> tuple[nn.Module, nn.Module]:
    """Build the encoder and the decoder that an estimator's ``_architecture`` describes.

    The encoder has ``n_outputs``, of which the code is the first.
    """
    n_features, k = architecture["n_features"], architecture["n_components"]
    hidden, floored = architecture["hidden_layer_sizes"], architecture["init"] == "pca"
    encoder = make_part("encoder", architecture, (n_features, *hidden, n_outputs), generator)
    twin = encoder
    if floored:
        encoder = add_floor(encoder, n_features, n_outputs, generator)
    if architecture["tied_weights"]:
        decoder: nn.Module = TiedMLP(cast(MLP, twin), k, architecture["activation"], generator)
    else:
        decoder = make_part("decoder", architecture, (k, *hidden[::-1], n_features), generator)
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
    kind: str, architecture: dict[str, Any], sizes: tuple[int, ...], generator: Generator
) -> nn.Module:
    """Build the network of the ``kind`` "encoder" or "decoder", with layers of these sizes."""
    if architecture[kind] is not None:
        return build(kind, architecture[kind], sizes[0], sizes[-1], generator)
    shape, activation = architecture["image_shape"], architecture["activation"]
    if shape is None:
        return MLP(sizes, activation, generator)
    if kind == "encoder":
        return ConvEncoder(shape, sizes[1:-1], sizes[-1], activation, generator)
    return ConvDecoder(shape, sizes[-2:0:-1], sizes[0], activation, generator)


def start_at_zero(network: nn.Module, n_inputs: int, n_outputs: int) -> nn.Module:
    """Make all outputs of a network zero, in a way that training can change."""
    with torch.no_grad():
        if isinstance(network, TiedMLP):
            # With the twin's last layer at zero its outputs are constant.
            network[-1].bias -= network(torch.zeros(1, n_inputs))[0]
        elif isinstance(network, MLP | ConvEncoder | ConvDecoder):
            for layer in network.last:
                for value in layer.parameters():
                    value.zero_()
        else:
            return Gated(network, n_outputs)
    return network


def build(
    name: str,
    make: Callable[[int, int], nn.Module],
    n_inputs: int,
    n_outputs: int,
    generator: Generator,
) -> nn.Module:
    """Build a user's network, and raise ValueError if it is none or has other outputs."""
    with seeded(generator):
        network = make(n_inputs, n_outputs)
        if not isinstance(network, nn.Module):
            raise ValueError(
                f"{name}={make!r} must return a torch.nn.Module when it is called with the numbers "
                f"of inputs and outputs, and returned {type(network).__name__}."
            )
        replace_layers(network, lambda m: Dropout(m.p) if type(m) is nn.Dropout else None)
        for layer in network.modules():
            if isinstance(layer, nn.modules.dropout._DropoutNd):
                raise ValueError(
                    f"{name}={make!r} has a layer {layer}, which draws from torch's global "
                    "generator and not from random_state; use torch.nn.Dropout."
                )
        network.float().eval()
        try:
            with torch.no_grad():
                output = network(torch.zeros(3, n_inputs, dtype=torch.float32))
        except Exception as error:
            raise ValueError(
                f"{name}={make!r} returned a network that fails on a tensor of shape "
                f"(3, {n_inputs}): {error}"
            ) from error
    got = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
    if got != (3, n_outputs):
        raise ValueError(
            f"{name}={make!r} must map (n_rows, {n_inputs}) to (n_rows, {n_outputs}), but the "
            f"network that it returned maps (3, {n_inputs}) to {got}."
        )
    return network


@contextmanager
def seeded(generator: Generator) -> Iterator[None]:
    """Let torch's global generator draw what the fit's own would, and put it back."""
    seed = 0 if generator is None else int(torch.randint(2**31, (), generator=generator))
    with _global_generator:
        before = torch.get_rng_state()
        torch.default_generator.manual_seed(seed)
        try:
            yield
        finally:
            torch.set_rng_state(before)
