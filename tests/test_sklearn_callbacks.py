"""scikit-learn's callbacks: what they are told of a fit, its epochs, and what is around it."""

import copy
import importlib.util
import pickle

import numpy as np
import pytest
import sklearn.callback
from estimators import ESTIMATORS, SOME, make_spots, trains
from sklearn.callback import ProgressBar, ScoringMonitor
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from watching import RecordTasks

import skae
from skae import AutoEncoder
from skae._estimator.parameters.shared import SharedParameters
from skae._estimator.settle import Settles
from skae._training.outside import tasks


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_callbacks_hear_of_the_fit_and_of_each_epoch(estimator, spots):
    record = RecordTasks()
    model = trains(estimator).set_callbacks(record).fit(spots)
    assert model.best_iter_ > 0
    epochs = [
        event
        for number in range(model.n_iter_)
        for event in (("begin", "epoch", number, 0), ("end", "epoch", number))
    ]
    begin, end = ("begin", "fit", 0, 12), ("end", "fit", 0)
    assert record.events == ["setup", begin, *epochs, end, "teardown"]
    assert record.told[0] is record.told[1] is spots


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_callbacks_change_nothing(estimator, spots):
    model = trains(estimator).set_callbacks(RecordTasks()).fit(spots)
    np.testing.assert_array_equal(
        model.transform(spots), trains(estimator).fit(spots).transform(spots)
    )


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_an_epoch_hands_over_what_the_fit_would_be_if_it_had_ended_there(estimator, spots):
    record = RecordTasks()
    model = trains(estimator).set_callbacks(record).fit(spots)
    *epochs, last = record.fitted
    assert len(epochs) == model.n_iter_
    assert model.best_iter_ > 0
    scores = [fitted.score(spots) for fitted in epochs]
    assert len(set(scores)) == len(scores)  # none was changed by later epochs
    for number, fitted in enumerate(epochs, start=1):
        assert fitted.best_iter_ == fitted.n_iter_ == len(fitted.net_.history) == number
        assert fitted.inverse_transform(fitted.transform(spots)).shape == spots.shape
    np.testing.assert_array_equal(last.transform(spots), model.transform(spots))
    if estimator is not skae.VariationalAutoEncoder:  # it is calibrated after the last epoch
        at_best = epochs[model.best_iter_ - 1]
        np.testing.assert_allclose(
            at_best.inverse_transform(at_best.transform(spots)),
            model.inverse_transform(model.transform(spots)),
            atol=1e-5,
        )


@pytest.mark.parametrize("estimator", SOME)
def test_a_callback_ends_the_training_with_an_epoch(estimator, spots):
    model = trains(estimator).set_callbacks(RecordTasks(stop_at=7)).fit(spots)
    assert model.n_iter_ == 7
    assert model.best_iter_ > 0


def test_weights_are_handed_over(spots):
    record, weights = RecordTasks(), np.ones(len(spots))
    trains(AutoEncoder).set_callbacks(record).fit(spots, sample_weight=weights)
    assert record.told[2]["sample_weight"] is weights


def test_a_table_too_small_to_train_on_is_a_fit_without_epochs():
    record = RecordTasks()
    with pytest.warns(UserWarning, match="stays at PCA"):
        AutoEncoder(2).set_callbacks(record).fit(make_spots(12))
    assert record.events == ["setup", ("begin", "fit", 0, 0), ("end", "fit", 0), "teardown"]


def test_a_fit_that_fails_is_torn_down_and_the_next_one_works(spots):
    record = RecordTasks()
    model = trains(AutoEncoder).set_callbacks(record)
    with pytest.raises(ValueError, match="n_components=0"):
        model.set_params(n_components=0).fit(spots)
    model.set_params(n_components=2).fit(spots)
    assert record.events.count("setup") == record.events.count("teardown") == 1
    assert record.events[-1] == "teardown"
    left = {name for name in vars(model) if name.startswith("_") and "callback" in name}
    assert left == {"_skl_callbacks"}


def test_a_monitor_records_the_learning_curve(spots):
    monitor = ScoringMonitor(scoring={"score": lambda fitted, X, y: fitted.score(X)})
    model = trains(AutoEncoder).set_callbacks(monitor).fit(spots)
    rows = monitor.get_logs().data
    scores = [row["score"] for row in rows if row["task_name"] == "epoch"]
    assert len(scores) == model.n_iter_
    assert scores[model.best_iter_ - 1] == pytest.approx(model.score(spots), abs=1e-5)


