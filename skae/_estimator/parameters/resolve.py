"""What an estimator's parameters stand for, given the table."""

import math
import secrets
from dataclasses import fields
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from skae._data.world import World
from skae._estimator.parameters.rules import resolve_sizes
from skae._estimator.parameters.shared import SharedParameters
from skae._files.words import shown
from skae._model.losses import takes_any_row
from skae._model.module import AutoEncoderModule
from skae._model.spec import ModelSpec
from skae._training.defaults import (
    CHANNELS,
    auto_batch_size,
    auto_epochs,
    auto_noise,
    auto_patience,
    auto_rate,
    auto_sizes,
)

# The parameters that a module is built from as they are.
ARCHITECTURE = ("dtype", "loss", "activation", "tied_weights", "encoder", "decoder", "init")


def draw_seed(random_state: int | np.random.RandomState | None) -> int:
    """Return the seed of all random draws that the parameter ``random_state`` stands for."""
    if random_state is None:
        return secrets.randbits(31)
    return int(check_random_state(random_state).randint(2**31 - 1))


def resolve_number(n_components: Any, most: int, former: ModelSpec | None) -> int | float:
    """Return the size of the code as Python's int or, for a share below 1, float.

    Parameters
    ----------
    n_components
        The parameter.
    most : int
        The number of all components, which None and 1.0 stand for.
    former : ModelSpec or None
        The module that training goes on from: what is no int keeps the size of its code.
    """
    if isinstance(n_components, Integral):
        return int(n_components)
    if former is not None:
        return former.n_components
    return most if n_components in (None, 1) else float(n_components)


def resolve_batch_size(estimator: SharedParameters, n_training: int, n_processes: int = 1) -> int:
    """Return how many rows of all processes a step has at most."""
    if estimator.batch_size == "auto":
        return auto_batch_size(n_training, n_processes)
    return int(estimator.batch_size)


def make_spec(
    estimator: SharedParameters, k: int, shape: tuple[int, int], former: ModelSpec | None
) -> ModelSpec:
    """Describe the module with codes of k numbers; what is "auto" stays as it was in ``former``."""
    if estimator.hidden_layer_sizes != "auto":
        sizes = resolve_sizes(estimator.hidden_layer_sizes)
    elif former is not None:
        sizes = former.hidden_layer_sizes
    elif estimator.image_shape is not None:
        sizes = CHANNELS
    else:
        sizes = auto_sizes(*shape, k)
    shared = {spec.name for spec in fields(SharedParameters)}
    own = sorted({spec.name for spec in fields(estimator)} - shared)
    return ModelSpec(
        n_features=shape[1],
        n_components=k,
        hidden_layer_sizes=sizes,
        image_shape=estimator.image_shape and tuple(map(int, estimator.image_shape)),
        parameters={name: getattr(estimator, name) for name in own},
        **{name: getattr(estimator, name) for name in ARCHITECTURE},
    )


def training_options(
    estimator: SharedParameters,
    method: type[AutoEncoderModule],
    spec: ModelSpec,
    n_training: int,
    world: World,
) -> dict[str, Any]:
    """Return how the net is to be trained on so many rows of all processes."""
    noise, takes_noise = estimator.residual_noise, takes_any_row(spec.loss)
    if noise == "auto":
        quiet = method.has_noise or not takes_noise
        noise = 0.0 if quiet else auto_noise(n_training, spec.n_components)
    elif float(noise) > 0 and not takes_noise:
        raise ValueError(
            f"residual_noise={shown(noise)} makes rows that loss={shown(spec.loss)} cannot take; "
            "pass 'auto' or 0."
        )
    sizes, given = spec.hidden_layer_sizes, estimator.learning_rate_init
    rate, betas = auto_rate(sizes, spec.n_features, draws_codes=method.draws_codes)
    precision = estimator.precision
    if precision == "auto" and estimator.dtype == "float64":  # who asks for digits wants them
        precision = "float32"
    return {
        "batch_size": resolve_batch_size(estimator, n_training, world.size),
        "learning_rate": estimator.learning_rate,
        "lr": rate if given == "auto" else float(given),
        "optimizer__betas": betas,
        "residual_noise": float(noise),
        "precision": precision,
        "optimizer__weight_decay": float(estimator.weight_decay),
        "callbacks": estimator.callbacks,
        "verbose": int(estimator.verbose) if world.rank == 0 else 0,
    }


def resolve_epochs(
    estimator: SharedParameters, n_training: int, batch_size: int
) -> tuple[int, int]:
    """Return the number of epochs, and after how many without progress training ends."""
    n_batches = math.ceil(n_training / batch_size)
    auto = estimator.max_iter == "auto"
    n_epochs = auto_epochs(n_training, n_batches) if auto else int(estimator.max_iter)
    auto = estimator.n_iter_no_change == "auto"
    return n_epochs, auto_patience(n_epochs) if auto else int(estimator.n_iter_no_change)
