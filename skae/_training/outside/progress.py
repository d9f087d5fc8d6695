"""What ``verbose`` shows of a training: a line an epoch, or a bar."""

import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from skorch.callbacks import Callback

from skae._training.outside.callbacks import add_before_users

# How wide the columns are, in their order.
WIDTHS = {
    **{"epoch": 11, "training": 12, "validation": 12, "score": 12},
    **{"best": 6, "seconds": 10, "left": 9},
}
VALID = "valid_"
# Numbers smaller or longer than these are written as 1.234e-05.
TINY, LONGEST = 1e-3, 11
# How wide a terminal is in which a bar, and all that is told beside it, are not cut short.
WITH_BAR, WITH_ALL = 72, 104


@dataclass(frozen=True)
class Score:
    """How a training's loss terms are told as the score that users know.

    Attributes
    ----------
    name : str
    of : callable
        Makes the score of the means of the loss terms.
    pca : float or None
        That of PCA, the one to beat.
    """

    name: str
    of: Callable[[dict[str, float]], float]
    pca: float | None = None

    def of_validation(self, row: dict[str, Any]) -> float:
        """Return the score of the validation rows after an epoch, a row of the net's history."""
        terms = {n.removeprefix(VALID): v for n, v in row.items() if n.startswith(VALID)}
        return self.of(terms)

    def beside(self) -> str:
        """Return PCA's score in brackets, to be put after another one."""
        return "" if self.pca is None else f" (PCA {as_number(self.pca)})"


class Progress(Callback):
    """Shows how a training goes.

    Parameters
    ----------
    title : str
        What is trained.
    score : Score or None
        None where the losses are all there is.
    view : Lines, Bar or None
        None shows nothing.
    """

    def __init__(self, title: str, score: Score | None, view: "Lines | Bar | None") -> None:
        self.title, self.score, self.view = title, score, view
        self.started = time.monotonic()

    def on_train_begin(self, net: Any, X: Any, **kwargs: Any) -> None:
        """Show what is trained, on how many rows, and what the start is worth."""
        self.started, self.n_before = time.monotonic(), len(net.history)
        rows = f"{len(X):,} rows train"
        score = None
        if net.train_split is not None:
            score, validation = self.score, net.train_split.keywords["valid_ds"]
            rows += f", {len(validation):,} validate"
        if self.view is not None:
            self.view.begin(f"{self.title}: {rows}", score, net)

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Show the epoch."""
        row, epoch = net.history[-1], len(net.history)
        seconds = time.monotonic() - self.started
        left = seconds * (net.max_epochs - epoch) / (epoch - self.n_before)
        budget = net.limits.left()
        shown: dict[str, str] = {
            "epoch": f"{epoch}/{net.max_epochs}",
            "training": as_number(row["train_loss"]),
            "best": "best" if dict(net.callbacks_)["_keep_best"].epoch_ == epoch else "",
            "seconds": as_time(seconds),
            "left": as_time(left if budget is None else min(left, budget)),
        }
        if "valid_loss" in row:
            shown["validation"] = as_number(row["valid_loss"])
            if self.score is not None:
                shown["score"] = as_number(self.score.of_validation(row))
        if self.view is not None:
            self.view.epoch(epoch, shown)

    def end(self) -> None:
        """Leave what is shown as it is."""
        if self.view is not None:
            self.view.end()

    def conclude(self, net: Any, kept: int, *, is_pca: bool) -> None:
        """Show which weights are kept."""
        if self.view is None:
            return
        n = len(net.history)
        which = f"epoch {kept} of {n} is kept" if kept else "the start is kept"
        if is_pca:
            epochs = f"none of {n} epochs is" if n > 1 else "its only epoch is not"
            which = "PCA is kept" + (f", because {epochs} better beyond chance" if n else "")
        elif kept and self.score is not None and "valid_loss" in net.history[kept - 1]:
            reached = self.score.of_validation(net.history[kept - 1])
            which += f": {self.score.name} {as_number(reached)}{self.score.beside()}"
        self.view.end()
        say(f"{self.title}: {which}; {as_time(time.monotonic() - self.started)}")


class Lines:
    """Prints a line an epoch, as for a log file."""

    def begin(self, text: str, score: Score | None, net: Any) -> None:
        """Print the head of the table, and PCA as its first line."""
        left_out = {"score"} if score is None else set()
        left_out |= {"validation"} if net.train_split is None else set()
        self.widths = {name: width for name, width in WIDTHS.items() if name not in left_out}
        say(text)
        names = {name: name for name in self.widths if name != "best"}
        self._print(names if score is None else names | {"score": score.name})
        if score is not None and score.pca is not None:
            self._print({"epoch": "PCA", "score": as_number(score.pca)})

    def epoch(self, number: int, shown: dict[str, str]) -> None:
        """Print the line of an epoch."""
        self._print(shown)

    def end(self) -> None:
        """Do nothing."""

    def _print(self, cells: dict[str, str]) -> None:
        line = "".join(f"{cells.get(name, ''):>{width}}" for name, width in self.widths.items())
        say(line.rstrip())


class Bar:
    """Shows a bar of rich's, in a terminal or a notebook."""

    bars: Any = None

    def begin(self, text: str, score: Score | None, net: Any) -> None:
        """Show an empty bar."""
        from rich import get_console
        from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn

        say(text)
        self.score, self.best, self.width = score, "", get_console().width
        texts = ("epoch {task.fields[epoch]}", "{task.fields[told]}", "{task.fields[left]} left")
        columns: list[ProgressColumn] = [TextColumn(text) for text in texts]
        if self.width >= WITH_BAR:
            columns.insert(1, BarColumn(bar_width=24 if self.width >= WITH_ALL else 10))
        self.bars = Progress(*columns)
        self.task = self.bars.add_task("", total=net.max_epochs, epoch="0", told="", left="?")
        self.bars.start()

    def epoch(self, number: int, shown: dict[str, str]) -> None:
        """Fill the bar up to an epoch."""
        told = f"loss {shown.get('validation', shown['training'])}"
        if self.score is not None and "score" in shown:
            beside = self.score.beside() if self.width >= WITH_BAR else ""
            told = f"{self.score.name} {shown['score']}{beside}"
        self.best = str(number) if shown["best"] else self.best
        if self.best and self.width >= WITH_ALL:
            told += f", best in epoch {self.best}"
        fields = {"epoch": shown["epoch"], "told": told, "left": shown["left"]}
        self.bars.update(self.task, completed=number, **fields)

    def end(self) -> None:
        """Leave the bar as it is."""
        if self.bars is not None:
            self.bars.stop()
            self.bars = None


