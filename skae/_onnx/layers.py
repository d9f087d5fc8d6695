"""The ONNX nodes of each layer of a plain module."""

from collections.abc import Callable
from functools import partial
from itertools import groupby
from typing import Any

import torch
from onnx import TensorProto
from torch import nn

from skae._model.plain import layers as plain
from skae._onnx.foreign import write_foreign
from skae._onnx.graph import Graph

Layer = Any
INT64 = TensorProto.INT64


def write(graph: Graph, layer: nn.Module, x: str) -> str:
    """Add the nodes of a layer; return the name of its output.

    What has no nodes here, such as a user's network, is written by ``torch.onnx``.
    """
    if is_known(graph, layer):
        return WRITERS[type(layer)](graph, layer, x)
    return write_foreign(graph, [layer], x)


def is_known(graph: Graph, layer: nn.Module) -> bool:
    """Tell whether a layer has nodes here."""
    is_altered = layer._forward_hooks or layer._forward_pre_hooks
    if is_altered or type(layer) not in WRITERS:
        return False
    condition = CONDITIONS.get(type(layer))
    return condition is None or condition(graph, layer)


def _write_sequence(graph: Graph, layer: Layer, x: str) -> str:
    for known, parts in groupby(layer, partial(is_known, graph)):
        if not known:  # all together: torch.onnx takes a second for each
            x = write_foreign(graph, list(parts), x)
            continue
        for part in parts:
            x = write(graph, part, x)
    return x


def _write_sum(graph: Graph, layer: Layer, x: str) -> str:
    return graph.add("Add", write(graph, layer.first, x), write(graph, layer.second, x))


# -- units and axes -----------------------------------------------------------------------------


def _write_to_units(graph: Graph, layer: Layer, x: str) -> str:
    for part in (layer.high, layer.low):
        if part.any():
            x = graph.add("Sub", x, graph.constant(part, graph.input_type))
    if graph.input_type != graph.type:
        x = graph.cast(x, graph.type)
    return graph.add("Mul", x, graph.constant(layer.factor))


def _write_from_units(graph: Graph, layer: Layer, x: str) -> str:
    x = graph.add("Mul", x, graph.constant(layer.scale))
    for part in (layer.low, layer.high):
        if part.any():
            x = graph.add("Add", x, graph.constant(part))
    return x


def _write_to_axes(graph: Graph, layer: Layer, x: str) -> str:
    if layer.offset.any():
        x = graph.add("Sub", x, graph.constant(layer.offset))
    return graph.add("MatMul", x, graph.constant(layer.axes))


def _write_from_axes(graph: Graph, layer: Layer, x: str) -> str:
    return graph.add("Gemm", x, graph.constant(layer.axes), graph.constant(layer.offset))


def _write_clip(graph: Graph, layer: Layer, x: str) -> str:
    x = graph.add("Max", x, graph.constant(layer.low))
    return graph.add("Min", x, graph.constant(layer.high))


def _write_scale(graph: Graph, layer: Layer, x: str) -> str:
    return graph.add("Mul", x, graph.constant(layer.scale))


def _write_rates(graph: Graph, layer: Layer, x: str) -> str:
    return graph.add("Exp", graph.add("Min", x, graph.constant(layer.highest)))


def _write_first(graph: Graph, layer: Layer, x: str) -> str:
    start, end, axis = (graph.constant([number], INT64) for number in (0, layer.n, 1))
    return graph.add("Slice", x, start, end, axis)


# -- layers of weights --------------------------------------------------------------------------


def _is_of_rows(graph: Graph, layer: Layer) -> bool:
    return all(example.ndim == 2 for example in graph.examples[layer])


def _write_linear(graph: Graph, layer: Layer, x: str) -> str:
    weights = [value for value in (layer.weight, layer.bias) if value is not None]
    return graph.add("Gemm", x, *map(graph.constant, weights), transB=1)


def _is_of_images(graph: Graph, layer: Layer) -> bool:
    is_plain = layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
    return is_plain and all(example.ndim == 4 for example in graph.examples[layer])


def _write_convolution(graph: Graph, layer: Layer, x: str) -> str:
    attributes = {
        "kernel_shape": layer.kernel_size,
        "strides": layer.stride,
        "pads": (*layer.padding, *layer.padding),
        "dilations": layer.dilation,
        "group": layer.groups,
    }
    operation = "Conv"
    if layer.transposed:
        operation, attributes["output_padding"] = "ConvTranspose", layer.output_padding
    weights = [value for value in (layer.weight, layer.bias) if value is not None]
    return graph.add(operation, x, *map(graph.constant, weights), **attributes)


