"""Networks that users bring."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from skae._files.words import shown, shown_error
from skae._model.networks.mlp import Dropout, replace_layers
from skae._model.plain.exportable import Exportable, export
from skae._model.seeding import DrawsFrom, seed_draws

# What torch says otherwise of a batch of one row, and of a leaf that is changed.
ONE_ROW = (
    "has a normalisation over the rows of a batch, and a batch has one row, as the last one of an "
    "epoch may; change batch_size, so that every batch has two at least, or normalise each row, as "
    "torch.nn.LayerNorm does."
)
WRITES = (
    "has a network that writes into its input in training; let its first layer make a new tensor "
    "(inplace=False)."
)


def build_network(
    name: str,
    make: Callable[[int, int], nn.Module],
    n_inputs: int,
    n_outputs: int,
    generator: torch.Generator | None,
) -> nn.Module:
    """Build a user's network, whose weights and draws come from the fit's own generator.

    ValueError is raised where ``make``, the parameter ``name``, returns no such network.
    """
    seed = 0 if generator is None else int(torch.randint(2**31, (), generator=generator))
    x = torch.linspace(-1, 1, 3 * n_inputs, dtype=torch.float32).view(3, n_inputs)
    before = x.clone()
    with DrawsFrom(torch.Generator("cpu").manual_seed(seed)):
        try:
            network = make(n_inputs, n_outputs)
        except Exception as error:
            error.add_note(f"{name}={shown(make)} raised {type(error).__name__}")
            raise
        if not isinstance(network, nn.Module):
            raise ValueError(
                f"{name}={shown(make)} must return a torch.nn.Module when it is called with the "
                f"numbers of inputs and outputs, and returned {type(network).__name__}."
            )
        network = own_copy(name, make, network).float().eval()
        replace_layers(network, lambda m: Dropout(m.p) if type(m) is nn.Dropout else None)
        try:
            with torch.no_grad():
                output = network(x)
            seeded = seed_draws(network, before.clone())
        except Exception as error:
            raise ValueError(
                f"{name}={shown(make)} returned a network that fails on a tensor of shape "
                f"(3, {n_inputs}): {shown_error(error)}"
            ) from error
    check_output(f"{name}={shown(make)}", output, n_inputs, n_outputs)
    check_state(f"{name}={shown(make)}", network)
    if not torch.equal(x, before):
        raise ValueError(
            f"{name}={shown(make)} returned a network that writes into its input, the rows that "
            "it is to reconstruct; let its first layer make a new tensor (inplace=False)."
        )
    return UsersNetwork(name, seeded, n_outputs)


def check_state(what: str, network: nn.Module) -> None:
    """Raise ValueError where a network's state has something else than tensors."""
    for key, value in network.state_dict().items():
        if not isinstance(value, Tensor):
            raise ValueError(
                f"{what} returned a network whose state has a {type(value).__name__}, {key!r}; "
                "keep tensors alone in it: no get_extra_state, or one that returns a tensor."
            )


def check_output(what: str, output: Any, n_inputs: int, n_outputs: int) -> None:
    """Raise ValueError where a network's output of three rows is not what it has to be."""
    got = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
    if isinstance(output, Tensor) and (output.layout != torch.strided or output.is_meta):
        got = f"a tensor without numbers of its own ({output.layout}, {output.device})"
    if got != (3, n_outputs):
        raise ValueError(
            f"{what} must map (n_rows, {n_inputs}) to (n_rows, {n_outputs}), but the "
            f"network that it returned maps (3, {n_inputs}) to {got}."
        )
    if not output.is_floating_point() or not output.isfinite().all():
        values = "NaN or infinity" if output.is_floating_point() else str(output.dtype)
        raise ValueError(
            f"{what} returned a network that gives {values} for inputs from -1 to 1; "
            "let it return finite floats."
        )


class UsersNetwork(Exportable):
    """A user's network, of whose outputs everything is checked that torch would stumble on.

    Parameters
    ----------
    name : str
        The parameter that it comes from.
    network : nn.Module
    n_outputs : int
    """

    def __init__(self, name: str, network: nn.Module, n_outputs: int) -> None:
        super().__init__()
        self.name, self.n_outputs = name, n_outputs
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Map (n_rows, n_inputs) to (n_rows, n_outputs), of the dtype of ``x``."""
        version = None if x.is_inference() else x._version
        try:
            output = self.network(x)
        except (ValueError, RuntimeError) as error:
            if len(x) == 1 and "more than 1 value per channel" in str(error):
                raise ValueError(f"{self.name} {ONE_ROW}") from error
            if "leaf Variable" in str(error):
                raise ValueError(f"{self.name} {WRITES}") from error
            raise
        if version is not None and x._version != version:
            raise ValueError(f"{self.name} {WRITES}")
        wanted = (len(x), self.n_outputs)
        if not isinstance(output, Tensor) or output.shape != wanted:
            got = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
            raise ValueError(f"{self.name} has a network that returned {got} in place of {wanted}.")
        if x.requires_grad and not output.requires_grad and torch.is_grad_enabled():
            raise ValueError(
                f"{self.name} has a network whose outputs have no gradient; compute them with "
                "torch, without detach() or NumPy."
            )
        return output.to(x.dtype)

    def to_torch(self) -> nn.Module:
        """Return a copy of the user's network alone."""
        return export(self.network)


def own_copy(name: str, make: object, network: nn.Module) -> nn.Module:
    """Return a copy: a network that a user's function returns twice must not be trained twice."""
    try:
        return copy.deepcopy(network)
    except Exception as error:
        if getattr(network, "_belongs_to_a_fit", False):
            raise ValueError(
                f"{name}={shown(make)} returned a network that an earlier fit has, and that "
                f"cannot be copied ({shown_error(error)}); build a new one in each call."
            ) from error
        network._belongs_to_a_fit = True  # type: ignore[assignment]
        return network
