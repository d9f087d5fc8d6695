"""The net layer: how a module is trained. Only this layer imports skorch."""

import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from skorch import NeuralNet
from skorch.callbacks import Callback, EpochTimer, PrintLog
from skorch.dataset import Dataset
from skorch.helper import predefined_split
from torch import Tensor, nn

from skae._callbacks import KeepBest, StopTraining, copy_callback, is_scheduler
from skae._modules import AutoEncoderModule

# Rows that are worked on at once where no gradient is needed: bounds memory.
INFERENCE_BATCH = 4096


class Batches:
    """Rows in batches whose sizes differ by one at most.

    Equal batches because a last batch of a few rows would give a step as large as any
    from a gradient much noisier than any.

    Parameters
    ----------
    rows : Tensor of shape (n_rows, n_features)
    batch_size : int
        Upper bound of a batch's size.
    generator : torch.Generator or None
        Shuffles the rows anew in each pass; None leaves their order.
    """

    def __init__(self, rows: Tensor, batch_size: int, generator: torch.Generator | None) -> None:
        self.rows = torch.as_tensor(rows)
        self.generator = generator
        self.n_batches = max(1, math.ceil(len(rows) / batch_size))

    def __len__(self) -> int:
        return self.n_batches

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        rows = self.rows
        if self.generator is not None:
            # One gather an epoch, then views: many times faster than a gather a batch.
            order = torch.randperm(len(rows), generator=self.generator)
            rows = rows[order.to(rows.device)]
        for batch in rows.tensor_split(self.n_batches):
            yield batch, batch


