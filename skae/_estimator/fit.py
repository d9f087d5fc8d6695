"""How an autoencoder is fitted: check → start → train → select → settle."""

import time
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from skae._data.sources import Source
from skae._data.split import Split
from skae._data.sums.moments import Moments
from skae._data.units import Units
from skae._data.world import ALONE, World
from skae._estimator.checkpoints.folder import checkpoints
from skae._estimator.environment import all_at_once, resolve_device
from skae._estimator.jobs.advice import advise_on_result, advise_on_rows, advise_on_size
from skae._estimator.jobs.choice import choose_rows
from skae._estimator.jobs.job import Former, Job
from skae._estimator.jobs.partial_fit import fit_part
from skae._estimator.jobs.stream import Stream
from skae._estimator.missing import rows_for_fit
from skae._estimator.parameters.arguments import (
    check_networks,
    check_size,
    require_same_parameters,
    warn_of_few_rows,
)
from skae._estimator.parameters.resolve import (
    draw_seed,
    make_spec,
    resolve_number,
    training_options,
)
from skae._estimator.parameters.rules import check_parameters
from skae._estimator.parameters.shared import SharedParameters
from skae._estimator.scores import ReconstructionScores
from skae._estimator.settle import Settles
from skae._model.make_module import make_module
from skae._model.weights import weights_to_arrays
from skae._start.gaussian import Gaussian, gaussian_of_complete
from skae._training.make_net import make_net
from skae._training.outside.limits import Limits
from skae._training.outside.progress import showing
from skae._training.outside.tasks import (
    CallbackSupportMixin,
    FitTask,
    telling,
    warn_of_silence,
    with_callbacks,
)
from skae._training.resume.kept import Kept, keeping
from skae._training.selection import KeepBest, Training
from skae._training.span import in_span

# Beyond, float32 cannot hold the rows that inverse_transform returns.
MIN_SCALE = 1e-30


