"""Few rows of many features: networks train in the span of the rows, and are used on rows."""

import pickle

import numpy as np
import pytest
from estimators import ESTIMATORS, NETWORKS, WEAK_PRIOR
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from skorch.callbacks import Callback
from watching import RecordTasks, find, squared_error

import skae
from skae import AutoEncoder
from skae._data.sources import ArraySource

TRAINS = {"max_iter": 60, "learning_rate_init": 0.02, "random_state": 0}
# A step this small leaves the weights where they start.
AT_START = {"max_iter": 1, "learning_rate_init": 1e-30, "random_state": 0}


def make_arcs(n_rows=60, n_features=400, seed=0):
    """Return noisy rows on a curve: one number says all of a row but its noise.

    PCA needs three, and leaves a part of every new row outside the span of the rows.
    """
    rng = np.random.default_rng(seed)
    angle = rng.uniform(0, 1.5 * np.pi, size=(n_rows, 1))
    curve = np.hstack([np.cos(angle), np.sin(angle), 0.5 * np.sin(2 * angle)])
    directions = np.random.default_rng(1).normal(size=(3, n_features))
    return 3 + curve @ directions + 0.1 * rng.normal(size=(n_rows, n_features))


class WatchShapes(Callback):
    """Keeps the shapes of the rows that train."""

    def __init__(self):
        self.shapes = set()

    def on_batch_end(self, net, batch, training, **kwargs):
        if training:
            self.shapes.add(batch[0].shape[1])


def width(model, X):
    """Return of how many numbers are the rows on which a fit of ``model`` trains its networks."""
    fitted = model.set_params(callbacks=[WatchShapes()], max_iter=1).fit(X)
    (n,) = find(fitted, WatchShapes).shapes
    return n


@pytest.fixture(scope="module")
def tables():
    """Return rows, and new rows from the same curve."""
    return make_arcs(), make_arcs(seed=2)


@pytest.fixture(scope="module", params=ESTIMATORS, ids=lambda e: e.__name__)
def trained(request, tables):
    """Return every estimator with a network that was trained on few rows of many features."""
    kind = request.param
    model = kind(1, **TRAINS, **WEAK_PRIOR.get(kind, {})).fit(tables[0])
    assert model.best_iter_ > 0, "ended at PCA: find parameters that it trains with"
    return model


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_networks_train_on_as_many_numbers_as_rows_span(estimator, tables):
    in_own_axes = estimator is skae.DenoisingAutoEncoder  # spoils rows number by number
    assert width(estimator(2, random_state=0), tables[0]) == (400 if in_own_axes else 59)


@pytest.mark.parametrize(
    "parameters",
    [
        {"loss": "huber"},
        {"loss": "absolute_error"},
        {"tied_weights": True},
        {"init": "random"},
        NETWORKS["user's"],
        {"hidden_layer_sizes": (2,), "image_shape": (20, 20)},
        {"hidden_layer_sizes": ()},
    ],
    ids=str,
)
def test_what_depends_on_the_features_trains_on_these(parameters, tables):
    assert width(AutoEncoder(2, random_state=0, **parameters), tables[0]) == 400


@pytest.mark.parametrize(
    ("n_rows", "n_features", "n"), [(150, 300, 300), (150, 301, 149), (60, 255, 255), (60, 256, 59)]
)
def test_from_twice_as_many_features_as_rows_and_some_hundred_on(n_rows, n_features, n):
    X = np.random.default_rng(0).normal(size=(n_rows, n_features))
    assert width(AutoEncoder(2, random_state=0), X) == n


def test_rows_that_depend_on_each_other_span_less(tables):
    X = np.vstack([tables[0][:30], 2 * tables[0][:30] - tables[0].mean(axis=0)])
    assert width(AutoEncoder(2, random_state=0), X) <= 31


@pytest.mark.parametrize("k", [2, 8, 0.9])
@pytest.mark.parametrize("rows", [0, 1], ids=["training rows", "new rows"])
def test_the_start_is_scikit_learns_pca_on_all_rows(k, rows, tables):
    model, pca = AutoEncoder(k, **AT_START).fit(tables[0]), PCA(k).fit(tables[0])
    X, codes = tables[rows], pca.transform(tables[rows])
    assert model.best_iter_ == 0
    np.testing.assert_allclose(model.transform(X), codes, atol=1e-3)
    np.testing.assert_allclose(
        model.inverse_transform(codes), pca.inverse_transform(codes), atol=1e-4
    )
    errors = np.square(pca.inverse_transform(codes) - X).sum(axis=1)
    np.testing.assert_allclose(-model.score_samples(X), errors, rtol=1e-4)
    np.testing.assert_allclose(model.noise_variance_, pca.noise_variance_, rtol=1e-4)


def test_the_variational_start_is_scikit_learns_probabilistic_pca(tables):
    model = skae.VariationalAutoEncoder(3, **AT_START).fit(tables[0])
    pca = PCA(3).fit(tables[0])
    for X in tables:
        np.testing.assert_allclose(
            model.score_samples(X), pca.score_samples(X), rtol=1e-3, atol=0.5
        )


