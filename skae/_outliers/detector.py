"""Outliers: rows that are far from an autoencoder of normal rows."""

from dataclasses import replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import clone
from sklearn.utils.parallel import Parallel, delayed

from skae._autoencoder import AutoEncoder
from skae._data.sources import Array, Source
from skae._data.split import MIN_VALIDATION, Split, group_rows, row_keys
from skae._data.world import ALONE
from skae._estimator.environment import all_at_once
from skae._estimator.jobs.advice import advise, columns_of
from skae._estimator.missing import rows_that_count
from skae._estimator.parameters.resolve import draw_seed
from skae._estimator.parameters.rules import check_parameters, estimator
from skae._outliers.calibration import threshold_of_share, warn_of_training_rows
from skae._outliers.fitted import FittedDetector
from skae._outliers.member import Member, fit_member
from skae._outliers.parameters import SHARE, DetectorParameters
from skae._outliers.scaling import column_deviations, scaled_for_fit, units_differ

# Sizes of the codes of several autoencoders, as multiples of the first one's.
MULTIPLES = (1.0, 2.0, 0.5)
# Losses of differences, which columns may be divided for.
OF_ANY_UNIT = ("squared_error", "absolute_error", "huber")


@estimator
class AutoEncoderOutlierDetector(DetectorParameters, FittedDetector):
    r"""Finds rows that are far from an autoencoder of normal rows.

    The distance of a row x to a fitted autoencoder, with code z and reconstruction x̂, is

    .. math:: \sum_j \frac{(z_j - \bar z_j)^2}{\lambda_j} + \frac{\|\hat x - x\|^2}{\sigma^2}

    T² + Q/σ², where z̄ and λ are the mean and the variances of the codes of the training rows, and
    σ² is their error per dimension that the code leaves out. At PCA it is the squared Mahalanobis
    distance of probabilistic PCA. T² finds extremes, and Q finds rows that break the relations of
    the features.

    Alarms have a meaning: some rows do not train but validate, and a new row is an outlier where
    no more than the share ``false_alarm_rate`` of these, and so of normal rows, is as far away
    (``p_values``). ``explain`` tells which features make a row odd.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    {attributes}

    See Also
    --------
    sklearn.ensemble.IsolationForest : Needs no scale, and sees no relation between features.
    sklearn.neighbors.LocalOutlierFactor : Distances to neighbours, for few rows.
    AutoEncoder.score_samples : The error of the reconstruction alone, Q.

    Notes
    -----
    Keep outliers out of the training rows where you can. Where they are among them, they are
    among the validation rows too, so that p-values are too large; pass their share as
    ``contamination``, or normal rows to ``calibrate``.

    Where the result of a fit is PCA, it is that of the training rows alone, because
    validation rows stand for new ones. ``set_callbacks`` of ``estimator`` are not told of fits.

    References
    ----------
    .. [1] Yue, H. and Qin, S., "Reconstruction-based fault identification using a combined
       index", Industrial & Engineering Chemistry Research 40, 2001.
    .. [2] Bates, S., Candès, E., Lei, L., Romano, Y. and Sesia, M., "Testing for outliers with
       conformal p-values", Annals of Statistics 51, 2023, arXiv 2104.08279.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from skae import AutoEncoderOutlierDetector
    >>> X, y = load_digits(return_X_y=True)
    >>> detector = AutoEncoderOutlierDetector(false_alarm_rate=0.05, random_state=0)
    >>> alarms = detector.fit(X[y != 8]).predict(X[y == 8]) == -1
    >>> bool(alarms.mean() > 0.2)
    True
    """

    _attributes = """
        estimator_ : estimator
            The fitted autoencoder, the first of ``estimators_``. It takes rows that are divided by
            ``scale_``.
        estimators_ : list of estimators
            All fitted autoencoders.
        scale_ : ndarray of shape (n_features_in_,) or None
            What features are divided by; None where they are left as they are.
        offset_ : float
            The threshold: rows whose ``score_samples`` is lower are outliers.
        calibration_scores_ : ndarray of shape (n_calibration,)
            ``score_samples`` of the rows that calibrate p-values, in order: those of the
            validation rows, unless ``calibrate`` was given others.
        n_features_in_ : int
            Number of features.
        feature_names_in_ : ndarray of shape (n_features_in_,)
            Their names, where X had them.
        """

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None, *, groups: Any = None) -> Self:
        """Fit the detector.

        Parameters
        ----------
        X : array-like, sparse matrix or stored array of shape (n_samples, n_features)
            Training rows, normal ones if possible; never changed. NaN is a missing value.
        y : ignored
            For scikit-learn, which passes it.
        sample_weight : array-like of shape (n_samples,) or None
            How much each row counts in the fit of the autoencoder; None means 1 each. Rows of
            weight 0 are left out. Validation rows calibrate with a weight of 1 each.
        groups : array-like of shape (n_samples,) or None
            Which rows belong together, such as those of one person: they all validate or all
            train.

        Returns
        -------
        self
            The fitted detector.

        Raises
        ------
        ValueError
            For bad parameters or data. An earlier fit then stays as it was.

        Warns
        -----
        UserWarning
            When too few rows validate for ``false_alarm_rate``, or none at all.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from skae import AutoEncoderOutlierDetector
        >>> X, _ = load_iris(return_X_y=True)
        >>> len(AutoEncoderOutlierDetector(random_state=0).fit(X).calibration_scores_)
        38
        """
        with all_at_once(self) as fitted:
            fitted._fit(X, sample_weight, groups)
        return self

    def _fit(self, X: Any, sample_weight: Any, groups: Any) -> None:
        check_parameters(self)
        source, numbers, _ = rows_that_count(self, X, sample_weight, groups, ALONE)
        deviations = column_deviations(source)
        is_divided = self._standardizes(source, deviations)
        self.scale_ = np.where(deviations > 0, deviations, 1.0) if is_divided else None
        source = scaled_for_fit(source, self.scale_)
        split = self._fit_members(source, numbers, None)
        self._advise_on_size(source)
        judges = source.subset(independent_rows(source, numbers, split))
        what = "validate" if split.n_validation else None
        if what is None:
            warn_of_training_rows(self._base, source.n_rows)
        scores = self._set_threshold(source, judges, what)
        if self.refit:
            scores = self._score(source) if scores is None else scores
            kept = scores >= self.offset_
            if kept[split.validation].sum() < MIN_VALIDATION:
                kept[split.validation] = True
            some = None if numbers is None else numbers[kept]
            self._fit_members(source.subset(np.flatnonzero(kept)), some, remaining(split, kept))
            self._set_threshold(source, judges, None)

    def _set_threshold(self, source: Source, judges: Source, what: str | None) -> Array | None:
        """Calibrate, and set the threshold; return the scores of all rows where it is made of them.

        ``judges`` are the rows that calibrate, and ``what`` says of them that they do so.
        """
        of_judges = self._score(judges)
        self._calibrate(of_judges, what)
        if self.contamination == "auto":
            return None
        scores = self._score(source)
        self.offset_ = threshold_of_share(scores, source.weights, float(self.contamination))
        return scores

    # -- autoencoders ----------------------------------------------------------------------

    @property
    def _base(self) -> Any:
        """The autoencoder of which copies are fitted."""
        return AutoEncoder(SHARE) if self.estimator is None else self.estimator

    @property
    def loss(self) -> Any:
        """The loss of the autoencoder, where ``estimator`` is one."""
        return getattr(self._base, "loss", "squared_error")

    @property
    def dtype(self) -> str:
        """The dtype of the autoencoder."""
        dtype: str = self._base.dtype
        return dtype

    def _standardizes(self, source: Source, deviations: Array) -> bool:
        """Tell whether features are divided by their standard deviations."""
        if self.standardize != "auto":
            return bool(self.standardize)
        base = self._base
        if base.image_shape is not None or base.loss not in OF_ANY_UNIT:
            return False
        if sparse.issparse(source.table):
            return False
        return units_differ(deviations, have_names=hasattr(self, "feature_names_in_"))

    def _advise_on_size(self, source: Source) -> None:
        """Advise on codes that keep all of each row, so that no relation can be broken."""
        k, n_features = min(m.model.n_components_ for m in self._members), source.n_features
        if k >= n_features > 1:
            advise(
                f"n_components={k} numbers keep all of the {n_features} features of X, so that no "
                "residual is left: rows that are extreme are found, and none that break relations "
                "of features. Pass an estimator with a smaller code, such as AutoEncoder(0.95).",
                *("residual", k, columns_of(self, source)),
            )

    def _copy_of_base(self, **parameters: Any) -> Any:
        """Return a copy of the autoencoder to fit, which knows the names of the features."""
        copy = clone(self._base).set_params(warm_start=False, **parameters)
        if hasattr(self, "feature_names_in_"):
            copy.feature_names_in_ = self.feature_names_in_
        return copy

    def _fit_members(
        self, source: Source, groups: NDArray[np.int64] | None, split: Split | None
    ) -> Split:
        """Fit all autoencoders with the same validation rows; return which rows these are."""
        base = self._base
        seed = draw_seed(base.random_state if self.random_state is None else self.random_state)
        first = self._copy_of_base(random_state=seed)
        member, split = fit_member(first, source, groups, split)
        sizes = sizes_of_codes(first.n_components_, source.n_features, self.n_estimators)
        others = [
            self._copy_of_base(n_components=k, random_state=(seed + m) % 2**32)
            for m, k in enumerate(sizes[1:], start=1)
        ]
        more = Parallel(n_jobs=self.n_jobs)(
            delayed(fit_member)(other, source, groups, split) for other in others
        )
        self._members: list[Member] = [member, *(found for found, _ in more)]
        return split


