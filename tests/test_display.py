"""Displays: they show the numbers that they say they show, wherever they are drawn."""

import re
import subprocess
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pytest
from estimators import ESTIMATORS, SHORT, fit_trained, make_spots, trains
from scipy import sparse
from sklearn.datasets import load_wine
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

import skae
from skae.display import (
    LatentSpaceDisplay,
    LatentTraversalDisplay,
    LearningCurveDisplay,
    OutlierDisplay,
    ReconstructionDisplay,
    ReconstructionErrorDisplay,
)
from skae.display._fitted import short
from skae.display._parts.pictures import UNKNOWN
from skae.display._parts.values import beside

IMAGES = {"image_shape": (8, 8)}
KINDS = ["images", "curves", "table"]


def make_display(display, model, X, **options):
    """Make a display of any class, of outliers by a detector of an autoencoder."""
    if display is OutlierDisplay and isinstance(model, tuple(ESTIMATORS)):
        model = detector_of(model).fit(X) if hasattr(model, "net_") else detector_of(model)
    if display is LearningCurveDisplay:
        return display.from_estimator(model)
    return display.from_estimator(model, X, **options)


def detector_of(model):
    """Return a detector around an autoencoder, for rows of one unit."""
    return skae.AutoEncoderOutlierDetector(model, standardize=False, false_alarm_rate=0.1)


DISPLAYS = [
    LatentSpaceDisplay,
    LatentTraversalDisplay,
    LearningCurveDisplay,
    OutlierDisplay,
    ReconstructionDisplay,
    ReconstructionErrorDisplay,
]
OF_ROWS = [d for d in DISPLAYS if d is not LearningCurveDisplay]
OF_RECONSTRUCTIONS = [d for d in OF_ROWS if d is not LatentSpaceDisplay]
OF_AUTOENCODERS = [d for d in OF_ROWS if d is not OutlierDisplay]


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


@pytest.fixture
def frame(spots):
    pandas = pytest.importorskip("pandas")
    return pandas.DataFrame(spots, columns=[f"pixel {i}" for i in range(64)])


@pytest.fixture(scope="module")
def gaps():
    """Spots of which every tenth value is missing, and a fit to them."""
    X = make_spots()
    X[np.random.default_rng(0).uniform(size=X.shape) < 0.1] = np.nan
    X[:, 5] = 0.5
    return fit_trained(trains(skae.AutoEncoder), X), X


NUMBERS = ("codes", "rows", "reconstructions", "feature_errors", "row_errors", "pca_row_errors")


def texts(figure):
    """Return all that is written on a figure's axes as names of ticks."""
    return [
        label.get_text()
        for ax in figure.axes
        for label in (*ax.get_yticklabels(), *ax.get_xticklabels())
    ]


# -- all displays -------------------------------------------------------------------------------


@pytest.mark.parametrize("display", DISPLAYS)
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_each_display_shows_each_estimator_in_one_figure(display, estimator, trained, spots):
    made = make_display(display, trained(trains(estimator)), spots)
    assert plt.get_fignums() == [made.figure_.number]
    assert all(ax.get_figure() is made.figure_ for ax in made.axes_.flat)
    made.figure_.canvas.draw()


