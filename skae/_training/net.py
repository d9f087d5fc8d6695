"""The skorch net: how a module is trained."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

import numpy as np
import torch
from numpy.typing import NDArray
from skorch.callbacks import Callback, EpochTimer
from skorch.helper import predefined_split
from torch import Tensor, nn
from torch.utils.data import Dataset

from skae._data.batch import Batch, counting
from skae._data.batches import Batches, RowDataset
from skae._data.sources import rows_at_once
from skae._data.world import ALONE, World
from skae._model.losses import Prepared
from skae._model.module import AutoEncoderModule, require_terms
from skae._model.networks.floored import FlooredNetwork
from skae._model.seeding import Drawing
from skae._training.engine.discriminator import DiscriminatorTraining
from skae._training.engine.optimizer import COURSES, FlatAdamW, last_values
from skae._training.engine.pickled import PickledOnce
from skae._training.engine.residual_noise import ResidualNoise
from skae._training.engine.speed import SMALL_STEP, fast_networks, one_thread, takes_bfloat16
from skae._training.engine.together import join_module
from skae._training.epoch import PassTerms, record_batch, record_epoch, step_loss
from skae._training.outside.callbacks import StopTraining, asks_to_stop, listens
from skae._training.outside.limits import Limits


class AutoEncoderNet(PickledOnce):
    """A skorch net that trains a module which names its own loss terms.

    ``predict`` returns the decoder's output for rows in the module's units; ``history`` has every
    loss term by name, for training and validation; callbacks work as in skorch.

    Parameters
    ----------
    module : AutoEncoderModule
        The module, built.
    generator : torch.Generator or None
        Shuffles the rows.
    learning_rate : {"one_cycle", "constant", "warm_up"}
        Course of the learning rate over the training.
    residual_noise : float
        How much of another row's residual is added to each row of a training batch.
    precision : {"auto", "float32", "bfloat16"}
        In which MLPs are trained; everything else is in float32.
    averages, tape, trains : bool
        Whether the weights that are evaluated and kept are averages over the steps; whether to use
        written-out gradients (:class:`Tape`), which give the same result faster; whether the net
        is to be trained, and so needs an optimizer.
    world : World
        The processes that train together, each with its share of every batch.
    limits : Limits or None
        What ends the training before its last epoch.
    **kwargs
        As in :class:`skorch.NeuralNet`.
    """

    noise_: ResidualNoise | None

    def __init__(
        self,
        module: AutoEncoderModule,
        *,
        generator: torch.Generator | None = None,
        learning_rate: str = "constant",
        residual_noise: float = 0.0,
        precision: str = "float32",
        averages: bool = False,
        tape: bool = True,
        trains: bool = True,
        world: World = ALONE,
        limits: Limits | None = None,
        **kwargs: Any,
    ) -> None:
        self.generator = generator
        self.learning_rate = learning_rate
        self.residual_noise = residual_noise
        self.precision = precision
        self.averages = averages
        self.tape = tape
        self.trains = trains
        self.world = world
        self.limits = limits or Limits()
        super().__init__(module, **{"criterion": nn.Identity, **kwargs})

    def get_default_callbacks(self) -> list[tuple[str, Callback]]:
        # Not skorch's averages of batch losses, for run_single_epoch records the epoch's; and not
        # its table of them, for which there is Progress.
        return [("epoch_timer", EpochTimer())]

    def get_all_learnable_params(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Yield the name and the value of every parameter that is trained on the loss."""
        discriminator = self.module_.discriminator
        others = set() if discriminator is None else set(discriminator.parameters())
        every = super().get_all_learnable_params()
        return ((n, p) for n, p in every if p.requires_grad and p not in others)

    def initialize_optimizer(self, *args: Any, **kwargs: Any) -> "AutoEncoderNet":
        """Build the optimizers of the loss and of the discriminator, if the net trains."""
        if not self.trains:
            return self
        super().initialize_optimizer(*args, **kwargs)
        if self.averages:
            self.optimizer_.start_average()
        self.against_: DiscriminatorTraining | None = None
        if self.module_.discriminator is not None:
            self.against_ = DiscriminatorTraining(self.module_, self.world)
        return self

    def optimizers(self) -> list[FlatAdamW]:
        """Return the optimizers of the loss and of the discriminator."""
        return [self.optimizer_, *([] if self.against_ is None else [self.against_.optimizer])]

    def train(self, rows: RowDataset, validation: RowDataset | None) -> None:
        """Train an initialised net on ``rows``; the loss of ``validation`` rows is recorded."""
        if validation is not None:
            self.train_split = predefined_split(validation)
        batch, _ = next(iter(Batches(rows, self.batch_size, None)))
        self._begin(rows, batch)
        listening, one = self.limits.listening(self.world), one_thread(self._is_small())
        with suppress(StopTraining), one, listening:
            if isinstance(self.module_.encoder, FlooredNetwork) and not self.module_.has_noise:
                with counting(None, world=self.world):
                    self.module_.encoder.set_range(x for x, _ in self.get_iterator(rows))
            self.notify("on_train_begin", X=rows, y=rows)
            with self._fast(batch):  # callbacks may have registered hooks
                left = 0 if self.is_over_ else self.max_epochs - len(self.history)
                self.fit_loop(rows, epochs=left)
        last = "train_loss" if validation is None else "valid_loss"
        if self.history and last not in self.history[-1]:  # interrupted by a callback
            self.history.pop()
        with suppress(StopTraining):
            self.notify("on_train_end", X=rows, y=rows)
        # What a fitted net need not hold: rows, gradients, the optimizer's moments.
        self.train_split = None
        self.noise_ = None
        for optimizer in self.optimizers():
            optimizer.release()
        self.against_ = None

    def _begin(self, rows: RowDataset, batch: Tensor) -> None:
        """Set what counts the steps of a training, and what its random draws come from."""
        self.is_over_ = False
        self.module_.progress = 0.0
        self.lowest_ = {"train": math.inf, "valid": math.inf}
        self.step_, self.n_steps_ = 0, self.max_epochs * len(self.get_iterator(rows, True))
        self.noise_ = ResidualNoise(self.residual_noise) if self.residual_noise else None
        if self.noise_ is not None:
            self.noise_.start(self.module_, batch)
        seed = 0 if self.generator is None else self.generator.initial_seed() + 1
        generator = torch.Generator(self.device).manual_seed(seed)
        for part in self.module_.modules():
            if isinstance(part, Drawing):
                part.generator = generator
        self.module_.host_generator = torch.Generator("cpu").manual_seed(seed + 1)

    def partial_fit(self, X: Any, y: Any = None, classes: Any = None, **kwargs: Any) -> NoReturn:
        """Refuse: gradients and moments were dropped after training."""
        raise NotImplementedError(
            "the net of a fitted autoencoder is not trained further by itself; set "
            "warm_start=True and call the autoencoder's fit again."
        )

    @contextmanager
    def _fast(self, batch: Tensor) -> Iterator[None]:
        """Let the module train in the fastest way, and decoders note the range of their codes."""
        module = self.module_
        floored = [m for m in module.modules() if isinstance(m, FlooredNetwork)]
        for network in floored:
            # Without noise the encoder's inputs are the training rows, whose range is set once.
            network.notes_range = network is not module.encoder or module.has_noise
        wide = self.world.any(not takes_bfloat16(self.precision, self.device, module))
        try:
            with fast_networks(module, batch, narrow=not wide, tape=self.tape) as self.tape_:
                trained = {p for _, p in self.get_all_learnable_params()}
                self._tape_sets_all = self.tape_ is not None and trained <= self.tape_.parameters
                yield
        finally:
            self.tape_ = None
            for network in floored:
                network.eval()  # takes the range of what is still to be noted
                network.notes_range = False

    def _is_small(self) -> bool:
        size = sum(p.numel() for _, p in self.get_all_learnable_params())
        return torch.device(self.device).type == "cpu" and size * self.batch_size < SMALL_STEP

    def batches_of(self, rows: RowDataset) -> Iterator[Batch]:
        """Yield rows in batches; what takes a mean of each takes it with their weights."""
        for batch in self.get_iterator(rows):
            with counting(batch.observed, batch.weights, rows.world, batch.share):
                yield batch

    def prepare(self, rows: RowDataset) -> None:
        """Let the module's parts learn what they need of the training rows."""
        for part in self.module_.modules():
            if isinstance(part, Prepared):
                with counting(None, world=rows.world):
                    part.look_at(batch.x for batch in self.batches_of(rows))

    def losses(self, rows: RowDataset) -> tuple[NDArray[np.float64], dict[str, float]]:
        """Return the loss of every row, shape (n_rows,), and the mean of each of its terms.

        In evaluation mode, of values that are known; of the rows of all processes.
        """
        self.module_.eval()
        collected = PassTerms(rows.world)
        with torch.no_grad():
            for batch in self.batches_of(rows):
                returned = self.module_(batch.x)
                require_terms(self.module_, returned, len(batch.x))
                collected.add(returned[1], batch)
        return collected.totals().cpu().numpy(), collected.means(wide=True)

    def bounds(self, rows: RowDataset) -> tuple[float, float]:
        """Return the mean loss of rows whose reconstructions are the mean, and perfect."""
        loss, collected = self.module_.loss, PassTerms(rows.world)
        with torch.no_grad():
            for batch in self.batches_of(rows):
                both = {"mean": loss.at_mean(batch.x), "best": loss.at_best(batch.x)}
                collected.add(both, batch)
        at_mean, at_best = collected.means(wide=True).values()
        return at_mean, at_best

    # -- what skorch's loop calls ----------------------------------------------------------

    def get_iterator(self, dataset: Dataset[Any], training: bool = False) -> Batches:
        rows = dataset
        if not isinstance(rows, RowDataset):  # skorch's, of what a user predicts
            dtype = self.module_.units.tensor_dtype
            rows = RowDataset(torch.as_tensor(dataset.X).to(dtype), device=self.device)  # type: ignore[attr-defined]
        if training:
            return Batches(rows, self.batch_size, self.generator)
        return Batches(rows, rows_at_once(rows.n_features), None)

    def get_loss(self, y_pred: Any, y_true: Any, X: Any = None, training: bool = False) -> Tensor:
        """Return the mean over rows, with their weights, of the sum of the module's loss terms."""
        return step_loss(y_pred[1], training=training)

    def train_step(self, batch: Batch, **fit_params: Any) -> dict[str, Any]:
        """Take one optimizer step; values that are not known count as they were filled."""
        x = batch.x if self.noise_ is None else self.noise_.add_to(batch.x)
        if not self._tape_sets_all:
            self.optimizer_.zero_grad()
        with counting(None, batch.weights, self.world, batch.share):
            output = self.module_(x)
            if self.noise_ is not None:
                self.noise_.residuals = x - output[0].detach()
            if self.tape_ is None:
                self.get_loss(output, x, training=True).backward()
            else:
                self.tape_.backward(output[1].values(), batch.weights)
        self.optimizer_.join_gradients(self.world, batch.share)
        if self._watches_gradients:
            named = list(self.get_all_learnable_params())
            self.notify("on_grad_computed", named_parameters=named, batch=batch, training=True)
        step = max(self.step_, self.limits.spent_in_training() * self.n_steps_)
        if self.learning_rate != "constant":
            share = COURSES[self.learning_rate](step, self.n_steps_, self.optimizer_)
            for group in self.optimizer_.param_groups:
                group["lr"] = share * self.lr
            self.optimizer_.update()
        else:
            self.optimizer_.step()  # schedulers look for this
        self.step_ += 1
        self.module_.progress = min((step + 1) / self.n_steps_, 1.0)
        if self.against_ is not None:
            self.against_.step(batch)
        return {"y_pred": output}

    def evaluation_step(self, batch: Any, training: bool = False) -> Tensor:
        """Return the decoder's output for a batch."""
        return super().evaluation_step(batch, training)[0]

    def validation_step(self, batch: Batch, **fit_params: Any) -> dict[str, Any]:
        """Compute the loss of a batch without a gradient."""
        with torch.no_grad(), counting(batch.observed, batch.weights, self.world, batch.share):
            return {"y_pred": self.module_(batch.x)}

    def run_single_epoch(
        self,
        iterator: Batches | None,
        training: bool,
        prefix: str,
        step_fn: Callable[..., dict[str, Any]],
        **fit_params: Any,
    ) -> None:
        """Run one epoch, and record the mean over its rows of the loss and its terms."""
        if iterator is None:
            return
        watched = self._listeners("on_batch_begin") or self._listeners("on_batch_end")
        self._watches_gradients = self._listeners("on_grad_computed")
        self.module_.train(training)
        collected = PassTerms(self.world)
        with last_values(self.optimizer_ if training and self.averages else None):
            for batch in iterator:
                if watched:
                    self.notify("on_batch_begin", batch=batch, training=training)
                step = step_fn(batch, **fit_params)
                collected.add(step["y_pred"][1], batch)
                if watched:
                    self._report_batch(prefix, step, batch, training)
                if training and self.world.size == 1 and self.limits.are_reached():
                    break  # with several processes, at the end of the epoch
        if training:
            join_module(self.module_, self.optimizers(), iterator.rows)
        means = collected.means()
        if not watched:  # for callbacks that average batches: the epoch as one
            self.history.new_batch()
            record_batch(self.history, prefix, sum(means.values()), len(iterator.rows))
        self.lowest_[prefix] = record_epoch(self.history, prefix, means, self.lowest_[prefix])
        if training and self.against_ is not None:
            self.history.record("discriminator_loss", self.against_.mean_loss())
        self.history.record(f"{prefix}_batch_count", len(iterator))

    def _report_batch(
        self, prefix: str, step: dict[str, Any], batch: Batch, training: bool
    ) -> None:
        with counting(None, batch.weights):
            loss = self.get_loss(step["y_pred"], batch[1]).detach()
        record_batch(self.history, prefix, loss.item(), len(batch.x))
        x_hat = step["y_pred"][0].detach()
        self.notify("on_batch_end", batch=batch, training=training, loss=loss, y_pred=x_hat)

    # -- callbacks -------------------------------------------------------------------------

    def _listeners(self, hook: str) -> bool:
        return any(listens(callback, hook) for _, callback in self.callbacks_)

    def notify(self, method_name: str, **kwargs: Any) -> None:
        """Call a hook of every callback, each of which may end the training."""
        try:
            super().notify(method_name, **kwargs)
        except (KeyboardInterrupt, StopTraining) as stop:
            if isinstance(stop, KeyboardInterrupt) and not asks_to_stop(stop):
                raise
            if self.world.size == 1:
                raise StopTraining from stop
            self.is_over_ = True  # with the epoch, which other processes take part in
        if method_name == "on_epoch_end":
            self.is_over_ = self.world.any(self.limits.end_epoch() or self.is_over_)
            if self.is_over_:  # now that all callbacks know
                raise StopTraining
