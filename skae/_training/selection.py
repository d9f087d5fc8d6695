"""Which weights stay: those of the start, of the best epoch, or PCA."""

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata, wilcoxon
from scipy.stats import t as student_t
from skorch import NeuralNet
from skorch.callbacks import Callback
from torch import Tensor, nn

from skae._data.batch import counting
from skae._data.batches import RowDataset
from skae._data.sources import Array
from skae._model.weights import copy_weights, load_trained, weights_to_arrays
from skae._start.floor import PCAFloor, floor_state
from skae._training.iterate import Iterate
from skae._training.net import AutoEncoderNet
from skae._training.patience import leads_nowhere, report_divergence, report_interrupt

# Without validation rows, epochs are compared by the losses of up to so many training rows.
N_COMPARED = 1000
# Of up to so many gains, all combinations of signs are enumerated.
N_ENUMERATED = 13


class KeepBest(Callback):
    """Remember the weights with the lowest loss, and end the training when none are better.

    The loss is that of the validation rows, or else of ``rows_``, in evaluation mode: losses of
    steps have noise, and a method may change its objective from step to step.
    Training ends after ``patience_`` epochs without progress; and, unless the user has set these,
    where the validation rows show that it leads nowhere (:func:`leads_nowhere`).

    Parameters
    ----------
    tol : float
        The relative improvement over the lowest loss that counts as progress.

    Attributes
    ----------
    rows_ : RowDataset or None
        Training rows whose loss is compared, where there are no validation rows.
    patience_ : int
        Epochs without progress after which training ends.
    may_give_up_ : bool
        Whether training also ends where it leads nowhere.
    loss_, epoch_ : float, int
        The lowest loss and its epoch, 0 for the start.
    diverged_at_ : int or None
        The epoch in which the loss was not finite.
    """

    rows_: RowDataset | None = None
    patience_: int = 10
    may_give_up_: bool = False

    def __init__(self, tol: float) -> None:
        self.tol = tol

    def start(self, loss: float, module: nn.Module) -> None:
        """Take the weights as they are, and their loss, as the ones to beat."""
        self.diverged_at_: int | None = None
        self.progress_loss_, self.progress_epoch_ = loss, 0
        self.loss_, self.epoch_, self.start_loss_ = loss, 0, loss
        self.losses_: list[float] = []
        self.weights_ = self.start_weights_ = copy_weights(module)

    def forget(self) -> None:
        """Drop the copies of the weights, and the rows."""
        self.weights_ = self.start_weights_ = {}
        self.rows_ = None

    def restore(self, module: nn.Module) -> None:
        """Load the best weights."""
        module.load_state_dict(self.weights_)

    def restore_start(self, module: nn.Module) -> None:
        """Load the weights of the start, and call them the best."""
        self.epoch_ = 0
        module.load_state_dict(self.start_weights_)

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        epoch, row = len(net.history), net.history[-1]
        if self.rows_ is None:
            loss = row["valid_loss"]
        else:
            loss = self.rows_.mean(net.losses(self.rows_)[0])
            net.history.record("compared_loss", loss)
        if not (math.isfinite(row["train_loss"]) and math.isfinite(loss)):
            self.diverged_at_ = epoch
            net.is_over_ = True
            return
        if loss < self.loss_:
            self.loss_, self.epoch_ = loss, epoch
            self.weights_ = copy_weights(net.module_)
        least = self.tol * abs(self.progress_loss_) if math.isfinite(self.progress_loss_) else 0.0
        if loss < self.progress_loss_ - least:
            self.progress_loss_, self.progress_epoch_ = loss, epoch
        self.losses_.append(loss)
        net.is_over_ |= epoch - self.progress_epoch_ >= self.patience_
        if self.may_give_up_ and self.rows_ is None:  # training rows do not show overfitting
            net.is_over_ |= leads_nowhere(self.losses_, self.start_loss_, net.max_epochs)


@dataclass(frozen=True)
class Start:
    """The weights at which a training starts, and what the result has to beat.

    Attributes
    ----------
    loss : float
        Mean loss of the rows that decide (see :class:`Training`); infinite for random weights.
    rivals : ndarray of shape (n_rows,) or None
        PCA's loss of each of these rows; None without the floor.
    former : ndarray of shape (n_rows,) or None
        The losses of these rows at the weights of the last fit, where training starts there.
    pca_terms : dict of str to float or None
        PCA's mean of each loss term over these rows.
    pca_state : dict of str to Tensor
        The entries of the state that differ between PCA of the training rows and of all rows.
    pca_weights : dict of str to Tensor or None
        The state at PCA of the training rows, where training starts elsewhere.
    """

    loss: float = math.inf
    rivals: Array | None = None
    former: Array | None = None
    pca_terms: dict[str, float] | None = None
    pca_state: dict[str, Tensor] = field(default_factory=dict)
    pca_weights: dict[str, Tensor] | None = None