@dataclass(eq=False, repr=False)
class BaseLatentModel(SharedParameters, CallbackSupportMixin, Settles):
    """Base of every estimator that has a code: how it is fitted."""

    @with_callbacks
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None, *, groups: Any = None) -> Self:
        """Fit the autoencoder.

        Parameters
        ----------
        X : array-like, sparse matrix or stored array of shape (n_samples, n_features)
            Training rows; never changed. NaN is a missing value: it is filled with what the
            row's other values let expect, and no score counts it. A large ``numpy.memmap``, and
            what has a shape, a dtype and slices of rows, as in h5py and zarr, stays where it
            is, and rows of a sparse matrix become arrays a batch at a time.
        y : ignored
            For scikit-learn, which passes it.
        sample_weight : array-like of shape (n_samples,) or None
            How much each row counts; None means 1 each. A weight of 2 is as if the row were there
            twice, and of 0 as if it were not there.
        groups : array-like of shape (n_samples,) or None
            Which rows belong together, such as those of one person: they all validate or all
            train, as equal rows do in any case. Pass groups when rows of a group are more
            like each other than like new rows; for rows in time, see ``validation_fraction``.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        ValueError
            For bad parameters or data, and when training from random weights breaks down
            at once. An earlier fit then stays as it was.

        Warns
        -----
        sklearn.exceptions.ConvergenceWarning
            When the loss turned infinite or NaN; the best weights so far are kept. And, as advice,
            when training ended while it was still making the model better.
        skae.AdviceWarning
            When the rows, the parameters or the result make an autoencoder of little use.
        UserWarning
            When too few rows can validate, so that the result is PCA; and when
            a warm start has to start anew, because all rows have trained the last weights.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from skae import AutoEncoder
        >>> X, _ = load_iris(return_X_y=True)
        >>> AutoEncoder(2, max_iter=2, random_state=0).fit(X).n_iter_
        2
        """
        task = FitTask(self, X, y, sample_weight)
        with all_at_once(self) as fitted:
            fitted._fit(X, sample_weight, groups, task=task if task.has_listeners else None)
        return self

    def _fit_together(
        self, X: Any, sample_weight: Any, groups: Any, world: World, kept: Kept | None = None
    ) -> Self:
        """Fit as one of many processes, each with rows of its own; all get the same model.

        Parameters
        ----------
        X, sample_weight, groups
            As in :meth:`fit`, for the rows of this process. It may have none.
        world : World
        kept : Kept or None
            What a training goes on from when a process was lost.
        """
        require_same_parameters(self, world)
        if world.rank == 0:
            warn_of_silence(self)
        with all_at_once(self) as fitted:
            fitted._fit(X, sample_weight, groups, world, kept)
        return self

    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Go on with a part of the rows, such as one of many that do not fit into memory.

        Parts may come in any number, size and order, and more than once. The model is, at any
        time, PCA of all rows seen so far, or what the training has reached where validation rows
        prefer that. A tenth of the rows (``validation_fraction``) validates and never trains;
        which rows these are is decided by their values, so that a row that comes again is on the
        same side. Some thousand of them are kept, with the model; until there are ten, and for as
        long as they do not prefer the network, the model is PCA.

        Each call takes a few passes over its part (``max_iter``), at a constant learning rate. Rows
        of parts smaller than a batch (``batch_size``) are kept until they are one.
        The weights that count are the average of the weights of all steps, late ones above all,
        so that no end need be known. Codes keep their meaning between calls: they are turned by
        the rotation, and moved by the shift, that bring them closest to what the last model gave
        the same rows. They are uncorrelated and ordered by variance only after the first call.

        The first part decides the size of the code where ``n_components`` is a share, and what
        fills missing values. After ``fit``, the first call starts anew. Callbacks of
        ``set_callbacks`` hear of ``fit`` alone.

        Parameters
        ----------
        X : array-like, sparse matrix or stored array of shape (n_samples, n_features)
            Rows; two at least in the first call.
        y : ignored
            For scikit-learn, which passes it.
        sample_weight : array-like of shape (n_samples,) or None
            How much each row counts; None means 1 each.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        ValueError
            As :meth:`fit`; what was fitted before then stays as it was.

        Examples
        --------
        >>> from sklearn.datasets import load_digits
        >>> from skae import AutoEncoder
        >>> X, _ = load_digits(return_X_y=True)
        >>> model = AutoEncoder(8, max_iter=1, random_state=0)
        >>> for part in (X[:900], X[900:]):
        ...     model = model.partial_fit(part)
        >>> model.transform(X).shape
        (1797, 8)
        """
        with all_at_once(self) as fitted:
            fit_part(fitted, X, sample_weight)
        return self

    def _fit(
        self,
        X: Any,
        sample_weight: Any,
        groups: Any,
        world: World = ALONE,
        kept: Kept | None = None,
        task: FitTask | None = None,
        split: Split | None = None,
    ) -> None:
        """Fit; ``split`` says which rows train, and holds the validation rows out of the model."""
        started = time.monotonic()
        check_parameters(self)
        with checkpoints(self, world) as folder:
            seed = world.agree(draw_seed(self.random_state))
            seed = seed if kept is None else kept.seed_of_fit(seed, world)
            by_keys = world.size > 1 or kept is not None
            rows = rows_for_fit(self, X, sample_weight, groups, seed, world)
            if folder is not None:
                kept = folder.claim(*rows[:2], seed)
                if kept.seed != seed:  # an interrupted fit without a random_state
                    seed = kept.seed_of_fit(seed, world)
                    rows = rows_for_fit(self, X, sample_weight, groups, seed, world)
            job = self._check(*rows, seed, by_keys, split)
            job.started = started
            self._train(job, kept, task)

    def _train(self, job: Job, kept: Kept | None, task: FitTask | None) -> None:
        advise_on_rows(self, job)
        training = self._start(job)
        advise_on_size(self, training)
        net, score = training.net, self._score(training)
        trains = self._may_train(training)
        n_epochs, stopped = net.max_epochs if trains else 0, partial(self._stopped, job, training)
        with telling(task, net, n_epochs, stopped), showing(net, self._title(), score) as progress:
            if trains:
                with in_span(training) as (train, validation), keeping(kept, training, train):
                    net.train(train, validation)
            else:
                warn_of_few_rows(self, job.split)
            training.select()
            progress.conclude(net, training.best.epoch_, is_pca=training.ends_at_pca)
        advise_on_result(self, training)
        self._report(training, score)
        self._stream: Stream | None = None
        # What a warm start has to know.
        self._trained, self._is_pca = job.trained, training.ends_at_pca
        self._settle(job)
        if task is not None:
            task.end(self)

    # -- check -----------------------------------------------------------------------------

    def _check(
        self,
        source: Source,
        groups: NDArray[np.int64] | None,
        gaussian: Gaussian | None,
        seed: int,
        by_keys: bool,
        split: Split | None = None,
    ) -> Job:
        """Check what depends on the rows, and decide what the fit goes on from."""
        former = None
        if self.warm_start and hasattr(self, "net_"):
            weights = weights_to_arrays(self.net_.module_)
            former = Former(self._spec, weights, self._trained, self._is_pca)
        self._gaussian = vars(gaussian or gaussian_of_complete(source))
        check_networks(self, source.n_features)
        device = resolve_device(self.device, source.world)
        moments = Moments.of(source)
        if former is not None:
            former.spec.require(n_features=source.n_features)
        units, former = self._make_units(moments, former)
        draws = torch.Generator("cpu").manual_seed(seed)
        job = Job(source, moments, units, device, seed, draws, former, by_keys=by_keys)
        if split is None:
            choose_rows(self, job, groups)
        else:
            job.split, job.holds_out = split, True
        return job

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
                return Units(self.mean_, self.scale_, self.dtype), former
        return Units(mean, scale, self.dtype), None

    # -- start -----------------------------------------------------------------------------

    def _start(self, job: Job) -> Training:
        """Build the net, and load the weights at which it starts."""
        former, whole = job.former, None
        k = resolve_number(self.n_components, job.rank, former.spec if former else None)
        if isinstance(k, float):
            whole = job.pca(k)
            k = whole.n_components
        shape, world = (job.n_rows, job.source.n_features), job.source.world
        check_size(k, shape)
        spec = make_spec(self, k, shape, former.spec if former else None)
        if former is not None:
            former.spec.require(**{**vars(spec), "parameters": former.spec.parameters})
        users = spec.encoder or spec.decoder or isinstance(spec.activation, type)
        self._draws = job.generator.get_state().numpy() if users else None
        module = make_module(self._module, spec, job.units, job.generator)
        best = KeepBest(tol=self.tol)
        options = training_options(self, self._module, spec, job.n_seen, world) | job.net_options
        net = make_net(
            module,
            best=best,
            device=job.device,
            generator=job.shuffling,
            world=world,
            limits=Limits(self.max_time, job.started, self.keep_interrupted),
            **options,
        )
        net.max_epochs, best.patience_ = job.epochs(self, net.batch_size)
        best.may_give_up_ = self.n_iter_no_change == "auto"
        self._spec, self.n_components_ = spec, k
        self.mean_, self.scale_ = job.units.mean, job.units.exact_scale
        floor = job.floor(k, whole) if self.init == "pca" else None
        weights = former.weights if former is not None and job.goes_on else None
        rows = job.rows(net.device)
        training = Training(net, best, **vars(rows), floor=floor, former=weights)
        net.prepare(training.train)
        module.frame.set_metric(torch.full_like(module.frame.metric, module.code_unit))
        training.load_start()
        return training


@dataclass(eq=False, repr=False)
class BaseAutoEncoder(ReconstructionScores, BaseLatentModel):
    """Base of every deterministic autoencoder.

    A method is a subclass decorated with :func:`skae.base.estimator` that names its module
    and declares its own parameters, which the module is given by keyword. It overrides
    nothing else. Its parameters and attributes are those of :class:`skae.AutoEncoder`; the
    example of :class:`skae.base.AutoEncoderModule` has one.
    """
