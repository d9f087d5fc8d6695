"""What notebooks show of an autoencoder: scikit-learn's diagram, with a summary of the fit."""

import html
import re
import warnings
from html.parser import HTMLParser

import numpy as np
import pytest
from estimators import ESTIMATORS, NETWORKS, SHORT, make_spots, trains
from sklearn import config_context
from sklearn.base import BaseEstimator, clone
from sklearn.ensemble import BaggingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_html_repr
from torch import nn

import skae

VOID = {"input", "br", "meta"}


class Balance(HTMLParser):
    """Asserts that what is opened is closed."""

    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag


def summaries(estimator):
    """Return the summaries in an estimator's diagram, as dicts of what they say."""
    text = estimator_html_repr(estimator)
    parser = Balance()
    parser.feed(text)
    assert not parser.open
    found = re.findall(r"<summary>Model</summary>(.*?)</table>", text, re.DOTALL)
    cells = [[html.unescape(cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", t)] for t in found]
    return [dict(zip(row[::2], row[1::2], strict=True)) for row in cells]


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_diagram_says_what_was_fitted_and_how_it_compares_with_pca(estimator, trained):
    model = trained(trains(estimator))
    [summary] = summaries(model)
    assert list(summary) == [
        "Encoder",
        "Decoder",
        "Weights",
        "Score on validation rows",
        "Training",
    ]
    hidden = " → ".join(map(str, model._spec.hidden_layer_sizes))
    n_outputs = 4 if estimator is skae.VariationalAutoEncoder else 2
    assert summary["Encoder"] == f"a linear map + 64 → {hidden} → {n_outputs}, silu"
    module = model.net_.module_
    n_weights = sum(v.numel() for p in (module.encoder, module.decoder) for v in p.parameters())
    assert summary["Weights"].startswith(f"{n_weights:,}, of which")
    name = "ELBO" if n_outputs == 4 else "explained"
    kept = model.validation_scores_[model.best_iter_ - 1]
    assert summary["Score on validation rows"] == (
        f"{name}: PCA {model.pca_score_:.3f}, {estimator.__name__} {kept:.3f}"
    )
    assert summary["Training"] == f"12 epochs; the weights of epoch {model.best_iter_} were kept"


@pytest.mark.parametrize(
    ("network", "encoder", "decoder"),
    [
        ("dense", "a linear map + 64 → 16 → 8 → 2, silu", "a linear map + 2 → 8 → 16 → 64, silu"),
        (
            "images",
            "a linear map + 8 × 8 → 4 channels → 6 channels → 2, silu",
            "a linear map + 2 → 6 channels → 4 channels → 8 × 8, silu",
        ),
        (
            "user's",
            "a linear map + 64 → ResidualNetwork → 2",
            "a linear map + 2 → ResidualNetwork → 64",
        ),
        ("random", "64 → 16 → 2, silu", "2 → 16 → 64, silu"),
        (
            "tied",
            "a linear map + 64 → 32 → 2, silu",
            "a linear map + 2 → 32 → 64, silu, the encoder's weights transposed",
        ),
    ],
)
def test_the_diagram_tells_networks_of_every_kind(network, encoder, decoder, trained):
    [summary] = summaries(trained(trains(skae.AutoEncoder, **NETWORKS[network])))
    assert (summary["Encoder"], summary["Decoder"]) == (encoder, decoder)


def test_the_diagram_of_a_linear_autoencoder_has_its_layers():
    model = skae.AutoEncoder(2, hidden_layer_sizes=(), **SHORT).fit(make_spots())
    [summary] = summaries(model)
    assert (summary["Encoder"], summary["Decoder"]) == ("64 → 2", "2 → 64")
    assert summary["Weights"] == str(64 * 2 + 2 + 2 * 64 + 64)


def test_the_diagram_says_that_the_result_is_pca():
    rows = np.random.default_rng(0).normal(size=(60, 4))
    model = skae.AutoEncoder(2, **SHORT).fit(rows)
    assert model.best_iter_ == 0
    [summary] = summaries(model)
    assert summary["Score on validation rows"] == f"explained: PCA {model.pca_score_:.3f}"
    assert summary["Training"] == "3 epochs, none better than PCA beyond chance: the result is PCA"
    assert summary["Encoder and decoder"].startswith("linear maps, ")
    with pytest.warns(UserWarning):
        model = skae.AutoEncoder(2, **SHORT).fit(rows[:8])
    [summary] = summaries(model)
    assert summary["Score on training rows"] == f"explained: PCA {model.pca_score_:.3f}"
    assert summary["Training"] == "no epochs: the result is PCA"


def test_the_diagram_shows_a_fit_in_parts(spots):
    model = trains(skae.AutoEncoder)
    for part in (spots[:8], spots[8:120], spots[120:], spots):
        model.partial_fit(part)
        [summary] = summaries(model)
    assert f"{model.n_iter_} epochs" in summary["Training"]


def test_the_diagram_of_what_is_not_fitted_is_scikit_learns():
    for model in (skae.AutoEncoder(3), make_pipeline(StandardScaler(), skae.AutoEncoder())):
        assert summaries(model) == []


def test_diagrams_of_composed_estimators_show_each_fit(spots):
    y = spots[:, 20] > 0.1
    model = skae.AutoEncoder(2, **SHORT)
    pipeline = make_pipeline(StandardScaler(), model, LogisticRegression())
    assert len(summaries(clone(pipeline).fit(spots, y))) == 1
    search = GridSearchCV(clone(pipeline), {"autoencoder__n_components": [1, 2]}, cv=2)
    [summary] = summaries(search.fit(spots, y))
    assert "Training" in summary
    union = FeatureUnion([("one", clone(model)), ("two", clone(model))]).fit(spots)
    assert len(summaries(union)) == 2
    # its parameter is an estimator that is not fitted
    assert summaries(BaggingClassifier(clone(pipeline), n_estimators=2).fit(spots, y)) == []


def test_what_users_name_is_escaped(spots):
    class Activation(nn.SiLU):
        pass

    Activation.__name__ = "<script>alert(1)</script>"
    model = trains(skae.AutoEncoder, activation=Activation).fit(spots)
    assert model.best_iter_ > 0
    text = estimator_html_repr(model)
    assert "<script>alert" not in text
    [summary] = summaries(model)
    assert summary["Encoder"].endswith("<script>alert(1)</script>")


def test_scikit_learns_own_part_stays(trained):
    model = trained(trains(skae.AutoEncoder))
    attributes = model._get_fitted_attr_html()
    assert attributes["n_components_"]["value"] == 2
    text = attributes._repr_html_inner()
    assert text.index("<summary>Model") < text.index("<summary>Fitted attributes")
    with warnings.catch_warnings(), config_context(display="diagram"):
        assert "text/html" in model._repr_mimebundle_()
    assert model._get_doc_link() == ""


def test_a_scikit_learn_whose_diagram_is_made_otherwise_shows_no_summary(trained, monkeypatch):
    monkeypatch.setattr(BaseEstimator, "_get_fitted_attr_html", lambda self, doc_link: "a table")
    assert trained(trains(skae.AutoEncoder))._get_fitted_attr_html("") == "a table"
