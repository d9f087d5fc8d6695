"""What a loaded or copied model holds."""

import copy
import pickle

import numpy as np
import pytest
import torch

from skae import AdversarialAutoEncoder, AutoEncoder


def pickled(model):
    return pickle.loads(pickle.dumps(model))


@pytest.mark.parametrize("again", [pickled, copy.deepcopy, copy.copy])
@pytest.mark.parametrize("estimator", [AutoEncoder, AdversarialAutoEncoder])
def test_a_loaded_or_copied_model_holds_no_optimizer(estimator, again, digits):
    model = estimator(2, max_iter=3, init="random", random_state=0).fit(digits[:200])
    assert model.best_iter_ > 0
    other = again(model)
    for name, value in vars(other.net_).items():
        assert not isinstance(value, torch.optim.Optimizer), name
    assert getattr(other.net_, "optimizer_", None) is None
    assert all(p.grad is None for p in other.net_.module_.parameters())
    np.testing.assert_array_equal(other.transform(digits), model.transform(digits))


def test_a_loaded_model_trains_on_by_a_warm_start(digits):
    model = AutoEncoder(2, max_iter=20, warm_start=True, early_stopping=False, random_state=0).fit(
        digits[:200]
    )
    assert model.best_iter_ > 0
    again = pickled(model)
    first_loss = model.loss_curve_[0]
    again.fit(digits[:200])
    assert again.loss_curve_[0] < 0.8 * first_loss
