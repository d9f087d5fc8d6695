"""Networks that users bring."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from skae._model.networks.mlp import Dropout, replace_layers
from skae._model.seeding import DrawsFrom, seed_draws


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
        network = make(n_inputs, n_outputs)
        if not isinstance(network, nn.Module):
            raise ValueError(
                f"{name}={make!r} must return a torch.nn.Module when it is called with the numbers "
                f"of inputs and outputs, and returned {type(network).__name__}."
            )
        network = own_copy(name, make, network).float().eval()
        replace_layers(network, lambda m: Dropout(m.p) if type(m) is nn.Dropout else None)
        try:
            with torch.no_grad():
                output = network(x)
            seeded = seed_draws(network, before.clone())
        except Exception as error:
            raise ValueError(
                f"{name}={make!r} returned a network that fails on a tensor of shape "
                f"(3, {n_inputs}): {error}"
            ) from error
    got = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
    if got != (3, n_outputs):
        raise ValueError(
            f"{name}={make!r} must map (n_rows, {n_inputs}) to (n_rows, {n_outputs}), but the "
            f"network that it returned maps (3, {n_inputs}) to {got}."
        )
    if not torch.equal(x, before):
        raise ValueError(
            f"{name}={make!r} returned a network that writes into its input, the rows that it is "
            "to reconstruct; let its first layer make a new tensor (inplace=False)."
        )
    return seeded


def own_copy(name: str, make: object, network: nn.Module) -> nn.Module:
    """Return a copy: a network that a user's function returns twice must not be trained twice."""
    try:
        return copy.deepcopy(network)
    except Exception as error:
        if getattr(network, "_belongs_to_a_fit", False):
            raise ValueError(
                f"{name}={make!r} returned a network that an earlier fit has, and that cannot be "
                f"copied ({error}); build a new one in each call."
            ) from error
        network._belongs_to_a_fit = True  # type: ignore[assignment]
        return network
