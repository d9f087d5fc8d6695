"""Writes the files of this folder, once for a version: later versions must go on loading them.

python tests/golden/make.py autoencoder
python tests/golden/make.py detector
"""

import pickle
import sys
from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from estimators import TRAINS, make_spots  # noqa: E402

from skae import AutoEncoder, AutoEncoderOutlierDetector  # noqa: E402


def write_detector(frame):
    """Write a detector, and its scores of some rows, in order of the columns."""
    model = AutoEncoder(2, **TRAINS, hidden_layer_sizes=(16,), device="cpu")
    detector = AutoEncoderOutlierDetector(model, n_estimators=2).fit(frame)
    assert all(model.best_iter_ > 0 for model in detector.estimators_)
    detector.save(HERE / "detector_format1.safetensors")
    (HERE / "detector_0.1.0.pickle").write_bytes(pickle.dumps(detector, protocol=4))
    np.save(HERE / "scores.npy", detector.score_samples(frame[:5]))


def write_autoencoder(frame):
    """Write an autoencoder, and rows with their codes."""
    model = AutoEncoder(2, **TRAINS, hidden_layer_sizes=(16,), device="cpu").fit(frame)
    assert model.best_iter_ > 0
    model.save(HERE / "autoencoder_format1.safetensors")
    (HERE / "autoencoder_0.1.0.pickle").write_bytes(pickle.dumps(model, protocol=4))
    np.save(HERE / "rows.npy", frame[:5].to_numpy())
    np.save(HERE / "codes.npy", model.transform(frame[:5]))


if __name__ == "__main__":
    X = make_spots()[:, ::5]
    frame = pd.DataFrame(X, columns=[f"pixel {i}" for i in range(13)])
    {"autoencoder": write_autoencoder, "detector": write_detector}[sys.argv[1]](frame)
