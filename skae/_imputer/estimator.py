"""Imputation: missing values filled by an autoencoder that starts at a Gaussian's expectations."""

import warnings
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.impute import MissingIndicator

from skae._data.sources import ArraySource, rows_at_once
from skae._estimator.environment import all_at_once, resolve_device
from skae._estimator.parameters.arguments import check_weights
from skae._estimator.parameters.resolve import draw_seed
from skae._estimator.parameters.rules import (
    Rule,
    boolean,
    check_parameters,
    estimator,
    integer,
    options,
    parameter,
    random_state_rule,
    resolve_sizes,
    sizes,
)
from skae._imputer.fitted import FittedImputer
from skae._training.imputer.filler import N_STEPS, fit_filler


@estimator
class AutoEncoderImputer(FittedImputer):
    r"""Fills missing values; a transformer like scikit-learn's ``SimpleImputer``.

    NaN is missing. A Gaussian is fitted by EM, and gives every missing value its expectation x̃
    given what is observed of the row. Another one fills, likewise, the normal scores s̃ of the
    columns: the values by their ranks, as if each column were normal. Then a full-rank
    autoencoder g(f(x̃, s̃)), which starts at x̃, is trained on rows of which more entries are
    hidden, to minimise over the rows

    .. math:: \frac{1}{2n} \sum_i \sum_{j \in O_i} (g(f(\tilde x_i, \tilde s_i))_j - x_{ij})^2

    where O_i are the columns in which row i was observed before some of them were hidden.

    Some rows do not train but validate. The autoencoder of the best epoch stays if it predicts
    the hidden entries of the validation rows better than the Gaussian beyond chance; otherwise
    the Gaussian of all rows fills missing values. Columns are standardised within, so that
    units do not matter.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    {attributes}

    See Also
    --------
    sklearn.impute.IterativeImputer : Regressions of each column on the others, in turn.
    sklearn.impute.KNNImputer : Means of similar rows.

    Notes
    -----
    Fewer than 20 rows cannot show an improvement, and more than 2,000 features get no
    network: the Gaussian fills these. Of more than 50,000 rows, or fewer of wide tables, some
    are drawn for training.

    Observed entries are returned as they are. Missing ones get values from the range that the
    column has in training. ``transform`` fills new rows, which may miss other entries; a
    row of which nothing is observed becomes the mean. Those values are expectations: they vary
    less than what is missing.

    References
    ----------
    .. [1] Little, R. and Rubin, D., "Statistical analysis with missing data", 3rd edition, 2019.
    .. [2] Gondara, L. and Wang, K., "MIDA: multiple imputation using denoising autoencoders",
       PAKDD 2018, arXiv 1705.02737.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_iris
    >>> from skae import AutoEncoderImputer
    >>> X = load_iris().data
    >>> X[::3, 2] = np.nan
    >>> imputer = AutoEncoderImputer(max_iter=5, random_state=0).fit(X)
    >>> filled = imputer.transform(X)
    >>> bool(np.abs(filled - load_iris().data).mean() < 0.15)
    True
    """

    add_indicator: bool = parameter(
        False,
        boolean,
        """
        Whether to append a column of zeros and ones for each column that has missing values
        in ``fit``. Set it where that a value is missing may itself tell something.
        """,
    )
    keep_empty_features: bool = parameter(
        False,
        boolean,
        """
        Whether a column without any observed value in ``fit`` becomes zeros. Otherwise it is
        dropped.
        """,
    )
    hidden_layer_sizes: tuple[int, ...] | int = parameter(
        (128, 128),
        sizes | integer(1),
        """
        Widths of the encoder's hidden layers, which the decoder has in reverse. 64 is (64,), and
        () means no network: the Gaussian alone, many times faster.
        """,
    )
    max_iter: int | str = parameter(
        "auto",
        integer(1) | options("auto"),
        f"""
        Number of passes over the training rows, of which there are up to twelve copies with
        other entries hidden. "auto" makes {N_STEPS:,} steps.
        """,
    )
    random_state: int | np.random.RandomState | None = parameter(
        None,
        random_state_rule,
        """
        Source of every random draw: hidden entries, weights, validation rows. None draws from
        the operating system; NumPy's global state is left alone.
        """,
    )
    device: str = parameter(
        "auto",
        Rule("str, a torch device or 'auto'", lambda value: isinstance(value, str)),
        """Where to train and compute. "auto" is CUDA where there is one, otherwise the CPU.""",
    )
    verbose: int | bool = parameter(
        0, integer(0) | boolean, """Whether to print a line per epoch."""
    )

    _attributes = """
        statistics_ : ndarray of shape (n_features_in_,)
            Mean of each column under the Gaussian; for a column without any observed value NaN, or
            0 with ``keep_empty_features=True``.
        indicator_ : sklearn.impute.MissingIndicator or None
            What appends columns; None with ``add_indicator=False``.
        best_iter_ : int
            The epoch whose weights were kept; 0 where the Gaussian stayed.
        n_iter_ : int
            Number of epochs run.
        n_features_in_ : int
            Number of columns.
        feature_names_in_ : ndarray of shape (n_features_in_,)
            Their names, where X had them.
        net_ : skorch.NeuralNet or None
            The trained net; None where the Gaussian stayed.
        """

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Fit the imputer.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            NaN is missing; never changed.
        y : ignored
            For scikit-learn, which passes it.
        sample_weight : array-like of shape (n_samples,) or None
            How much each row counts. Rows of weight 0 are ignored.

        Returns
        -------
        self
            The fitted imputer.

        Raises
        ------
        ValueError
            For bad parameters, and for infinite values.

        Warns
        -----
        UserWarning
            When a column without any observed value is dropped.

        Examples
        --------
        >>> import numpy as np
        >>> from skae import AutoEncoderImputer
        >>> X = np.array([[1.0, 2.0], [2.0, np.nan], [3.0, 6.0], [4.0, 8.0]])
        >>> AutoEncoderImputer(hidden_layer_sizes=()).fit(X).statistics_.shape
        (2,)
        """
        with all_at_once(self) as fitted:
            fitted._fit(X, sample_weight)
        return self

    # -- fit -------------------------------------------------------------------------------

    def _fit(self, X: Any, sample_weight: Any) -> None:
        check_parameters(self)
        X = self._check(X, fitting=True)
        weights = check_weights(sample_weight, len(X))
        weights = np.ones(len(X)) if weights is None else weights
        counts = np.flatnonzero(weights > 0)
        device = resolve_device(self.device)
        self._kept = find_observed(ArraySource(X, counts))
        self._warn_of_empty()
        self.indicator_ = None
        if self.add_indicator:
            self.indicator_ = MissingIndicator(error_on_new=False).fit(X[counts])
        self._filler, self.best_iter_, self.n_iter_ = None, 0, 0
        self.statistics_ = np.where(self._kept, 0.0, 0.0 if self.keep_empty_features else np.nan)
        if self._kept.any():
            table = X[np.ix_(counts, self._kept)]
            self._filler = fit_filler(
                table,
                weights[counts] / weights[counts].mean(),
                draw_seed(self.random_state),
                sizes=resolve_sizes(self.hidden_layer_sizes),
                max_iter=self.max_iter,
                device=device,
                verbose=int(self.verbose),
            )
            self.best_iter_, self.n_iter_ = self._filler.best_iter, self._filler.n_iter
            self.statistics_[self._kept] = self._filler.gaussian.mean

    def _warn_of_empty(self) -> None:
        if self.keep_empty_features or self._kept.all():
            return
        names = getattr(self, "feature_names_in_", np.arange(len(self._kept)))[~self._kept]
        warnings.warn(
            f"Columns without any observed value are dropped: {', '.join(map(str, names))}. "
            "keep_empty_features=True would fill them with zeros.",
            UserWarning,
            stacklevel=5,
        )


def find_observed(source: ArraySource) -> NDArray[np.bool_]:
    """Return for each column whether any of its entries is observed."""
    observed = np.zeros(source.n_features, dtype=bool)
    for _, part in source.chunks(rows_at_once(source.n_features)):
        observed |= ~np.isnan(part).all(axis=0)
    return observed
