"""Every method with every kind of network, and each of these with every loss."""

import pickle
from itertools import product

import numpy as np
import pytest
import skorch.callbacks
from estimators import ESTIMATORS, NETWORKS, SHORT, WITH_PRIOR, cubes, fit_trained, trains
from sklearn.decomposition import PCA

from skae import VariationalAutoEncoder
from skae.base import BaseAutoEncoder

LIKELIHOODS = ("squared_error", "poisson", "binary_cross_entropy")
LOSSES = (*LIKELIHOODS, "huber", cubes)


def losses_of(estimator, network):
    """Return the losses of which a combination takes one."""
    if network == "tied" and estimator in WITH_PRIOR:
        return ("poisson", "binary_cross_entropy")  # others take more than a dozen epochs
    return LIKELIHOODS if estimator is VariationalAutoEncoder else LOSSES


def combinations():
    """Yield every method with every network, and with losses that take turns.

    So each pair of a method, a network and a loss occurs; all three of all would take minutes.
    """
    for (i, estimator), (j, network) in product(enumerate(ESTIMATORS), enumerate(NETWORKS)):
        losses = losses_of(estimator, network)
        yield estimator, network, losses[(i + j) % len(losses)]


class Watch(skorch.callbacks.Callback):
    """Notes which parameters are to be trained, and which of them had a gradient."""

    def on_train_begin(self, net, **kwargs):
        self.trained = {name for name, _ in net.get_all_learnable_params()}
        self.moved = set()

    def on_grad_computed(self, net, named_parameters, **kwargs):
        self.moved |= {name for name, p in named_parameters if p.grad.any()}


def test_combinations_have_every_pair():
    every = list(combinations())
    pairs = [(estimator, repr(loss)) for estimator, _, loss in every]
    pairs += [(network, repr(loss)) for _, network, loss in every]
    expected = set(product([*ESTIMATORS, *NETWORKS], map(repr, LOSSES)))
    assert expected - set(pairs) == {
        (VariationalAutoEncoder, repr(loss)) for loss in LOSSES if loss not in LIKELIHOODS
    }
    assert {pair[:2] for pair in every} == set(product(ESTIMATORS, NETWORKS))


@pytest.mark.parametrize("loss", [loss for loss in LOSSES if loss not in LIKELIHOODS], ids=repr)
def test_the_pairs_left_out_are_refused(loss, spots):
    with pytest.raises(ValueError, match="needs a loss that is a likelihood"):
        VariationalAutoEncoder(3, loss=loss).fit(spots)


@pytest.mark.parametrize(
    ("estimator", "network", "loss"),
    list(combinations()),
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_it_trains_every_parameter_and_keeps_the_contract(estimator, network, loss, spots):
    X = spots if loss != "poisson" else 16 * spots
    model = trains(estimator, 3, loss=loss, callbacks=[Watch()], **NETWORKS[network])
    model = fit_trained(model, X)
    watch = dict(model.net_.callbacks_)["Watch"]
    assert watch.trained == watch.moved
    codes = model.transform(X)
    assert codes.shape == (len(X), 3)
    assert np.isfinite(codes).all()
    np.testing.assert_allclose(codes[:9], model.transform(X[:9]), rtol=1e-4, atol=1e-5)
    X_hat = model.inverse_transform(codes)
    if loss in ("binary_cross_entropy", "poisson"):
        assert X_hat.min() >= 0
        assert loss == "poisson" or X_hat.max() <= 1
    assert np.isfinite(model.score_samples(X)).all()
    assert len(model.loss_curve_) == model.n_iter_ == model.max_iter
    if model.early_stopping:
        assert len(model.validation_scores_) == model.max_iter
        score = model.validation_scores_[model.best_iter_ - 1]
    else:
        score = model.score(X)
    if model.init == "pca":
        assert score > model.pca_score_
    if isinstance(model, BaseAutoEncoder):  # others score in nats
        assert model.score_samples(X).max() <= 0
        assert model.score(X) > 0.3
        if network != "random":
            assert model.pca_score_ > 0.1
    if network == "user's":  # of whose draws skae has to take care
        assert fit_trained(model, X).loss_curve_ == model.loss_curve_
    loaded = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(loaded.transform(X), codes)
    np.testing.assert_array_equal(loaded.inverse_transform(codes), X_hat)


@pytest.mark.parametrize("network", [name for name in NETWORKS if name != "random"])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_training_starts_at_pca(estimator, network, digits):
    X = digits[:200]
    parameters = {**SHORT, **NETWORKS[network], "max_iter": 1, "learning_rate_init": 1e-30}
    model = estimator(3, **parameters).fit(X)
    assert model.best_iter_ == 0
    pca = PCA(3).fit(X)
    X_pca = pca.inverse_transform(pca.transform(X))
    if estimator is VariationalAutoEncoder:  # whose codes are posterior means, so shorter
        noise = pca.noise_variance_ / pca.explained_variance_
        X_pca = pca.mean_ + ((1 - noise) * pca.transform(X)) @ pca.components_
    np.testing.assert_allclose(model.inverse_transform(model.transform(X)), X_pca, atol=1e-4)
