"""A part of a fitted model as a whole ONNX model."""

import json
from dataclasses import dataclass
from typing import Any

import onnx
import torch
from onnx import ModelProto, ValueInfoProto, helper

from skae._model.plain.autoencoder import PlainAutoEncoder
from skae._onnx.graph import DOUBLE, FLOAT, Graph
from skae._onnx.layers import note_examples, write

# Protocol buffers hold no more in one file.
LARGEST = 2**31 - 2**20


@dataclass(frozen=True)
class Sizes:
    """Numbers of columns by the names of inputs and outputs."""

    X: int
    codes: int

    @classmethod
    def of(cls, module: PlainAutoEncoder) -> "Sizes":
        """Read them off the first layers."""
        encoder: Any = module.encoder
        decoder: Any = module.decoder
        return cls(encoder[0].high.numel(), decoder[0].offset.numel())

    def describe(self, name: str, kind: int) -> ValueInfoProto:
        """Return ONNX's description of an input or output; "X_hat" is as wide as "X"."""
        width = self.codes if name == "codes" else self.X
        return helper.make_tensor_value_info(name, kind, ["rows", width])


def dtype_of(module: PlainAutoEncoder) -> torch.dtype:
    """Return the dtype that a plain module computes in."""
    encoder: Any = module.encoder
    dtype: torch.dtype = encoder[0].factor.dtype
    return dtype


def start_graph(
    module: PlainAutoEncoder, opset: int, *, input_type: int | None = None, prefix: str = ""
) -> Graph:
    """Return a graph without nodes for a plain module; rows have its type unless told."""
    dtype = dtype_of(module)
    own = FLOAT if dtype == torch.float32 else DOUBLE
    graph = Graph(dtype, opset, own if input_type is None else input_type, prefix)
    note_examples(graph, module, torch.zeros(3, Sizes.of(module).X, dtype=dtype))
    return graph


def write_part(graph: Graph, module: PlainAutoEncoder, part: str) -> tuple[str, list[str]]:
    """Write "encode", "decode" or "reconstruct"; return the input's and the outputs' names."""
    codes = "codes"
    if part != "decode":
        graph.rename(write(graph, module.encoder, "X"), codes)
    if part == "encode":
        return "X", [codes]
    graph.rename(write(graph, module.decoder, codes), "X_hat")
    return ("codes", ["X_hat"]) if part == "decode" else ("X", ["X_hat", codes])


def make_onnx(
    module: PlainAutoEncoder, part: str, opset: int, metadata: dict[str, Any]
) -> ModelProto:
    """Return a part of a plain module as a checked ONNX model."""
    graph, sizes = start_graph(module, opset), Sizes.of(module)
    input_name, outputs = write_part(graph, module, part)
    n_bytes = sum(tensor.ByteSize() for tensor in graph.initializers)
    if n_bytes > LARGEST:
        raise ValueError(
            f"The weights take {n_bytes / 2**30:.1f} GiB, and an ONNX file holds 2 GiB; use "
            "to_torch and torch.export.save."
        )
    described = [sizes.describe(name, graph.type) for name in (input_name, *outputs)]
    versions = [("", opset), *graph.domains.items()]
    imports = [helper.make_opsetid(*version) for version in versions]
    model = helper.make_model(
        helper.make_graph(graph.nodes, part, described[:1], described[1:], graph.initializers),
        opset_imports=imports,
        ir_version=helper.find_min_ir_version_for(imports, ignore_unknown=True),
        producer_name="skae",
        producer_version=metadata["skae_version"],
    )
    texts = {key: v if isinstance(v, str) else json.dumps(v) for key, v in metadata.items()}
    helper.set_model_props(model, texts)
    onnx.checker.check_model(model)
    return model
