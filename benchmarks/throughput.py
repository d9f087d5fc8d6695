"""How many seconds does an epoch take, against the loop you would write and other libraries?

The same network, Adam and the same batches for all, on random rows; what an epoch adds to a
fit is the difference of fits with few and with more epochs. Peers that are not installed are
named and left out: `pip install --group bench .` brings them, but for ENCDR on Python 3.11,
which takes `pip install --ignore-requires-python encdr==1.2.0`.

    python benchmarks/throughput.py [--repeats 5]
    SKAE_DATA=… python benchmarks/throughput.py --precision

The second pairs skae's two precisions: seconds of an epoch, and the test error of ten epochs of
MNIST with a code of 30.
"""

import argparse
import contextlib
import io
import logging
import os
import statistics
import tempfile
import time
import warnings
from itertools import pairwise

import numpy as np
import torch
from sklearn.neural_network import MLPRegressor
from torch import nn

from skae import AutoEncoder
from skae.datasets import fetch_mnist

# name: rows, features, hidden layers, code, batch, epochs to add
TABLES = {
    "small": (20_000, 30, (64,), 8, 128, 8),
    "small, batch 32": (20_000, 30, (64,), 8, 32, 3),
    "wide": (20_000, 784, (512, 256), 32, 256, 2),
}


def mlp(sizes):
    layers = []
    for n_inputs, n_outputs in pairwise(sizes):
        layers += [nn.Linear(n_inputs, n_outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def both(X, hidden, code):
    sizes = (X.shape[1], *hidden, code)
    return mlp(sizes), mlp(sizes[::-1])


# Every fit returns a function that reconstructs rows.


def applying(net):
    def reconstruct(X):
        with torch.no_grad():
            return net(torch.from_numpy(X)).numpy()

    return reconstruct


def hand_written(X, hidden, code, batch, epochs, fused=None):
    net = nn.Sequential(*both(X, hidden, code))
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, fused=fused)
    loss, rows = nn.MSELoss(), torch.from_numpy(X)
    for _ in range(epochs):
        shuffled = rows[torch.randperm(len(rows))]
        for x in shuffled.split(batch):
            optimizer.zero_grad()
            loss(net(x), x).backward()
            optimizer.step()
    return applying(net)


def hand_written_fused(*args):
    return hand_written(*args, fused=True)


def hand_written_loader(X, hidden, code, batch, epochs):
    net = nn.Sequential(*both(X, hidden, code))
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    data = torch.utils.data.TensorDataset(torch.from_numpy(X))
    loss = nn.MSELoss()
    for _ in range(epochs):
        for (x,) in torch.utils.data.DataLoader(data, batch, shuffle=True):
            optimizer.zero_grad()
            loss(net(x), x).backward()
            optimizer.step()
    return applying(net)


def skae(X, hidden, code, batch, epochs, init="random", precision="float32"):
    model = AutoEncoder(
        code,
        hidden_layer_sizes=hidden,
        activation="relu",
        init=init,
        max_iter=epochs,
        batch_size=batch,
        learning_rate_init=1e-3,
        early_stopping=False,
        precision=precision,
    ).fit(X)
    return lambda rows: model.inverse_transform(model.transform(rows))


def skae_from_pca(*args):
    return skae(*args, init="pca")


def scikit_learn(X, hidden, code, batch, epochs):
    sizes = (*hidden, code, *hidden[::-1])  # ReLU on the code too: it has no other way
    model = MLPRegressor(
        hidden_layer_sizes=sizes, batch_size=batch, max_iter=epochs, tol=0, n_iter_no_change=10**6
    )
    return model.fit(X, X).predict


def skorch(X, hidden, code, batch, epochs):
    from skorch import NeuralNetRegressor

    model = NeuralNetRegressor(
        nn.Sequential(*both(X, hidden, code)),
        optimizer=torch.optim.Adam,
        lr=1e-3,
        batch_size=batch,
        max_epochs=epochs,
        train_split=None,
        iterator_train__shuffle=True,
        verbose=0,
    )
    return model.fit(X, X).predict


def pythae(X, hidden, code, batch, epochs):
    from pythae.data.datasets import BaseDataset
    from pythae.models import AE, AEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    class Encoder(BaseEncoder):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def forward(self, x):
            return ModelOutput(embedding=self.net(x))

    class Decoder(BaseDecoder):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def forward(self, z):
            return ModelOutput(reconstruction=self.net(z))

    encoder, decoder = both(X, hidden, code)
    config = AEConfig(input_dim=(X.shape[1],), latent_dim=code)
    rows, model = torch.from_numpy(X), AE(config, Encoder(encoder), Decoder(decoder))
    with tempfile.TemporaryDirectory() as folder:
        BaseTrainer(
            model,
            BaseDataset(rows, torch.zeros(len(rows))),
            training_config=BaseTrainerConfig(
                output_dir=folder,
                num_epochs=epochs,
                learning_rate=1e-3,
                per_device_train_batch_size=batch,
                no_cuda=True,
            ),
        ).train()
    return applying(lambda rows: model.decoder(model.encoder(rows).embedding).reconstruction)


def encdr(X, hidden, code, batch, epochs):
    from encdr import ENCDR

    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "accelerator": "cpu",
    }
    model = ENCDR(
        hidden_dims=list(hidden),
        latent_dim=code,
        batch_size=batch,
        max_epochs=epochs,
        validation_split=0.0,
        trainer_kwargs=quiet,
    ).fit(X)
    return lambda rows: model.inverse_transform(model.transform(rows))