@pytest.mark.parametrize("display", OF_RECONSTRUCTIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_each_display_shows_images_curves_and_tables(display, kind, trained, spots):
    shape = IMAGES if kind == "images" else {}
    model = trained(trains(skae.AutoEncoder))
    made = make_display(display, model, spots, kind=kind, **shape)
    assert made.kind == kind
    made.figure_.canvas.draw()
    assert make_display(display, model, spots).kind == "curves"  # 64 features without names
    assert make_display(display, model, spots, **IMAGES).kind == "images"


@pytest.mark.parametrize("display", OF_RECONSTRUCTIONS)
def test_displays_take_the_shape_of_images_from_the_autoencoder(display, trained, spots):
    model = trained(trains(skae.AutoEncoder, image_shape=(8, 8), hidden_layer_sizes=(4, 6)))
    assert make_display(display, model, spots).image_shape == (8, 8)


@pytest.mark.parametrize("display", OF_RECONSTRUCTIONS)
def test_displays_name_features_by_the_names_of_a_frame(display, frame):
    for X in (frame, frame.rename(columns={"pixel 27": "a$ in $X_1^" + "a" * 60})):
        model = trains(skae.AutoEncoder, 4).fit(X)
        assert model.best_iter_ > 0
        made = make_display(display, model, X)
        made.figure_.canvas.draw()
        assert any(text.startswith("pixel ") for text in texts(made.figure_))
        assert max(map(len, texts(made.figure_))) < (40 if display is OutlierDisplay else 30)


@pytest.mark.parametrize("display", OF_AUTOENCODERS)
def test_displays_of_a_pipeline_show_what_the_autoencoder_sees(display, frame):
    pipeline = make_pipeline(StandardScaler(), trains(skae.AutoEncoder, 4)).fit(frame)
    scaled = pipeline[0].transform(frame)
    ours = display.from_estimator(pipeline, frame)
    of_model = display.from_estimator(pipeline[1], scaled)
    for name in NUMBERS:
        if hasattr(ours, name):
            np.testing.assert_array_equal(getattr(ours, name), getattr(of_model, name))
    if display is not LatentSpaceDisplay:
        assert ours.feature_names[0] == "pixel 0"
    search = GridSearchCV(pipeline, {"autoencoder__n_components": [2]}, cv=2).fit(frame)
    display.from_estimator(search, frame)


@pytest.mark.parametrize("display", OF_ROWS)
def test_displays_show_sparse_rows_as_dense_ones(display):
    X = np.where(np.random.default_rng(0).uniform(size=(200, 30)) < 0.1, 1.0, 0.0)
    model = skae.AutoEncoder(2, init="random", **SHORT).fit(X)
    dense, ours = (make_display(display, model, rows) for rows in (X, sparse.csr_array(X)))
    for name in NUMBERS:
        if hasattr(ours, name):
            numbers = getattr(ours, name), getattr(dense, name)
            np.testing.assert_allclose(*numbers, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("display", OF_RECONSTRUCTIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_displays_show_rows_with_missing_values(display, kind, gaps):
    model, X = gaps
    shape = IMAGES if kind == "images" else {}
    made = make_display(display, model, X, kind=kind, **shape)
    made.figure_.canvas.draw()
    for name in ("reconstructions", "pca_reconstructions", "feature_errors", "row_errors"):
        assert np.isfinite(getattr(made, name, 0.0)).all()


@pytest.mark.parametrize("display", OF_ROWS)
def test_displays_show_frames_where_transform_returns_frames(display, frame):
    model = trains(skae.AutoEncoder).set_output(transform="pandas").fit(frame)
    make_display(display, model, frame)


@pytest.mark.parametrize("display", DISPLAYS)
def test_displays_of_pca_say_what_they_need_or_show_it(display, spots):
    pca = PCA(2).fit(spots)
    if display is LearningCurveDisplay:
        with pytest.raises(ValueError, match="PCA, which has no loss_curve_"):
            display.from_estimator(pca)
        return
    if display is OutlierDisplay:
        with pytest.raises(ValueError, match="PCA, which has no p_values; pass a fitted AutoEnc"):
            display.from_estimator(pca, spots)
        return
    made = display.from_estimator(pca, spots)
    if display is ReconstructionErrorDisplay:
        np.testing.assert_allclose(made.row_errors, made.pca_row_errors)


# -- PCA beside an autoencoder ------------------------------------------------------------------


def test_pca_is_fitted_to_the_training_rows_or_says_that_it_saw_the_rows(trained, spots):
    model = trained(trains(skae.AutoEncoder))
    train, test = spots[:160], spots[160:]
    pca = PCA(2).fit(train)
    errors = ((pca.inverse_transform(pca.transform(test)) - test) ** 2).sum(axis=1)
    for options in ({"X_train": train}, {"pca": pca}):
        made = ReconstructionErrorDisplay.from_estimator(model, test, **options)
        np.testing.assert_allclose(made.pca_row_errors, errors, rtol=1e-6)
        assert made.pca_name == "PCA"
    made = ReconstructionErrorDisplay.from_estimator(model, test)
    assert made.pca_name == "PCA of these rows"
    assert made.pca_row_errors.sum() < errors.sum()
    made = ReconstructionErrorDisplay.from_estimator(model, test, pca=False)
    assert made.pca_row_errors is None


@pytest.mark.parametrize("display", [ReconstructionDisplay, ReconstructionErrorDisplay])
def test_pca_of_few_rows_is_left_out_with_a_warning(display, trained, spots):
    model = trained(trains(skae.AutoEncoder))
    with pytest.warns(UserWarning, match=r"PCA is left out: X has 19 rows, and a PCA\(2\)"):
        made = display.from_estimator(model, spots[:19])
    assert getattr(made, "pca_reconstructions", None) is None
    assert getattr(made, "pca_row_errors", None) is None
    display.from_estimator(model, spots[:20])


@pytest.mark.parametrize("display", [ReconstructionDisplay, ReconstructionErrorDisplay])
def test_what_is_no_pca_of_these_features_is_refused(display, trained, spots):
    model = trained(trains(skae.AutoEncoder))
    for pca in (PCA(2), "auto", None, StandardScaler().fit(spots)):
        with pytest.raises(
            ValueError, match=r"pca=.* is not valid: expected True, False or a fitted"
        ):
            display.from_estimator(model, spots, pca=pca)
    with pytest.raises(
        ValueError, match="pca was fitted to 63 features, and the autoencoder has 64"
    ):
        display.from_estimator(model, spots, pca=PCA(2).fit(spots[:, 1:]))


def test_a_pca_that_knows_names_makes_no_warning(frame):
    model = trains(skae.AutoEncoder, 4).fit(frame)
    ReconstructionDisplay.from_estimator(model, frame, pca=PCA(4).fit(frame))


# -- rows beside their reconstructions ----------------------------------------------------------


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_reconstructions_are_those_of_the_estimator(estimator, trained, spots):
    model = trained(trains(estimator))
    made = ReconstructionDisplay.from_estimator(model, spots, rows=[5, 3], kind="curves")
    np.testing.assert_array_equal(made.rows, spots[[5, 3]])
    x_hat = model.inverse_transform(model.transform(spots))[[5, 3]]
    np.testing.assert_allclose(made.reconstructions, x_hat, rtol=1e-5, atol=1e-6)
    x, ours, _ = made.axes_[0, 0].lines
    np.testing.assert_array_equal(x.get_ydata(), spots[5])
    np.testing.assert_array_equal(ours.get_ydata(), made.reconstructions[0])
    assert made.axes_[0, 1].get_title() == "row 3"


def test_images_lie_side_by_side_and_missing_pixels_are_blue(trained, spots):
    X = spots.copy()
    X[0, 0] = np.nan
    model = trained(trains(skae.AutoEncoder))
    made = ReconstructionDisplay.from_estimator(model, X, rows=3, pca=False, **IMAGES)
    picture = made.axes_[0, 0].images[0].get_array()
    assert picture.shape == (2 * 9 - 1, 3 * 9 - 1, 4)
    assert picture[0, 0, 2] > picture[0, 0, 0]
    grey = picture[:8, 9:17, 0]  # the second image, of row 119
    assert np.corrcoef(grey.ravel(), X[119])[0, 1] > 0.999
    np.testing.assert_array_equal(picture[8], 1.0)  # white between images
    assert [t.get_text() for t in made.axes_[0, 0].get_xticklabels()] == ["0", "119", "239"]


def test_images_in_colour_are_shown_in_colour():
    X = np.random.default_rng(0).uniform(size=(60, 48))
    model = skae.AutoEncoder(2, image_shape=(4, 4, 3), hidden_layer_sizes=(4,), **SHORT).fit(X)
    made = ReconstructionDisplay.from_estimator(model, X, rows=[7], pca=False)
    picture = made.axes_[0, 0].images[0].get_array()
    low, high = X.min(), X.max()
    np.testing.assert_allclose(picture[:4, :4, :3], (X[7].reshape(4, 4, 3) - low) / (high - low))


def test_tables_show_the_worst_features_first(trained, spots):
    model = trained(trains(skae.AutoEncoder))
    made = ReconstructionDisplay.from_estimator(model, spots, rows=[0], kind="table")
    errors = np.abs(made.reconstructions[0] - spots[0]) / spots.std(axis=0)
    names = [t.get_text() for t in made.axes_[0, 0].get_yticklabels()]
    assert names == [f"x{j}" for j in np.argsort(errors)[::-1][:8]]


# -- codes --------------------------------------------------------------------------------------


def test_points_are_codes_and_classes_are_named(trained, spots):
    model = trained(trains(skae.AutoEncoder))
    y = np.array(["left", "right"])[
        (spots[:, :32].sum(axis=1) > spots[:, 32:].sum(axis=1)).astype(int)
    ]
    made = LatentSpaceDisplay.from_estimator(model, spots, y)
    codes = model.transform(spots)
    for name, points in zip(("left", "right"), made.ax_.collections, strict=True):
        np.testing.assert_allclose(points.get_offsets(), codes[y == name])
    assert [t.get_text() for t in made.ax_.get_legend().get_texts()] == ["left", "right"]
    np.testing.assert_array_equal(made.codes, codes)


def test_numbers_have_a_colour_bar_and_few_whole_numbers_a_legend(trained, spots):
    pandas = pytest.importorskip("pandas")
    model = trained(trains(skae.AutoEncoder))
    y = pandas.Series(spots.sum(axis=1), name="brightness")
    made = LatentSpaceDisplay.from_estimator(model, spots, y)
    bar = made.figure_.axes[-1]
    assert bar is not made.ax_
    assert bar.get_ylabel() == "brightness"
    np.testing.assert_array_equal(made.ax_.collections[0].get_array(), y)
    few = np.arange(240) % 3
    made = LatentSpaceDisplay.from_estimator(model, spots, few)
    assert [t.get_text() for t in made.ax_.get_legend().get_texts()] == ["0", "1", "2"]


@pytest.mark.parametrize(
    "y",
    [
        np.where(np.arange(240) % 5, np.arange(240.0), np.nan),
        np.array([None, "a", "b"] * 80, dtype=object),
        np.array([f"$class {i % 60}$^" for i in range(240)]),
        np.arange(240) % 2 == 0,
        np.arange(240)[:, None] % 4,
        np.full(240, np.nan),
    ],
    ids=["numbers, some missing", "words, some missing", "60 classes", "bool", "a column", "none"],
)
def test_points_are_coloured_by_any_y(y, trained, spots):
    made = LatentSpaceDisplay.from_estimator(trained(trains(skae.AutoEncoder)), spots, y)
    made.figure_.canvas.draw()
    assert sum(len(points.get_offsets()) for points in made.ax_.collections) == 240


def test_pairs_of_codes_have_a_panel_each_and_one_code_a_histogram(digits):
    model = skae.AutoEncoder(4, **SHORT).fit(digits)
    made = LatentSpaceDisplay.from_estimator(model, digits, components=[0, 3, 1])
    assert made.axes_.shape == (2, 2)
    points = made.axes_[1, 0].collections[0].get_offsets()
    np.testing.assert_allclose(points, model.transform(digits)[:, [0, 1]], rtol=1e-6)
    assert made.axes_[1, 0].get_ylabel() == "code 1"
    assert not made.axes_[0, 1].axison
    for y in (None, digits.sum(axis=1)):
        made = LatentSpaceDisplay.from_estimator(model, digits, y, components=[2])
        assert sum(bar.get_height() for bar in made.ax_.patches) == len(digits)
    y = np.array(["a", "b", "_c"])[np.arange(len(digits)) % 3]
    made = LatentSpaceDisplay.from_estimator(model, digits, y, components=[2])
    assert [t.get_text()[-1] for t in made.ax_.get_legend().get_texts()] == ["c", "a", "b"]


def test_many_rows_are_shown_by_their_density(digits):
    X = np.repeat(digits, 3, axis=0)
    model = skae.AutoEncoder(2, **SHORT).fit(digits)
    counts = LatentSpaceDisplay.from_estimator(model, X).ax_.collections[0].get_array()
    assert counts.sum() == len(X)
    points = LatentSpaceDisplay.from_estimator(model, X, kind="scatter").ax_.collections[0]
    assert len(points.get_offsets()) == len(X)


# -- what codes change --------------------------------------------------------------------------


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_steps_go_along_one_code_at_a_time(estimator, trained, spots):
    model = trained(trains(estimator))
    steps = [-1, 0.0, 2]
    made = LatentTraversalDisplay.from_estimator(model, spots, components=[1], steps=steps)
    codes = model.transform(spots).astype(float)
    places = np.tile(codes.mean(axis=0), (3, 1))
    places[:, 1] += codes[:, 1].std() * np.array(steps)
    x_hat = model.inverse_transform(places)
    np.testing.assert_allclose(made.rows[0], x_hat, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(made.centre, x_hat[1], rtol=1e-4, atol=1e-5)
    made = LatentTraversalDisplay.from_estimator(model, spots, row=7)
    x_hat = model.inverse_transform(codes[[7]])[0]
    np.testing.assert_allclose(made.centre, x_hat, rtol=1e-4, atol=1e-5)


def test_a_table_shows_changes_in_deviations_of_the_feature(trained, spots):
    made = LatentTraversalDisplay.from_estimator(
        trained(trains(skae.AutoEncoder)), spots, kind="table"
    )
    changes = np.abs(made.rows - made.centre) / spots.std(axis=0)
    shown = np.sort(np.argsort(-changes.max(axis=(0, 1)))[:15])
    picture = made.axes_[0, 1].images[0].get_array()
    np.testing.assert_allclose(np.abs(picture), changes[1][:, shown].T, rtol=1e-6)


# -- errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_errors_are_those_of_the_reconstructions(estimator, trained, spots):
    model = trained(trains(estimator))
    made = ReconstructionErrorDisplay.from_estimator(model, spots, n_worst=3)
    squares = (model.inverse_transform(model.transform(spots)) - spots) ** 2
    np.testing.assert_allclose(made.feature_errors, squares.mean(axis=0), rtol=1e-3)
    np.testing.assert_allclose(made.row_errors, squares.sum(axis=1), rtol=1e-3)
    np.testing.assert_array_equal(made.worst_rows, np.argsort(-made.row_errors)[:3])
    marks = made.axes_[0, -1].lines[-1].get_xdata()
    np.testing.assert_array_equal(marks, made.row_errors[made.worst_rows])


def test_missing_values_have_no_error(gaps):
    model, X = gaps
    made = ReconstructionErrorDisplay.from_estimator(model, X)
    squares = (model.inverse_transform(model.transform(X)) - X) ** 2
    np.testing.assert_allclose(made.feature_errors, np.nanmean(squares, axis=0), rtol=1e-3)
    np.testing.assert_allclose(made.row_errors, np.nansum(squares, axis=1), rtol=1e-3)
    np.testing.assert_allclose(made.row_errors, -model.score_samples(X), rtol=1e-3)


def test_bars_are_the_errors_of_the_worst_features(trained, spots):
    model = trained(trains(skae.AutoEncoder))
    made = ReconstructionErrorDisplay.from_estimator(model, spots, kind="table")
    ours, pcas = made.axes_[0, 0].containers
    worst = np.argsort(-made.feature_errors)[:15]
    assert [bar.get_width() for bar in ours] == list(made.feature_errors[worst])
    assert [bar.get_width() for bar in pcas] == list(made.pca_feature_errors[worst])


# -- why rows are outliers ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def wine():
    """Wines, one of which has a value missing and another too large, and a detector of them."""
    pytest.importorskip("pandas")
    X, _ = load_wine(return_X_y=True, as_frame=True)
    detector = skae.AutoEncoderOutlierDetector(random_state=0, n_estimators=2).fit(X)
    X.loc[7, "hue"], X.loc[7, "alcohol"] = 3.5, np.nan
    return detector, X


def test_the_oddest_row_is_shown_with_its_score_and_shares(wine):
    detector, X = wine
    made = OutlierDisplay.from_estimator(detector, X)
    scores = detector.score_samples(X)
    assert list(made.positions) == [scores.argmin()] == [7]
    np.testing.assert_allclose(made.scores, [scores.min()])
    np.testing.assert_array_equal(made.p_values, detector.p_values(X[7:8]))
    assert list(made.are_outliers) == [True]
    for part in ("residual", "code"):
        shares = detector.explain(X[7:8], part=part).to_numpy()
        np.testing.assert_allclose(getattr(made, f"{part}_shares"), shares, atol=1e-6)
    title = made.axes_[0, 0].get_title()
    assert re.fullmatch(r"row 7: score −\d+(\.\d)?, p ≤ 0\.022, an outlier", title)


def test_rows_that_are_named_are_shown_and_told_whether_they_are_outliers(wine):
    detector, X = wine
    made = OutlierDisplay.from_estimator(detector, X, row=[5, 7, 60])
    np.testing.assert_array_equal(made.rows, X.to_numpy()[[5, 7, 60]])
    np.testing.assert_array_equal(made.are_outliers, detector.predict(X.iloc[[5, 7, 60]]) < 0)
    ends = [ax.get_title().split(", ")[-1] for ax in made.axes_.flat[:3]]
    assert ends[:2] == ["no outlier", "an outlier"]
    assert not made.axes_.flat[3].axison
    assert list(OutlierDisplay.from_estimator(detector, X, row=5).positions) == [5]


def test_reconstructions_of_a_detector_are_in_units_of_x(wine):
    detector, X = wine
    made = OutlierDisplay.from_estimator(detector, X, row=0)
    scale, first = detector.scale_, detector.estimators_[0]
    x_hat = first.inverse_transform(first.transform(X[:1] / scale)) * scale
    np.testing.assert_allclose(made.reconstructions, x_hat, rtol=1e-6)
    assert np.abs(made.reconstructions - made.rows)[0, -1] < 500  # proline, up to 1,680


def test_bars_are_the_largest_shares_and_labels_say_the_values(wine):
    detector, X = wine
    made = OutlierDisplay.from_estimator(detector, X, n_features=4)
    panel = made.axes_[0, 0]
    residual, code = panel.containers
    shares = detector.explain(X[7:8]).loc[7].sort_values(ascending=False)
    widths = [a.get_width() + b.get_width() for a, b in zip(residual, code, strict=True)]
    np.testing.assert_allclose(widths, shares[:4], atol=1e-6)
    labels = [t.get_text() for t in panel.get_yticklabels()]
    assert [label.split()[0] for label in labels] == [short(name) for name in shares.index[:4]]
    assert shares.index[0] == "hue"
    assert labels[0].startswith("hue  3.5 (")
    assert panel.get_ylabel().startswith("4 of 13 features")


def test_missing_values_are_gaps_without_a_share(wine, gaps):
    detector, X = wine
    made = OutlierDisplay.from_estimator(detector, X, n_features=13)
    label = made.axes_[0, 0].get_yticklabels()[-1].get_text()
    assert label.startswith("alcohol  missing (")
    assert made.residual_shares[0, 0] == made.code_shares[0, 0] == 0
    model, X = gaps
    detector = detector_of(model).fit(X)
    made = OutlierDisplay.from_estimator(detector, X, row=0, kind="curves")
    np.testing.assert_array_equal(made.axes_[0, 0].lines[0].get_ydata(), X[0])
    made = OutlierDisplay.from_estimator(detector, X, row=0, **IMAGES)
    picture = made.axes_[0, 0].images[0].get_array()
    blue = np.isclose(picture, UNKNOWN).all(axis=-1)
    np.testing.assert_array_equal(blue[:8, :8], np.isnan(X[0]).reshape(8, 8))
    np.testing.assert_array_equal(blue[:8, 18:], np.isnan(X[0]).reshape(8, 8))
    assert not blue[:, 8:18].any()


def test_curves_have_their_shares_below_and_images_beside_them(trained, spots):
    detector = detector_of(trained(trains(skae.AutoEncoder))).fit(spots)
    made = OutlierDisplay.from_estimator(detector, spots, row=[3, 4])
    assert made.axes_.shape == (2, 2)
    row, x_hat = made.axes_[0, 1].lines
    np.testing.assert_array_equal(row.get_ydata(), spots[4])
    np.testing.assert_array_equal(x_hat.get_ydata(), made.reconstructions[1])
    shares = made.residual_shares[1] + made.code_shares[1]
    top = max(area.get_paths()[0].vertices[:, 1].max() for area in made.axes_[1, 1].collections)
    assert top == pytest.approx(shares.max())
    made = OutlierDisplay.from_estimator(detector, spots, row=4, **IMAGES)
    picture = made.axes_[0, 0].images[0].get_array()
    assert picture.shape == (8, 3 * 9 - 1, 4)
    assert np.corrcoef(picture[:, :8, 0].ravel(), spots[4])[0, 1] > 0.999
    brightest = picture[:, 18:, :3].sum(axis=-1).ravel()
    assert brightest.argmax() == shares.argmax()


def test_titles_have_the_labels_of_a_frame_and_rows_are_named_by_positions(wine):
    detector, X = wine
    X = X.set_axis([f"${i}" for i in range(178)], axis=0)
    made = OutlierDisplay.from_estimator(detector, X, row=[7, 3])
    assert made.row_names == ["$7", "$3"]
    assert made.axes_[0, 1].get_title().startswith(r"row \$3: score")
    for row in (600, [7, 600]):
        with pytest.raises(ValueError, match=r"row is a position, no label: X\.index\.get_indexer"):
            OutlierDisplay.from_estimator(detector, X, row=row)
    pairs = X.set_axis([(i // 2, i % 2) for i in range(178)], axis=0)
    assert OutlierDisplay.from_estimator(detector, pairs).row_names == ["3, 1"]
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        made = OutlierDisplay.from_estimator(detector, X.to_numpy())
    assert made.row_names is None
    assert made.axes_[0, 0].get_title().startswith("row 7: score")


def test_labels_are_those_before_the_steps_of_a_pipeline_or_after_them(frame):
    frame = frame.set_axis(np.arange(240) + 2000, axis=0)
    pipeline = make_pipeline(StandardScaler(), detector_of(trains(skae.AutoEncoder, 4)))
    made = OutlierDisplay.from_estimator(pipeline.fit(frame), frame, row=36)
    assert made.axes_[0, 0].get_title().startswith("row 2036: score")
    to_frame = FunctionTransformer(lambda X: frame)
    pipeline = make_pipeline(to_frame, pipeline[1].fit(frame))
    assert OutlierDisplay.from_estimator(pipeline, frame.to_numpy(), row=36).row_names == ["2036"]


def test_a_mask_shows_the_rows_that_it_marks_and_of_many_the_oddest(wine):
    detector, X = wine
    for mask in (np.arange(178) % 89 == 7, X.index % 89 == 7, list(np.arange(178) % 89 == 7)):
        assert list(OutlierDisplay.from_estimator(detector, X, row=mask).positions) == [7, 96]
    made = OutlierDisplay.from_estimator(detector, X, row=np.full(178, True), n_features=1)
    oddest = np.argsort(detector.score_samples(X))[:10]
    assert list(made.positions) == sorted(oddest)


def test_only_the_least_p_value_is_told_as_a_bound(wine):
    detector, X = wine
    made = OutlierDisplay.from_estimator(detector, X, row=[7, 60])
    assert made.least_p == 1 / (len(detector.calibration_scores_) + 1) == made.p_values[0]
    assert [re.search("p (.) ", ax.get_title())[1] for ax in made.axes_.flat] == ["≤", "="]


def test_shares_of_all_rows_have_one_scale(wine, trained, spots):
    detector, X = wine
    made = OutlierDisplay.from_estimator(detector, X, row=[7, 60, 5])
    shares = made.residual_shares + made.code_shares
    for ax in made.axes_.flat[:3]:
        assert ax.get_xlim() == (0.0, pytest.approx(1.05 * shares.max()))
    assert [ax.get_ylabel() for ax in made.axes_.flat[1:3]] == ["", ""]
    detector = detector_of(trained(trains(skae.AutoEncoder))).fit(spots)
    made = OutlierDisplay.from_estimator(detector, spots, row=[3, 4])
    shares = made.residual_shares + made.code_shares
    for ax in made.axes_[1]:
        assert ax.get_ylim() == (0.0, pytest.approx(1.05 * shares.max()))


@pytest.mark.parametrize("n", [1, 6])
def test_a_figure_of_images_is_as_high_as_they_are(n, trained, spots):
    detector = detector_of(trained(trains(skae.AutoEncoder))).fit(spots)
    made = OutlierDisplay.from_estimator(detector, spots, row=list(range(n)), **IMAGES)
    made.figure_.canvas.draw()
    panel, (bar,) = made.axes_[0, 0], made.axes_[0, 0].child_axes
    height = made.figure_.get_size_inches()[1] * made.figure_.dpi
    assert height - panel.get_window_extent().height < 0.8 * made.figure_.dpi
    assert bar.get_window_extent().height == pytest.approx(panel.get_window_extent().height)


def test_a_display_of_outliers_takes_pipelines_and_searches(frame):
    pipeline = make_pipeline(StandardScaler(), detector_of(trains(skae.AutoEncoder, 4)))
    pipeline.fit(frame)
    ours = OutlierDisplay.from_estimator(pipeline, frame)
    of_detector = OutlierDisplay.from_estimator(pipeline[1], pipeline[0].transform(frame))
    for name in ("rows", "reconstructions", "residual_shares", "code_shares", "scores"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(of_detector, name))
    assert ours.feature_names[0] == "pixel 0"
    grid = {"autoencoderoutlierdetector__estimator__n_components": [2]}
    scoring = lambda detector, X: detector.decision_function(X).mean()  # noqa: E731
    search = GridSearchCV(pipeline, grid, scoring=scoring, cv=2)
    OutlierDisplay.from_estimator(search.fit(frame), frame)


@pytest.mark.parametrize(
    ("value", "other", "text"),
    [
        (5.08, 3.456, "5.08 (3.46)"),
        (1013.25, 1013.42, "1013.2 (1013.4)"),
        (465, 622.4, "465 (622)"),
        (1013.25, 1013.25001, "1013 (1013)"),
        (12.3, 12.31, "12.3 (12.31)"),
        (12.3, 12.6, "12.3 (12.6)"),
        (14.0, 14.004, "14 (14.004)"),
        (5.0, 3.456, "5 (3.46)"),
        (-0.5, 0.0, "−0.5 (0)"),
        (0.0, 0.7961, "0 (0.796)"),
        (0.00123, 0.0, "0.00123 (0)"),
        (-1e-9, 0.7961, "0.000 (0.796)"),
        (0.0, 0.0, "0 (0)"),
        (-0.0, 1e9, "0 (1e+09)"),
        (2e-7, 1e9, "2e−07 (1e+09)"),
        (np.nan, 2.345, "missing (2.35)"),
        (np.nan, -3821.4, "missing (−3821)"),
    ],
)
def test_a_value_is_told_beside_its_reconstruction(value, other, text):
    assert beside(value, other) == text


# -- how a training went ------------------------------------------------------------------------


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_learning_curve_shows_every_epoch_and_the_kept_one(estimator, trained):
    model = trained(trains(estimator))
    display = LearningCurveDisplay.from_estimator(model)
    score, loss = display.axes_[:, 0]
    pca, validation, kept = score.lines
    assert set(pca.get_ydata()) == {model.pca_score_}
    np.testing.assert_array_equal(validation.get_ydata(), model.validation_scores_)
    best = model.best_iter_
    assert (kept.get_xdata(), kept.get_ydata()) == ([best], [model.validation_scores_[best - 1]])
    np.testing.assert_array_equal(loss.lines[0].get_ydata(), model.loss_curve_)
    np.testing.assert_array_equal(loss.lines[1].get_ydata(), model.net_.history[:, "valid_loss"])
    display.figure_.canvas.draw()


def test_the_learning_curve_without_validation_rows_has_losses_only(trained):
    model = trained(trains(skae.AutoEncoder, early_stopping=False))
    display = LearningCurveDisplay.from_estimator(model)
    assert display.axes_.shape == (1, 1)
    assert len(display.axes_[0, 0].lines) == 2  # training rows, and the kept epoch


def test_the_learning_curve_of_a_fit_in_parts_has_each_value_at_its_epoch(spots):
    model = trains(skae.AutoEncoder)
    for part in (spots[:120], spots[120:], spots):
        model.partial_fit(part)
    assert model.best_iter_ > 0
    display = LearningCurveDisplay.from_estimator(model)
    scores, losses = display.axes_[0, 0].lines[1], display.axes_[1, 0].lines[1]
    assert scores.get_xdata()[-1] == losses.get_xdata()[-1] == model.n_iter_
    assert len(losses.get_xdata()) == len(model.net_.history) < model.n_iter_


def test_the_learning_curve_says_that_the_result_is_pca():
    rows = np.random.default_rng(0).normal(size=(40, 4))
    model = skae.AutoEncoder(2, **SHORT).fit(rows)
    assert model.best_iter_ == 0
    display = LearningCurveDisplay.from_estimator(model)
    assert display.axes_[0, 0].get_title().startswith("AutoEncoder: the result is PCA\n")


def test_displays_are_found_without_an_import_of_their_own():
    script = (
        "import sys, skae\nassert 'skae.display' not in sys.modules\n"
        "skae.display.LatentSpaceDisplay\nassert 'matplotlib' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    with pytest.raises(AttributeError, match="module 'skae' has no attribute 'Autoencoder'"):
        _ = skae.Autoencoder


def test_ten_classes_have_ten_colours():
    codes = np.random.default_rng(0).normal(size=(40, 2))
    display = LatentSpaceDisplay(codes=codes, y=np.arange(40) % 10).plot()
    colours = {tuple(points.get_facecolor()[0]) for points in display.ax_.collections}
    assert len(colours) == 10


def test_a_traversal_says_that_features_are_left_out(trained, spots):
    made = LatentTraversalDisplay.from_estimator(trained(skae.AutoEncoder(2)), spots, kind="table")
    label = f"the 15 of {spots.shape[1]} features that change most"
    assert made.axes_[0, 0].get_ylabel() == label


# -- what is refused, and where displays are drawn ----------------------------------------------


@pytest.mark.parametrize("display", DISPLAYS)
def test_displays_refuse_what_is_not_fitted_or_no_autoencoder(display, spots):
    for unfitted in (skae.AutoEncoder(), make_pipeline(StandardScaler(), skae.AutoEncoder())):
        with pytest.raises(NotFittedError):
            make_display(display, unfitted, spots)
    with pytest.raises(ValueError, match="is the class AutoEncoder; pass a fitted instance"):
        make_display(display, skae.AutoEncoder, spots)
    pipeline = make_pipeline(PCA(2), LogisticRegression()).fit(spots, spots[:, 0] > 0.1)
    with pytest.raises(ValueError, match=r"LogisticRegression, which has no .*\[:-1\]"):
        make_display(display, pipeline, spots)
    search = GridSearchCV(skae.AutoEncoder(2, **SHORT), {"tol": [0.1]}, cv=2, refit=False)
    with pytest.raises(ValueError, match="no best_estimator_ to show; set refit=True"):
        make_display(display, search.fit(spots), spots)


@pytest.mark.parametrize(
    ("displays", "options", "error"),
    [
        (OF_RECONSTRUCTIONS, {"kind": "pictures"}, "kind='pictures' is not valid: expected 'auto'"),
        (OF_RECONSTRUCTIONS, {"kind": "images"}, "kind='images' needs image_shape, such as"),
        (OF_RECONSTRUCTIONS, {"image_shape": (8, 9)}, r"\(8, 9\) has 72 pixels, and rows have 64"),
        (OF_RECONSTRUCTIONS, {"image_shape": 8}, r"image_shape=8 is not valid: expected \(height"),
        ([ReconstructionDisplay], {"rows": 0}, "rows=0 is not valid: expected int >= 1"),
        ([ReconstructionDisplay], {"rows": []}, "is not valid: expected int >= 1, the positions"),
        (
            [ReconstructionDisplay],
            {"rows": [0.5]},
            "is not valid: expected int >= 1, the positions",
        ),
        ([ReconstructionDisplay], {"rows": [240]}, "names rows that X, with 240 rows, does not"),
        ([ReconstructionDisplay], {"rows": [-1]}, "names rows that X, with 240 rows, does not"),
        ([ReconstructionErrorDisplay], {"n_worst": -1}, "n_worst=-1 is not valid: expected int"),
        ([LatentSpaceDisplay], {"kind": "hexbin"}, "kind='hexbin' is not valid: expected 'auto'"),
        ([LatentSpaceDisplay], {"y": [0, 1]}, "inconsistent numbers of samples"),
        (
            [LatentSpaceDisplay, LatentTraversalDisplay],
            {"components": [2]},
            "names code 2, and the",
        ),
        (
            [LatentSpaceDisplay, LatentTraversalDisplay],
            {"components": [0, 0]},
            "sequence of different",
        ),
        (
            [LatentSpaceDisplay, LatentTraversalDisplay],
            {"components": 1},
            "sequence of different int",
        ),
        ([LatentTraversalDisplay], {"steps": [1, 0]}, "a sequence of numbers in increasing order"),
        ([LatentTraversalDisplay], {"steps": 5}, "a sequence of numbers in increasing order"),
        (
            [LatentTraversalDisplay, OutlierDisplay],
            {"row": 240},
            "row=240 is no row of X, which has 240",
        ),
        ([OutlierDisplay], {"row": [0, 240]}, "names rows that X, with 240 rows, does not"),
        ([OutlierDisplay], {"row": -1}, "row=-1 is not valid: expected int >= 0, the position"),
        ([OutlierDisplay], {"row": [True]}, "row is a mask of 1 rows, and X has 240; pass one"),
        ([OutlierDisplay], {"row": [False] * 240}, "row is a mask that is True for no row; pass"),
        ([OutlierDisplay], {"row": []}, "is not valid: expected int >= 0, the position"),
        ([OutlierDisplay], {"row": [0.5]}, "is not valid: expected int >= 0, the position"),
        ([OutlierDisplay], {"n_features": 0}, "n_features=0 is not valid: expected int >= 1"),
    ],
)
def test_arguments_that_are_not_valid_are_refused_before_a_figure_is_made(
    displays, options, error, trained, spots
):
    for display in displays:
        with pytest.raises(ValueError, match=error):
            make_display(display, trained(trains(skae.AutoEncoder)), spots, **options)
        assert not plt.get_fignums()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("display", DISPLAYS)
def test_displays_draw_into_axes_that_they_are_given(display, kind, trained, spots):
    model = trained(trains(skae.AutoEncoder))
    options = {"image_shape": (8, 8)} if kind == "images" else {}
    options = {"kind": kind, **options} if display in OF_RECONSTRUCTIONS else {}
    made = make_display(display, model, spots, **options)
    figure, ax = plt.subplots()
    made.plot(ax=ax)
    assert made.figure_ is figure
    assert ax.axison == (made.axes_.size == 1)
    figure, axes = plt.subplots(*made.axes_.shape)
    made.plot(ax=axes)
    assert list(made.axes_.flat) == list(np.ravel(axes))
    assert len(plt.get_fignums()) == 3
    with pytest.raises(ValueError, match="ax has 7 items: expected"):
        made.plot(ax=[ax] * 7)
    with pytest.raises(ValueError, match="ax has 1 items: expected"):
        made.plot(ax="figure")


@pytest.mark.parametrize("display", DISPLAYS)
def test_displays_say_how_to_install_matplotlib(display, trained, spots, monkeypatch):
    made = make_display(display, trained(trains(skae.AutoEncoder)), spots)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=rf"{display.__name__}.plot needs matplotlib.*'plot'"):
        made.plot()


def test_matplotlib_is_imported_by_plot_only():
    imports = ("import matplotlib", "from matplotlib")
    for path in Path(skae.display.__file__).parent.rglob("*.py"):
        lines = [line for line in path.read_text().splitlines() if line.strip().startswith(imports)]
        assert all(line.startswith("    ") for line in lines), path