def sizes_of_codes(k: int, n_features: int, n: int) -> list[int]:
    """Return the sizes of the codes of n autoencoders, of which the first has k numbers.

    Others have a feature less than all at most: what a larger code leaves says nothing of rows.
    """
    most = max(k, n_features - 1)
    wanted = (max(1, round(MULTIPLES[m % len(MULTIPLES)] * k)) for m in range(n))
    return [min(size, most) for size in wanted]


def independent_rows(
    source: Source, labels: NDArray[np.int64] | None, split: Split
) -> NDArray[np.int64]:
    """Return the positions of rows to calibrate with: one of each group that validates.

    Rows of a group, such as equal rows, are no independent evidence. Which one it is is random, as
    validation rows are ordered. Where none validate, they are one of each group that trains.
    """
    groups, rows = split.groups, split.validation
    if not len(rows):
        groups, rows = group_rows(row_keys(source, np.float64), labels), np.arange(source.n_rows)
    _, first = np.unique(groups, return_index=True)
    chosen: NDArray[np.int64] = rows[first]
    return chosen


def remaining(split: Split, kept: NDArray[np.bool_]) -> Split:
    """Return the split of the rows that are kept, by their new positions."""
    position = np.cumsum(kept) - 1
    trains, validates = kept[split.training], kept[split.validation]
    training, validation = split.training[trains], split.validation[validates]
    _, groups = np.unique(split.groups[validates], return_inverse=True)
    return replace(
        split,
        training=position[training],
        validation=position[validation],
        groups=groups,
        n_training=len(training),
        n_validation=len(validation),
    )
