"""Names and shapes of the weights that networks of a description have, before any is built."""

import math
from collections.abc import Iterator
from itertools import pairwise

from skae._model.networks.convolution import INNER, KERNEL, OUTER, STRIDE, as_image
from skae._model.spec import ModelSpec

# A name of a module's state, and the shape of the array.
Shape = tuple[str, tuple[int, ...]]


def module_shapes(spec: ModelSpec, n_outputs: int) -> Iterator[Shape]:
    """Yield the weights of skae's own networks, and of the frame of the codes.

    Parameters
    ----------
    spec : ModelSpec
    n_outputs : int
        Of the encoder.
    """
    yield from part_shapes("encoder", spec, (*encoder_sizes(spec), n_outputs))
    yield from part_shapes("decoder", spec, (spec.n_components, *encoder_sizes(spec)[::-1]))
    yield from frame_shapes(spec.n_components)


def encoder_sizes(spec: ModelSpec) -> tuple[int, ...]:
    """Return the sizes of the layers up to the last hidden one."""
    return spec.n_features, *spec.hidden_layer_sizes


def frame_shapes(k: int) -> Iterator[Shape]:
    """Yield the arrays of a :class:`~skae._model.codes.CodeFrame`."""
    for name in ("offset", "metric"):
        yield f"frame.{name}", (k,)
    for name in ("axes", "inverse_axes"):
        yield f"frame.{name}", (k, k)


def part_shapes(kind: str, spec: ModelSpec, sizes: tuple[int, ...]) -> Iterator[Shape]:
    """Yield the weights of the "encoder" or "decoder", whose layers have these sizes.

    Of a user's network only what is beside it, and no weights of activations.
    """
    is_users = getattr(spec, kind) is not None
    is_dense = not is_users and spec.image_shape is None
    path = kind
    if spec.init == "pca" and not (is_dense and len(sizes) == 2):
        yield f"{kind}.linear.weight", (sizes[-1], sizes[0])
        yield f"{kind}.linear.bias", sizes[-1:]
        yield f"{kind}.scale", sizes[-1:]
        yield f"{kind}.low", sizes[:1]
        yield f"{kind}.high", sizes[:1]
        path = f"{kind}.network"
        if is_users:
            yield f"{path}.gate", sizes[-1:]
    if is_dense:
        is_tied = kind == "decoder" and spec.tied_weights
        for name, shape in dense_shapes(path, sizes):
            if not is_tied or name.endswith("bias"):
                yield name, shape
    elif not is_users and kind == "encoder":
        yield from conv_encoder_shapes(path, spec, sizes[-1])
    elif not is_users:
        yield from conv_decoder_shapes(path, spec)


def dense_shapes(path: str, sizes: tuple[int, ...]) -> Iterator[Shape]:
    """Yield weights and biases of dense layers, between which are activations."""
    for i, (n_inputs, n_outputs) in enumerate(pairwise(sizes)):
        yield f"{path}.{2 * i}.weight", (n_outputs, n_inputs)
        yield f"{path}.{2 * i}.bias", (n_outputs,)


def conv_encoder_shapes(path: str, spec: ModelSpec, n_outputs: int) -> Iterator[Shape]:
    """Yield the weights of a :class:`~skae._model.networks.convolution.ConvEncoder`."""
    channels, size = convolutions(spec)
    for i, (n_inputs, n_next) in enumerate(pairwise(channels)):
        yield f"{path}.convolutions.{2 * i}.weight", (n_next, n_inputs, KERNEL, KERNEL)
        yield f"{path}.convolutions.{2 * i}.bias", (n_next,)
    yield from dense_shapes(f"{path}.dense", (size, INNER, n_outputs))


def conv_decoder_shapes(path: str, spec: ModelSpec) -> Iterator[Shape]:
    """Yield the weights of a :class:`~skae._model.networks.convolution.ConvDecoder`."""
    channels, size = convolutions(spec)
    yield from dense_shapes(f"{path}.convolutions", (INNER, size))
    for i, (n_inner, n_outputs) in enumerate(pairwise(channels[::-1])):
        yield f"{path}.convolutions.{2 * i + 3}.weight", (n_inner, n_outputs, KERNEL, KERNEL)
        yield f"{path}.convolutions.{2 * i + 3}.bias", (n_outputs,)
    yield from dense_shapes(f"{path}.first", (spec.n_components, INNER))
    yield from dense_shapes(f"{path}.dense", (INNER, OUTER, spec.n_features))


def convolutions(spec: ModelSpec) -> tuple[tuple[int, ...], int]:
    """Return the channels before, between and after convolutions, and their output's size."""
    assert spec.image_shape is not None
    height, width, n_channels = as_image(spec.image_shape)
    channels = (n_channels, *spec.hidden_layer_sizes)
    for _ in spec.hidden_layer_sizes:
        height, width = math.ceil(height / STRIDE), math.ceil(width / STRIDE)
    return channels, height * width * channels[-1]
