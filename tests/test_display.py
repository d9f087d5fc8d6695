"""Displays: they show the numbers that they say they show, wherever they are drawn."""

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pytest
from estimators import ESTIMATORS, SHORT, trains
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skae
from skae.display import LearningCurveDisplay


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


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


def test_the_learning_curve_says_that_the_result_is_pca():
    rows = np.random.default_rng(0).normal(size=(40, 4))
    model = skae.AutoEncoder(2, **SHORT).fit(rows)
    assert model.best_iter_ == 0
    display = LearningCurveDisplay.from_estimator(model)
    assert display.axes_[0, 0].get_title() == "AutoEncoder: the result is PCA"


# -- what is common -----------------------------------------------------------------------------


def test_displays_refuse_what_is_not_fitted_or_no_autoencoder(spots):
    with pytest.raises(NotFittedError):
        LearningCurveDisplay.from_estimator(skae.AutoEncoder())
    with pytest.raises(NotFittedError):
        LearningCurveDisplay.from_estimator(make_pipeline(StandardScaler(), skae.AutoEncoder()))
    pipeline = make_pipeline(PCA(2), LogisticRegression()).fit(spots, spots[:, 0] > 0.1)
    with pytest.raises(ValueError, match=r"LogisticRegression, which has no loss_curve_.*\[:-1\]"):
        LearningCurveDisplay.from_estimator(pipeline)


def test_displays_draw_into_axes_that_they_are_given(trained):
    model = trained(trains(skae.AutoEncoder))
    figure, axes = plt.subplots(2)
    display = LearningCurveDisplay.from_estimator(model, ax=axes)
    assert display.figure_ is figure
    assert list(display.axes_.flat) == list(axes)
    assert len(plt.get_fignums()) == 1
    figure, ax = plt.subplots()
    display = LearningCurveDisplay.from_estimator(model, ax=ax)
    assert display.figure_ is figure
    assert ax not in display.axes_
    with pytest.raises(ValueError, match="ax has 3 items: expected 2"):
        display.plot(ax=[ax] * 3)


def test_displays_say_how_to_install_matplotlib(trained, monkeypatch):
    display = LearningCurveDisplay.from_estimator(trained(trains(skae.AutoEncoder)))
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"LearningCurveDisplay.plot needs matplotlib.*'plot'"):
        display.plot()
