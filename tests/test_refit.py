"""While a model is fitted again, it is the former one."""

import numpy as np
import pytest
import skorch.callbacks
from sklearn.base import clone

from skae import AutoEncoder, VariationalAutoEncoder

HOOKS = ["on_train_begin", "on_epoch_begin", "on_batch_end", "on_epoch_end", "on_train_end"]


class Use(skorch.callbacks.Callback):
    """Calls a function at every turn of the training, as another thread might."""

    def __init__(self, function):
        self.function = function


for hook in HOOKS:
    setattr(Use, hook, lambda self, net, hook=hook, **kwargs: self.function(hook))


@pytest.mark.parametrize("estimator", [AutoEncoder, VariationalAutoEncoder])
def test_a_model_that_is_fitted_again_is_the_former_until_the_end(estimator, digits):
    X, narrow = digits, np.random.default_rng(0).normal(size=(300, 20)) ** 3
    model = estimator(2, max_iter=5, early_stopping=False, random_state=0).fit(X[:400])
    assert model.best_iter_ > 0
    uses = []

    def use(hook):
        codes = model.transform(X[:50])
        rows = model.inverse_transform(codes)
        uses.append((hook, codes, rows, model.score_samples(X[:50]), model.score(X[:50])))
        uses[-1] += (list(model.get_feature_names_out()), model.n_iter_, model.n_features_in_)

    use("before")
    expected = uses.pop()[1:]
    parameters = {"n_components": 4, "loss": "squared_error", "whiten": True, "max_iter": 4}
    model.set_params(**parameters, callbacks=[Use(use)]).fit(narrow)
    assert {hook for hook, *_ in uses} == set(HOOKS)
    assert sum(hook == "on_epoch_end" for hook, *_ in uses) == 4
    for _, *results in uses:
        for actual, wanted in zip(results, expected, strict=True):
            np.testing.assert_array_equal(actual, wanted)
    assert model.transform(narrow).shape == (300, 4)
    fresh = clone(model).set_params(callbacks=None).fit(narrow)
    np.testing.assert_array_equal(model.transform(narrow), fresh.transform(narrow))


@pytest.mark.parametrize("warm_start", [False, True])
def test_a_model_that_is_fitted_to_other_rows_is_the_former_until_the_end(warm_start, digits):
    model = AutoEncoder(
        2, max_iter=5, early_stopping=False, warm_start=warm_start, random_state=0
    ).fit(digits[:400])
    assert model.best_iter_ > 0
    expected, seen = model.transform(digits), []
    use = Use(lambda hook: seen.append(model.transform(digits)))
    model.set_params(callbacks=[use]).fit(0.5 * digits[400:700])
    assert model.best_iter_ > 0
    assert len(seen) > 10
    for codes in seen:
        np.testing.assert_array_equal(codes, expected)
    assert not np.array_equal(model.transform(digits), expected)


def test_a_first_fit_makes_no_model_before_its_end(digits):
    seen = []
    model = AutoEncoder(2, max_iter=3, random_state=0)
    use = Use(lambda hook: seen.append([name for name in vars(model) if name.endswith("_")]))
    model.set_params(callbacks=[use]).fit(digits[:200])
    assert seen
    assert not any(seen)


def test_what_is_set_during_a_fit_stays(digits):
    class Sets(skorch.callbacks.Callback):
        def on_epoch_end(self, net, **kwargs):
            model.note_ = len(net.history)
            model.set_params(n_iter_no_change=7)

    model = AutoEncoder(2, max_iter=2, callbacks=[Sets()], random_state=0)
    model.fit(digits[:200])
    assert (model.note_, model.n_iter_no_change, model.n_iter_) == (2, 7, 2)
