"""An autoencoder in a pipeline that skl2onnx converts."""

from typing import Any, NoReturn

from skl2onnx import update_registered_converter
from skl2onnx.common.data_types import (
    DoubleTensorType,
    FloatTensorType,
    StringTensorType,
    guess_proto_type,
)

from skae._model.plain.autoencoder import PlainAutoEncoder
from skae._onnx.graph import DOUBLE, FLOAT, Graph
from skae._onnx.layers import write
from skae._onnx.parts import start_graph

ALIAS = "SkaeAutoEncoder"


def register_autoencoder(kind: type) -> None:
    """Tell skl2onnx how autoencoders of a class are converted."""
    update_registered_converter(kind, ALIAS, set_output, convert)


def register_refused(kind: type) -> None:
    """Let skl2onnx say of a class that it is not converted."""
    update_registered_converter(kind, f"Skae{kind.__name__}", refuse, refuse_to_convert)


def refuse(operator: Any) -> NoReturn:
    """Say that an estimator has no ONNX graph."""
    name = type(operator.raw_operator).__name__
    raise NotImplementedError(
        f"{name} cannot be exported to ONNX: it fills each row by an expectation that "
        "depends on which values are missing. Fill missing values before the exported pipeline."
    )


def refuse_to_convert(scope: Any, operator: Any, container: Any) -> NoReturn:
    """Say the same where skl2onnx asks for the nodes."""
    refuse(operator)


def set_output(operator: Any) -> None:
    """Tell skl2onnx the type and the shape of an autoencoder's codes."""
    for given in operator.inputs:
        if isinstance(given.type, StringTensorType):
            raise TypeError(
                f"{type(operator.raw_operator).__name__} takes numbers, and its input "
                f"{given.raw_name!r} is text; encode it first."
            )
    first = operator.inputs[0]
    kind = DoubleTensorType if isinstance(first.type, DoubleTensorType) else FloatTensorType
    n_rows = first.get_first_dimension()
    operator.outputs[0].type = kind([n_rows, operator.raw_operator.n_components_])


def convert(scope: Any, operator: Any, container: Any) -> None:
    """Add an autoencoder's ``transform`` to the graph of a pipeline."""
    module: Any = operator.raw_operator.to_torch()
    types = {guess_proto_type(given.type) for given in operator.inputs}
    own = FLOAT if operator.raw_operator.dtype == "float32" else DOUBLE
    # Numbers of other types than the model's are centred in float64, as `transform` does.
    input_type = FLOAT if types == {FLOAT} and own == FLOAT else DOUBLE
    prefix = scope.get_unique_variable_name("skae") + "_"
    opset = container.target_opset_any_domain("")
    graph = start_graph(module, opset, input_type=input_type, prefix=prefix)
    write_codes(graph, module, operator)
    container.nodes.extend(graph.nodes)
    container.initializers.extend(graph.initializers)
    container.node_domain_version_pair_sets.update([("", opset), *graph.domains.items()])


def write_codes(graph: Graph, module: PlainAutoEncoder, operator: Any) -> None:
    """Write the nodes between an operator's inputs, one or one a column, and its output."""
    inputs = [
        given.onnx_name
        if guess_proto_type(given.type) == graph.input_type
        else graph.cast(given.onnx_name, graph.input_type)
        for given in operator.inputs
    ]
    X = inputs[0] if len(inputs) == 1 else graph.add("Concat", *inputs, axis=1)
    codes, wanted = write(graph, module.encoder, X), operator.outputs[0]
    output_type = guess_proto_type(wanted.type)
    if output_type != graph.type:
        codes = graph.cast(codes, output_type)
    graph.rename(codes, wanted.onnx_name)
