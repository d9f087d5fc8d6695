"""torch's distributions as numbers and arrays, and back."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch import distributions as d
from torch.distributions import Distribution

from skae._model.seeding import DrawsFrom

# Their classes and arguments. A categorical distribution has one of two, and so two names.
KINDS: dict[str, tuple[type[Distribution], tuple[str, ...]]] = {
    "Beta": (d.Beta, ("concentration1", "concentration0")),
    "Categorical": (d.Categorical, ("probs",)),
    "CategoricalLogits": (d.Categorical, ("logits",)),
    "Dirichlet": (d.Dirichlet, ("concentration",)),
    "Exponential": (d.Exponential, ("rate",)),
    "Gamma": (d.Gamma, ("concentration", "rate")),
    "Gumbel": (d.Gumbel, ("loc", "scale")),
    "HalfNormal": (d.HalfNormal, ("scale",)),
    "Independent": (d.Independent, ("base_distribution", "reinterpreted_batch_ndims")),
    "Laplace": (d.Laplace, ("loc", "scale")),
    "LogNormal": (d.LogNormal, ("loc", "scale")),
    "MixtureSameFamily": (d.MixtureSameFamily, ("mixture_distribution", "component_distribution")),
    "MultivariateNormal": (d.MultivariateNormal, ("loc", "scale_tril")),
    "Normal": (d.Normal, ("loc", "scale")),
    "StudentT": (d.StudentT, ("df", "loc", "scale")),
    "Uniform": (d.Uniform, ("low", "high")),
}
# Arguments that are attributes of another name.
ATTRIBUTES = {"base_distribution": "base_dist"}
# The keys of a distribution as numbers and arrays.
KEYS = {"distribution", "arguments"}
# How many numbers a draw may need, and how many draws show that a distribution is the same.
MOST_NUMBERS, N_DRAWS = 4096, 16


def is_plain_distribution(value: Any) -> bool:
    """Tell whether a value is what :func:`distribution_to_plain` returned."""
    return isinstance(value, dict) and value.keys() == KEYS


def distribution_to_plain(distribution: Distribution) -> dict[str, Any] | None:
    """Return a distribution as numbers and arrays; None where that would not be exact.

    That is so for a subclass of one's own, and for kinds that are rare as priors.
    """
    try:
        plain = describe(distribution)
        again = None if plain is None else distribution_from_plain(plain)
        if again is None or not torch.equal(draw(distribution), draw(again)):
            return None
    except (ValueError, RuntimeError, NotImplementedError):
        return None
    return plain


def describe(distribution: Distribution) -> dict[str, Any] | None:
    """Return the name and the arguments of a distribution, None where its kind is another."""
    for name, (kind, names) in KINDS.items():
        if type(distribution) is not kind:
            continue
        if kind is d.Categorical and names[0] not in vars(distribution):
            continue
        values = {n: plain_argument(getattr(distribution, ATTRIBUTES.get(n, n))) for n in names}
        if any(value is None for value in values.values()):
            return None
        return {"distribution": name, "arguments": values}
    return None


def plain_argument(value: Any) -> Any:
    """Return an argument as a number, an array, or a distribution that is one of these."""
    if isinstance(value, Tensor):
        return value.detach().cpu().numpy().copy()
    return describe(value) if isinstance(value, Distribution) else value


def distribution_from_plain(plain: Any) -> Distribution:
    """Return what :func:`distribution_to_plain` was given; raise ValueError for anything else."""
    require_plain(plain)
    name, arguments = plain["distribution"], plain["arguments"]
    kind, _ = KINDS[name]
    made: dict[str, Any] = {n: v for n, v in arguments.items() if isinstance(v, int)}
    for n, value in arguments.items():
        if isinstance(value, np.ndarray):
            made[n] = torch.tensor(value)
        elif isinstance(value, dict):
            made[n] = distribution_from_plain(value)
    try:
        distribution = kind(**made)
        size = math.prod((*distribution.batch_shape, *distribution.event_shape))
    except (RuntimeError, TypeError, IndexError, AttributeError) as error:
        raise ValueError(f"no {name} has such arguments ({error})") from error
    if size > MOST_NUMBERS:
        raise ValueError(f"a {name} of {size} numbers is too large for a prior")
    return distribution


def require_plain(plain: Any) -> None:
    """Raise ValueError where numbers and arrays describe no distribution.

    Before it is made: torch would spread arguments of different shapes over as many numbers as the
    product of their sizes.
    """
    if not is_plain_distribution(plain) or not isinstance(plain["arguments"], dict):
        raise ValueError("a distribution is a name and arguments")
    name, arguments = plain["distribution"], plain["arguments"]
    names = KINDS[name][1] if isinstance(name, str) and name in KINDS else ()
    if arguments.keys() != {*names} or not names:
        raise ValueError(f"no distribution is {str(name)[:40]!r} of {str([*arguments])[:80]}")
    shapes = [v.shape for v in arguments.values() if isinstance(v, np.ndarray)]
    if name == "MultivariateNormal":
        shapes = [shape[: len(shapes[0])] for shape in shapes]
    if any(shape != shapes[0] or math.prod(shape) > MOST_NUMBERS for shape in shapes):
        raise ValueError(f"no {name} has arguments of the shapes {shapes}")


def draw(distribution: Distribution) -> Tensor:
    """Return some draws, always the same."""
    with DrawsFrom(torch.Generator("cpu").manual_seed(0)), torch.no_grad():
        return distribution.sample((N_DRAWS,))
