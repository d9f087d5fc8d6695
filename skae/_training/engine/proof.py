"""Whether written-out gradients are those of autograd: tried once for each kind of module."""

import copy
from collections.abc import Hashable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from skae._data.units import Units
from skae._model.module import AutoEncoderModule
from skae._model.seeding import Drawing
from skae._training.engine.tape import Tape, has_hooks

# Rows on which a tape is tried: enough for gradients, and for what compares rows.
N_TRIED = 16
# Packages whose classes do the same in every fit, if their attributes are the same.
OWN = ("skae", "torch")
# Types of attributes that are compared by their values.
PLAIN = (str, int, float, bool, type(None))
# Attributes that change in a training.
PASSING = ("training", "progress", "generator", "host_generator")
# So many kinds of modules are remembered.
MOST_KINDS = 500
_PROVED: dict[Hashable, bool] = {}


def proves(module: AutoEncoderModule, x: Tensor) -> bool:
    """Tell whether a tape has autograd's gradients and pays; what was proved is remembered.

    Parameters
    ----------
    module : AutoEncoderModule
    x : Tensor of shape (n_rows, n_features)
        Some rows in the module's units.
    """
    x = x[:N_TRIED]
    known = identity(module, x)
    if known is None:
        return try_both(module, x)
    proved = _PROVED.get(known)
    if proved is None:
        proved = try_both(module, x)
        if len(_PROVED) < MOST_KINDS:
            _PROVED[known] = proved
    return proved


def identity(module: AutoEncoderModule, x: Tensor) -> Hashable:
    """Return what the proof of a module depends on; None where that cannot be told.

    It can be told of a module whose parts are all skae's and torch's, without hooks, and have plain
    values as their attributes: not of a user's method, network, loss or prior.
    """
    try:
        parts = tuple(map(identity_of_part, module.modules()))
    except Untold:
        return None
    return parts, x.dtype, x.device.type, len(x)


class Untold(Exception):
    """Raised for a part whose class and attributes do not tell what it does."""


def identity_of_part(part: nn.Module) -> Hashable:
    """Return the class of a part, its attributes, and what its weights are like."""
    if has_hooks(part) or type(part).__module__.partition(".")[0] not in OWN:
        raise Untold
    own = {name: v for name, v in vars(part).items() if name not in PASSING and name[0] != "_"}
    tensors = (*part._parameters.items(), *part._buffers.items())
    return (
        type(part),
        # Units have numbers of the data alone.
        tuple((name, told(v)) for name, v in own.items() if not isinstance(part, Units)),
        tuple((name, t.shape, t.requires_grad) for name, t in tensors if t is not None),
    )


def told(value: Any) -> Hashable:
    """Return what identifies an attribute: its value if it is plain, its type if it is an array."""
    if isinstance(value, PLAIN):
        return value
    if isinstance(value, list | tuple):
        return tuple(map(told, value))
    if isinstance(value, np.ndarray | np.generic | np.dtype | torch.dtype | nn.Module):
        return str(type(value))
    if type(value).__module__.partition(".")[0] != OWN[0]:
        raise Untold
    return type(value), tuple((name, told(part)) for name, part in vars(value).items())


def try_both(module: AutoEncoderModule, x: Tensor) -> bool:
    """Tell whether a tape has autograd's gradients and pays, by a step of either on copies.

    A method may do anything in its ``forward``, such as differentiate what its networks give.
    The copies have random weights: at the start some gradients are zero. A tape that leaves a
    network to autograd within a step is slower than autograd alone.
    """
    try:
        ours, torchs = copy.deepcopy(module), copy.deepcopy(module)
        for progress in (0.0, 1.0):  # a method may change its loss as it trains
            ours.progress = torchs.progress = progress
            expected, _ = gradients(torchs, x, with_tape=False)
            found, pays = gradients(ours, x, with_tape=True)
            pairs = zip(expected, found, strict=True)
            if not pays or any((a - b).norm() > 1e-3 * (a.norm() + 1e-6) for a, b in pairs):
                return False
    except Exception:  # the training itself will say what a user's part does not bear
        return False
    return True


def gradients(
    module: AutoEncoderModule, x: Tensor, *, with_tape: bool
) -> tuple[list[Tensor], bool]:
    """Return the gradients of the loss at random weights, and whether a tape did all networks."""
    module.train()
    draws = torch.Generator(x.device).manual_seed(0)
    trained = [p for p in module.parameters() if p.requires_grad]
    with torch.no_grad():
        for p in trained:
            bound = (p[0].numel() if p.dim() > 1 else 1) ** -0.5
            p.uniform_(-bound, bound, generator=draws)
            p.grad = torch.zeros_like(p)
    for part in module.modules():
        if isinstance(part, Drawing):
            part.generator = draws
    if not with_tape:
        _, terms = module(x)
        total = torch.stack([term.mean() for term in terms.values()]).sum()
        total.backward()
        return [p.grad for p in trained if p.grad is not None], False
    tape = Tape(module.modules())
    _, terms = module(x)
    tape.close()
    watched = any(step.y._backward_hooks for step in tape.steps)
    tape.backward(terms.values())
    left = any(layers.was_left for layers in tape.layers.values())
    pays = bool(tape.layers) and not left and not watched
    return [p.grad for p in trained if p.grad is not None], pays
