"""Every method with every kind of network and every loss."""

import pickle

import numpy as np
import pytest
import skorch.callbacks
from estimators import ESTIMATORS, NETWORKS, SHORT, cubes
from sklearn.base import clone
from sklearn.decomposition import PCA

from skae import VariationalAutoEncoder
from skae._model.losses import LOSSES
from skae.base import BaseAutoEncoder

LIKELIHOODS = ("squared_error", "binary_cross_entropy", "poisson")

every_combination = pytest.mark.parametrize(
    ("estimator", "network", "loss"),
    [(e, n, loss) for e in ESTIMATORS for n in NETWORKS for loss in (*LOSSES, cubes)],
    ids=lambda value: getattr(value, "__name__", str(value)),
)


class Watch(skorch.callbacks.Callback):
    """Notes which parameters are to be trained, and which of them had a gradient."""

    def on_train_begin(self, net, **kwargs):
        self.trained = {name for name, _ in net.get_all_learnable_params()}
        self.moved = set()

    def on_grad_computed(self, net, named_parameters, **kwargs):
        self.moved |= {name for name, p in named_parameters if p.grad.any()}


@every_combination
def test_it_trains_every_parameter_and_keeps_the_contract(estimator, network, loss, digits):
    X = digits[:200] if loss != "poisson" else 16 * digits[:200]
    model = estimator(3, loss=loss, callbacks=[Watch()], **SHORT, **NETWORKS[network])
    if estimator is VariationalAutoEncoder and loss not in LIKELIHOODS:
        with pytest.raises(ValueError, match="needs a loss that is a likelihood"):
            model.fit(X)
        return
    model = clone(model).fit(X)
    watch = dict(model.net_.callbacks_)["Watch"]
    assert watch.trained == watch.moved
    codes = model.transform(X)
    assert codes.shape == (200, 3)
    assert np.isfinite(codes).all()
    np.testing.assert_allclose(codes[:9], model.transform(X[:9]), rtol=1e-4, atol=1e-5)
    X_hat = model.inverse_transform(codes)
    if loss in ("binary_cross_entropy", "poisson"):
        assert X_hat.min() >= 0
        assert loss == "poisson" or X_hat.max() <= 1
    assert np.isfinite(model.score_samples(X)).all()
    assert len(model.validation_scores_) == 3
    if isinstance(model, BaseAutoEncoder):  # others score in nats
        assert model.score_samples(X).max() <= 0
        if network != "random":
            assert model.score(X) > 0.1
            assert model.pca_score_ > 0.1
    if network == "user's":  # of whose draws skae has to take care
        assert clone(model).fit(X).loss_curve_ == model.loss_curve_
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
