"""How do I get a fitted model to where it is used?
================================================

Three ways lead out of a notebook: a file for ``skae.load``, a program for torch, and an ONNX file
for machines that have neither torch nor Python. All take rows in the units of the table that
trained the model, and return what it returns up to rounding.
"""

# %%
# One model, three files
# ----------------------
# ``skae.load`` executes nothing that is in its file, unlike a pickle. ``to_torch`` gives a plain
# ``nn.Module``, and what ``torch.export`` saves of it needs no skae. ``skae[onnx]`` writes ONNX.
import tempfile
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import onnxruntime
import torch
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split

import skae.onnx

X_train, X_test = train_test_split(load_digits().data.astype(np.float32), random_state=0)
model, pca = (m.fit(X_train) for m in (skae.AutoEncoder(8, random_state=0), PCA(8)))
with tempfile.TemporaryDirectory() as folder:
    saved, exported, onnx = (Path(folder, name) for name in ("m.safetensors", "m.pt2", "m.onnx"))
    model.save(saved)
    some, any_number = torch.from_numpy(X_test[:5]), ({0: torch.export.Dim.DYNAMIC},)
    program = torch.export.export(model.to_torch(), (some,), dynamic_shapes=any_number)
    torch.export.save(program, exported)
    skae.onnx.to_onnx(model, onnx, part="reconstruct")
    loaded, module = skae.load(saved), torch.export.load(exported).module()
    session = onnxruntime.InferenceSession(onnx)

# %%
# The same rows, in less time
# ---------------------------
# One at a time, as a server gets them, ONNX is fastest. PCA's error is twice as large.
ways = {
    "PCA": lambda X: pca.inverse_transform(pca.transform(X)),
    "skae.load": lambda X: loaded.inverse_transform(loaded.transform(X)),
    "torch.export": lambda X: module(torch.from_numpy(X)).detach().numpy(),
    "ONNX": lambda X: session.run(["X_hat"], {"X": X})[0],
}
axis = plt.figure(figsize=(6.4, 2.6), layout="constrained").subplots()
for name, reconstruct in ways.items():
    error, started = np.square(X_test - reconstruct(X_test)).sum(axis=1).mean(), time.perf_counter()
    for row in X_test:
        reconstruct(row[None])
    microseconds = (time.perf_counter() - started) / len(X_test) * 1e6
    print(f"{name:12} squared error {error:.2f}, {microseconds:.0f} µs a row")
    axis.barh(name, microseconds, color="tab:blue")
axis.set_xlabel("microseconds for one row, there and back")
plt.show()
