"""An estimator with a parameter that is not valid is still an estimator."""

import pytest
from estimators import ESTIMATORS
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags

import skae


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("loss", ["bce", 3, None, [], object])
def test_tags_and_displays_do_not_depend_on_a_valid_loss(loss, estimator):
    model = estimator(2, loss=loss)
    assert not get_tags(model).input_tags.positive_only
    assert estimator.__name__ in model._repr_html_()
    assert estimator.__name__ in make_pipeline(StandardScaler(), model)._repr_html_()
    assert "loss=" in repr(clone(model))


@pytest.mark.parametrize("loss", ["binary_cross_entropy", "poisson"])
def test_tags_say_which_losses_need_positive_rows(loss):
    assert get_tags(skae.AutoEncoder(2, loss=loss)).input_tags.positive_only


def test_a_search_raises_the_estimators_own_error_of_a_loss(digits):
    search = GridSearchCV(
        skae.AutoEncoder(loss="bce"), {"n_components": [1, 2]}, cv=2, error_score="raise"
    )
    with pytest.raises(ValueError, match=r"^loss='bce' is not valid for AutoEncoder"):
        search.fit(digits[:60])
