"""How an autoencoder is fitted: check → start → train → select → settle."""

import secrets
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from skae._data.batches import RowDataset, place
from skae._data.checks import Array, check_rows
from skae._data.moments import Moments
from skae._data.sources import ArraySource
from skae._data.split import Keys, Split, group_rows, row_keys, split_rows
from skae._data.units import Units
from skae._estimator.arguments import (
    check_groups,
    check_networks,
    check_size,
    warn_of_few_rows,
    warn_of_known_rows,
)
from skae._estimator.environment import (
    as_if_alone,
    replace_attributes,
    resolve_device,
    snapshot,
)
from skae._estimator.parameters import check_parameters
from skae._estimator.resolve import make_spec, resolve_epochs, resolve_number, training_options
from skae._estimator.scores import ReconstructionScores
from skae._estimator.shared_parameters import SharedParameters
from skae._estimator.use import FittedAutoEncoder
from skae._model.losses import require_valid
from skae._model.make_module import make_module
from skae._model.spec import ModelSpec
from skae._model.weights import weights_to_arrays
from skae._start.floor import PCAFloor
from skae._start.pca import PCA, fit_pca
from skae._training.make_net import make_net
from skae._training.net import AutoEncoderNet
from skae._training.selection import KeepBest, Training
from skae._training.span import in_span

# Beyond, float32 cannot hold the rows that inverse_transform returns.
MIN_SCALE = 1e-30


@dataclass(frozen=True)
class Former:
    """The fit that a warm start goes on from.

    Attributes
    ----------
    spec : ModelSpec
        What its module was built from.
    weights : dict of str to ndarray
        The module's state.
    trained : ndarray of uint64 or None
        Keys of the rows that have trained these weights; None if that was not recorded.
    is_pca : bool
        Whether the weights are PCA of all rows, so that there is nothing to go on from.
    """

    spec: ModelSpec
    weights: dict[str, Array]
    trained: Keys | None
    is_pca: bool


@dataclass
class Job:
    """What a fit has been given, checked.

    Attributes
    ----------
    source : ArraySource
        The rows of X.
    moments : Moments
        Moments of the rows of X.
    units : Units
        The units that the module will have.
    device : str
    seed : int
    generator : torch.Generator
        The source of every random draw.
    former : Former or None
        The fit whose sizes and units are kept.
    split : Split
        Which rows train, and which validate.
    goes_on : bool
        Whether the former weights may be the start: no validation row has trained them.
    trained : ndarray of uint64 or None
        Keys of the rows that will have trained the weights; None where that is not known.
    """

    source: ArraySource
    moments: Moments
    units: Units
    device: str
    seed: int
    generator: torch.Generator
    former: Former | None
    split: Split = field(init=False)
    goes_on: bool = False
    trained: Keys | None = None


