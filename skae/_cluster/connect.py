"""How processes find each other: through a store, or as a group of torch.distributed."""

from collections import Counter
from datetime import timedelta
from typing import Any

import torch.distributed as dist

from skae._cluster.processes import Processes


def open_store(host: str) -> tuple[Any, int]:
    """Return a new store that this process keeps, and its port."""
    store = dist.TCPStore(host, 0, is_master=True, wait_for_workers=False)
    return store, store.port


def join_store(host: str, port: int, timeout: float) -> Any:
    """Return the store that another process keeps."""
    return dist.TCPStore(host, port, is_master=False, timeout=timedelta(seconds=timeout))


# How many fits each group has begun: all its processes count alike.
_n_fits: Counter[tuple[int, ...]] = Counter()


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
    ranks = tuple(dist.get_process_group_ranks(group))
    if dist.get_rank() not in ranks:
        raise ValueError(
            f"process_group has the processes {list(ranks)}, and this one is {dist.get_rank()}; "
            "call fit in the members of the group only."
        )
    _n_fits[ranks] += 1
    prefix = f"skae/{'.'.join(map(str, ranks))}/{_n_fits[ranks]}"
    store = dist.PrefixStore(prefix, dist.distributed_c10d._get_default_store())
    return Processes(store, ranks.index(dist.get_rank()), len(ranks), timeout)
