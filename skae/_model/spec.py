"""What a module is built from."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from skae._files.words import shown


@dataclass(frozen=True)
class ModelSpec:
    """All that determines a module but for its weights: numbers, names, and users' callables.

    Attributes
    ----------
    n_features, n_components : int
    dtype, hidden_layer_sizes, init, image_shape, loss, activation, tied_weights, encoder, decoder
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
    dtype: str = "float32"
    parameters: dict[str, Any] = field(default_factory=dict)

    def require(self, **values: Any) -> None:
        """Raise ValueError where weights of this module do not fit one with other values."""
        for name, value in values.items():
            if getattr(self, name) != value:
                raise ValueError(
                    f"warm_start=True and partial_fit need the same {name} as the last fit, which "
                    f"had {shown(getattr(self, name))}, not {shown(value)}; to start anew set "
                    "warm_start=False and call fit."
                )
