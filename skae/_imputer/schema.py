"""What the fitted state of an imputer in a file must be, before anything is built of it."""

from typing import Any

import numpy as np

from skae._estimator.parameters.rules import Rule, integer
from skae._estimator.saving.numbers import array_of, nothing
from skae._estimator.saving.schema import (
    check,
    check_gaussian,
    check_optional,
    check_shapes,
    epoch_of,
    is_sizes,
    rows_of_history,
)
from skae._model.networks.shapes import frame_shapes, part_shapes
from skae._model.spec import ModelSpec
from skae._training.imputer.scores import N_POINTS


def check_imputer(state: dict[str, Any]) -> None:
    """Raise ValueError where ``state`` is no valid fitted state of an imputer."""
    n, count = state["n_features_in_"], integer(0)
    check("n_features_in_", n, integer(1))
    check("_kept", state["_kept"], array_of(n, dtype=bool))
    check("statistics_", state["statistics_"], array_of(n, low=None))
    kept = state["statistics_"][state["_kept"]]
    check("statistics_ of columns with values", kept, array_of(None))
    check("indicator_", state["indicator_"], array_of(None, dtype=np.int64) | nothing)
    check("n_iter_", state["n_iter_"], count)
    check("best_iter_", state["best_iter_"], epoch_of(state["n_iter_"]))
    check_optional(state, n)
    filler = state["_filler"]
    if filler is None:
        return
    names = {"gaussian", "sizes", "scores", "best_iter", "n_iter"}
    network = {"weights", "history"}
    if not isinstance(filler, dict) or {*filler} not in (names, names | network):
        raise ValueError(f"_filler has {sorted(filler)}, expected {sorted(names)}")
    gaussian = filler["gaussian"]
    if not isinstance(gaussian, dict) or not isinstance(gaussian.get("mean"), np.ndarray):
        raise ValueError("_filler.gaussian is no Gaussian; expected a dict with the array 'mean'")
    m = gaussian["mean"].size
    check("_filler.gaussian", gaussian, Rule("of the columns", lambda v: 1 <= m <= n))
    check_gaussian("_filler.gaussian", gaussian, m)
    check("_filler.sizes", filler["sizes"], Rule("a tuple of int >= 1", is_sizes))
    check("_filler.n_iter", filler["n_iter"], count)
    check("_filler.best_iter", filler["best_iter"], epoch_of(filler["n_iter"]))
    if "weights" in filler:
        check_network(filler, m)
    else:
        check("_filler.scores", filler["scores"], nothing)


def check_network(filler: dict[str, Any], m: int) -> None:
    """Raise ValueError where a filler of m columns has no valid network."""
    scores, weights, sizes = filler["scores"], filler["weights"], filler["sizes"]
    check("_filler.scores", scores, Rule("a dict", lambda v: isinstance(v, dict)))
    if scores.keys() != {"values", "scores", "gaussian"}:
        raise ValueError(f"_filler.scores has {sorted(scores)}")
    for name in ("values", "scores"):
        check(f"_filler.scores.{name}", scores[name], array_of(m, N_POINTS))
    check_gaussian("_filler.scores.gaussian", scores["gaussian"], m)
    check("_filler.history", filler["history"], rows_of_history)
    spec = ModelSpec(m, m, sizes)
    own = [
        *part_shapes("encoder", spec, (2 * m, *sizes, m)),
        *part_shapes("decoder", spec, (m, *sizes[::-1], m)),
        *frame_shapes(m),
    ]
    check_shapes("_filler.weights", weights, own, spec.dtype, ())
