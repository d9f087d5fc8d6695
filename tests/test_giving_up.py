"""Trainings that lead nowhere end early, and others do not."""

import math

import numpy as np
import pytest

from skae import AutoEncoder
from skae._training.patience import leads_nowhere

N_EPOCHS = 400


def epochs_run(curve, start=1.0):
    """Return after how many epochs a training with these losses ends."""
    return next(
        (t for t in range(1, len(curve)) if leads_nowhere(curve[:t], start, N_EPOCHS)), len(curve)
    )


epoch = np.arange(1, N_EPOCHS + 1)


@pytest.mark.parametrize(
    "curve",
    [1 + epoch / 100, np.minimum(1.5, 1 + epoch / 50), 1.3 - 0.35 * np.exp(-epoch / 10)],
    ids=["rises", "rises and stays", "falls at first and rises"],
)
def test_a_loss_that_stays_above_the_start_ends_the_training_in_its_first_quarter(curve):
    assert 0.1 * N_EPOCHS <= epochs_run(curve) <= 0.25 * N_EPOCHS


@pytest.mark.parametrize(
    "curve",
    [
        np.where(epoch < 300, 0.999, 0.5),  # late progress from a loss that is not above the start
        np.maximum(0.4, 2 - epoch / 200),  # above the start for half of the epochs, and falling
        np.where(epoch % 15 == 0, 0.9, 100.0),  # far above the start, and now and then below
        np.where(epoch < 0.1 * N_EPOCHS, 5.0, 0.5),  # at the start the rate is high
    ],
    ids=["late", "falling", "jumping", "at first"],
)
def test_a_loss_that_falls_or_jumps_below_the_start_does_not(curve):
    assert epochs_run(curve) == N_EPOCHS


def test_random_weights_have_no_start_to_be_worse_than():
    assert epochs_run(1 + epoch / 100, start=math.inf) == N_EPOCHS


@pytest.fixture(scope="module")
def noise():
    """Return rows in which there is nothing to learn but themselves."""
    return np.random.default_rng(0).normal(size=(120, 12))


# Steps that overfit at once.
FAST = {"max_iter": 400, "hidden_layer_sizes": (64,), "random_state": 0}


def test_a_network_that_overfits_ends_early_at_pca(noise):
    model = AutoEncoder(4, **FAST).fit(noise)
    assert model.best_iter_ == 0
    assert model.n_iter_ < 0.4 * FAST["max_iter"]
    assert min(model.validation_scores_[-20:]) < model.pca_score_


def test_a_number_of_epochs_without_progress_is_kept_to(noise):
    model = AutoEncoder(4, n_iter_no_change=400, **FAST).fit(noise)
    assert model.n_iter_ == FAST["max_iter"]


@pytest.mark.parametrize("parameters", [{"init": "random"}, {"early_stopping": False}])
def test_only_validation_rows_and_a_start_at_pca_end_a_training_early(parameters, noise):
    fast = {**FAST, "max_iter": 60, "learning_rate_init": 0.3}
    assert AutoEncoder(4, **fast).fit(noise).n_iter_ < 30
    assert AutoEncoder(4, **fast, **parameters).fit(noise).n_iter_ >= 30
