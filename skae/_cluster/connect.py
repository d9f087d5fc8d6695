"""How processes find each other: through a store, or as a group of torch.distributed."""

from datetime import timedelta
from typing import Any

import torch.distributed as dist

from skae._cluster.processes import Processes
from skae._files.words import shown

# Seconds of a year: torch takes no infinite time.
LONGEST = 365 * 24 * 3600


def open_store(host: str) -> tuple[Any, int]:
    """Return a new store that this process keeps, and its port."""
    store = dist.TCPStore(host, 0, is_master=True, wait_for_workers=False)
    return store, store.port


def join_store(host: str, port: int, timeout: float) -> Any:
    """Return the store that another process keeps."""
    return dist.TCPStore(host, port, is_master=False, timeout=timedelta(seconds=timeout))


def join_group(group: Any, timeout: float) -> Processes:
    """Return the processes of a group of torch.distributed, which call this together.

    Parameters
    ----------
    group : torch.distributed.ProcessGroup or None
        None means the default group, of all processes.
    timeout : float
    """
    if not dist.is_available() or not dist.is_initialized():
        raise RuntimeError(
            "torch.distributed has no process group; call torch.distributed.init_process_group "
            "before, as in docs/many_machines.md, or the estimator's fit for one process."
        )
    check_seconds("timeout", timeout)
    group = dist.group.WORLD if group is None else group
    ranks = dist.get_process_group_ranks(group)
    if dist.get_rank() not in ranks:
        raise ValueError(
            f"process_group has the processes {ranks}, and this one is {dist.get_rank()}; "
            "call fit in the members of the group only."
        )
    shared = dist.PrefixStore(
        f"skae/{group.group_name}", dist.distributed_c10d._get_default_store()
    )
    n_fits = shared.add(f"fits of {dist.get_rank()}", 1)  # all count alike
    store = dist.PrefixStore(str(n_fits), shared)
    return Processes(store, ranks.index(dist.get_rank()), len(ranks), timeout)


def check_seconds(name: str, value: Any) -> None:
    """Raise ValueError for what is no number of seconds."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 < value <= LONGEST:
        raise ValueError(f"{name}={shown(value)} is not a number of seconds above 0, up to a year.")
