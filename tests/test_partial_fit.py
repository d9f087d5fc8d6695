"""partial_fit: training on data that come in parts."""

import copy
import pickle

import numpy as np
import pytest
import skorch.callbacks
from estimators import ESTIMATORS, SOME, make_spots, trains
from scipy import sparse
from sklearn.decomposition import PCA
from sklearn.utils.estimator_checks import check_estimators_partial_fit_n_features
from watching import squared_error

from skae import AutoEncoder, VariationalAutoEncoder
from skae._data.sources import ArraySource
from skae._data.sums import scatter
from skae._data.sums.moments import Moments
from skae._data.sums.scatter import Scatter
from skae._start.pca import fit_pca, pca_of_scatter
from skae.base import OwnAxes

every_estimator = pytest.mark.parametrize("estimator", ESTIMATORS)
some_estimators = pytest.mark.parametrize("estimator", SOME)
AT_PCA = {"learning_rate_init": 1e-30, "dtype": "float64", "max_iter": 1}


@pytest.fixture(scope="module")
def parts():
    """Ten parts of 200 rows."""
    return np.array_split(make_spots(2000), 10)


def fit_parts(model, parts):
    for part in parts:
        model.partial_fit(part)
    return model


def reconstruct(model, X):
    return model.inverse_transform(model.transform(X))


def assert_same_bits(model, other, X):
    assert model.loss_curve_ == other.loss_curve_
    assert model.best_iter_ == other.best_iter_
    np.testing.assert_array_equal(model.transform(X), other.transform(X))
    np.testing.assert_array_equal(model.score_samples(X), other.score_samples(X))


# -- oracles -------------------------------------------------------------------------------


@some_estimators
def test_at_pca_it_is_pca_of_all_rows(estimator, parts):
    X = np.vstack(parts[:5])
    model = fit_parts(trains(estimator, **AT_PCA), parts[:5])
    pca = PCA(2).fit(X)
    assert model.best_iter_ == 0

    codes = pca.transform(X)
    if estimator is VariationalAutoEncoder:
        np.testing.assert_allclose(model.score(X), pca.score(X), rtol=1e-4)
        codes *= 1 - pca.noise_variance_ / pca.explained_variance_
        np.testing.assert_allclose(
            reconstruct(model, X), codes @ pca.components_ + pca.mean_, atol=1e-4
        )
        return
    np.testing.assert_allclose(reconstruct(model, X), pca.inverse_transform(codes), atol=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ["full", "sketch"])
def test_merged_sums_are_those_of_all_rows(kind, weighted, monkeypatch):
    if kind == "sketch":
        monkeypatch.setattr(scatter, "MAX_PRODUCTS", 10)
        monkeypatch.setattr(scatter, "N_DIRECTIONS", 40)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(700, 12)) @ rng.normal(size=(12, 50)) + 5
    X += np.linspace(0, 3, 700)[:, None]  # means that drift, from part to part
    w = rng.integers(1, 4, size=700).astype(float)
    source = ArraySource(X).weighted(w) if weighted else ArraySource(X)
    whole = fit_pca(source, Moments.of(source), 13, seed=0)
    merged = None
    for rows in np.array_split(np.arange(700), [1, 3, 100, 400, 650]):
        part = Scatter.of(source.subset(rows))
        merged = part if merged is None else merged.merge(part)
    moments = merged.moments()
    assert (merged.n_rows, merged.total) == (700, w.sum() if weighted else 700)
    for name in ("mean", "variances", "total", "degrees_of_freedom", "scale"):
        wanted = getattr(whole.moments, name)
        np.testing.assert_allclose(getattr(moments, name), wanted, rtol=1e-9, err_msg=name)
    ours = pca_of_scatter(merged, 13)
    np.testing.assert_allclose(ours.variances, whole.variances, rtol=1e-6)
    np.testing.assert_allclose(ours.residuals.sum(), 0, atol=1e-6 * moments.variances.sum())
    cosines = np.abs((ours.components * whole.components).sum(axis=1))
    np.testing.assert_allclose(cosines, 1, atol=1e-6)


def test_a_sketch_of_more_than_it_can_hold_has_the_first_directions(monkeypatch):
    monkeypatch.setattr(scatter, "MAX_PRODUCTS", 10)
    monkeypatch.setattr(scatter, "N_DIRECTIONS", 20)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(900, 60)) * np.geomspace(10, 0.1, 60)
    merged = Scatter.of(ArraySource(X[:300]))
    for first in (300, 600):
        merged = merged.merge(Scatter.of(ArraySource(X[first : first + 300])))
    ours, theirs = pca_of_scatter(merged, 4), PCA(4).fit(X)
    np.testing.assert_allclose(ours.variances, theirs.explained_variance_, rtol=0.02)
    np.testing.assert_allclose(ours.residuals.sum(), theirs.noise_variance_ * 56, rtol=0.05)
    assert (np.abs((ours.components * theirs.components_).sum(axis=1)) > 0.97).all()


