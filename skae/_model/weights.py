"""A module's state: copied, converted to NumPy and loaded."""

import numpy as np
import torch
from torch import Tensor, nn

from skae._model.losses import Prepared


def copy_weights(module: nn.Module) -> dict[str, Tensor]:
    """Return a copy of a module's state."""
    return {name: value.clone() for name, value in module.state_dict().items()}


def weights_to_arrays(module: nn.Module) -> dict[str, np.ndarray]:
    """Return a module's state as NumPy arrays on the host."""
    return {name: value.cpu().numpy().copy() for name, value in module.state_dict().items()}


class OtherWeights(ValueError):
    """Raised for arrays that are not a module's state, with the names of some that differ."""

    def __init__(self, message: str, names: list[str]) -> None:
        super().__init__(message)
        self.names = names


def load_arrays(module: nn.Module, weights: dict[str, np.ndarray]) -> None:
    """Load a module's state from NumPy arrays of the same names and shapes."""
    state = module.state_dict()
    if state.keys() != weights.keys():
        names = sorted(state.keys() ^ weights.keys())
        raise OtherWeights(f"the state differs in {', '.join(names)[:200]}", names)
    for name, value in state.items():
        found, wanted = weights[name], f"{str(value.dtype)[6:]} of shape {tuple(value.shape)}"
        if f"{found.dtype.name} of shape {found.shape}" != wanted:
            raise OtherWeights(
                f"the weights {name} are {found.dtype.name} of shape {found.shape}, and the "
                f"networks need {wanted}",
                [name],
            )
    with torch.no_grad():
        for name, value in state.items():
            array = weights[name]
            # One after the other, for memory. torch.from_numpy warns of arrays that are not
            # writable, as joblib's may be.
            value.copy_(torch.from_numpy(array) if array.flags.writeable else torch.tensor(array))


def load_trained(module: nn.Module, weights: dict[str, np.ndarray]) -> None:
    """Load what was trained, and leave what `Prepared` parts have learned of other rows."""
    prepared = {name for name, part in module.named_modules() if isinstance(part, Prepared)}
    own = weights_to_arrays(module)
    now, before = ({n: v.shape for n, v in arrays.items()} for arrays in (own, weights))
    for name in {**now, **before}:
        if now.get(name) != before.get(name):
            raise ValueError(
                f"warm_start=True needs networks of the same sizes as the last fit, where {name} "
                f"had the shape {before.get(name)}, not {now.get(name)}; set warm_start=False "
                "to start anew."
            )
    kept = {n: v for n, v in own.items() if n.rpartition(".")[0] in prepared}
    load_arrays(module, {**weights, **kept})
