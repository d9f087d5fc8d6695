"""Networks and activations that skae does not know, written by ``torch.onnx``."""

import copy
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import onnx
import torch
from onnx import ModelProto, compose, inliner
from torch import Tensor, nn

from skae._onnx.graph import DOUBLE, FLOAT, Graph

# The oldest operators that torch.onnx writes.
OLDEST_OPSET = 18


def write_foreign(graph: Graph, layers: list[nn.Module], x: str) -> str:
    """Add the nodes that ``torch.onnx`` writes for layers; return the name of their output.

    In a float64 model they are computed in float32: of many operations onnxruntime has no other.
    """
    name = ", ".join(type(layer).__name__ for layer in layers)
    if graph.opset < OLDEST_OPSET:
        raise ValueError(
            f"opset={graph.opset} is too old for the network {name}, which torch.onnx writes with "
            f"opset {OLDEST_OPSET} or later; pass opset={OLDEST_OPSET}, or target_opset in a "
            "pipeline."
        )
    try:
        network = copy.deepcopy(layers[0] if len(layers) == 1 else nn.Sequential(*layers)).float()
        model = _export(network, graph.examples[layers[0]][0], graph.opset)
    except ImportError as error:
        raise ImportError(
            f"The network {name} needs onnxscript ({error}); install it with pip install "
            '"skae[onnx]".'
        ) from error
    except Exception as error:
        raise ValueError(
            f"torch.onnx cannot export the network {name}; change it until "
            f"torch.onnx.export(network, (rows,), dynamo=True) works. It says: {error}"
        ) from error
    for entry in model.opset_import:
        if entry.domain:
            graph.domains[entry.domain] = entry.version
    if graph.type == DOUBLE:
        x = graph.cast(x, FLOAT)
    part = compose.add_prefix_graph(model.graph, graph.new_name(type(layers[0]).__name__) + "_")
    graph.nodes.append(onnx.helper.make_node("Identity", [x], [part.input[0].name]))
    graph.nodes.extend(part.node)
    graph.initializers.extend(part.initializer)
    output = str(part.output[0].name)
    return graph.cast(output, DOUBLE) if graph.type == DOUBLE else output


def _export(layer: nn.Module, example: Tensor, opset: int) -> ModelProto:
    import onnxscript  # noqa: F401  a missing package is to be named

    rows: Any = ({0: torch.export.Dim.DYNAMIC},)
    with _quiet():
        program = torch.onnx.export(
            layer,
            (example.float(),),
            dynamo=True,
            external_data=False,
            dynamic_shapes=rows,
            opset_version=opset,
            verbose=False,
        )
    assert program is not None
    model = inliner.inline_local_functions(program.model_proto)
    versions = {entry.domain: entry.version for entry in model.opset_import}
    if versions[""] != opset:
        raise ValueError(f"it is written with opset {versions['']}, not {opset}")
    for node in model.graph.node:  # traces of the stack, with the names of folders
        node.ClearField("metadata_props")
    return model


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep back torch.onnx's messages and warnings, such as that torchvision is missing.

    Meanwhile warnings of other threads are kept back too.
    """
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