@some_estimators
def test_weights_are_as_repeated_rows_at_pca(estimator, parts):
    rng = np.random.default_rng(0)
    repeats = [rng.integers(0, 3, size=len(part)) for part in parts[:4]]
    # without validation rows, of which repeated ones are one
    settings = {**AT_PCA, "early_stopping": False}
    weighted, expected = trains(estimator, **settings), trains(estimator, **settings)
    for part, n in zip(parts[:4], repeats, strict=True):
        weighted.partial_fit(part, sample_weight=n)
        expected.partial_fit(np.repeat(part, n, axis=0))
    X = parts[5]
    np.testing.assert_allclose(reconstruct(weighted, X), reconstruct(expected, X), atol=1e-6)
    np.testing.assert_allclose(weighted.score(X), expected.score(X), rtol=1e-6)


# -- every estimator -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def streamed(parts):
    """A function that trains an estimator on all parts, once for all tests."""
    fits = {}

    def fit(estimator):
        if estimator not in fits:
            fits[estimator] = fit_parts(trains(estimator, max_iter=4), parts)
        return copy.deepcopy(fits[estimator])

    return fit


@every_estimator
def test_it_trains_and_beats_pca_of_all_rows_on_new_rows(estimator, parts, streamed):
    model, new = streamed(estimator), make_spots(300, seed=1)
    assert model.best_iter_ > 0
    assert model.n_iter_ == len(model.loss_curve_) == 40
    assert squared_error(model, new) < 0.4 * squared_error(PCA(2).fit(np.vstack(parts)), new)


@every_estimator
def test_codes_keep_their_meaning_between_calls(estimator, parts, streamed):
    model, X = streamed(estimator), make_spots(300, seed=1)
    for part in parts[:2]:
        before = model.transform(X).astype(float)
        after = model.partial_fit(part).transform(X).astype(float)
        spread = np.square(before - before.mean(axis=0)).sum()
        assert np.square(after - before).sum() < 0.1 * spread
        # no rotation of the codes would bring them much closer, or it is none
        centred = before - before.mean(axis=0), after - after.mean(axis=0)
        left, _, right = np.linalg.svd(centred[1].T @ centred[0])
        if not isinstance(model.net_.module_.axes, OwnAxes):
            np.testing.assert_allclose(left @ right, np.eye(2), atol=0.05)


@some_estimators
def test_a_copy_goes_on_bit_for_bit(estimator, parts):
    model = fit_parts(trains(estimator, max_iter=2), parts[:2])
    loaded, copied = pickle.loads(pickle.dumps(model)), copy.deepcopy(model)
    for part in parts[2:4]:
        model.partial_fit(part)
        for again in (loaded, copied):
            assert_same_bits(model, again.partial_fit(part), parts[9])
    assert model.n_iter_ == 8


@some_estimators
def test_the_same_seed_gives_the_same_bits(estimator, parts):
    one, other = (fit_parts(trains(estimator, max_iter=2), parts[:2]) for _ in range(2))
    assert_same_bits(one, other, parts[9])


@some_estimators
def test_fit_after_parts_starts_anew_and_parts_after_fit_too(estimator, trained, parts, spots):
    model = fit_parts(trains(estimator), parts[:2])
    assert_same_bits(model.fit(spots), trained(trains(estimator)), spots)
    model = trains(estimator, max_iter=2).fit(spots).partial_fit(parts[0])
    assert_same_bits(model, trains(estimator, max_iter=2).partial_fit(parts[0]), spots)


@some_estimators
def test_another_number_of_features_is_refused_and_the_model_stays(estimator, parts):
    model = fit_parts(trains(estimator, max_iter=2), parts[:2])
    before = pickle.loads(pickle.dumps(model))
    with pytest.raises(ValueError, match=r"X has 63 features, but .* is expecting 64"):
        model.partial_fit(parts[2][:, 1:])
    with pytest.raises(ValueError, match="infinity"):
        model.partial_fit(np.where(parts[2] > 0.9, np.inf, parts[2]))
    assert_same_bits(model, before, parts[9])
    assert_same_bits(model.partial_fit(parts[2]), before.partial_fit(parts[2]), parts[9])


@every_estimator
@pytest.mark.filterwarnings("ignore:Of .* codes only")
def test_scikit_learns_check_passes(estimator):
    model = estimator(2, max_iter=2, random_state=0)
    check_estimators_partial_fit_n_features(estimator.__name__, model)