def test_the_variational_loss_counts_all_features(tables):
    X = tables[0]
    model = skae.VariationalAutoEncoder(3, **AT_START, early_stopping=False).fit(X)
    row = model.net_.history[-1]
    np.testing.assert_allclose(-row["train_loss"], PCA(3).fit(X).score(X), rtol=0.01)
    np.testing.assert_allclose(-row["compared_loss"], PCA(3).fit(X).score(X), rtol=1e-4)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_losses_of_the_last_epoch_are_those_of_the_fitted_network(estimator, tables):
    # A training without noise on all rows, whose losses select() computes anew on rows.
    parameters = {**TRAINS, **WEAK_PRIOR.get(estimator, {}), "early_stopping": False}
    model = estimator(1, **parameters).fit(tables[0])
    compared = model.net_.history[model.best_iter_ - 1]["compared_loss"]
    module, x = model.net_.module_, next(x for _, x in model._batches(ArraySource(tables[0])))
    losses = sum(term.mean() for term in module(x)[1].values())
    np.testing.assert_allclose(losses.item(), compared, rtol=0.02)


def test_a_trained_network_reconstructs_new_rows_better_than_pca(trained, tables):
    for X in tables:
        assert squared_error(trained, X) < 0.8 * squared_error(PCA(1).fit(tables[0]), X)


def test_the_network_is_one_of_all_features(trained, tables):
    module = trained.net_.module_
    assert module.encoder.network[0].weight.shape[1] == 400
    assert module.decoder.network[-1].weight.shape[0] == len(trained.mean_) == 400
    assert trained.inverse_transform(trained.transform(tables[1])).shape == (60, 400)


def test_far_from_the_training_rows_the_network_stays_within_their_range(tables):
    X = tables[0]
    model = AutoEncoder(1, **TRAINS, early_stopping=False).fit(X)
    assert model.best_iter_ > 0
    encoder, x = model.net_.module_.encoder, (X - model.mean_) / model.scale_
    np.testing.assert_allclose(encoder.low, x.min(axis=0), atol=1e-5)
    np.testing.assert_allclose(encoder.high, x.max(axis=0), atol=1e-5)
    far = 1000 * tables[1]
    assert squared_error(model, far) < 1.1 * squared_error(PCA(1).fit(X), far)


@pytest.mark.parametrize("estimator", [AutoEncoder, skae.ContractiveAutoEncoder])
def test_codes_are_centred_uncorrelated_and_ordered(estimator, tables):
    model = estimator(2, **TRAINS, early_stopping=False).fit(tables[0])
    assert model.best_iter_ > 0
    codes = model.transform(tables[0])
    covariance = np.cov(codes.T)
    np.testing.assert_allclose(codes.mean(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(covariance[0, 1], 0, atol=1e-4 * covariance[0, 0])
    assert covariance[0, 0] >= covariance[1, 1]


def test_scores_of_new_rows_count_what_is_outside_the_span(tables):
    model = AutoEncoder(1, **TRAINS).fit(tables[0])
    assert model.best_iter_ > 0
    X = tables[1]
    errors = np.square(model.inverse_transform(model.transform(X)) - X).sum(axis=1)
    np.testing.assert_allclose(-model.score_samples(X), errors, rtol=1e-4)


def test_networks_see_nothing_outside_the_span(tables):
    X = tables[0]
    model = AutoEncoder(1, **TRAINS).fit(X)
    span = PCA(59).fit(X)
    weight = model.net_.module_.encoder.network[0].weight.detach().numpy()
    inside = weight @ span.components_.T @ span.components_
    np.testing.assert_allclose(weight, inside, atol=1e-4 * np.abs(weight).max())


def test_a_fit_on_few_rows_survives_pickling(trained, tables):
    again = pickle.loads(pickle.dumps(trained))
    np.testing.assert_array_equal(again.transform(tables[1]), trained.transform(tables[1]))
    np.testing.assert_array_equal(again.score_samples(tables[1]), trained.score_samples(tables[1]))


def test_a_warm_start_goes_on_from_networks_trained_in_the_span(tables):
    first, second = tables
    model = AutoEncoder(1, **TRAINS, warm_start=True).fit(first)
    before = model.score(second)
    assert model.best_iter_ > 0
    model.set_params(learning_rate_init=1e-30, max_iter=1).fit(second)
    np.testing.assert_allclose(model.score(second), before, rtol=1e-3)


def test_rows_that_are_all_alike_stay_at_pca():
    X = np.tile(np.arange(40.0), (6, 1))
    model = AutoEncoder(1, early_stopping=False, max_iter=3, random_state=0).fit(X)
    np.testing.assert_allclose(model.inverse_transform(model.transform(X)), X, atol=1e-4)


def test_divergence_in_the_span_keeps_the_floor(tables):
    with pytest.warns(ConvergenceWarning, match="not finite"):
        model = AutoEncoder(2, max_iter=5, learning_rate_init=1e30, random_state=0).fit(tables[0])
    X, pca = tables[1], PCA(2).fit(tables[0])
    np.testing.assert_allclose(squared_error(model, X), squared_error(pca, X), rtol=1e-4)


def test_few_rows_of_many_features_hand_over_networks_of_rows():
    X, record = make_arcs(), RecordTasks()
    model = AutoEncoder(1, **TRAINS).set_callbacks(record).fit(X)
    assert model.best_iter_ > 0
    best = record.fitted[model.best_iter_ - 1]
    np.testing.assert_allclose(
        best.inverse_transform(best.transform(X)),
        model.inverse_transform(model.transform(X)),
        atol=1e-4,
    )
    np.testing.assert_array_equal(AutoEncoder(1, **TRAINS).fit(X).transform(X), model.transform(X))
