"""The constructor parameters of a detector."""

from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np

from skae._estimator.fit import BaseLatentModel
from skae._estimator.parameters.rules import (
    Rule,
    boolean,
    integer,
    is_integer,
    options,
    parameter,
    random_state_rule,
    real,
)

# The share of variance that PCA keeps with the default's code.
SHARE = 0.8


@dataclass(eq=False, repr=False)
class DetectorParameters:
    """What a detector fits, and how it sets its threshold."""

    estimator: Any = parameter(
        None,
        Rule(
            "an autoencoder of skae, such as AutoEncoder(8), or None",
            lambda value: value is None or isinstance(value, BaseLatentModel),
        ),
        f"""
        The autoencoder of which copies are fitted. None means ``AutoEncoder({SHARE})``. Its
        ``n_components`` matters: what the code keeps is judged by T², the rest by the residual Q.
        Pass a large code, such as ``AutoEncoder(0.99)``, where relations of features are nearly
        exact and outliers break them, as wrong entries of a table do. Where some outliers are
        known, search over ``estimator__n_components``, with an autoencoder in the place of None.
        """,
    )
    _: KW_ONLY
    contamination: str | float = parameter(
        "auto",
        options("auto") | real(0, 0.5, "(]"),
        """
        Share of outliers among the training rows: at most this share of them, those with the lowest
        scores, is called outliers. Pass it to find outliers among the rows that are fitted, where
        you know how many there are. It is no threshold for new rows, which are farther from the
        model than training rows are: of normal ones, several times this share would be called
        outliers. "auto" sets the threshold by ``false_alarm_rate``, which holds on new rows.
        """,
    )
    false_alarm_rate: float = parameter(
        0.05,
        real(0, 1, "()"),
        """
        Share of normal rows that may be called outliers, with ``contamination="auto"``. It has to
        be at least 1/(n + 1), where n rows validate: 0.01 needs 99 of them, as a fit to 990 rows
        has. The threshold is then the lowest of their scores, which one odd row among them sets:
        with ten times as many rows it is steady.
        """,
    )
    n_estimators: int = parameter(
        1,
        integer(1),
        """
        Number of autoencoders, whose distances are multiplied. Beside the first one, they have
        codes of twice and of half its size, and so on in turn. Three find a little more than
        one, for three times the seconds: set it where the best size is not known.
        """,
    )
    standardize: str | bool = parameter(
        "auto",
        options("auto") | boolean,
        """
        Whether each feature is divided by its standard deviation first, because its unit is its
        own. "auto" does so for features with names and for fewer than 50 features. It does so for
        more features without names, such as pixels and times of a curve, only where the largest
        standard deviation is more than five times the median one. It never does so for sparse rows,
        images (``image_shape``), and losses that have a unit ("binary_cross_entropy", "poisson",
        functions). Pass False where all features have the same unit and small ones are noise.
        """,
    )
    refit: bool = parameter(
        False,
        boolean,
        """
        Whether to fit a second time, without the training rows that the first fit calls outliers;
        it takes twice the seconds. Try it where outliers are among the training rows and you can
        compare: on the tables of the benchmark it does not help.
        """,
    )
    n_jobs: int | None = parameter(
        None,
        options(None) | integer(1) | Rule("int <= -1", lambda n: is_integer(n) and n <= -1),
        """
        Number of processes in which autoencoders beside the first one are fitted; -1 means one
        for each processor.
        """,
    )
    random_state: int | np.random.RandomState | None = parameter(
        None,
        random_state_rule,
        """
        Source of every random draw. None takes that of ``estimator``; NumPy's global state is left
        alone.
        """,
    )