@dataclass
class Training:
    """A training from its start to the choice of the weights that stay.

    The rows that decide are the validation rows, or else the training rows.

    Attributes
    ----------
    net : AutoEncoderNet
    best : KeepBest
    table, train : RowDataset
        All rows, and those that train.
    validation : RowDataset or None
    groups : ndarray of shape (n_validation,) or None
        Numbers of the validation rows' groups, each of which counts as one observation.
    floor : PCAFloor or None
    former : dict of str to ndarray or None
        Weights of the last fit to go on from, which no validation row has trained.
    ends_at_pca : bool
        Whether PCA of all rows is what stays.
    networks : NarrowNetworks or None
        What makes networks of coordinates networks of all features; None where these train.
    """

    net: AutoEncoderNet
    best: KeepBest
    table: RowDataset
    train: RowDataset
    validation: RowDataset | None
    groups: NDArray[np.int64] | None
    floor: PCAFloor | None
    former: dict[str, Array] | None
    start: Start = field(default_factory=Start)
    ends_at_pca: bool = False
    networks: Any = None

    @property
    def deciding(self) -> RowDataset:
        """The rows that decide which weights stay."""
        return self.train if self.validation is None else self.validation

    def state(self) -> dict[str, Array]:
        """Return the module's state as arrays, its networks as networks of all features."""
        net = self.net
        if self.networks is None:
            return weights_to_arrays(net.module_)
        with counting(None), self.networks.widened(x for x, _ in net.get_iterator(self.train)):
            return weights_to_arrays(net.module_)

    # -- start -----------------------------------------------------------------------------

    def load_start(self) -> None:
        """Load PCA, or the weights of the last fit where the rows that decide prefer them."""
        if self.floor is not None:
            self.start = self._start_at_pca(self.floor)
        if self.former is not None:
            self.start = self._start_at_former(self.former)
        if self.start.rivals is not None and not np.isfinite(self.start.rivals).all():
            raise ValueError(
                "The loss is not finite before any training; scale X, or see what a loss, noise or "
                "network of your own returns."
            )
        loss = self.start.loss
        self.compare(self.train)
        compared = self.best.rows_
        if compared is not None and math.isfinite(loss) and compared.n_rows < self.train.n_rows:
            loss = compared.mean(self.net.losses(compared)[0])
        self.best.start(loss, self.net.module_)

    def compare(self, train: RowDataset) -> None:
        """Let epochs be compared by some of these training rows, where no rows validate."""
        self.best.rows_ = train.spread(N_COMPARED) if self.validation is None else None

    def _start_at_pca(self, floor: PCAFloor) -> Start:
        net = self.net
        # Where PCA is that of the training rows alone, so is the decoder that some losses fit.
        floor.load_whole(net.module_, self.table if floor.share_unseen else self.train)
        of_all, _ = net.losses(self.deciding)
        pca_state = floor_state(net.module_)
        floor.load_start(net.module_, self.train)
        losses, terms = net.losses(self.deciding)
        # Estimated losses of a PCA of as many rows as all that has not seen the validation rows.
        # Of the gain of the PCA of all rows the share of validation rows is counted; the rest
        # comes from having seen these.
        rivals = losses + (of_all - losses) * floor.share_unseen
        return Start(self.deciding.mean(losses), rivals, None, terms, pca_state)

    def _start_at_former(self, former: dict[str, Array]) -> Start:
        net, start = self.net, self.start
        pca_weights = copy_weights(net.module_)
        load_trained(net.module_, former)
        losses, _ = net.losses(self.deciding)
        loss = self.deciding.mean(losses)
        if not loss <= start.loss:
            net.module_.load_state_dict(pca_weights)
            return start
        return replace(start, loss=loss, former=losses, pca_weights=pca_weights)

    def go_on_from(self, iterate: Iterate) -> None:
        """Load where another training stands; its weights are the ones to beat."""
        net = self.net
        pca_weights = copy_weights(net.module_)
        iterate.load(net)
        losses, _ = net.losses(self.deciding)
        loss = self.deciding.mean(losses)
        self.start = replace(self.start, loss=loss, pca_weights=pca_weights)
        self.best.start(loss, net.module_)

    # -- select ----------------------------------------------------------------------------

    def select(self) -> None:
        """Leave the weights that stay in the net, and warn if the training broke down.

        The weights of the best epoch stay if validation rows prefer them to PCA beyond chance;
        without validation rows, if the training rows' loss is lower than at the start.
        """
        net, best, start = self.net, self.best, self.start
        best.restore(net.module_)
        losses, terms = net.losses(self.deciding)
        if not np.isfinite(losses).all():  # possible where epochs were compared on some of the rows
            best.diverged_at_ = best.diverged_at_ or best.epoch_
            self._fall_back()
        elif self.validation is not None:
            self._validate(losses, terms)
        elif math.isfinite(start.loss) and not self.deciding.mean(losses) < start.loss:
            self._fall_back()
        if best.diverged_at_ is not None:
            has_start = math.isfinite(start.loss)
            report_divergence(net, best.diverged_at_, best.epoch_, has_start=has_start)
        if net.limits.interrupted:
            report_interrupt(net, best.epoch_)
        best.forget()
        net.module_.eval()

    def _validate(self, losses: Array, terms: dict[str, float]) -> None:
        """Calibrate trained weights to the validation rows, or fall back to the start or to PCA."""
        net, best, start = self.net, self.best, self.start
        if best.epoch_ > 0:
            net.module_.calibrate(terms, self.deciding.n_values)
            calibrated, _ = net.losses(self.deciding)
            if self._beats(start.former, calibrated) and self._beats(start.rivals, calibrated):
                return
            # Calibration lowers the mean loss, but may raise that of most rows: try without it.
            best.restore(net.module_)
            if start.former is not None and not self._beats(start.former, losses):
                best.restore_start(net.module_)
                losses = start.former
        if not self._beats(start.rivals, losses):
            self._load_pca()

    def _beats(self, rivals: Array | None, losses: Array) -> bool:
        """Tell whether losses are lower than others beyond chance; there may be none to beat.

        Chance is judged by groups, each of which counts once whatever the weights of its rows;
        with weights the weighted mean has to be lower too.
        """
        if rivals is None:
            return True
        if self.deciding.weights is not None and not self.deciding.mean(rivals - losses) > 0:
            return False
        found = is_improvement(self._by_group(rivals), self._by_group(losses))
        return self.net.world.agree(found)

    def _by_group(self, losses: Array) -> Array:
        """Return the mean loss of each group."""
        if self.groups is None:
            return losses
        means: Array = np.bincount(self.groups, losses) / np.bincount(self.groups)
        return means

    def _fall_back(self) -> None:
        """Load the start."""
        if self.start.rivals is not None and self.start.pca_weights is None:
            self._load_pca()
        else:
            self.best.restore_start(self.net.module_)

    def _load_pca(self) -> None:
        """Load PCA of all rows."""
        self.best.epoch_, self.ends_at_pca = 0, True
        weights = self.start.pca_weights or self.best.start_weights_
        self.net.module_.load_state_dict({**weights, **self.start.pca_state})


