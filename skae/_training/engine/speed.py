"""How a module trains in the fastest way that there is: number format, tape, threads."""

import functools
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from skae._model.module import AutoEncoderModule
from skae._model.networks.mlp import MLP
from skae._training.engine.proof import proves
from skae._training.engine.tape import Substitute, Tape

# Weights in the largest layer from which on bfloat16 pays: see benchmarks/README.md.
BFLOAT16_SIZE = 2**18
# What a processor must have to multiply bfloat16 faster than float32: a unit for it.
BFLOAT16_UNITS = ("amx_bf16", "avx512_bf16")
# Multiplications in a pass from which on a second thread pays for waking it.
SMALL_STEP = 2 * 10**7


@contextmanager
def fast_networks(
    module: AutoEncoderModule, x: Tensor, *, narrow: bool, tape: bool
) -> Iterator[Tape | None]:
    """Let networks train in bfloat16, or on a tape, which is then the context's value.

    Parameters
    ----------
    module : AutoEncoderModule
    x : Tensor of shape (n_rows, n_features)
        A batch on which a tape has to prove that it has autograd's gradients.
    narrow : bool
        Whether MLPs train in bfloat16.
    tape : bool
        Whether a tape is wanted.
    """
    networks = [m for m in module.modules() if isinstance(m, MLP)]
    used = None
    if narrow:
        for network in networks:
            network.substitute = Substitute(in_bfloat16, network)
    elif tape and proves(module, x):
        used = Tape(module.modules())
    try:
        yield used
    finally:
        for network in networks:
            network.substitute = None
        if used is not None:
            used.close()


def in_bfloat16(network: MLP, x: Tensor) -> Tensor:
    """Return what a network computes in bfloat16, in float32."""
    with torch.autocast(x.device.type, torch.bfloat16):
        return network.compute(x).float()


def takes_bfloat16(precision: str, device: str, module: AutoEncoderModule) -> bool:
    """Tell whether to train in bfloat16; "auto" does where the hardware gains from it."""
    if precision != "auto":
        return precision == "bfloat16"
    networks = [m for m in module.modules() if isinstance(m, MLP)]
    largest = max((p.numel() for network in networks for p in network.parameters()), default=0)
    return largest >= BFLOAT16_SIZE and has_bfloat16(device)


def has_bfloat16(device: str) -> bool:
    """Tell whether a device multiplies matrices faster in bfloat16 than in float32.

    By what the hardware says it has, never by a timing: that would make the result of a seed
    depend on what else runs.
    """
    kind = torch.device(device).type
    if kind == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    capabilities = torch.cpu.get_capabilities() if kind == "cpu" else {}
    return any(capabilities.get(unit) for unit in BFLOAT16_UNITS)


@contextmanager
def one_thread(use: bool) -> Iterator[None]:
    """Let the calling thread compute alone, if ``use`` says so; other threads keep theirs."""
    n_threads = torch.get_num_threads()
    if not use or n_threads == 1:
        yield
        return
    torch.set_num_threads(1)
    # set_num_threads is also the default of threads that have yet to use torch. Another thread
    # restores that default, and leaves the number of this thread as it is.
    setter = threading.Thread(target=torch.set_num_threads, args=(n_threads,))
    setter.start()
    setter.join()
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)


# A forked child has none of the threads that torch would wait for (pytorch#17199).
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=functools.partial(torch.set_num_threads, 1))