class AutoEncoderNet(NeuralNet):
    """A skorch net that trains a module which names its own loss terms.

    Its rows are tensors in the model's units, already on the device. ``predict``
    reconstructs them; ``history`` has every loss term by name, for training and
    validation; callbacks work as in skorch.

    Parameters
    ----------
    module : AutoEncoderModule
        The module, built.
    generator : torch.Generator or None
        Shuffles the rows.
    learning_rate : {"one_cycle", "constant"}
        Course of the learning rate over the training.
    **kwargs
        As in :class:`skorch.NeuralNet`.
    """

    def __init__(
        self,
        module: AutoEncoderModule,
        *,
        generator: torch.Generator | None = None,
        learning_rate: str = "constant",
        **kwargs: Any,
    ) -> None:
        self.generator = generator
        self.learning_rate = learning_rate
        super().__init__(module, criterion=nn.Identity, **kwargs)

    def get_default_callbacks(self) -> list[tuple[str, Callback]]:
        # skorch's averages of batch losses are not among them: the epoch's are recorded here.
        return [("epoch_timer", EpochTimer()), ("print_log", PrintLog())]

    def get_all_learnable_params(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Yield the name and the value of every parameter that is trained."""
        return ((n, p) for n, p in super().get_all_learnable_params() if p.requires_grad)

    def train(self, rows: Tensor, held_out: Tensor | None) -> None:
        """Train an initialised net on ``rows``; the loss of ``held_out`` rows is recorded."""
        if held_out is not None:
            self.train_split = predefined_split(Dataset(held_out, held_out))
        self.lowest_ = {"train": math.inf, "valid": math.inf}
        self._schedule(Batches(rows, self.batch_size, None).n_batches)
        with suppress(StopTraining):
            self.notify("on_train_begin", X=rows, y=rows)
            self.fit_loop(rows, rows)
        judged = "train_loss" if held_out is None else "valid_loss"
        if self.history and judged not in self.history[-1]:  # interrupted by a callback
            self.history.pop()
        with suppress(StopTraining):
            self.notify("on_train_end", X=rows, y=rows)
        # What a fitted net need not hold: rows, gradients, the optimizer's moments.
        self.train_split = None
        self.optimizer_.zero_grad(set_to_none=True)
        self.optimizer_.state.clear()

    def _schedule(self, n_batches: int) -> None:
        self.scheduler_ = None
        if self.learning_rate == "one_cycle" and self.max_epochs > 0:
            self.scheduler_ = torch.optim.lr_scheduler.OneCycleLR(
                self.optimizer_,
                max_lr=[group["lr"] for group in self.optimizer_.param_groups],
                total_steps=self.max_epochs * n_batches + 1,
                cycle_momentum=False,
            )

    def losses(self, rows: Tensor) -> NDArray[np.float64]:
        """Return the loss of every row, shape (n_rows,), in evaluation mode."""
        self.module_.eval()
        losses = []
        with torch.no_grad():
            for part in rows.split(INFERENCE_BATCH):
                _, terms = self.module_(part)
                by_term = torch.stack([term.expand(len(part)) for term in terms.values()])
                losses.append(by_term.sum(dim=0))
        return torch.cat(losses).cpu().double().numpy()

    # -- what skorch's loop calls ----------------------------------------------------------

    def get_iterator(self, dataset: Dataset, training: bool = False) -> Batches:
        if training:
            return Batches(dataset.X, self.batch_size, self.generator)
        return Batches(dataset.X, INFERENCE_BATCH, None)

    def get_loss(self, y_pred: Any, y_true: Any, X: Any = None, training: bool = False) -> Tensor:
        """Return the mean over rows of the sum of the module's loss terms."""
        _, terms = y_pred
        loss: Tensor = sum(term.mean() for term in terms.values())
        return loss

    def train_step(self, batch: tuple[Tensor, Tensor], **fit_params: Any) -> dict[str, Any]:
        """Take one optimizer step."""
        x, _ = batch
        self.optimizer_.zero_grad(set_to_none=False)
        output = self.module_(x)
        loss = self.get_loss(output, x, training=True)
        loss.backward()
        if self._listeners("on_grad_computed"):
            named = list(self.get_all_learnable_params())
            self.notify("on_grad_computed", named_parameters=named, batch=batch, training=True)
        self.optimizer_.step()
        if self.scheduler_ is not None:
            self.scheduler_.step()
        return {"loss": loss.detach(), "y_pred": output}

    def validation_step(self, batch: tuple[Tensor, Tensor], **fit_params: Any) -> dict[str, Any]:
        """Compute the loss of a batch without a gradient."""
        x, _ = batch
        with torch.no_grad():
            output = self.module_(x)
            return {"loss": self.get_loss(output, x), "y_pred": output}

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
        self.module_.train(training)
        totals: dict[str, Tensor] = {}
        for batch in iterator:
            if watched:
                self.notify("on_batch_begin", batch=batch, training=training)
            step = step_fn(batch, **fit_params)
            n_rows = len(batch[0])
            _, terms = step["y_pred"]
            for name, value in {"loss": step["loss"], **terms}.items():
                # A tensor, not a number: .item() would wait for the device in each batch.
                totals[name] = totals.get(name, 0.0) + value.detach().mean() * n_rows
            if watched:
                self._report_batch(prefix, step, batch, training)
        self._record_epoch(prefix, totals, len(iterator.rows), watched)
        self.history.record(f"{prefix}_batch_count", len(iterator))

    def _report_batch(
        self, prefix: str, step: dict[str, Any], batch: tuple[Tensor, Tensor], training: bool
    ) -> None:
        self._record_batch(prefix, step["loss"].item(), len(batch[0]))
        x_hat, _ = step["y_pred"]
        self.notify("on_batch_end", batch=batch, training=training, loss=step["loss"], y_pred=x_hat)

    def _record_batch(self, prefix: str, loss: float, n_rows: int) -> None:
        self.history.record_batch(f"{prefix}_loss", loss)
        self.history.record_batch(f"{prefix}_batch_size", n_rows)

    def _record_epoch(
        self, prefix: str, totals: dict[str, Tensor], n_rows: int, watched: bool
    ) -> None:
        means = (torch.stack(list(totals.values())) / n_rows).tolist()
        if not watched:  # for callbacks that average batches: the epoch as one
            self.history.new_batch()
            self._record_batch(prefix, means[0], n_rows)
        for name, mean in zip(totals, means, strict=True):
            self.history.record(f"{prefix}_{name}", mean)
        # skorch's Checkpoint and PrintLog look for this column.
        self.history.record(f"{prefix}_loss_best", means[0] < self.lowest_[prefix])
        self.lowest_[prefix] = min(self.lowest_[prefix], means[0])

    # -- callbacks -------------------------------------------------------------------------

    def _listeners(self, hook: str) -> bool:
        return any(
            getattr(type(callback), hook) is not getattr(Callback, hook)
            for _, callback in self.callbacks_
        )

    def notify(self, method_name: str, **kwargs: Any) -> None:
        """Call a hook of every callback; one that interrupts ends the training, gracefully."""
        try:
            super().notify(method_name, **kwargs)
        except KeyboardInterrupt as stop:  # skorch's way to stop, as in EarlyStopping
            raise StopTraining from stop


def make_net(
    module: AutoEncoderModule,
    *,
    best: KeepBest,
    callbacks: list[Any] | None = None,
    **kwargs: Any,
) -> AutoEncoderNet:
    """Build and initialise a net around ``module``, with the optimizer that skae trains with."""
    used = [c[1] if isinstance(c, tuple) else c for c in callbacks or []]
    if kwargs.get("learning_rate") == "one_cycle" and any(is_scheduler(c) for c in used):
        raise ValueError(
            "callbacks has an LRScheduler, and learning_rate='one_cycle' is a schedule too; "
            "set learning_rate='constant'."
        )
    net = AutoEncoderNet(
        module,
        optimizer=torch.optim.AdamW,
        optimizer__fused=True,
        optimizer__param_groups=[("*.bias", {"weight_decay": 0.0})],
        train_split=None,
        # The user's as copies, because skorch writes into its callbacks.
        callbacks=[("_keep_best", best), *map(copy_callback, callbacks or [])],
        **kwargs,
    )
    return net.initialize()


def weights_to_arrays(module: nn.Module) -> dict[str, np.ndarray]:
    """Return a module's state as NumPy arrays on the host."""
    return {name: value.cpu().numpy().copy() for name, value in module.state_dict().items()}


def load_arrays(module: nn.Module, weights: dict[str, np.ndarray]) -> None:
    """Load a module's state from NumPy arrays."""
    module.load_state_dict({name: torch.tensor(value) for name, value in weights.items()})