def is_improvement(start: Array, trained: Array) -> bool:
    """Tell whether trained weights have lower losses on the validation rows beyond chance.

    Most rows must gain (Wilcoxon's signed-rank test at 0.1 %), and the mean gain must not be due
    to a few rows (paired t-test at 10 %). Gains are cut at the 98th percentile before both, so that
    one large gain neither raises the mean nor, by its variance, hides the gains of all others. A
    lower mean alone is not enough: the best of many epochs has one by chance, on few rows and on
    heavy-tailed ones.
    """
    gain = start - trained
    gain = np.minimum(gain, np.quantile(gain, 0.98, method="lower"))
    if not gain.mean() > 0:
        return False
    error = gain.std(ddof=1) / np.sqrt(len(gain))
    # Not scipy's ttest_rel, which warns where all rows gain the same.
    by_luck = student_t.sf(gain.mean() / error, len(gain) - 1) if error > 0 else 0.0
    return bool(signed_rank_p(gain) < 0.001 and by_luck < 0.1)


def signed_rank_p(gain: Array) -> float:
    """Return the p-value of Wilcoxon's signed-rank test that gains are not positive."""
    if len(gain) > N_ENUMERATED:
        return float(wilcoxon(gain, alternative="greater").pvalue)
    # scipy takes up to a second for few gains of which some are equal.
    gain = gain[gain != 0]
    ranks = rankdata(np.abs(gain))
    positive = (np.arange(2 ** len(gain))[:, None] >> np.arange(len(gain))) & 1
    return float(np.mean(positive @ ranks >= ranks[gain > 0].sum() - 1e-9))
