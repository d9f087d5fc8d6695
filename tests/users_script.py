"""A user's script: every class, built and used as the README says, under mypy."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from skae import (
    AdversarialAutoEncoder,
    AutoEncoder,
    ContractiveAutoEncoder,
    DenoisingAutoEncoder,
    DropoutAutoEncoder,
    SparseAutoEncoder,
    VariationalAutoEncoder,
    WassersteinAutoEncoder,
)
from skae.base import AutoEncoderModule, BaseAutoEncoder, estimator, integer, parameter

Floats = NDArray[np.floating]


def rows(n_rows: int) -> Floats:
    rng = np.random.default_rng(0)
    table: Floats = rng.uniform(size=(n_rows, 8))
    return table


def network(n_inputs: int, n_outputs: int) -> nn.Module:
    return nn.Sequential(nn.Linear(n_inputs, 4), nn.ReLU(), nn.Linear(4, n_outputs))


def cubes(x: Tensor, x_hat: Tensor) -> Tensor:
    return (x - x_hat).abs().pow(3).sum(dim=1)


def own_noise(x: Tensor, generator: torch.Generator) -> Tensor:
    return x + 0.1 * torch.randn(x.shape, generator=generator)


def own_prior(n: int, generator: torch.Generator) -> Tensor:
    return torch.randn(n, 2, generator=generator)


def plain(X: Floats) -> Floats:
    model = AutoEncoder(2, max_iter=2, random_state=0)
    codes: Floats = model.fit(X).transform(X)
    back: Floats = model.inverse_transform(codes)
    scores: Floats = model.score_samples(X)
    share: float = model.score(X)
    assert back.shape == X.shape
    assert scores.shape == (len(X),)
    print(share, model.n_components_, model.best_iter_, model.loss_curve_[-1])
    return codes


def all_defaults() -> list[BaseAutoEncoder]:
    return [
        AutoEncoder(),
        AdversarialAutoEncoder(),
        ContractiveAutoEncoder(),
        DenoisingAutoEncoder(),
        DropoutAutoEncoder(),
        SparseAutoEncoder(),
        WassersteinAutoEncoder(),
    ]


def configured() -> list[BaseAutoEncoder]:
    return [
        AutoEncoder(
            0.9,
            loss=cubes,
            hidden_layer_sizes=(16, 8),
            activation=nn.Mish,
            tied_weights=True,
            whiten=True,
            learning_rate="constant",
            learning_rate_init=1e-3,
            weight_decay=0.1,
            early_stopping=False,
        ),
        AutoEncoder(2, image_shape=(4, 2), batch_size=32, validation_fraction=0.2, verbose=True),
        AutoEncoder(2, encoder=network, decoder=network, init="random", warm_start=True),
        AdversarialAutoEncoder(
            2, prior=own_prior, alpha=3.0, discriminator_layer_sizes=(16,), max_iter=2
        ),
        ContractiveAutoEncoder(2, alpha=0.2, random_state=np.random.RandomState(0)),
        DenoisingAutoEncoder(2, noise="masking", noise_level=0.2, residual_noise=0.0),
        DenoisingAutoEncoder(2, noise=own_noise),
        DropoutAutoEncoder(2, dropout=0.2, device="cpu", precision="float32"),
        SparseAutoEncoder(2, penalty="kl", alpha=0.2, target_activation=0.2, callbacks=None),
        WassersteinAutoEncoder(
            2,
            prior=torch.distributions.Independent(
                torch.distributions.Laplace(torch.zeros(2), torch.ones(2)), 1
            ),
        ),
        WassersteinAutoEncoder(n_components=2, prior="uniform", alpha=3.0),
    ]


def generative(X: Floats) -> None:
    vae = VariationalAutoEncoder(
        2, beta=2.0, kl_warm_up=0.5, dynamic_binarization=True, loss="binary_cross_entropy"
    )
    default = VariationalAutoEncoder()
    vae.set_params(max_iter=2)
    default.set_params(n_components=2, max_iter=2)
    for model in (vae, default):
        model.fit(X)
        mean, deviation = model.posterior(X)
        drawn: Floats = model.sample(3, random_state=0)
        codes: Floats = model.sample_codes(3)
        bound: Floats = model.score_samples(X, 10)
        print(mean.shape, deviation.shape, drawn.shape, codes.shape, bound.mean())
    wasserstein = WassersteinAutoEncoder(2, max_iter=2).fit(X)
    adversarial = AdversarialAutoEncoder(2, max_iter=2).fit(X)
    print(wasserstein.sample(2).shape, adversarial.sample_codes(2, random_state=1).shape)


class HalfModule(AutoEncoderModule):
    """A method of one's own."""

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        output: Tensor = self.decoder(self.encoder(x))
        return output, {"reconstruction": self.loss(x, output)}


@estimator
class HalfAutoEncoder(BaseAutoEncoder):
    """An estimator of one's own.

    Parameters
    ----------
    {parameters}
    """

    _module = HalfModule

    n_least: int = parameter(1, integer(1), """A parameter of one's own.""")


def own() -> HalfAutoEncoder:
    return HalfAutoEncoder(2, n_least=1, max_iter=2)


def groups(X: Floats, path: Path) -> None:
    labels = np.arange(len(X)) // 2
    model = AutoEncoder(2, max_iter=2).fit(X, groups=labels)
    path.write_text(repr(model))


if __name__ == "__main__":
    table = rows(100)
    print(plain(table).shape, len(all_defaults()), len(configured()))
