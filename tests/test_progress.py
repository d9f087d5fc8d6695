"""What verbose shows of a training."""

import io

import numpy as np
import pytest
import rich.console
from estimators import ESTIMATORS, make_spots, trains

from skae import AutoEncoder, AutoEncoderImputer
from skae._training.outside.progress import as_number, as_time, can_show_bars


def cells(line):
    return line.split()


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_an_epoch_is_a_line_with_its_losses_and_its_score(estimator, spots, capsys):
    model = trains(estimator, verbose=1).fit(spots)
    head, columns, pca, *epochs, last = capsys.readouterr().out.splitlines()
    assert head == f"{estimator.__name__}(2): 190 rows train, 50 validate"
    score = cells(columns)[3]
    assert cells(columns) == ["epoch", "training", "validation", score, "seconds", "left"]
    assert cells(pca) == ["PCA", f"{model.pca_score_:.4f}"]
    assert len(epochs) == model.n_iter_ == 12
    for number, (line, row) in enumerate(zip(epochs, model.net_.history, strict=True), start=1):
        assert cells(line)[:4] == [
            f"{number}/12",
            f"{row['train_loss']:.4f}",
            f"{row['valid_loss']:.4f}",
            f"{model.validation_scores_[number - 1]:.4f}",
        ]
    assert model.best_iter_ > 0
    best = [number for number, line in enumerate(epochs, start=1) if "best" in line]
    assert best[-1] == model.best_iter_
    kept = model.validation_scores_[model.best_iter_ - 1]
    assert f"epoch {model.best_iter_} of 12 is kept: {score} {kept:.4f} (PCA" in last


def test_without_validation_rows_there_is_no_score_to_show(spots, capsys):
    model = trains(AutoEncoder, verbose=2, early_stopping=False).fit(spots)
    lines = capsys.readouterr().out.splitlines()
    assert cells(lines[1]) == ["epoch", "training", "seconds", "left"]
    assert len(lines) == 2 + model.n_iter_ + 1


def test_the_last_line_says_that_pca_is_kept(capsys):
    X = np.random.default_rng(0).normal(size=(100, 8))  # nothing to learn
    AutoEncoder(2, n_iter_no_change=3, learning_rate_init=1e-30, verbose=1, random_state=0).fit(X)
    assert "PCA is kept, because none of 3 epochs is better" in capsys.readouterr().out
    AutoEncoder(2, max_iter=1, learning_rate_init=1e-30, verbose=1, random_state=0).fit(X)
    assert "PCA is kept, because its only epoch is not better" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.5, "0.5000"),
        (-12.34567, "-12.3457"),
        (3e-5, "3.000e-05"),
        (0.99998, "0.9999800"),
        (0, "0.0000"),
    ],
)
def test_numbers_near_zero_and_near_one_have_digits(value, shown):
    assert as_number(value) == shown


def test_each_part_and_the_imputer_show_their_trainings(spots, capsys):
    model = trains(AutoEncoder, max_iter=2, verbose=1)
    model.partial_fit(spots[:120]).partial_fit(spots[120:])
    assert capsys.readouterr().out.count("AutoEncoder(2), a part: ") == 2
    X = np.where(np.random.default_rng(0).random(spots.shape) < 0.1, np.nan, spots)
    AutoEncoderImputer(max_iter=2, verbose=1, random_state=0).fit(X[:, :20])
    out = capsys.readouterr().out
    assert "AutoEncoderImputer: " in out
    assert "2/2" in out


def test_nothing_is_printed_by_default(spots, capfd):
    trains(AutoEncoder).fit(spots)
    assert capfd.readouterr() == ("", "")


def test_a_log_file_has_no_control_codes(spots, capsys):
    trains(AutoEncoder, verbose=1).fit(spots)
    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.parametrize(("verbose", "is_bar"), [(1, True), (2, False)])
def test_a_terminal_shows_a_bar(verbose, is_bar, spots, monkeypatch, capsys):
    terminal = io.StringIO()
    console = rich.console.Console(file=terminal, force_terminal=True, width=100)
    monkeypatch.setattr("rich._console", console)
    model = trains(AutoEncoder, verbose=verbose).fit(spots)
    printed, drawn = capsys.readouterr().out.splitlines(), terminal.getvalue()
    if is_bar:
        assert len(printed) == 2
        best = max(model.validation_scores_)
        assert f"{best:.4f}" in drawn
        assert f"(PCA {model.pca_score_:.4f})" in drawn
        assert "12/12" in drawn
    else:
        assert drawn == ""
        assert len(printed) == 3 + 12 + 1


def test_a_fit_that_fails_takes_its_bar_away(monkeypatch):
    terminal = io.StringIO()
    console = rich.console.Console(file=terminal, force_terminal=True, width=100)
    monkeypatch.setattr("rich._console", console)

    class Fails:
        def on_epoch_end(self, net, **kwargs):
            raise RuntimeError("enough")

    model = trains(AutoEncoder, verbose=1, callbacks=[Fails()])
    with pytest.raises(RuntimeError, match="enough"):
        model.fit(make_spots())
    assert terminal.getvalue().endswith("\x1b[?25h")  # the cursor is shown again


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (12.4, "12 s"), (185, "3:05"), (3723, "1:02:03")],
)
def test_times_are_told_as_people_read_them(seconds, text):
    assert as_time(seconds) == text


@pytest.mark.parametrize("width", [48, 72, 80, 104])
def test_a_bar_is_cut_short_in_no_terminal(width, spots, monkeypatch, capsys):
    terminal = io.StringIO()
    console = rich.console.Console(file=terminal, force_terminal=True, width=width)
    monkeypatch.setattr("rich._console", console)
    trains(AutoEncoder, verbose=1).fit(spots)
    drawn = terminal.getvalue()
    assert "…" not in drawn
    assert "epoch 12/12" in drawn
    assert "0.0 s left" in drawn


def test_worker_processes_draw_no_bars(monkeypatch):
    console = rich.console.Console(file=io.StringIO(), force_terminal=True)
    monkeypatch.setattr("rich._console", console)
    assert can_show_bars()
    monkeypatch.setattr("multiprocessing.parent_process", object)
    assert not can_show_bars()


def test_a_table_too_small_to_train_on_is_told_to_be_pca(capsys):
    with pytest.warns(UserWarning, match="stays at PCA"):
        AutoEncoder(2, verbose=1).fit(make_spots(12))
    assert capsys.readouterr().out.startswith("AutoEncoder(2): PCA is kept; ")


@pytest.mark.parametrize("value", [0.0, 1.0, -868.229, 1e-9, -123456.789, 1.5e20, -1e-300, np.inf])
def test_numbers_fit_into_their_columns(value):
    assert len(as_number(value)) <= 11
    assert float(as_number(value)) == pytest.approx(value, rel=1e-3)
