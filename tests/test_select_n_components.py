"""The size of a code that select_n_components chooses, and what it is chosen by."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from estimators import ESTIMATORS, NETWORKS, trains
from scipy import sparse
from sklearn.decomposition import PCA

import skae
from skae import (
    AdviceWarning,
    AutoEncoder,
    AutoEncoderImputer,
    VariationalAutoEncoder,
    select_n_components,
)
from skae._components.search import doubles, first_that_passes, halve, halves, refine
from skae._components.sizes import most_components
from skae._components.trials import Measure, make_trials, score_and_error
from skae._estimator.jobs import advice
from skae._estimator.parameters.resolve import draw_seed
from skae.display import ComponentsDisplay

FULL = {"steps": 1.0, "random_state": 0}


def make_circle(n_rows=240, n_features=20, seed=0):
    """Return rows on a closed curve: one number says all of a row, and PCA needs six."""
    rng = np.random.default_rng(seed)
    angle = rng.uniform(0, 2 * np.pi, n_rows)
    waves = [wave(k * angle) for k in (1, 2, 3) for wave in (np.cos, np.sin)]
    turn = np.linalg.qr(rng.normal(size=(n_features, n_features)))[0]
    return np.stack(waves, axis=1) @ turn[:6]


def make_linear(rank, n_rows=200, n_features=20, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n_rows, rank)) @ rng.normal(size=(rank, n_features))


def make(X, estimator, **arguments):
    """Return the trials of a selection."""
    arguments = {"seed": 0, "steps": 1.0, "largest": most_components, **arguments}
    return make_trials(estimator, X, None, None, measure=Measure.of_share(estimator), **arguments)


def assert_same(one, other):
    for name, value in vars(one).items():
        np.testing.assert_array_equal(value, vars(other)[name], err_msg=name)


# -- what is chosen -----------------------------------------------------------------------------


@pytest.mark.parametrize("rank", [1, 3, 7])
def test_a_linear_table_needs_its_rank(rank):
    found = select_n_components(
        make_linear(rank), 0.9999, estimator=AutoEncoder(max_iter=8), random_state=0
    )
    assert found.n_components == found.n_components_pca == rank
    known = ~np.isnan(found.scores)
    np.testing.assert_allclose(found.scores[known], found.pca_scores[known], atol=1e-5)


def test_a_curve_needs_fewer_numbers_than_pca():
    X = make_circle()
    model = trains(AutoEncoder, 2, max_iter=40)
    found = select_n_components(X, 0.9, estimator=model, **FULL)
    assert found.n_components <= 2
    assert found.n_components_pca == 6
    fitted = trains(AutoEncoder, found.n_components, max_iter=40).fit(X)
    assert fitted.best_iter_ > 0
    assert fitted.score(X) >= 0.9


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_every_estimator_needs_fewer_numbers_than_pca(estimator, spots):
    found = select_n_components(spots, 0.8, estimator=trains(estimator), **FULL)
    assert found.n_components == 2 < found.n_components_pca == 5
    assert found.estimator_name == estimator.__name__
    (chosen,) = found.scores[found.sizes == found.n_components]
    assert chosen >= found.threshold == 0.8
    smaller = found.scores[found.sizes < found.n_components]
    assert (smaller < 0.8).all() and len(smaller) == 1
    assert found.score_name == "share of variance explained"


@pytest.mark.parametrize("network", NETWORKS)
def test_networks_of_every_kind_are_fitted(network, spots):
    model = trains(AutoEncoder, **NETWORKS[network])
    found = select_n_components(spots, 0.4, estimator=model, sizes=(1, 2), **FULL)
    assert found.n_components_pca == 2
    assert (found.scores[found.sizes == found.n_components] >= 0.4).all()


@pytest.mark.parametrize(
    ("loss", "share"),
    [("binary_cross_entropy", 0.5), ("poisson", 0.3), ("absolute_error", 0.4), ("huber", 0.8)],
)
def test_other_losses_are_explained_by_a_share(loss, share, spots):
    model = trains(AutoEncoder, loss=loss)
    found = select_n_components(spots[:120], share, estimator=model, sizes=(1, 5), **FULL)
    assert found.n_components in (1, 5)
    assert found.score_name == "share of the loss explained"
    assert np.nanmax(found.scores) <= 1


def test_sizes_of_ones_own_are_all_fitted(spots):
    found = select_n_components(
        spots, 0.8, estimator=trains(AutoEncoder), sizes=np.array([4, 1, 100, 2]), **FULL
    )
    fitted = found.sizes[~np.isnan(found.scores)]
    np.testing.assert_array_equal(fitted, [1, 2, 4, 100])
    assert found.n_components == 2
    assert found.n_components_pca == 5


# -- one standard error -------------------------------------------------------------------------


@pytest.mark.parametrize("estimator", [AutoEncoder, VariationalAutoEncoder])
def test_one_se_takes_the_smallest_size_near_the_best(estimator):
    rows = make_circle() + np.random.default_rng(1).normal(scale=0.1, size=(240, 20))
    model = trains(estimator)
    found = select_n_components(rows, 0.95, rule="one_se", estimator=model, **FULL)
    known = ~np.isnan(found.scores)
    sizes, scores = found.sizes[known], found.scores[known]
    best = np.argmax(scores)
    assert found.threshold == scores[best] - found.standard_errors[known][best]
    assert found.n_components == sizes[scores >= found.threshold].min()
    pca = found.pca_scores[found.sizes == found.n_components_pca]
    assert pca >= found.pca_scores.max() - 0.2 * abs(found.pca_scores.max())


def test_one_se_compares_likelihoods_with_those_of_probabilistic_pca(spots):
    model = trains(VariationalAutoEncoder)
    found = select_n_components(spots, 0.8, rule="one_se", estimator=model, **FULL)
    assert "nats" in found.score_name
    trials = make(spots, trains(VariationalAutoEncoder), seed=draw_seed(0))
    held_out = spots[trials.held_out.index]
    train = np.delete(spots, trials.held_out.index, axis=0)
    for size, score in zip(found.sizes, found.pca_scores, strict=True):
        expected = PCA(int(size)).fit(train).score(held_out)
        np.testing.assert_allclose(score, expected, rtol=1e-3, atol=0.02)


# -- what it is chosen by -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array])
def test_pca_is_scored_as_scikit_learns_on_rows_that_it_has_not_seen(kind, spots):
    X = np.where(spots > 0.3, spots, 0)
    trials = make(kind(X), trains(AutoEncoder))
    index = trials.held_out.index
    assert len(index) == 48
    pca = PCA(3).fit(np.delete(X, index, axis=0))
    held_out = X[index]
    restored = pca.inverse_transform(pca.transform(held_out))
    errors, spread = np.square(held_out - restored).sum(), np.square(held_out - pca.mean_).sum()
    np.testing.assert_allclose(trials.score_pca(3), 1 - errors / spread, rtol=1e-4)


def test_rows_held_out_have_no_part_in_any_fit(spots):
    """Not even in the mean, in what fills missing values, or in the choice of the best epoch."""
    X = spots.copy()
    X[::7, 3] = np.nan
    trials = make(X, trains(AutoEncoder, max_iter=4))
    before = trials.score(2), trials.score_pca(2)
    held_out = trials.held_out.index
    changed = X.copy()
    changed[held_out] = changed[held_out] * 0.5
    others = make(changed, trains(AutoEncoder, max_iter=4))
    np.testing.assert_array_equal(others.held_out.index, held_out)
    np.testing.assert_array_equal(others.job.source.table, trials.job.source.table)
    assert (others.score(2), others.score_pca(2)) != before


def test_fits_take_a_quarter_of_the_steps(spots, monkeypatch):
    epochs = []
    train = AutoEncoder._train

    def watched(self, *arguments):
        epochs.append(self.max_iter)
        assert self.max_time in (None, 25)
        return train(self, *arguments)

    monkeypatch.setattr(AutoEncoder, "_train", watched)
    model = trains(AutoEncoder, max_iter=10, max_time=100)
    select_n_components(spots, 0.5, estimator=model, random_state=0)
    assert set(epochs) == {3}
    epochs.clear()
    select_n_components(spots, 0.5, estimator=AutoEncoder(n_iter_no_change=1), sizes=(2,))
    assert set(epochs) == {125}  # of 1,000 steps, two an epoch


def test_what_is_printed_is_a_table(spots):
    model = trains(AutoEncoder)
    found = select_n_components(spots, 0.1, estimator=model, sizes=range(2, 5, 2), random_state=0)
    head, names, *lines = str(found).splitlines()
    assert f"AutoEncoder {found.n_components}, PCA {found.n_components_pca} (" in head
    assert names.split() == ["size", "AutoEncoder", "PCA"]
    assert len(lines) == len(found.sizes)
    fitted = [line for line in lines if "±" in line]
    assert [int(line.split()[0]) for line in fitted] == [2, 4]
    assert fitted[0].split()[1] == f"{found.scores[found.sizes == 2][0]:.4f}"


def test_standard_errors_are_those_of_a_mean_and_of_a_ratio():
    rng = np.random.default_rng(0)
    values, groups = rng.normal(size=400), np.arange(400)
    found = score_and_error(values[None], None, groups, lambda means: float(means[0]))
    np.testing.assert_allclose(found.value, values.mean())
    np.testing.assert_allclose(found.error, values.std(ddof=1) / 20)
    repeated = score_and_error(
        np.repeat(values, 3)[None], None, np.repeat(groups, 3), lambda means: float(means[0])
    )
    np.testing.assert_allclose(repeated.error, found.error)
    weighted = score_and_error(
        values[None], np.full(400, 7.0), groups, lambda means: float(means[0])
    )
    np.testing.assert_allclose(weighted.error, found.error)
    over, under = rng.exponential(size=(2, 400))
    ratio = score_and_error(np.stack([over, under]), None, groups, lambda m: float(m[0] / m[1]))
    residuals = (over - ratio.value * under) / under.mean()
    np.testing.assert_allclose(ratio.error, residuals.std(ddof=1) / 20, rtol=0.02)


# -- which sizes are tried ----------------------------------------------------------------------


@pytest.mark.parametrize(("top", "sizes"), [(1, [1]), (2, [1, 2]), (29, [1, 2, 4, 8, 15, 29])])
def test_sizes_are_halves(top, sizes):
    assert halves(top) == sizes
    assert doubles(top, top) == []
    assert doubles(top, 3 * top) == [2 * top, 3 * top]


@pytest.mark.parametrize("smallest", range(1, 30))
def test_the_smallest_size_is_found_in_few_steps(smallest):
    asked = set()

    def passes(size):
        asked.add(size)
        return size >= smallest

    below, found = halve(passes, 29, 100)
    assert smallest <= refine(passes, below, found) <= 1.1 * smallest
    assert len(asked) <= 7
    assert refine(passes, below, found, 0) == smallest


@pytest.mark.parametrize("smallest", [30, 60, 100])
def test_larger_sizes_are_tried_where_pcas_does_not_do(smallest):
    below, found = halve(lambda size: size >= smallest, 29, 100)
    assert below < smallest <= found
    assert halve(lambda size: False, 29, 100) == (100, None)


def test_a_score_that_is_off_by_chance_makes_the_code_no_smaller():
    scores = {1: 0.1, 2: 0.7, 4: 0.96, 8: 0.8, 15: 0.97, 29: 0.99}  # 4 passes by chance
    assert halve(lambda k: scores[k] >= 0.95, 29, 29) == (8, 15)
    assert first_that_passes(lambda k: scores[k] >= 0.95, sorted(scores)) == (2, 4)
    assert first_that_passes(lambda k: False, sorted(scores)) == (29, None)


# -- rows of any kind ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind", [pd.DataFrame, pl.DataFrame, torch.tensor, sparse.csr_array, sparse.csc_matrix]
)
def test_tables_of_any_kind_have_the_same_size(kind, spots):
    X = np.where(spots > 0.3, spots, 0)
    expected = select_n_components(X, 0.8, estimator=trains(AutoEncoder), **FULL)
    found = select_n_components(kind(X), 0.8, estimator=trains(AutoEncoder), **FULL)
    assert (found.n_components, found.n_components_pca) == (3, 7)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-3)
    np.testing.assert_allclose(found.pca_scores, expected.pca_scores, rtol=1e-4)


def test_missing_values_do_not_count():
    X = make_linear(3)
    X[np.random.default_rng(1).random(X.shape) < 0.1] = np.nan
    before = X.copy()
    found = select_n_components(X, 0.99, estimator=AutoEncoder(max_iter=4), random_state=0)
    assert found.n_components == found.n_components_pca == 3
    np.testing.assert_array_equal(X, before)


def test_a_weight_of_zero_is_as_if_the_row_were_not_there(spots):
    weights = np.ones(len(spots))
    weights[200:] = 0
    arguments = {"estimator": trains(AutoEncoder), **FULL}
    some = select_n_components(spots, 0.8, sample_weight=weights, **arguments)
    few = select_n_components(spots[:200], 0.8, sample_weight=np.ones(200), **arguments)
    assert_same(some, few)


def test_no_group_is_on_both_sides(spots):
    groups = np.arange(240) // 4
    estimator = trains(AutoEncoder)
    trials = make_trials(
        estimator,
        spots,
        None,
        groups,
        seed=0,
        steps=1.0,
        largest=most_components,
        measure=Measure.of_share(estimator),
    )
    index = trials.held_out.index
    assert len(index) == 48 and len(set(trials.groups)) == 12
    assert set(groups[index]).isdisjoint(np.delete(groups, index))
    found = select_n_components(spots, 0.8, estimator=estimator, groups=groups, **FULL)
    assert found.n_held_out == 48


def test_the_same_random_state_finds_the_same(spots):
    estimator = trains(AutoEncoder, random_state=7)
    before = spots.copy()
    one = select_n_components(spots, 0.7, estimator=estimator, random_state=3)
    assert_same(one, select_n_components(spots, 0.7, estimator=estimator, random_state=3))
    np.testing.assert_array_equal(spots, before)
    own = select_n_components(spots, 0.7, estimator=estimator)
    assert_same(own, select_n_components(spots, 0.7, estimator=estimator, random_state=7))
    assert own.pca_scores[0] != one.pca_scores[0]
    assert estimator.get_params() == trains(AutoEncoder, random_state=7).get_params()
    assert not hasattr(estimator, "net_")


def test_advice_is_on_the_rows_and_not_on_the_trials(spots, monkeypatch):
    monkeypatch.setattr(advice, "_SAID", set())
    X = spots.copy()
    X[:, 0] *= 1000
    with pytest.warns(AdviceWarning) as caught:
        select_n_components(X, 0.999, estimator=trains(AutoEncoder), random_state=0)
    (said,) = [str(one.message) for one in caught]
    assert "Feature 0 of X holds" in said
    assert caught[0].filename == __file__


def test_a_wide_table_needs_what_its_rows_show():
    X = make_linear(2, n_rows=60, n_features=300)
    found = select_n_components(X, 0.99, estimator=AutoEncoder(max_iter=4), random_state=0)
    assert found.n_components == found.n_components_pca == 2


# -- the display --------------------------------------------------------------------------------


@pytest.fixture
def plt():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    yield plt
    plt.close("all")


def test_the_display_shows_the_curves_and_the_sizes_that_were_chosen(plt, spots):
    found = select_n_components(spots, 0.8, estimator=trains(AutoEncoder), **FULL)
    _, own = plt.subplots()
    display = ComponentsDisplay.from_selection(found, ax=own)
    ax = display.ax_
    assert ax is own and display.figure_ is own.figure
    threshold, pca, curve, chosen, _, chosen_pca, _ = ax.lines
    assert set(threshold.get_ydata()) == {0.8}
    np.testing.assert_array_equal(pca.get_xydata(), np.c_[found.sizes, found.pca_scores])
    known = ~np.isnan(found.scores)
    np.testing.assert_array_equal(curve.get_ydata(), found.scores[known])
    assert chosen.get_xdata() == [2] and chosen_pca.get_xdata() == [5]
    assert ax.get_title() == "AutoEncoder: 2 components, PCA: 5"
    assert ax.get_ylabel() == "Share of variance explained"
    assert [text.get_text() for text in ax.get_xticklabels()] == ["1", "2", "3", "5"]
    display.figure_.canvas.draw()


def test_the_display_shows_that_no_size_of_pca_was_large_enough(plt, spots):
    model = trains(AutoEncoder)
    found = select_n_components(spots, 0.8, estimator=model, sizes=(2, 4), **FULL)
    assert found.n_components_pca is None
    display = ComponentsDisplay.from_selection(found)
    assert display.ax_.get_title() == "AutoEncoder: 2 components, PCA: none up to 4"
    np.testing.assert_array_equal(display.sizes, found.sizes)


def test_the_display_refuses_what_is_no_selection():
    with pytest.raises(TypeError, match="selection is a AutoEncoder; pass what"):
        ComponentsDisplay.from_selection(AutoEncoder())


# -- errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"share": 1.0}, ValueError, r"share=1.0 is not valid: expected float in \(0, 1\)"),
        ({"rule": "elbow"}, ValueError, "rule='elbow' is not valid: expected 'share' or 'one_se'"),
        ({"sizes": ()}, ValueError, r"sizes=\(\) is not valid"),
        ({"sizes": (2, 0)}, ValueError, r"sizes=\(2, 0\) is not valid"),
        ({"steps": 0}, ValueError, r"steps=0 is not valid: expected float in \(0, 1\]"),
        ({"random_state": "x"}, ValueError, "random_state='x' is not valid"),
        ({"estimator": PCA()}, TypeError, r"estimator=PCA\(\) is not an autoencoder of skae"),
        ({"estimator": AutoEncoder}, TypeError, "is not an autoencoder of skae"),
        ({"estimator": AutoEncoderImputer()}, TypeError, "is not an autoencoder of skae"),
        ({"estimator": AutoEncoder(tol=-1)}, ValueError, "tol=-1 is not valid for AutoEncoder"),
        ({"groups": np.arange(240) // 24}, ValueError, "240 rows in 10 groups"),
        ({"sample_weight": np.zeros(240)}, ValueError, "sample_weight is zero for all rows"),
        ({"share": 0.99, "sizes": (1,)}, ValueError, "share=0.99 is kept by no size"),
    ],
)
def test_errors_say_what_was_expected(arguments, error, words, spots):
    arguments = {"estimator": AutoEncoder(max_iter=4), "random_state": 0, **arguments}
    with pytest.raises(error, match=words):
        select_n_components(spots, **arguments)


def test_too_few_or_equal_rows_are_refused():
    few = np.random.default_rng(0).normal(size=(29, 4))
    with pytest.raises(ValueError, match="X has 29 rows, and 30 are the fewest"):
        select_n_components(few)
    with pytest.raises(ValueError, match="X has 60 rows in 1 groups"):
        select_n_components(np.ones((60, 4)))


def test_a_column_that_only_rows_held_out_have_is_named(spots):
    X = spots.copy()
    X[:, 5] = np.nan
    held_out = make(spots, trains(AutoEncoder), seed=draw_seed(0)).held_out.index
    X[held_out, 5] = spots[held_out, 5]
    words = "no value in 1 of its 64 columns in the rows that are fitted: 5; drop them"
    with pytest.raises(ValueError, match=words):
        select_n_components(X, estimator=trains(AutoEncoder), random_state=0)
    with pytest.raises(ValueError, match=words):
        weights = np.ones(len(X))
        weights[held_out] = 0
        trains(AutoEncoder).fit(X, sample_weight=weights)


def test_noise_of_all_dimensions_keeps_no_share():
    noise = np.random.default_rng(0).normal(size=(50, 60))
    with pytest.raises(ValueError, match=r"share=0.95 is kept by no size on the 10 rows held out"):
        select_n_components(noise, estimator=AutoEncoder(max_iter=1), random_state=0)


def test_it_is_among_the_public_names():
    assert {"select_n_components", "ComponentsSelection"} <= set(skae.__all__)
