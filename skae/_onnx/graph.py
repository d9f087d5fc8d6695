"""A graph of ONNX nodes while it is written."""

from typing import Any

import numpy as np
import torch
from onnx import NodeProto, TensorProto, helper, numpy_helper
from torch import Tensor, nn

FLOAT, DOUBLE = TensorProto.FLOAT, TensorProto.DOUBLE
NUMPY_TYPES: dict[int, Any] = {FLOAT: np.float32, DOUBLE: np.float64}

# Operations that onnxruntime has for float32 only. In a float64 model they are computed in
# float32, because a file that does not load is no use.
FLOAT32_ONLY = {"Conv", "ConvTranspose", "Elu", "Erf"}


class Graph:
    """Nodes and constants, to which layers are added one after the other.

    Parameters
    ----------
    dtype : torch.dtype
        Of the model, float32 or float64.
    opset : int
        Version of the operators.
    input_type : int
        ONNX's number of the type of the rows that the graph is given, FLOAT or DOUBLE.
    prefix : str
        What all names of the graph begin with.

    Attributes
    ----------
    examples : dict of nn.Module to list of Tensor
        The inputs of each layer in one pass of a few rows through the model.
    domains : dict of str to int
        Versions of operators that are not ONNX's own, which a user's network may need.
    """

    def __init__(self, dtype: torch.dtype, opset: int, input_type: int, prefix: str = "") -> None:
        self.type = FLOAT if dtype == torch.float32 else DOUBLE
        self.opset, self.input_type, self.prefix = opset, input_type, prefix
        self.nodes: list[NodeProto] = []
        self.initializers: list[TensorProto] = []
        self.examples: dict[nn.Module, list[Tensor]] = {}
        self.domains: dict[str, int] = {}

    def new_name(self, kind: str) -> str:
        """Return a name that the graph does not have yet."""
        return f"{self.prefix}{kind}_{len(self.nodes) + len(self.initializers)}"

    def constant(self, values: Any, kind: int | None = None) -> str:
        """Add a constant, of the model's type unless ``kind`` is another; return its name."""
        if isinstance(values, Tensor):
            values = values.detach().cpu().numpy()
        kind = self.type if kind is None else kind
        array = np.asarray(values, dtype=NUMPY_TYPES.get(kind, np.int64))
        name = self.new_name("constant")
        self.initializers.append(numpy_helper.from_array(array, name))
        return name

    def add(self, operation: str, *inputs: str, **attributes: Any) -> str:
        """Add a node; return the name of its output."""
        if operation in FLOAT32_ONLY and self.type == DOUBLE:
            narrow = [self.cast(name, FLOAT) for name in inputs]
            return self.cast(self._append(operation, narrow, attributes), DOUBLE)
        return self._append(operation, list(inputs), attributes)

    def cast(self, x: str, kind: int) -> str:
        """Add a node that converts to another type."""
        return self._append("Cast", [x], {"to": kind})

    def _append(self, operation: str, inputs: list[str], attributes: dict[str, Any]) -> str:
        name = self.new_name(operation)
        self.nodes.append(helper.make_node(operation, inputs, [name], name=name, **attributes))
        return name

    def rename(self, old: str, new: str) -> None:
        """Give a node's output another name."""
        for node in self.nodes:
            for names in (node.input, node.output):
                for place, name in enumerate(names):
                    if name == old:
                        names[place] = new
