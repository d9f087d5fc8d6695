"""How many numbers a code needs."""

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.base import clone

from skae._autoencoder import AutoEncoder
from skae._components.result import ComponentsSelection
from skae._components.search import (
    TOLERANCE,
    doubles,
    first_that_passes,
    halve,
    halves,
    refine,
)
from skae._components.sizes import most_components
from skae._components.trials import Measure, Score, Trials, make_trials, require_autoencoder
from skae._estimator.environment import as_if_alone
from skae._estimator.parameters.resolve import draw_seed
from skae._estimator.parameters.rules import (
    Rule,
    check_argument,
    integer,
    options,
    random_state_rule,
    real,
)

some_sizes = options("auto") | Rule(
    "a sequence of int >= 1",
    lambda value: (
        isinstance(value, tuple | list | range | np.ndarray)
        and len(value) > 0
        and all(map(integer(1).allows, value))
    ),
)

# The sizes of the autoencoder and of PCA, and the score that they reach.
Choice = tuple[int, int | None, float]


def select_n_components(
    X: Any,
    share: float = 0.95,
    *,
    rule: str = "share",
    estimator: Any = None,
    sizes: Any = "auto",
    steps: float = 0.25,
    sample_weight: Any = None,
    groups: Any = None,
    random_state: int | np.random.RandomState | None = None,
) -> ComponentsSelection:
    """Choose ``n_components``: the smallest code with which an autoencoder keeps a share.

    ``n_components=0.95`` is the size with which *PCA* keeps 95 % of the variance. An autoencoder
    keeps as much with fewer numbers; with how many, only fits show. Here a fifth of the rows is
    held out. Autoencoders with codes of several sizes are fitted to the others, each with a
    quarter of the optimizer steps, and scored on the rows held out, and so is PCA. These rows have
    no part in any fit: they neither train, nor fill missing values, nor choose the best epoch.

    Parameters
    ----------
    X : array-like, sparse matrix or stored array of shape (n_samples, n_features)
        As in ``fit``; never changed. Scale it as for the fit to come.
    share : float in (0, 1), default=0.95
        The share of the variance to keep; the share of the loss, where ``estimator`` has another
        loss than the squared error.
    rule : {"share", "one_se"}, default="share"
        "share" chooses the smallest size whose reconstructions explain ``share``. "one_se" chooses
        the smallest size whose ``score`` is within one standard error of the best score of all
        sizes: set it where no share is known, or for the likelihood of
        :class:`VariationalAutoEncoder`.
    estimator : autoencoder of skae or None
        Copies of it are fitted, with other ``n_components`` and ``max_iter``. None means
        ``AutoEncoder()``.
    sizes : "auto" or sequence of int
        The sizes to fit. With rule="share" "auto" begins at the size with which PCA keeps
        ``share`` on the rows held out, and goes on with its half, its quarter and so on until
        one does not keep the share. Then it bisects between this one and the last one that does,
        until they differ by a tenth or by 1. Where PCA's size does not do, it is doubled.
        With rule="one_se" "auto" begins at the size with which PCA keeps ``share`` of the variance
        of the rows that it has seen, fits this and all halves, and bisects. The sizes
        of a sequence are all fitted, such as for a whole curve.
    steps : float in (0, 1], default=0.25
        Share of the estimator's epochs, and of its ``max_time``, that each fit takes; 1 for full
        fits.
    sample_weight : array-like of shape (n_samples,) or None
        How much each row counts, in fits and scores; None means 1 each.
    groups : array-like of shape (n_samples,) or None
        Which rows belong together, such as those of one person: all of a group are held out, or
        none, and standard errors are over groups. Equal rows are a group in any case.
    random_state : int, RandomState or None
        Source of every random draw: of the rows held out, and of all fits. None takes
        ``estimator.random_state``.

    Returns
    -------
    ComponentsSelection
        ``n_components``, ``n_components_pca``, and the scores of all sizes.

    Raises
    ------
    ValueError
        For bad parameters or data; for fewer than 30 different rows, or groups; where no size
        keeps ``share``; and for more than 5,000 rows of more than 5,000 features, whose sizes
        have to be given.
    TypeError
        Where ``estimator`` is not an autoencoder of skae.

    See Also
    --------
    skae.display.ComponentsDisplay : Draws what this returns.

    Notes
    -----
    Fits with fewer steps and fewer rows are a little worse than the fit to come, so that the size
    chosen is rather too large than too small. The rows held out are a sample:
    ``standard_errors`` says how far scores may be off.

    Scores may fall from a size to the next larger one, because trainings end at different
    weights. "auto" asks larger sizes first, and takes sizes below one that does not keep the share
    for too small without fitting them. Of the sizes of a sequence, the smallest that keeps the
    share is chosen, whatever larger ones do.

    With rule="share" a :class:`VariationalAutoEncoder` is scored by the reconstructions from its
    posterior means; with "one_se" by its ``score``, in nats. Missing values, NaN, count in no
    score.

    References
    ----------
    .. [1] Breiman, L., Friedman, J., Olshen, R. and Stone, C., "Classification and regression
       trees", 1984: the rule of one standard error.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skae import AutoEncoder, select_n_components
    >>> X = load_digits().data / 16
    >>> found = select_n_components(X, 0.8, random_state=0)
    >>> found.n_components < found.n_components_pca
    True
    >>> model = AutoEncoder(found.n_components, random_state=0).fit(X)
    """
    check_arguments(share, rule, sizes, steps, random_state)
    estimator = AutoEncoder() if estimator is None else estimator
    require_autoencoder(estimator)
    source_of_draws = estimator.random_state if random_state is None else random_state
    seed = draw_seed(source_of_draws)
    is_share = rule == "share"
    own = clone(estimator).set_params(
        warm_start=False, checkpoint=None, keep_interrupted=False, random_state=seed
    )
    with as_if_alone():
        trials = make_trials(
            own,
            X,
            sample_weight,
            groups,
            seed=seed,
            steps=float(steps),
            largest=most_components if isinstance(sizes, str) else lambda _: int(max(sizes)),
            measure=Measure.of_share(own) if is_share else Measure.of_estimator(own),
        )
        find = by_share if is_share else by_one_se
        return as_result(trials, find(trials, sizes, float(share)), rule)


