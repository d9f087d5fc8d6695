"""How many numbers the networks of a description have, before any of them is built."""

import math
from itertools import pairwise

from skae._model.networks.convolution import INNER, KERNEL, OUTER, STRIDE, as_image
from skae._model.spec import ModelSpec


def count_dense(sizes: tuple[int, ...]) -> int:
    """Return the number of weights and biases of dense layers."""
    return sum(n_inputs * n_outputs + n_outputs for n_inputs, n_outputs in pairwise(sizes))


def count_weights(spec: ModelSpec, n_outputs: int) -> int:
    """Return how many weights skae's own networks have, those of users not counted.

    Parameters
    ----------
    spec : ModelSpec
    n_outputs : int
        Of the encoder.
    """
    n, k, hidden = spec.n_features, spec.n_components, spec.hidden_layer_sizes
    total = 0
    if spec.encoder is None:
        sizes = (n, *hidden, n_outputs)
        total += count_dense(sizes) if spec.image_shape is None else count_encoder(spec, n_outputs)
    if spec.tied_weights:
        total += n
    elif spec.decoder is None:
        sizes = (k, *hidden[::-1], n)
        total += count_dense(sizes) if spec.image_shape is None else count_decoder(spec)
    return total


def count_convolutions(spec: ModelSpec) -> tuple[int, int]:
    """Return the number of weights of convolutions, and the size of the last one's output."""
    assert spec.image_shape is not None
    height, width, n_channels = as_image(spec.image_shape)
    channels = (n_channels, *spec.hidden_layer_sizes)
    total = sum(n_inputs * n_next * KERNEL**2 for n_inputs, n_next in pairwise(channels))
    for _ in spec.hidden_layer_sizes:
        height, width = math.ceil(height / STRIDE), math.ceil(width / STRIDE)
    return total, height * width * channels[-1]


def count_encoder(spec: ModelSpec, n_outputs: int) -> int:
    """Return the number of weights of a convolutional encoder, biases of convolutions left out."""
    total, size = count_convolutions(spec)
    return total + count_dense((size, INNER, n_outputs))


def count_decoder(spec: ModelSpec) -> int:
    """Return the number of weights of a convolutional decoder, biases of convolutions left out."""
    total, size = count_convolutions(spec)
    dense = count_dense((spec.n_components, INNER, OUTER, spec.n_features))
    return total + count_dense((INNER, size)) + dense
