"""MNIST, code of 30: test squared error an image against the seconds of the fit.

Pixels from 0 to 1, 60,000 images to train on and 10,000 to test. Every library but skae gets
the same sensible recipe: layers of 512 and 256, ReLU, Adam at 0.001, batches of 256, and
more or fewer epochs, each a fit of its own. skae has its defaults, and wider layers with
more epochs, and convolutions; `--long` adds its fits of nearly five minutes.

    SKAE_DATA=… python benchmarks/time_to_quality.py [--only skae] [--long]
"""

import argparse
import logging
import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.decomposition import PCA
from throughput import hand_written_fused, pyod, pythae, scikit_learn, timed

from skae import AutoEncoder
from skae.datasets import fetch_mnist

PAPER = 3.00  # 784-1000-500-250-30, Hinton and Salakhutdinov 2006
RECIPE = ((512, 256), 30, 256)
WIDE = {"hidden_layer_sizes": (1024, 256), "batch_size": 256}


def skae(X, parameters):
    model = AutoEncoder(30, random_state=0, **parameters).fit(X)
    return lambda rows: model.inverse_transform(model.transform(rows))


def fits(long):
    """Yield the library, the setting in words, and the fit."""
    yield "skae", "defaults", lambda X: skae(X, {})
    for epochs in (5, 10, *((17,) if long else ())):
        parameters = {"image_shape": (28, 28), "max_iter": epochs}
        yield "skae, convolutional", f"{epochs} epochs", lambda X, p=parameters: skae(X, p)
    for epochs in (3, 10, *((38,) if long else ())):
        parameters = {**WIDE, "max_iter": epochs}
        yield "skae", f"(1024, 256), {epochs} epochs", lambda X, p=parameters: skae(X, p)
    for name, fit in (
        ("hand-written loop", hand_written_fused),
        ("pythae", pythae),
        ("MLPRegressor", scikit_learn),
        ("PyOD", pyod),
    ):
        for epochs in (3, 10):
            yield name, f"{epochs} epochs", lambda X, f=fit, n=epochs: f(X, *RECIPE, n)


def draw(points, pca_error):
    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for name in dict.fromkeys(name for name, *_ in points):
        seconds, errors = zip(*sorted(p[2:] for p in points if p[0] == name), strict=True)
        style = {"linewidth": 2.5, "zorder": 3} if "skae" in name else {}
        axes.plot(seconds, errors, "o-", label=name, **style)
    for error, name in ((pca_error, "PCA"), (PAPER, "784-1000-500-250-30, 2006")):
        axes.axhline(error, color="grey", linestyle=":")
        axes.annotate(
            name, (1, error), (-4, 3), ("axes fraction", "data"), "offset points", ha="right"
        )
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="seconds of the fit",
        ylabel="squared error of a test image",
        title="MNIST, 30 numbers an image",
    )
    axes.set_yticks([3, 4, 6, 8, 10, 14], labels=["3", "4", "6", "8", "10", "14"])
    axes.set_xticks([10, 20, 50, 100, 200, 300], labels=["10", "20", "50", "100", "200", "300"])
    axes.minorticks_off()
    axes.legend()
    figure.savefig("docs/time_to_quality.png", dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", help="a library's name")
    parser.add_argument("--long", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable()
    X = (fetch_mnist()[0] / 255).astype(np.float32)
    train, test = X[:60_000], X[60_000:]

    def error(reconstruct):
        return np.square(reconstruct(test).astype(float) - test).sum(axis=1).mean()

    pca = PCA(30).fit(train)
    pca_error = error(lambda rows: pca.inverse_transform(pca.transform(rows)))
    print(f"PCA                                      {pca_error:6.2f}")
    points = []
    for name, setting, fit in fits(options.long):
        if options.only not in (None, name):
            continue
        try:
            seconds, reconstruct = timed(fit, train)
        except ImportError as missing:
            print(f"{name}: not installed ({missing})")
            continue
        points.append((name, setting, seconds, error(reconstruct)))
        print(f"{name:18} {setting:22} {points[-1][3]:6.2f}  {seconds:6.1f} s", flush=True)
    if options.only is None:
        draw(points, pca_error)


if __name__ == "__main__":
    main()