def check_arguments(share: Any, rule: Any, sizes: Any, steps: Any, random_state: Any) -> None:
    """Raise ValueError for the first argument that breaks its rule."""
    check_argument("share", share, real(0, 1, "()"))
    check_argument("rule", rule, options("share", "one_se"))
    check_argument("sizes", sizes, some_sizes)
    check_argument("steps", steps, real(0, 1, "(]"))
    check_argument("random_state", random_state, random_state_rule)


def by_share(trials: Trials, sizes: Any, share: float) -> Choice:
    """Return the smallest size with which the autoencoder keeps a share, PCA's, and the share."""
    n_pca = pca_that_keeps(trials, share)

    def keeps(k: int) -> bool:
        return trials.score(k) >= share

    if isinstance(sizes, str):
        most = trials.job.largest
        below, found = halve(keeps, most if n_pca is None else n_pca, most)
        found = None if found is None else refine(keeps, below, found)
    else:
        tried = sorted({int(k) for k in sizes})
        for k in tried:
            trials.score(k)
        _, found = first_that_passes(keeps, tried)
    if found is None:
        raise_not_kept(trials, share)
    assert found is not None
    return found, n_pca, share


def pca_that_keeps(trials: Trials, share: float) -> int | None:
    """Return the smallest size with which PCA keeps a share of the rows held out, or None."""
    most = trials.job.largest

    def keeps(k: int) -> bool:
        return trials.score_pca(k) >= share

    # Of the rows that PCA was fitted to, it keeps the share with about as many: begin there.
    nearly = min(most, trials.job.pca(share).n_components)
    below, found = first_that_passes(keeps, [nearly, *doubles(nearly, most)])
    return None if found is None else refine(keeps, below, found, tolerance=0)


def raise_not_kept(trials: Trials, share: float) -> None:
    """Raise ValueError that says which share is kept."""
    best = max(trials.scores, key=trials.score)
    raise ValueError(
        f"share={share:g} is kept by no size on the {trials.held_out.n_rows} rows held out: the "
        f"largest share is {trials.score(best):.4f}, with {best} components, and PCA keeps "
        f"{trials.score_pca(best):.4f} with these. Lower share, or pass rule='one_se', more rows, "
        "or larger sizes."
    )


def by_one_se(trials: Trials, sizes: Any, share: float) -> Choice:
    """Return the sizes of the autoencoder and of PCA by one standard error, and the threshold."""
    top = trials.job.pca(share).n_components
    is_auto = isinstance(sizes, str)
    tried = halves(top) if is_auto else sorted({int(k) for k in sizes})
    tolerance = TOLERANCE if is_auto else np.inf
    n_components, threshold = within_one_error(trials.score, trials.scores, tried, tolerance)
    n_pca, _ = within_one_error(trials.score_pca, trials.pca_scores, tried, tolerance)
    return n_components, n_pca, threshold


def within_one_error(
    score: Callable[[int], float], scores: dict[int, Score], tried: list[int], tolerance: float
) -> tuple[int, float]:
    """Return the smallest size within one standard error of the best, and the score to reach.

    Parameters
    ----------
    score : callable
        Scores a size, and enters what it returns into ``scores``.
    scores : dict of int to Score
    tried : list of int
        Sizes, in order.
    tolerance : float
        As in :func:`refine`.
    """
    best = scores[max(tried, key=score)]
    threshold = best.value - best.error

    def is_near(k: int) -> bool:
        return score(k) >= threshold

    below, found = first_that_passes(is_near, tried)
    assert found is not None
    return refine(is_near, below, found, tolerance), threshold


def as_result(trials: Trials, choice: Choice, rule: str) -> ComponentsSelection:
    """Return what was found, with PCA's scores of all sizes."""
    n_components, n_pca, threshold = choice
    for k in trials.scores:
        trials.score_pca(k)
    none = Score(np.nan, np.nan)
    sizes = sorted(trials.pca_scores)
    scores = [trials.scores.get(k, none) for k in sizes]
    return ComponentsSelection(
        n_components=n_components,
        n_components_pca=n_pca,
        sizes=np.array(sizes),
        scores=np.array([score.value for score in scores]),
        standard_errors=np.array([score.error for score in scores]),
        pca_scores=np.array([trials.score_pca(k) for k in sizes]),
        rule=rule,
        threshold=threshold,
        score_name=trials.measure.text,
        estimator_name=type(trials.estimator).__name__,
        n_held_out=trials.held_out.n_rows,
    )
