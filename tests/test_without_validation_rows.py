"""Fits with early_stopping=False: how epochs compare, and which range clips."""

import numpy as np
import pytest
import skorch.callbacks
import torch
from sklearn.decomposition import PCA
from watching import find, squared_error

from skae import AdversarialAutoEncoder, AutoEncoder, VariationalAutoEncoder


def test_a_kl_term_that_warms_up_does_not_hide_progress(digits):
    X = digits[:600]
    plain, warmed = (
        VariationalAutoEncoder(
            5, beta=4, kl_warm_up=share, max_iter=30, early_stopping=False, random_state=0
        ).fit(X)
        for share in (0.0, 1.0)
    )
    assert plain.best_iter_ > 0
    assert plain.score(X) > plain.pca_score_ + 5
    assert warmed.best_iter_ > 0
    assert warmed.score(X) > plain.score(X) - 1


class WatchObjective(skorch.callbacks.Callback):
    """Keeps the mean loss of all training rows in evaluation mode, at the start and by epoch."""

    def on_train_begin(self, net, X, **kwargs):
        self.batch = torch.stack([X[i][0] for i in range(len(X))])
        self.losses = []
        self.on_epoch_end(net)

    def on_epoch_end(self, net, **kwargs):
        training = net.module_.training
        net.module_.eval()
        with torch.no_grad():
            _, terms = net.module_(self.batch)
        self.losses.append(sum(term.mean().item() for term in terms.values()))
        net.module_.train(training)


@pytest.mark.parametrize(
    "model",
    [
        AdversarialAutoEncoder(2, alpha=30, batch_size=64),
        VariationalAutoEncoder(5, beta=4, kl_warm_up=1.0),
        VariationalAutoEncoder(5, beta=4, kl_warm_up=1.0, init="random"),
    ],
    ids=["adversarial", "variational", "random"],
)
def test_the_epoch_with_the_lowest_loss_in_evaluation_mode_stays(model, digits):
    model.set_params(
        early_stopping=False, max_iter=20, callbacks=[WatchObjective()], random_state=0
    ).fit(digits[:600])
    losses = find(model, WatchObjective).losses
    assert model.best_iter_ > 0
    assert losses[model.best_iter_] < losses[0]
    np.testing.assert_allclose(losses[model.best_iter_], min(losses), rtol=0.01)


def test_after_a_single_epoch_far_rows_go_on_as_pca_does(digits):
    model = AutoEncoder(
        8,
        early_stopping=False,
        max_iter=1,
        batch_size=16,
        learning_rate="constant",
        random_state=0,
    ).fit(digits)
    assert model.best_iter_ == 1
    far = np.vstack([1000 * digits[:50], digits[:50] - 1000])
    assert squared_error(model, far) < 1.05 * squared_error(PCA(8).fit(digits), far)


class RateOfEpochs(skorch.callbacks.Callback):
    """Trains, and hardly in the last epoch: codes are then those of the weights that stay."""

    def __init__(self, *rates):
        self.rates = rates

    def on_epoch_begin(self, net, **kwargs):
        for group in net.optimizer_.param_groups:
            group["lr"] = self.rates[min(len(net.history), len(self.rates)) - 1]


def slope(decoder, z, axis):
    step = torch.zeros_like(z)
    step[axis] = 1e-2 * z[axis].abs()
    low, high = decoder(torch.stack([z - step, z + step]))
    return (high - low) / (2 * step[axis])


@pytest.mark.parametrize("n_epochs", [2, 3])
def test_codes_are_clipped_to_the_range_of_the_epoch_whose_weights_stay(n_epochs, digits):
    rates = [7e-3] * (n_epochs - 1) + [1e-5]
    model = AutoEncoder(
        2,
        early_stopping=False,
        max_iter=n_epochs,
        batch_size=16,
        learning_rate="constant",
        residual_noise=0,
        callbacks=[RateOfEpochs(*rates)],
        random_state=2,
    ).fit(digits)
    assert model.best_iter_ == n_epochs
    module = model.net_.module_
    x = torch.tensor((digits - model.mean_) / model.scale_, dtype=torch.float32)
    with torch.no_grad():
        codes = module.code(x)
        for axis in range(2):
            row = codes[codes[:, axis].argmax()]
            inside, outside, far = row.clone(), row.clone(), row.clone()
            inside[axis] *= 0.97
            outside[axis] *= 1.03
            far[axis] *= 10
            linear = slope(module.decoder, far, axis)
            torch.testing.assert_close(
                slope(module.decoder, outside, axis), linear, rtol=1e-3, atol=1e-3
            )
            assert not torch.allclose(
                slope(module.decoder, inside, axis), linear, rtol=1e-2, atol=1e-2
            )
