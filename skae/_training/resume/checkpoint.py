"""Where a training stands at the end of an epoch."""

import copy
import warnings
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from skae._files.caller import caller_level
from skae._files.format import ModelFileError
from skae._files.values import Encoder
from skae._training.make_net import RESERVED
from skae._training.net import AutoEncoderNet
from skae._training.outside.callbacks import Borrowed
from skae._training.selection import Training


@dataclass(frozen=True)
class Checkpoint:
    """All that a training needs to go on, beside what it begins with anyway.

    Attributes
    ----------
    state : dict of str to Tensor
        The module's, but for the parameters that optimizers have.
    optimizers : list of list of dict of str to Tensor
        As :meth:`FlatAdamW.flat_state` returns them.
    best : dict
        The attributes of :class:`KeepBest`.
    lowest : dict of str to float
        The net's lowest losses.
    history : list of dict
        A row for each epoch.
    is_over : bool
        Whether the training has ended.
    own : dict or None
        What other processes have otherwise: see :func:`own_state`.
    """

    state: dict[str, Tensor]
    optimizers: list[list[dict[str, Tensor]]]
    best: dict[str, Any]
    lowest: dict[str, float]
    history: list[dict[str, Any]]
    is_over: bool
    own: dict[str, Any] | None

    @classmethod
    def of(cls, training: Training, *, own: bool) -> "Checkpoint":
        """Copy all of it, to the host: another process may lack the device."""
        net = training.net
        parts = [
            untrained_state(net),
            [optimizer.flat_state() for optimizer in net.optimizers()],
            best_state(training),
            dict(net.lowest_),
            [dict(row) for row in net.history],
            net.is_over_,
            own_state(net) if own else None,
        ]
        return cls(*on_host(parts))

    @classmethod
    def at_end(cls, training: Training) -> "Checkpoint":
        """Copy what a training that has ended leaves: the best weights, and what it has told."""
        net = training.net
        every = own_state(net)
        own = {name: every[name] for name in ("callbacks", "options")}
        history = [dict(row) for row in net.history]
        parts = [{}, [], best_state(training), dict(net.lowest_), history, True, own]
        return cls(*on_host(parts))

    @property
    def holds_training(self) -> bool:
        """Whether a training can go on from here; of one that has ended it need not."""
        return bool(self.optimizers)

    def load(self, training: Training) -> None:
        """Let a training that has just begun go on from here; what is ``own`` comes later."""
        net = training.net
        if self.holds_training:
            self._load_training(training)
        if self.own is not None:  # schedulers read them when they are built, and set them
            load_options(net, self.own["options"])
        training.best.__dict__.update({**self.best, "losses_": list(self.best["losses_"])})
        net.history.extend(dict(row) for row in self.history)
        net.lowest_ = dict(self.lowest)
        net.is_over_ = self.is_over

    def _load_training(self, training: Training) -> None:
        net = training.net
        own = (untrained_state(net), [optimizer.flat_state() for optimizer in net.optimizers()])
        if shapes(own) != shapes((self.state, self.optimizers)):
            raise ModelFileError(
                "The checkpoint is of a fit with other networks; delete its file, and the fit "
                "begins anew."
            )
        net.module_.load_state_dict(self.state, strict=False)
        for optimizer, state in zip(net.optimizers(), self.optimizers, strict=True):
            optimizer.load_flat_state(state)
        # Other processes may have another number of batches.
        net.step_ = round(net.n_steps_ * len(self.history) / net.max_epochs)
        net.module_.progress = net.step_ / net.n_steps_

    def load_own(self, net: AutoEncoderNet) -> None:
        """Load what is ``own``, after callbacks have heard that the training begins."""
        if self.own is None:
            return
        if self.holds_training:
            load_draws(net, self.own)
        load_notes(net, self.own["callbacks"])
        load_options(net, self.own["options"])


def best_state(training: Training) -> dict[str, Any]:
    """Return the attributes of a training's :class:`KeepBest`, but for what it begins with."""
    best = {n: v for n, v in vars(training.best).items() if n not in ("rows_", "start_weights_")}
    best["losses_"] = list(best["losses_"])
    if not best["epoch_"]:
        del best["weights_"]  # those of the start
    return best


