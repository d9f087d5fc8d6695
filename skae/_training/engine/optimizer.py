"""The optimizer and the course of its learning rate."""

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from skae._data.world import World

EPS = 1e-8
# The average of the weights of all steps counts each by its number to this power.
AVERAGE_POWER = 8
# Without an end in sight the rate rises in so many steps to this share of the highest, and stays.
WARM_STEPS, WARM_SHARE = 200, 0.5


@dataclass
class FlatGroup:
    """A parameter group laid out in one tensor: its values, their gradients and moments."""

    values: Tensor
    grads: Tensor
    exp_avg: Tensor
    exp_avg_sq: Tensor
    step: Tensor
    average: Tensor | None = None


class FlatAdamW(torch.optim.Optimizer):
    """AdamW (Loshchilov and Hutter 2019) in one kernel a parameter group.

    Parameters, gradients and moments are views of one tensor each, because torch's own
    AdamW spends ten times the kernel's time on small networks, tensor by tensor.

    Parameters
    ----------
    params : iterable of nn.Parameter or of dict
        All of one dtype and on one device, where they stay.
    lr : float
    betas : tuple of float
        Shares of the first and the second moment that a step keeps.
    weight_decay : float
        Decoupled from the gradient.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        weight_decay: float = 0.01,
    ) -> None:
        self._flat: list[FlatGroup] = []
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})
        # All gradients in one tensor, so that processes add them up at once.
        self.gradients = torch.cat([flat.grads for flat in self._flat])
        sizes = [len(flat.grads) for flat in self._flat]
        for flat, part in zip(self._flat, self.gradients.split(sizes), strict=True):
            flat.grads = part
        self._attach_grads()

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group, and lay it out."""
        # Not torch's own, which imports its compiler: seconds, a folder, a warning filter.
        params: list[nn.Parameter] = list(param_group["params"])
        self.param_groups.append({**self.defaults, **param_group, "params": params})
        values = torch.cat([p.detach().flatten() for p in params])
        grads, exp_avg, exp_avg_sq = values.new_zeros(3, len(values))
        flat = FlatGroup(values, grads, exp_avg, exp_avg_sq, values.new_zeros(()))
        self._flat.append(flat)
        for p, part in zip(params, self._views(flat.values, params), strict=True):
            p.data = part
        moments = (self._views(m, params) for m in (flat.exp_avg, flat.exp_avg_sq))
        for p, first, second in zip(params, *moments, strict=True):
            self.state[p] = {"step": flat.step, "exp_avg": first, "exp_avg_sq": second}

    @staticmethod
    def _views(flat: Tensor, params: list[nn.Parameter]) -> list[Tensor]:
        parts = flat.split([p.numel() for p in params])
        return [part.view_as(p) for part, p in zip(parts, params, strict=True)]

    def _attach_grads(self) -> None:
        for group, flat in zip(self.param_groups, self._flat, strict=True):
            parts = self._views(flat.grads, group["params"])
            for p, part in zip(group["params"], parts, strict=True):
                p.grad = part

    def zero_grad(self, set_to_none: bool = False) -> None:
        """Set all gradients to zero; they are never None."""
        for group, flat in zip(self.param_groups, self._flat, strict=True):
            grad = group["params"][0].grad
            if grad is None or grad.data_ptr() != flat.grads.data_ptr():
                self._attach_grads()  # someone replaced it
        self.gradients.zero_()

    def join_gradients(self, world: World, share: float) -> None:
        """Give all processes the gradient of a batch.

        Parameters
        ----------
        world : World
        share : float
            Which share of the batch's rows this process has, of whose mean it has the gradient.
        """
        if world.size > 1:
            world.add_up(self.gradients, share)

    def take_first(self, world: World) -> None:
        """Give all processes the parameters of the first."""
        for flat in self._flat:
            world.take_first(flat.values)

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Take a step, with all that torch wraps around it."""
        self.update()

    def update(self) -> None:
        """Take a step; parameters that do not require a gradient stay."""
        for group, flat in zip(self.param_groups, self._flat, strict=True):
            frozen = [(p, p.detach().clone()) for p in group["params"] if not p.requires_grad]
            flat.step += 1
            torch._fused_adamw_(
                [flat.values],
                [flat.grads],
                [flat.exp_avg],
                [flat.exp_avg_sq],
                [],
                [flat.step],
                lr=group["lr"],
                beta1=group["betas"][0],
                beta2=group["betas"][1],
                weight_decay=group["weight_decay"],
                eps=EPS,
                amsgrad=False,
                maximize=False,
            )
            for p, value in frozen:
                p.data.copy_(value)
            if flat.average is not None:
                kept = (1 - 1 / flat.step.item()) ** (AVERAGE_POWER + 1)
                flat.average.lerp_(flat.values, 1 - kept)

    @property
    def n_steps(self) -> int:
        """How many steps have been taken."""
        return int(self._flat[0].step.item())

    def start_average(self) -> None:
        """Keep, from now on, an average of the parameters over all steps.

        Each step t counts as much as a power of t (Karras et al. 2024): late steps count most,
        however many there will be, so that no end has to be known beforehand.
        """
        for flat in self._flat:
            if flat.average is None:
                flat.average = flat.values.clone()

    def swap_average(self) -> None:
        """Exchange the parameters' values and their average."""
        for flat in self._flat:
            assert flat.average is not None
            values = flat.values.clone()
            flat.values.copy_(flat.average)
            flat.average.copy_(values)

    def flat_state(self) -> list[dict[str, Tensor]]:
        """Return copies of all that a training needs to go on, one dict a parameter group."""
        return [
            {
                n: value.clone()
                for n, value in vars(flat).items()
                if n != "grads" and value is not None
            }
            for flat in self._flat
        ]

    def load_flat_state(self, groups: list[dict[str, Tensor]]) -> None:
        """Load what :meth:`flat_state` returned."""
        if any("average" in group for group in groups):
            self.start_average()
        for flat, group in zip(self._flat, groups, strict=True):
            for name, value in group.items():
                getattr(flat, name).copy_(value)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load what ``state_dict`` returned, into the layout."""
        layout = {p: dict(state) for p, state in self.state.items()}
        super().load_state_dict(state_dict)
        for p, views in layout.items():
            for name, view in views.items():
                view.copy_(self.state[p][name])
            self.state[p] = views

    def release(self) -> None:
        """Drop gradients and moments, and give each parameter memory of its own.

        A view would take the memory of all of them, and its pickle their size.
        """
        for group in self.param_groups:
            for p in group["params"]:
                p.data, p.grad = p.data.clone(), None
        self.state.clear()
        self._flat.clear()
        self.gradients = self.gradients[:0].clone()


def one_cycle(step: float, n_steps: int) -> float:
    """Return the share of the highest learning rate to take in step 0, 1, … of ``n_steps``.

    Two half-waves of a cosine, as in :class:`torch.optim.lr_scheduler.OneCycleLR`: up from
    1/25 in the first 30 % of the training, then down to nothing.
    """
    peak = 0.3 * (n_steps + 1) - 1
    if step <= peak:
        low, share = 1 / 25, (step / peak if peak > 0 else 1.0)
        return low + (1 - low) * (1 - math.cos(math.pi * share)) / 2
    low, share = 1e-4 / 25, (step - peak) / (n_steps - peak)
    return low + (1 - low) * (1 + math.cos(math.pi * share)) / 2


@contextmanager
def last_values(optimizer: FlatAdamW | None) -> Iterator[None]:
    """Give parameters, in this context, their values of the last step instead of their average."""
    if optimizer is None:
        yield
        return
    optimizer.swap_average()
    try:
        yield
    finally:
        optimizer.swap_average()


def warm_up(n_steps_before: int) -> float:
    """Return the share of the learning rate to take where no end of the training is known."""
    return WARM_SHARE * min(1.0, (n_steps_before + 1) / WARM_STEPS)


# The share of the highest learning rate to take in a step, given its number in this training, the
# number of all steps, and the optimizer, which knows of steps before this training.
COURSES: dict[str, Callable[[float, int, FlatAdamW], float]] = {
    "one_cycle": lambda step, n_steps, optimizer: one_cycle(step, n_steps),
    "warm_up": lambda step, n_steps, optimizer: warm_up(optimizer.n_steps),
}
