"""Writes the files of this folder, once for a version: later versions must go on loading them.

python tests/golden/make.py
"""

import pickle
import sys
from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from estimators import TRAINS, make_spots  # noqa: E402

from skae import AutoEncoder  # noqa: E402

if __name__ == "__main__":
    X = make_spots()[:, ::5]
    frame = pd.DataFrame(X, columns=[f"pixel {i}" for i in range(13)])
    model = AutoEncoder(2, **TRAINS, hidden_layer_sizes=(16,), device="cpu").fit(frame)
    assert model.best_iter_ > 0
    model.save(HERE / "autoencoder_format1.safetensors")
    (HERE / "autoencoder_0.1.0.pickle").write_bytes(pickle.dumps(model, protocol=4))
    np.save(HERE / "rows.npy", X[:5])
    np.save(HERE / "codes.npy", model.transform(frame[:5]))