def untrained_state(net: AutoEncoderNet) -> dict[str, Tensor]:
    """Return copies of what the module's state has beside the parameters of optimizers."""
    groups = [group for optimizer in net.optimizers() for group in optimizer.param_groups]
    trained = {p.data_ptr() for group in groups for p in group["params"]}
    state = net.module_.state_dict()
    return {n: v.clone() for n, v in state.items() if v.data_ptr() not in trained}


def shapes(value: Any) -> Any:
    """Return the shapes of tensors in lists, tuples and dicts."""
    if isinstance(value, dict):
        return {name: shapes(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [shapes(each) for each in value]
    return tuple(value.shape)


def on_host(value: Any) -> Any:
    """Return tensors in lists and dicts on the host."""
    if isinstance(value, dict):
        return {name: on_host(each) for name, each in value.items()}
    if isinstance(value, list):
        return [on_host(each) for each in value]
    return value.cpu() if isinstance(value, Tensor) else value


# -- what only this process has ----------------------------------------------------------------


def own_state(net: AutoEncoderNet) -> dict[str, Any]:
    """Return what the module and its optimizers do not count as their state.

    That is what random draws come from, the residuals of the last batch, buffers outside the
    module's state, the optimizers' options, which schedulers change, and what callbacks have noted.
    """
    module = net.module_
    saved = module.state_dict().keys()
    buffers = {n: b.clone() for n, b in module.named_buffers() if n not in saved and b is not None}
    return {
        "generators": [generator.get_state() for generator in generators(net)],
        "residuals": None if net.noise_ is None else net.noise_.residuals.clone(),
        "buffers": buffers,
        "options": [
            [{n: v for n, v in group.items() if n != "params"} for group in optimizer.param_groups]
            for optimizer in net.optimizers()
        ],
        "callbacks": [noted(callback) for callback in users_callbacks(net)],
    }


def load_draws(net: AutoEncoderNet, own: dict[str, Any]) -> None:
    """Give a training that has just begun its generators, residuals and buffers."""
    for generator, state in zip(generators(net), own["generators"], strict=True):
        generator.set_state(state)
    if net.noise_ is not None:
        net.noise_.residuals = own["residuals"].to(net.device)
    for name, value in own["buffers"].items():
        place, _, leaf = name.rpartition(".")
        net.module_.get_submodule(place)._buffers[leaf] = value.to(net.device)


def load_notes(net: AutoEncoderNet, notes: list[dict[str, tuple[bool, Any]]]) -> None:
    """Give users' callbacks what they had noted."""
    for callback, state in zip(users_callbacks(net), notes, strict=True):
        for name, (has_state, value) in state.items():
            if has_state:
                getattr(callback, name).load_state_dict(value)
            else:
                setattr(callback, name, value)


def load_options(net: AutoEncoderNet, options: list[list[dict[str, Any]]]) -> None:
    """Give optimizers the learning rates and other options of a checkpoint."""
    for optimizer, groups in zip(net.optimizers(), options, strict=True):
        for group, values in zip(optimizer.param_groups, groups, strict=True):
            group.update(values)


def generators(net: AutoEncoderNet) -> list[torch.Generator]:
    """Return the sources of all random draws of a training."""
    every = (net.generator, net.module_.generator, net.module_.host_generator)
    return [generator for generator in every if generator is not None]


def users_callbacks(net: AutoEncoderNet) -> list[Any]:
    """Return the callbacks of a net that its user gave, of whatever class they are."""
    users = [callback for name, callback in net.callbacks_ if name not in RESERVED]
    return [c.callback if isinstance(c, Borrowed) else c for c in users]


def noted(callback: Any) -> dict[str, tuple[bool, Any]]:
    """Return what a callback has noted, by name: whether it has a state of its own, and the value.

    What is no number, text, array or list of these, and has no ``state_dict``, begins anew after a
    crash, with a warning unless it is a function or a class.
    """
    state: dict[str, tuple[bool, Any]] = {}
    for name, value in getattr(callback, "__dict__", {}).items():
        has_state = hasattr(value, "load_state_dict") and not isinstance(value, type)
        value = value.state_dict() if has_state else value
        try:
            Encoder().encode(value)
        except TypeError:
            if not callable(value):
                warnings.warn(
                    f"checkpoint= cannot keep {type(callback).__name__}.{name}, which is a "
                    f"{type(value).__name__}: after a crash it begins anew. Let the callback note "
                    "numbers, texts, arrays, or lists and dicts of these.",
                    stacklevel=caller_level(),
                )
        else:
            state[name] = (has_state, copy.deepcopy(value))
    return state
