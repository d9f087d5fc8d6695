"""Callbacks that let a test see what a fit does, and scores that tests share."""

import numpy as np
import skorch.callbacks
import torch


def squared_error(model, X):
    return np.square(model.inverse_transform(model.transform(X)) - X).sum(axis=1).mean()


class WatchRows(skorch.callbacks.Callback):
    """Keeps the rows that validate in the last epoch, in the model's units."""

    def on_epoch_begin(self, net, **kwargs):
        self.rows = []

    def on_batch_end(self, net, batch, training, **kwargs):
        if not training:
            self.rows.append(batch[0].detach().cpu().numpy().copy())


class WatchGradients(skorch.callbacks.Callback):
    """Keeps the gradients of every step by the names of the parameters."""

    def on_train_begin(self, net, **kwargs):
        self.steps = []

    def on_grad_computed(self, net, named_parameters, training=True, **kwargs):
        if training:
            self.steps.append(
                {
                    name: torch.zeros_like(p) if p.grad is None else p.grad.clone()
                    for name, p in named_parameters
                }
            )


class RecordTasks:
    """A callback of scikit-learn's: notes what it is told, and ends the fit with an epoch."""

    def __init__(self, stop_at=None):
        self.stop_at, self.events, self.fitted = stop_at, [], []

    def setup(self, estimator, context):
        self.events.append("setup")

    def teardown(self, estimator, context):
        self.events.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.events.append(("begin", context.task_name, context.task_id, context.max_subtasks))

    def on_fit_task_end(
        self, estimator, context, *, X=None, y=None, metadata=None, fitted_estimator=None
    ):
        self.told = X, y, metadata
        self.events.append(("end", context.task_name, context.task_id))
        self.fitted.append(fitted_estimator)
        return context.task_name == "epoch" and context.task_id + 1 == self.stop_at


def find(model, kind):
    """Return the fit's own copy of a callback."""
    return next(c for _, c in model.net_.callbacks_ if isinstance(c, kind))


def rows_that_validated(model, X):
    """Return the numbers of the rows of X, all different, that a fit with WatchRows held out."""
    x = np.vstack(find(model, WatchRows).rows) * model.scale_ + model.mean_
    distances = np.square(x[:, None] - X[None]).sum(axis=2)
    assert distances.min(axis=1).max() < 1e-6 * model.scale_**2 * X.shape[1]
    return np.sort(distances.argmin(axis=1))


def filled_rows_of(filled, X):
    """Return the number of the row of X that each filled row was, and check that it was one."""
    distances = np.nansum(np.square(filled[:, None] - X[None]), axis=2)
    assert distances.min(axis=1).max() < 1e-8
    return distances.argmin(axis=1)
