"""Checks of parameters that depend on each other, or on X."""

import math
from numbers import Integral
from typing import Any

from skae._data.sources import Source

# The largest number of weights of a linear map between a code and the features where the code is
# larger than the rank of X: 2**27 take half a gigabyte.
MAX_IDLE_WEIGHTS = 2**27


def resolve_number(n_components: Any) -> int | float:
    """Return the parameter ``n_components`` as Python's int or, for a share, float."""
    return int(n_components) if isinstance(n_components, Integral) else float(n_components)


def check_size(n_components: int, source: Source) -> None:
    """Raise ValueError for a code so much larger than the data that memory would run out."""
    rank = min(source.n_rows, source.n_features)
    if n_components > rank and n_components * source.n_features > MAX_IDLE_WEIGHTS:
        raise ValueError(
            f"n_components={n_components} for {source.n_rows} rows of {source.n_features} features "
            f"needs {n_components * source.n_features:,} weights in the encoder alone, and these "
            f"rows have no more than {rank} components; pass at most {rank}."
        )


def check_networks(estimator: Any, n_features: int) -> None:
    """Raise where the parameters that describe the networks do not go together, or with X."""
    shape = estimator.image_shape
    if shape is not None and math.prod(shape) != n_features:
        raise ValueError(
            f"image_shape={shape!r} has {math.prod(shape)} pixels, but X has {n_features} "
            "features; pass the shape of the images that the rows are."
        )
    if estimator.tied_weights:
        for name in ("image_shape", "encoder", "decoder"):
            if getattr(estimator, name) is not None:
                raise ValueError(
                    f"tied_weights=True needs dense networks, which have a transpose, and "
                    f"{name}={getattr(estimator, name)!r} makes others; set one or the other."
                )