@some_estimators
def test_parts_may_have_missing_values_and_be_sparse(estimator, parts):
    rng = np.random.default_rng(0)
    model = trains(estimator, max_iter=4)
    for i, part in enumerate(parts):
        holes = np.where(rng.random(part.shape) < 0.2, np.nan, part)
        model.partial_fit(holes if i % 2 else sparse.csr_array(part))
    new = make_spots(300, seed=1)
    assert model.best_iter_ > 0
    assert squared_error(model, new) < 0.6 * squared_error(PCA(2).fit(np.vstack(parts)), new)
    assert np.isfinite(model.score(np.where(new > 0.9, np.nan, new)))


@some_estimators
@pytest.mark.filterwarnings("ignore:Of 2 codes only")  # after the first part from random weights
@pytest.mark.parametrize("settings", [{"init": "random"}, {"early_stopping": False}])
def test_it_trains_without_the_floor_and_without_validation_rows(estimator, settings, parts):
    model = fit_parts(trains(estimator, max_iter=4, **settings), parts)
    new = make_spots(300, seed=1)
    assert model.best_iter_ > 0
    assert (model.validation_scores_ is None) == (settings == {"early_stopping": False})
    assert squared_error(model, new) < 0.8 * squared_error(PCA(2).fit(np.vstack(parts)), new)


# -- validation rows -----------------------------------------------------------------------


class WatchBoth(skorch.callbacks.Callback):
    """Keeps the rows that train and those that validate, as numbers of rows of a table."""

    def __init__(self, table):
        self.table = table
        self.trained, self.validated = set(), set()

    def __deepcopy__(self, memo):
        return self  # nets have copies, whose rows are wanted here

    def on_batch_end(self, net, batch, training, **kwargs):
        units = net.module_.units
        x = units.to_array(batch[0])
        seen = np.square(x[:, None] - self.table[None]).sum(axis=2)
        assert seen.min(axis=1).max() < 1e-6
        (self.trained if training else self.validated).update(seen.argmin(axis=1).tolist())


@every_estimator
def test_no_validation_row_ever_trains_even_if_parts_come_again(estimator):
    X = make_spots(300)
    watch = WatchBoth(X)
    model = trains(estimator, max_iter=1, residual_noise=0, callbacks=[watch], batch_size=128)
    rng = np.random.default_rng(0)
    for _ in range(3):
        for part in np.array_split(rng.permutation(300), 4):
            model.partial_fit(X[part])
    assert len(watch.trained) + len(watch.validated) == 300
    assert not watch.trained & watch.validated
    assert 15 <= len(watch.validated) <= 50


# -- odd parts -----------------------------------------------------------------------------


@some_estimators
def test_parts_of_one_row_and_a_first_part_of_two(estimator, parts):
    X = parts[0][:20]
    with pytest.raises(ValueError, match="1 sample"):
        trains(estimator, **AT_PCA).partial_fit(X[:1])
    model = trains(estimator, **AT_PCA).partial_fit(X[:2])
    for i in range(2, 20):
        model.partial_fit(X[i : i + 1])
    assert model.best_iter_ == 0
    if estimator is not VariationalAutoEncoder:
        pca = PCA(2).fit(X)
        X_hat = pca.inverse_transform(pca.transform(X))
        np.testing.assert_allclose(reconstruct(model, X), X_hat, atol=1e-6)


@some_estimators
def test_until_enough_rows_validate_it_is_pca_without_a_warning(estimator, parts):
    model = trains(estimator, max_iter=6)
    model.partial_fit(parts[0][:20])
    assert (model.best_iter_, model.validation_scores_, model.n_iter_) == (0, None, 0)
    fit_parts(model, parts[1:6])
    assert model.best_iter_ > 0


@some_estimators
def test_a_share_of_variance_is_fixed_by_the_first_part(estimator, parts):
    model = trains(estimator, 0.9, max_iter=1).partial_fit(parts[0])
    n = PCA(0.9).fit(parts[0]).n_components_
    assert model.n_components_ == n
    rng = np.random.default_rng(0)
    model.partial_fit(parts[1] + rng.normal(size=parts[1].shape))  # of which 0.9 needs more
    assert model.n_components_ == n == model.transform(parts[2]).shape[1]


@some_estimators
def test_a_part_without_weight_changes_nothing(estimator, parts):
    model = fit_parts(trains(estimator, max_iter=2), parts[:2])
    before = copy.deepcopy(model)
    model.partial_fit(parts[2], sample_weight=np.zeros(len(parts[2])))
    assert_same_bits(model, before, parts[9])


def test_a_row_that_comes_by_the_thousand_trains(parts):
    """If it validated, it alone would decide."""
    X = np.vstack([parts[0], np.repeat(parts[1][:1], 300, axis=0)])
    for seed in range(20):
        model = trains(AutoEncoder, max_iter=1, random_state=seed).partial_fit(X)
        rows = model._stream.reservoir.rows
        assert not (np.abs(rows - parts[1][0]).max(axis=1) < 1e-6).any()