@dataclass(eq=False, repr=False)
class BaseLatentModel(SharedParameters, FittedAutoEncoder):
    """Base of every estimator that has a code: how it is fitted."""

    @abstractmethod
    def _scorer(self, net: AutoEncoderNet, rows: RowDataset) -> Callable[[dict[str, float]], float]:
        """Return the function that makes ``score`` of rows from the means of their loss terms."""

    @abstractmethod
    def _diagnose(self, variances: Array) -> None:
        """Say what the variances of the codes tell, the largest first."""

    def fit(self, X: Any, y: Any = None, *, groups: Any = None) -> Self:
        """Fit the autoencoder.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training rows; never changed.
        y : ignored
        groups : array-like of shape (n_samples,) or None
            Which rows belong together, such as those of one person: they all validate or all
            train, as equal rows do in any case. Pass groups when rows of a group are more
            like each other than like new rows; for rows in time, see ``validation_fraction``.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For bad parameters or data, and when training from random weights breaks down
            at once. An earlier fit then stays as it was.

        Warns
        -----
        sklearn.exceptions.ConvergenceWarning
            When the loss turned infinite or NaN; the best weights so far are kept.
        UserWarning
            When too few rows can validate, so that the result is PCA; and when
            a warm start has to start anew, because all rows have trained the last weights.
        """
        with as_if_alone():
            before, fitted = dict(vars(self)), snapshot(self)
            fitted._fit(X, groups)
            replace_attributes(self, before, dict(vars(fitted)))
        return self

    def _fit(self, X: Any, groups: Any) -> None:
        job = self._check(X, groups)
        training = self._start(job)
        if self.early_stopping and self.init == "pca" and training.validation is None:
            warn_of_few_rows(self, job.split)
        else:
            with in_span(training) as (train, validation):
                training.net.train(train, validation)
        training.select()
        self._report(training)
        # What a warm start has to know.
        self._trained, self._is_pca = job.trained, training.ends_at_pca
        self._settle(job)

    # -- check -----------------------------------------------------------------------------

    def _check(self, X: Any, groups: Any) -> Job:
        """Check parameters and rows, and decide what the fit goes on from."""
        check_parameters(self)
        former = None
        if self.warm_start and hasattr(self, "net_"):
            weights = weights_to_arrays(self.net_.module_)
            former = Former(self._spec, weights, self._trained, self._is_pca)
        X = check_rows(self, X, fitting=True)
        groups = check_groups(groups, len(X))
        require_valid(self.loss, X)
        check_networks(self, X.shape[1])
        device = resolve_device(self.device)
        source = ArraySource(X)
        moments = Moments.of(source)
        if former is not None:
            former.spec.require(n_features=source.n_features)
        units, former = self._make_units(moments, former)
        seed = self._draw_seed()
        generator = torch.Generator("cpu").manual_seed(seed)
        job = Job(source, moments, units, device, seed, generator, former)
        self._split(job, groups)
        return job

    def _split(self, job: Job, groups: NDArray[np.int64] | None) -> None:
        """Choose the validation rows, and find out whether they are new to the former weights."""
        source, former = job.source, job.former
        numbers = group_rows(row_keys(source, np.float64), groups)
        order = torch.randperm(source.n_rows, generator=job.generator).numpy()
        fraction = self.validation_fraction if self.early_stopping else 0
        # In float32, so that a float32 copy of a float64 row is known too.
        keys = row_keys(source, np.float32) if self.warm_start else np.empty(0, np.uint64)
        none = np.zeros(source.n_rows, dtype=bool)
        known = none
        trained: Keys | None = keys[:0]
        if former is not None and not former.is_pca:
            known = ~none if former.trained is None else np.isin(keys, former.trained)
            job.goes_on = True
        job.split = split_rows(numbers, fraction, order, known)
        if job.goes_on and fraction and not len(job.split.validation):
            job.goes_on = False
            job.split = split_rows(numbers, fraction, order, none)
            if len(job.split.validation):
                warn_of_known_rows(self)
        if former is not None and job.goes_on:
            trained = former.trained
        if self.warm_start and trained is not None:
            job.trained = np.union1d(trained, keys[job.split.training])

    def _make_units(self, moments: Moments, former: Former | None) -> tuple[Units, Former | None]:
        """Return the module's units, and the former fit if its units can be kept."""
        mean, scale = moments.mean, moments.scale
        # The squares of numbers below 1e-162 are zero, and so is the variance.
        true_scale = (
            scale if moments.variances.any() or not moments.deviation else moments.deviation
        )
        if not MIN_SCALE < true_scale < 1 / MIN_SCALE:
            raise ValueError(
                f"X has a scale of {true_scale:.1e}, too far from 1 for float32; divide it by that."
            )
        if former is not None:
            shift, ratio = np.abs(mean - self.mean_).max(), scale / self.scale_
            if shift <= 10 * self.scale_ and 0.1 <= ratio <= 10:
                return Units(self.mean_, self.scale_), former
        return Units(mean, scale), None

    def _draw_seed(self) -> int:
        if self.random_state is None:
            return secrets.randbits(31)
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    # -- start -----------------------------------------------------------------------------

    def _start(self, job: Job) -> Training:
        """Build the net, and load the weights at which it starts."""
        k, whole = resolve_number(self.n_components), None
        former = job.former
        if former is not None and isinstance(k, float):
            k = former.spec.n_components
        if isinstance(k, float):
            whole = fit_pca(job.source, job.moments, k, job.seed)
            k = whole.n_components
        check_size(k, job.source)
        spec = make_spec(self, k, job.source, former.spec if former else None)
        if former is not None:
            former.spec.require(**{**vars(spec), "parameters": former.spec.parameters})
        module = make_module(self._module, spec, job.units, job.generator)
        n_training = len(job.split.training)
        best = KeepBest(tol=self.tol)
        options = training_options(self, self._module, spec, n_training)
        net = make_net(module, best=best, device=job.device, generator=job.generator, **options)
        net.max_epochs, best.patience_ = resolve_epochs(self, n_training, net.batch_size)
        best.may_give_up_ = self.n_iter_no_change == "auto"
        self._spec, self.n_components_ = spec, k
        self.mean_, self.scale_ = job.units.mean, job.units.exact_scale
        training = self._training(job, net, best, self._floor(job, k, whole))
        net.prepare(training.train)
        module.frame.set_metric(torch.full((k,), module.code_unit, dtype=torch.float32))
        training.load_start()
        return training

    def _floor(self, job: Job, k: int, whole: PCA | None) -> PCAFloor | None:
        """Fit PCA of all rows, and of those that train, where it is the start."""
        if self.init != "pca":
            return None
        whole = whole or fit_pca(job.source, job.moments, k, job.seed)
        if not len(job.split.validation):
            return PCAFloor(whole, whole)
        source = job.source.subset(job.split.training)
        return PCAFloor(whole, fit_pca(source, Moments.of(source), k, job.seed))

    def _training(
        self, job: Job, net: AutoEncoderNet, best: KeepBest, floor: PCAFloor | None
    ) -> Training:
        """Put the net and its rows together."""
        table, split = place(job.source.X, job.units, net.device), job.split
        train = table.subset(torch.from_numpy(split.training))
        validation = None
        if len(split.validation):
            validation = table.subset(torch.from_numpy(split.validation))
        weights = job.former.weights if job.former and job.goes_on else None
        return Training(net, best, table, train, validation, split.groups, floor, weights)

    # -- settle ----------------------------------------------------------------------------

    def _report(self, training: Training) -> None:
        """Set the attributes that tell how the training went."""
        net, start = training.net, training.start
        self.net_ = net
        self.n_iter_ = len(net.history)
        self.best_iter_ = training.best.epoch_
        self.loss_curve_ = [row["train_loss"] for row in net.history]
        score = self._scorer(net, training.deciding)
        self.pca_score_ = None if start.pca_terms is None else score(start.pca_terms)
        self.validation_scores_: list[float] | None = None
        if training.validation is not None:
            prefix = "valid_"
            self.validation_scores_ = [
                score({n.removeprefix(prefix): v for n, v in row.items() if n.startswith(prefix)})
                for row in net.history
            ]

    def _settle(self, job: Job) -> None:
        """Turn the codes into the method's axes over all rows, and measure the noise."""
        module, n_rows = self.net_.module_, job.source.n_rows
        with as_if_alone(inference=True):
            rows = (x for _, x in self._batches(job.source.X))
            squares, variances = module.turn_codes(rows, whiten=self.whiten)
        if module.noise_variance is None:
            n_left = min(n_rows, job.source.n_features) - self.n_components_
            variance = squares / ((n_rows - 1) * n_left) if n_left > 0 else 0.0
        else:
            variance = module.noise_variance.item()
        self.noise_variance_ = variance * self.scale_**2
        self._diagnose(variances.numpy())


@dataclass(eq=False, repr=False)
class BaseAutoEncoder(ReconstructionScores, BaseLatentModel):
    """Base of every deterministic autoencoder.

    A method is a subclass decorated with :func:`skae.base.estimator` that names its module
    and declares its own parameters, which the module is given by keyword. It overrides
    nothing else.
    """