# -- shapes of arrays ---------------------------------------------------------------------------


def _is_from_rows(graph: Graph, layer: Layer) -> bool:
    is_plain = layer.dim == 1 and all(isinstance(size, int) for size in layer.unflattened_size)
    return is_plain and _is_of_rows(graph, layer)


def _write_unflatten(graph: Graph, layer: Layer, x: str) -> str:
    # ONNX's 0 stands for the size that there is, the number of rows.
    return graph.add("Reshape", x, graph.constant([0, *layer.unflattened_size], INT64))


def _write_channels_first(graph: Graph, layer: Layer, x: str) -> str:
    return graph.add("Transpose", x, perm=[0, 3, 1, 2])


def _write_channels_last(graph: Graph, layer: Layer, x: str) -> str:
    return graph.add("Transpose", x, perm=[0, 2, 3, 1])


def _is_to_rows(graph: Graph, layer: Layer) -> bool:
    return (layer.start_dim, layer.end_dim) == (1, -1)


def _write_flatten(graph: Graph, layer: Layer, x: str) -> str:
    return graph.add("Flatten", x, axis=1)


# -- activations --------------------------------------------------------------------------------


def _write_identity(graph: Graph, layer: Layer, x: str) -> str:
    return x


def _write_sigmoid(graph: Graph, layer: Layer, x: str) -> str:
    return graph.add("Sigmoid", x)


def _write_tanh(graph: Graph, layer: Layer, x: str) -> str:
    return graph.add("Tanh", x)


def _write_relu(graph: Graph, layer: Layer, x: str) -> str:
    return graph.add("Relu", x)


def _write_silu(graph: Graph, layer: Layer, x: str) -> str:
    return graph.add("Mul", x, graph.add("Sigmoid", x))


def _write_elu(graph: Graph, layer: Layer, x: str) -> str:
    return graph.add("Elu", x, alpha=float(layer.alpha))


def _is_exact(graph: Graph, layer: Layer) -> bool:
    return bool(layer.approximate == "none")


def _write_gelu(graph: Graph, layer: Layer, x: str) -> str:
    """Write x Φ(x) = x/2 (1 + erf(x/√2)); onnxruntime makes one operation of it."""
    root, one, half = (graph.constant(number) for number in (2**0.5, 1.0, 0.5))
    erf = graph.add("Erf", graph.add("Div", x, root))
    return graph.add("Mul", graph.add("Mul", x, graph.add("Add", erf, one)), half)


WRITERS: dict[type[nn.Module], Callable[[Graph, Layer, str], str]] = {
    nn.Sequential: _write_sequence,
    plain.Sum: _write_sum,
    plain.ToUnits: _write_to_units,
    plain.FromUnits: _write_from_units,
    plain.ToAxes: _write_to_axes,
    plain.FromAxes: _write_from_axes,
    plain.Clip: _write_clip,
    plain.Scale: _write_scale,
    plain.Rates: _write_rates,
    plain.First: _write_first,
    plain.ChannelsFirst: _write_channels_first,
    plain.ChannelsLast: _write_channels_last,
    nn.Flatten: _write_flatten,
    nn.Unflatten: _write_unflatten,
    nn.Linear: _write_linear,
    nn.Conv2d: _write_convolution,
    nn.ConvTranspose2d: _write_convolution,
    nn.Identity: _write_identity,
    nn.Dropout: _write_identity,
    nn.Sigmoid: _write_sigmoid,
    nn.Tanh: _write_tanh,
    nn.ReLU: _write_relu,
    nn.GELU: _write_gelu,
    nn.SiLU: _write_silu,
    nn.ELU: _write_elu,
}

# What a layer has to be for its nodes to be right, where not all of its type are.
CONDITIONS: dict[type[nn.Module], Callable[[Graph, Layer], bool]] = {
    nn.Flatten: _is_to_rows,
    nn.Unflatten: _is_from_rows,
    nn.Linear: _is_of_rows,
    nn.Conv2d: _is_of_images,
    nn.ConvTranspose2d: _is_of_images,
    nn.GELU: _is_exact,
}


def note_examples(graph: Graph, module: nn.Module, *inputs: torch.Tensor) -> None:
    """Note what each layer is given when the module is applied to ``inputs``."""

    def note(layer: nn.Module, given: tuple[Any, ...]) -> None:
        if given:  # what a user's network calls otherwise is written with the network
            graph.examples.setdefault(layer, []).append(given[0])

    hooks = [layer.register_forward_pre_hook(note, prepend=True) for layer in module.modules()]
    try:
        with torch.no_grad():
            module(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
