"""Where random draws come from: the fit's own generator, for code that is not ours too."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from skae._model.plain.exportable import Exportable, export


class DrawsFrom(TorchDispatchMode):
    """Inside this context torch's operations draw from ``generator``, in this thread alone.

    torch's layers and distributions draw from its global generator, which all threads share:
    seeding that would disturb others, and be disturbed by them.

    Parameters
    ----------
    generator : torch.Generator
        On the device of the tensors that are drawn.

    Attributes
    ----------
    n_draws : int
        Number of operations that drew at random.

    Raises
    ------
    ValueError
        For an operation that draws at random and takes no generator.
    """

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()
        self.generator = generator
        self.n_draws = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # True makes torch import its compiler: seconds, and a warning filter that stays.
        return False

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Add the generator to an operation that can take one and was given none."""
        kwargs = kwargs or {}
        names = [argument.name for argument in func._schema.arguments]
        given = {**dict(zip(names, args, strict=False)), **kwargs}
        if torch.Tag.nondeterministic_seeded in func.tags and given.get("generator") is None:
            # Attention draws nothing where its dropout is 0, as it is where none is given.
            if "dropout_p" in names and not given.get("dropout_p"):
                return func(*args, **kwargs)
            self.n_draws += 1
            return find_seeded(func)(**{**given, "generator": self.generator})
        return func(*args, **kwargs)


def find_seeded(func: Any) -> Callable[..., Any]:
    """Return the overload of an operation that takes a generator beside the same arguments."""
    wanted = [argument.name for argument in func._schema.arguments]
    for name in (func._overloadname, *func.overloadpacket.overloads()):
        overload: Callable[..., Any] = getattr(func.overloadpacket, name)
        names = [argument.name for argument in overload._schema.arguments]  # type: ignore[attr-defined]
        if "generator" in names and [n for n in names if n != "generator"] == [
            n for n in wanted if n != "generator"
        ]:
            return overload
    raise ValueError(
        f"torch's operation {func.overloadpacket.__name__} draws from its global generator and "
        "takes no other, so that random_state could not fix the result; use torch.nn.Dropout, or "
        "draw with an operation that takes a generator."
    )


class Drawing(nn.Module):
    """A module that draws at random while it trains.

    Attributes
    ----------
    generator : torch.Generator or None
        The fit's, on the module's device; the net sets it.
    """

    generator: torch.Generator | None = None


class SeededLayer(Drawing, Exportable):
    """A layer or network of others whose draws come from the fit's generator.

    Parameters
    ----------
    layer : nn.Module
    always_draws : bool
        Whether it draws in evaluation mode too: then the same in each call.
    """

    def __init__(self, layer: nn.Module, always_draws: bool) -> None:
        super().__init__()
        self.layer, self.always_draws = layer, always_draws

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer."""
        if not self.training and not self.always_draws:
            return self.layer(x)
        generator = self.generator if self.training else None
        with DrawsFrom(generator or torch.Generator(x.device).manual_seed(0)):
            return self.layer(x)

    def to_torch(self) -> nn.Module:
        """Return the layer, or raise ValueError where it needs draws outside training too."""
        if self.always_draws:
            raise ValueError(
                f"to_torch cannot export the network {type(self.layer).__name__}, which draws at "
                "random in evaluation mode too, where skae gives it the same draws in each call; "
                "let it draw while self.training only."
            )
        return export(self.layer)


def seed_draws(layer: nn.Module, x: Tensor) -> nn.Module:
    """Return a layer, seeded where it draws at random on such an ``x``."""
    n_draws = []
    for training in (True, False):
        try:
            trial = copy.deepcopy(layer)  # training may change a layer, as it does BatchNorm
        except Exception:  # a network that cannot be copied has to bear it
            trial = layer
        with torch.no_grad(), DrawsFrom(torch.Generator("cpu").manual_seed(0)) as mode:
            trial.train(training)(x.clone())
        n_draws.append(mode.n_draws)
    return SeededLayer(layer, always_draws=n_draws[1] > 0) if any(n_draws) else layer