@contextmanager
def showing(net: Any, title: str, score: Score | None = None) -> Iterator[Progress]:
    """Show how a net is trained inside this context, if it is verbose; 2 never shows a bar."""
    view = None
    if net.verbose:
        view = Bar() if net.verbose == 1 and can_show_bars() else Lines()
    progress = Progress(title, score, view)
    if net.verbose:
        add_before_users(net, "_progress", progress)
    try:
        yield progress
    finally:
        progress.end()
        if net.verbose:
            net.callbacks_.remove(("_progress", progress))


def can_show_bars() -> bool:
    """Tell whether rich is installed, and what is printed goes to a terminal or a notebook.

    The bars of worker processes would be drawn over each other.
    """
    if multiprocessing.parent_process() is not None:
        return False
    try:
        from rich import get_console
    except ImportError:
        return False
    console = get_console()
    return bool(console.is_terminal or console.is_jupyter)


def say(text: str) -> None:
    """Print a line, whole: other threads may print meanwhile."""
    print(f"{text}\n", end="", flush=True)


def as_number(value: float) -> str:
    """Return a loss or a score with the digits that tell it from 0, and from 1.

    In at most eleven characters, so that columns stay columns.
    """
    text = f"{value:.7f}" if 0.999 < value < 1 else f"{value:.4f}"
    is_tiny = 0 < abs(value) < TINY
    return f"{value:.3e}" if is_tiny or len(text) > LONGEST else text


def as_time(seconds: float) -> str:
    """Return a duration as people read it: 0.4 s, 12 s, 3:05, 1:02:03."""
    if seconds < 59.5:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
