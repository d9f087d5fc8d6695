"""The net layer: how a module trains in the fastest way that there is."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from skae._model.networks.mlp import MLP
from skae._training.tape import Tape

# Weights in the largest layer from which on bfloat16 pays: see benchmarks/README.md.
BFLOAT16_SIZE = 2**18
# Multiplications in a pass from which on a second thread pays for waking it.
SMALL_STEP = 2 * 10**7


@contextmanager
def fast_networks(
    modules: list[nn.Module], precision: str, device: str, *, tape: bool
) -> Iterator[Tape | None]:
    """Let networks train in bfloat16, or on a tape, which is then the context's value.

    The tape knows no second derivatives and no weights that two networks share: ``tape`` says
    whether it serves.
    """
    networks = [m for m in modules if isinstance(m, MLP)]
    in_bfloat16 = takes_bfloat16(precision, device, networks)
    used = Tape(modules) if tape and not in_bfloat16 else None
    for network in networks:
        network.in_bfloat16 = in_bfloat16
    try:
        yield used
    finally:
        for network in networks:
            network.in_bfloat16 = False
        if used is not None:
            used.close()


@contextmanager
def one_thread(use: bool) -> Iterator[None]:
    """Let the calling thread compute alone, if ``use`` says so."""
    n_threads = torch.get_num_threads()
    try:
        if use:
            torch.set_num_threads(1)
        yield
    finally:
        if use:
            torch.set_num_threads(n_threads)


def takes_bfloat16(precision: str, device: str, networks: list[MLP]) -> bool:
    """Tell whether to train in bfloat16; "auto" does where the hardware gains from it."""
    if precision != "auto":
        return precision == "bfloat16"
    largest = max((p.numel() for network in networks for p in network.parameters()), default=0)
    return largest >= BFLOAT16_SIZE and has_bfloat16(device)


def has_bfloat16(device: str) -> bool:
    """Tell whether a device multiplies matrices faster in bfloat16 than in float32."""
    kind = torch.device(device).type
    if kind == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return kind == "cpu" and bool(torch.cpu.get_capabilities().get("amx_bf16"))
