"""The place where training puts a faster computation."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn


class Substitutable(nn.Module):
    """A module whose computation may be done by something faster while it trains.

    ``run`` is what ``forward`` calls. The training layer sets ``substitute``, a function of the
    same arguments and with the same result, and removes it when training is over; the module
    knows nothing else of it.
    """

    substitute: Callable[..., Tensor] | None = None

    @abstractmethod
    def compute(self, *inputs: Any) -> Tensor:
        """Return the result, with torch's own operations."""

    def run(self, *inputs: Any) -> Tensor:
        """Return the result of the substitute in training, where there is one."""
        if self.training and self.substitute is not None:
            return self.substitute(*inputs)
        return self.compute(*inputs)