def pyod(X, hidden, code, batch, epochs):
    from pyod.models.auto_encoder import AutoEncoder

    model = AutoEncoder(
        hidden_neuron_list=[*hidden, code],
        batch_size=batch,
        epoch_num=epochs,
        batch_norm=False,
        dropout_rate=0.0,
        preprocessing=False,
        verbose=0,
    )
    model.fit(X)
    return applying(model.model)


RIVALS = {
    "hand-written loop, slicing, Adam(fused=True)": hand_written_fused,
    "skae, init='random'": skae,
    "skae, from PCA": skae_from_pca,
    "MLPRegressor": scikit_learn,
    "hand-written loop, slicing, Adam": hand_written,
    "hand-written loop, DataLoader": hand_written_loader,
    "skorch NeuralNetRegressor": skorch,
    "pythae AE, BaseTrainer": pythae,
    "ENCDR": encdr,
    "PyOD AutoEncoder": pyod,
}


def timed(fit, *args):
    """Return the seconds of a fit, and what it returns."""
    started = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        reconstruct = fit(*args)
    return time.perf_counter() - started, reconstruct


def pair_precisions(repeats):
    """Print what an epoch costs in either precision, and what they leave of MNIST."""
    X = (fetch_mnist()[0] / 255).astype(np.float32)
    train, test = X[:60_000], X[60_000:]
    for hidden in ((256, 128), (512, 256), (1024, 1024)):
        seconds = {"float32": [], "bfloat16": []}
        for _ in range(repeats):  # in turn, so that a busy machine is busy for both
            for precision, measured in seconds.items():
                few, more = (
                    timed(skae, X[:20_000], hidden, 32, 256, n, "pca", precision)[0] for n in (1, 3)
                )
                measured.append((more - few) / 2)
        single, half = (statistics.median(measured) for measured in seconds.values())
        print(
            f"784 features, hidden {hidden}, batch 256, 20,000 rows: float32 {single:.3f} s "
            f"an epoch, bfloat16 {half:.3f} s, ratio {half / single:.2f}",
            flush=True,
        )
    for hidden in ((512, 256), (1024, 1024)):
        for precision in ("float32", "bfloat16"):
            parameters = {"hidden_layer_sizes": hidden, "batch_size": 256, "max_iter": 10}
            started = time.perf_counter()
            model = AutoEncoder(30, precision=precision, random_state=0, **parameters).fit(train)
            seconds = time.perf_counter() - started
            error = np.square(model.inverse_transform(model.transform(test)) - test).sum(axis=1)
            print(
                f"MNIST, 30 numbers, hidden {hidden}, ten epochs, {precision}: squared error "
                f"{error.mean():.3f}, {seconds:.1f} s",
                flush=True,
            )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--tables", nargs="*", default=list(TABLES), choices=list(TABLES))
    parser.add_argument("--only", nargs="*", default=[], help="parts of rivals' names")
    parser.add_argument("--precision", action="store_true", help="float32 against bfloat16 alone")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {os.cpu_count()} cores")
    if options.precision:
        pair_precisions(options.repeats)
        return
    for table in options.tables:
        n_rows, n_features, hidden, code, batch, epochs = TABLES[table]
        X = np.random.default_rng(0).normal(size=(n_rows, n_features)).astype(np.float32)
        print(f"\n{table}: {n_rows} x {n_features}, hidden {hidden}, code {code}, batch {batch}")
        times = {}
        for name, fit in RIVALS.items():
            if options.only and not any(part in name for part in options.only):
                continue
            try:
                timed(fit, X[: 4 * batch], hidden, code, batch, 1)
                times[name] = []
            except ImportError as error:
                print(f"{name}: not installed ({error})")
        # Side by side, so that a busy machine is busy for all.
        for _ in range(options.repeats):
            for name in times:
                few, more = (
                    timed(RIVALS[name], X, hidden, code, batch, n)[0] for n in (1, 1 + epochs)
                )
                times[name].append((more - few) / epochs)
        reference = statistics.median(next(iter(times.values())))
        for name, measured in sorted(times.items(), key=lambda item: statistics.median(item[1])):
            median = statistics.median(measured)
            print(
                f"{name:46} {median:7.3f} s an epoch ({min(measured):.3f} to "
                f"{max(measured):.3f})  {median / reference:5.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
