"""What a module is built from."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

from torch import Tensor, nn


@dataclass(frozen=True)
class ModelSpec:
    """All that determines a module but for its weights: numbers, names, and users' callables.

    Attributes
    ----------
    n_features, n_components : int
    hidden_layer_sizes, init, image_shape, loss, activation, tied_weights, encoder, decoder
        As the estimators' parameters of these names, "auto" resolved.
    parameters : dict
        The method's own parameters, by name.
    """

    n_features: int
    n_components: int
    hidden_layer_sizes: tuple[int, ...] = ()
    init: str = "pca"
    image_shape: tuple[int, ...] | None = None
    loss: str | Callable[[Tensor, Tensor], Tensor] = "squared_error"
    activation: str | type[nn.Module] = "silu"
    tied_weights: bool = False
    encoder: Callable[[int, int], nn.Module] | None = None
    decoder: Callable[[int, int], nn.Module] | None = None
    parameters: dict[str, Any] = field(default_factory=dict)

    def require_same_networks(self, former: Self) -> None:
        """Raise ValueError where weights of the module ``former`` do not fit this one."""
        for name, value in vars(self).items():
            before = getattr(former, name)
            if name != "parameters" and before != value:
                raise ValueError(
                    f"warm_start=True needs the same {name} as the last fit, which had "
                    f"{before!r}, not {value!r}; set warm_start=False to start anew."
                )
