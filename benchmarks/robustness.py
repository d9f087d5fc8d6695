"""Which autoencoder gives clean rows back from spoiled ones, and codes that survive?

Trained on clean rows with k = 32 (8 for tables), each model reconstructs spoiled test rows;
figures are squared errors to the clean ones over PCA's, and accuracies of one logistic
regression on the codes, clean and spoiled. Denoising autoencoders know the noise.

    SKAE_DATA=… python benchmarks/robustness.py [--only digits mnist]
"""

import argparse
import time
import warnings

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skae import AutoEncoder, ContractiveAutoEncoder, DenoisingAutoEncoder, DropoutAutoEncoder
from skae.datasets import data_folder, fetch_fashion_mnist, fetch_mnist

NOISES = [
    ("gaussian", 0.5),
    ("gaussian", 1.0),
    ("masking", 0.25),
    ("masking", 0.5),
    ("salt_and_pepper", 0.1),
    ("salt_and_pepper", 0.3),
]


def load(name):
    """Return rows to train and to test, and their classes."""
    if name in ("mnist", "fashion-mnist"):
        X, y = fetch_mnist() if name == "mnist" else fetch_fashion_mnist()
        X = (X / 255).astype(np.float32)
        return X[:10_000], X[60_000:], y[:10_000], y[60_000:]
    if name in ("digits", "breast_cancer"):
        X, y = {"digits": load_digits, "breast_cancer": load_breast_cancer}[name](return_X_y=True)
    elif name == "ecg5000":
        stored = np.load(data_folder() / "ecg5000" / "ecg5000.npz")
        X, y = stored["X"], stored["y_anomaly"]
    else:
        stored = np.load(data_folder() / "adbench" / f"{name}.npz")
        X, y = stored["X"], stored["y"]
    X = X.astype(float)
    train, test, y_train, y_test = train_test_split(X, y, random_state=0, stratify=y)
    if name == "digits":
        return train / 16, test / 16, y_train, y_test
    scaler = StandardScaler().fit(train)
    return scaler.transform(train), scaler.transform(test), y_train, y_test


def spoil(X, train, noise, level):
    """Return spoiled rows: the definitions of DenoisingAutoEncoder, in NumPy."""
    rng = np.random.default_rng(0)
    if noise == "gaussian":
        return X + level * np.sqrt(train.var(axis=0).mean()) * rng.normal(size=X.shape)
    spoiled = rng.uniform(size=X.shape) < level
    if noise == "masking":
        return np.where(spoiled, 0, X)
    ends = np.where(rng.uniform(size=X.shape) < 0.5, train.min(axis=0), train.max(axis=0))
    return np.where(spoiled, ends, X)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = ["digits", "mnist", "fashion-mnist", "ecg5000", "breast_cancer"]
    parser.add_argument("--only", nargs="*", default=[*names, "12_fault", "35_SpamBase"])
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    for name in options.only:
        train, test, y_train, y_test = load(name)
        k = 32 if train.shape[1] > 60 else 8
        spoiled = {noise: spoil(test, train, *noise).astype(train.dtype) for noise in NOISES}
        models = {
            "PCA": PCA(k, random_state=0),
            "AutoEncoder": AutoEncoder(k, random_state=0),
            "Dropout": DropoutAutoEncoder(k, random_state=0),
            "Contractive": ContractiveAutoEncoder(k, random_state=0),
        }
        for noise, level in NOISES:
            models[f"Denoising {noise} {level:g}"] = DenoisingAutoEncoder(
                k, noise=noise, noise_level=level, random_state=0
            )
        print(f"\n### {name}: {len(train)} x {train.shape[1]}, k = {k}\n")
        heads = ["clean", *(f"{noise} {level:g}" for noise, level in NOISES)]
        print("| | s | " + " | ".join(heads) + " |")
        print("|---" * (len(heads) + 2) + "|", flush=True)
        scale = {}
        for model_name, model in models.items():
            started = time.perf_counter()
            model.fit(train)
            seconds = time.perf_counter() - started
            classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
            classifier.fit(model.transform(train), y_train)
            cells = []
            for head, X in zip(heads, [test, *spoiled.values()], strict=True):
                codes = model.transform(X)
                error = np.square(model.inverse_transform(codes) - test).sum(axis=1).mean()
                scale.setdefault(head, error)  # PCA's
                accuracy = classifier.score(codes, y_test)
                cells.append(f"{error / scale[head]:.2f}, {100 * accuracy:.1f} %")
            print(f"| {model_name} | {seconds:.1f} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