def test_bars_are_nested_down_to_epochs(spots, capsys):
    pipe = Pipeline([("ae", trains(AutoEncoder)), ("clf", LogisticRegression())])
    search = GridSearchCV(pipe, {"ae__n_components": [1, 2]}, cv=2)
    y = spots[:, :32].sum(axis=1) > spots[:, 32:].sum(axis=1)
    record, bar = RecordedAtAnyDepth(), ProgressBar(max_propagation_depth=None)
    search.set_callbacks(bar, record).fit(spots, y)
    assert record.n_epochs == 12 * (2 * 2 + 1)
    assert record.paths == {("GridSearchCV", "Pipeline", "AutoEncoder")}
    out = capsys.readouterr().out
    assert "Pipeline - fit-transform-ae | AutoEncoder - fit" in out


class RecordedAtAnyDepth(RecordTasks):
    """Notes the estimators around each epoch; it is handed on to estimators at any depth."""

    max_propagation_depth = None

    def __init__(self):
        super().__init__()
        self.n_epochs, self.paths = 0, set()

    def on_fit_task_end(self, estimator, context):
        if context.task_name != "epoch":
            return
        self.n_epochs += 1
        names = []
        while context is not None:
            names.append(context.estimator_name)
            context = context.parent
        self.paths.add(tuple(dict.fromkeys(reversed(names))))


def test_a_fitted_model_with_callbacks_is_saved_without_them(spots, tmp_path):
    model = trains(AutoEncoder).set_callbacks(RecordTasks()).fit(spots)
    model.save(tmp_path / "model.safetensors")
    loaded = skae.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(loaded.transform(spots), model.transform(spots))
    assert not hasattr(loaded, "_skl_callbacks")


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_what_an_epoch_hands_over_is_a_model_like_any_other(estimator, spots, tmp_path):
    record = RecordTasks()
    trains(estimator, max_iter=4).set_callbacks(record).fit(spots)
    for fitted in record.fitted:
        fitted.save(tmp_path / "model.safetensors")
        others = [pickle.loads(pickle.dumps(fitted)), copy.copy(fitted), copy.deepcopy(fitted)]
        for other in (*others, skae.load(tmp_path / "model.safetensors")):
            np.testing.assert_array_equal(other.transform(spots), fitted.transform(spots))
        assert fitted._repr_html_()
        events = len(record.events)
        fitted.set_params(max_iter=1).fit(spots)
        assert len(record.events) == events


def test_what_a_pipeline_hands_over_knows_nothing_of_the_pipeline(spots):
    record = RecordedModels()
    y = spots[:, 0] > spots[:, -1]
    pipe = Pipeline([("ae", trains(AutoEncoder, max_iter=2)), ("clf", LogisticRegression())])
    pipe.set_callbacks(record).fit(spots, y)
    assert len(record.models) == 3
    for fitted in record.models:
        pickled = vars(pickle.loads(pickle.dumps(fitted)))
        assert not [name for name in pickled if "callback_ctx" in name or "fit_ctx" in name]


class RecordedModels(RecordTasks):
    """Keeps the autoencoders that it is handed, and what no pickle holds."""

    max_propagation_depth = None

    def __init__(self):
        super().__init__()
        self.models, self.unpicklable = [], lambda: None

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        if isinstance(fitted_estimator, AutoEncoder):
            self.models.append(fitted_estimator)


def test_callbacks_that_no_pickle_holds_are_named_with_the_remedy(spots):
    model = trains(AutoEncoder, max_iter=2).set_callbacks(RecordedModels()).fit(spots)
    with pytest.raises(
        pickle.PicklingError, match=r"or drop them, as in `model.set_callbacks\(\)`"
    ):
        pickle.dumps(model)
    assert pickle.loads(pickle.dumps(model.set_callbacks())).n_iter_ == 2


def test_callbacks_that_hear_nothing_of_a_fit_to_a_collection_are_warned_of(spots):
    collection = pytest.importorskip("dask.array").from_array(spots, chunks=(60, 64))
    model = trains(AutoEncoder, max_iter=2).set_callbacks(RecordTasks())
    with pytest.warns(
        UserWarning, match="callbacks of AutoEncoder hear nothing of this fit"
    ) as caught:
        model.fit(collection)
    assert caught[0].filename == __file__
    model.set_callbacks().fit(collection)


def test_a_scikit_learn_without_callbacks_leaves_estimators_without_them(monkeypatch):
    monkeypatch.delattr(sklearn.callback, "CallbackSupportMixin")
    spec = importlib.util.spec_from_file_location("tasks_without", tasks.__file__)
    without = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(without)

    class Plain(SharedParameters, without.CallbackSupportMixin, Settles):
        """As BaseLatentModel, whose bases have an order that Python takes."""

    assert not hasattr(Plain, "set_callbacks")
    assert without.with_callbacks(Plain) is Plain
