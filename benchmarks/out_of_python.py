"""How long does one row take in onnxruntime, and how long in `transform`?

The digits with the default network, and made-up rows of 784 features through (512, 256); float32
rows, a code of 8, medians over many calls in turn. The pipeline is a StandardScaler, the
autoencoder and a logistic regression of ten classes, converted by skl2onnx.

    python benchmarks/out_of_python.py [--rows 1 1000] [--threads 1]
"""

import argparse

import numpy as np
import onnxruntime
import skl2onnx
import torch
from inference import median_seconds
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skae import AutoEncoder
from skae.onnx import to_onnx


def tables():
    """Yield a name, rows, classes and the parameters of the autoencoder."""
    X, y = load_digits(return_X_y=True)
    yield "digits, 64 features, default network", X.astype(np.float32), y, {}
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2000, 784)).astype(np.float32)
    hidden = {"hidden_layer_sizes": (512, 256)}
    yield "784 features, hidden (512, 256)", X, rng.integers(0, 10, size=2000), hidden


def load(file, threads):
    """Load a file into onnxruntime."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    providers = ["CPUExecutionProvider"]
    return onnxruntime.InferenceSession(file.SerializeToString(), options, providers=providers)


def calls_of(pipeline, X, threads):
    """Return what is timed, by name."""
    model = pipeline[1]
    module, rows = model.to_torch(), torch.from_numpy(X)
    encoder = load(to_onnx(model), threads)
    converted = load(skl2onnx.to_onnx(pipeline, X[:1], options={"zipmap": False}), threads)

    def encode():
        with torch.inference_mode():
            module.encode(rows)

    return {
        "transform": lambda: model.transform(X),
        "to_torch().encode": encode,
        "ONNX encoder": lambda: encoder.run(None, {"X": X}),
        "pipeline.predict_proba": lambda: pipeline.predict_proba(X),
        "ONNX pipeline": lambda: converted.run(None, {"X": X}),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="*", default=[1, 1000])
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for name, X, y, parameters in tables():
        model = AutoEncoder(8, max_iter=2, random_state=0, **parameters)
        pipeline = make_pipeline(StandardScaler(), model, LogisticRegression()).fit(X, y)
        print(f"\n{name}, {options.threads} thread(s): medians in µs")
        times = {}
        for n_rows in options.rows:
            repeats = 300 if n_rows < 100 else 30
            times[n_rows] = median_seconds(calls_of(pipeline, X[:n_rows], options.threads), repeats)
        print(f"{'rows':26}" + "".join(f"{n_rows:>10,}" for n_rows in options.rows))
        for call in times[options.rows[0]]:
            print(f"{call:26}" + "".join(f"{1e6 * each[call]:10,.0f}" for each in times.values()))


if __name__ == "__main__":
    main()
