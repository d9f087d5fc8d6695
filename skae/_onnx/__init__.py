"""The ONNX layer: a plain module as a graph, in a file of its own or in a pipeline's."""
