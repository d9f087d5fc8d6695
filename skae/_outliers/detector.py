"""Outliers: rows that are far from an autoencoder of normal rows."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import clone
from sklearn.utils.parallel import Parallel, delayed

from skae._autoencoder import AutoEncoder
from skae._data.sources import Array, Source
from skae._data.split import MIN_VALIDATION, Split
from skae._data.world import ALONE
from skae._estimator.environment import all_at_once, undone_if_it_fails
from skae._estimator.jobs.advice import IN_UNITS, advise, columns_of
from skae._estimator.missing import rows_that_count
from skae._estimator.parameters.resolve import draw_seed
from skae._estimator.parameters.rules import check_parameters, estimator
from skae._outliers.calibration import (
    remaining,
    require_rows,
    rows_to_calibrate,
    split_at_random,
    threshold_of_share,
    warn_of_training_rows,
)
from skae._outliers.fitted import FittedDetector
from skae._outliers.member import Member, fit_member
from skae._outliers.parameters import SHARE, DetectorParameters
from skae._outliers.scaling import column_deviations, scaled_for_fit, units_differ

# Sizes of the codes of several autoencoders, as multiples of the first one's.
MULTIPLES = (1.0, 2.0, 0.5)


@estimator
class AutoEncoderOutlierDetector(DetectorParameters, FittedDetector):
    r"""Finds rows that are far from an autoencoder of normal rows.

    The distance of a row x to a fitted autoencoder, with code z and reconstruction x̂, is

    .. math:: \sum_j \frac{(z_j - \bar z_j)^2}{\lambda_j} + \frac{\|\hat x - x\|^2}{\sigma^2}

    T² + Q/σ², where z̄ is the mean of the codes of the training rows, λ are their variances along
    their principal axes, in which z is given, and σ² is the error of these rows per dimension that
    the code leaves out. T² is Hotelling's, and ‖x̂ − x‖² is known as Q or squared prediction error.
    Where a deterministic autoencoder is PCA, the sum is the squared Mahalanobis distance of
    probabilistic PCA. T² finds extremes, and Q finds rows that break the relations of the features.

    Alarms have a meaning: some rows do not train but validate, and a new row is an outlier where
    no more than the share ``false_alarm_rate`` of these, and so of normal rows, is as far away
    (conformal ``p_values``). ``explain`` tells which features make a row odd.

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
    among the validation rows too, so that p-values are too large; pass normal rows to
    ``calibrate``, or, to find those among the training rows, their share as ``contamination``.

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
            The threshold, set by ``false_alarm_rate`` or ``contamination``: rows whose
            ``score_samples`` is lower are outliers. ``decision_function`` is ``score_samples`` less
            ``offset_``.
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
            train, and one of each group calibrates. p-values then hold for rows of new groups.

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
        draws = getattr(self.estimator, "random_state", None)
        with undone_if_it_fails(draws), all_at_once(self) as fitted:
            fitted._fit(X, sample_weight, groups)
        return self

    def _fit(self, X: Any, sample_weight: Any, groups: Any) -> None:
        check_parameters(self)
        source, labels, lacks = rows_that_count(self, X, sample_weight, groups, ALONE)
        base = self._base
        seed = draw_seed(base.random_state if self.random_state is None else self.random_state)
        split = split_at_random(base, source, labels, seed)
        # Of training rows alone: a validation row would make its own extremes look smaller.
        self.scale_ = self._find_scale(source.subset(split.training), lacks=lacks)
        source = scaled_for_fit(source, self.scale_)
        self._fit_members(source, labels, split, seed)
        self._advise_on_size(source)
        role = "validate" if split.n_validation else None
        if role is None:
            warn_of_training_rows(base, source.n_rows)
        calibrating = source.subset(rows_to_calibrate(source, labels, split))
        scores = self._set_threshold(source, calibrating, role)
        if self.refit:
            scores = self._score(source) if scores is None else scores
            kept = scores >= self.offset_
            if kept[split.validation].sum() < MIN_VALIDATION:
                kept[split.validation] = True
            require_rows(self, kept[split.training])
            some = None if labels is None else labels[kept]
            left = source.subset(np.flatnonzero(kept))
            self._fit_members(left, some, remaining(split, kept), seed)
            self._set_threshold(source, calibrating, None)

    def _set_threshold(self, source: Source, calibrating: Source, role: str | None) -> Array | None:
        """Calibrate, and set the threshold.

        Return the scores of all rows if ``contamination`` sets it by these, and None otherwise.
        ``role`` is what the calibrating rows did in the fit, for a warning; None gives no warning.
        """
        self._calibrate(self._score(calibrating), role)
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

    def _find_scale(self, source: Source, *, lacks: bool) -> Array | None:
        """Return what features are divided by, or None where they are left as they are."""
        base, is_auto = self._base, self.standardize == "auto"
        has_unit = base.image_shape is not None or base.loss not in IN_UNITS
        if not self.standardize or (is_auto and (has_unit or sparse.issparse(source.table))):
            return None
        deviations = column_deviations(source, lacks=lacks)
        have_names = hasattr(self, "feature_names_in_")
        if is_auto and not units_differ(deviations, have_names=have_names):
            return None
        return np.where(deviations > 0, deviations, 1.0)

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
        copy, parameters = clone(self._base), {"warm_start": False, **parameters}
        known = copy.get_params(deep=False)  # a user's class may have fewer
        copy.set_params(**{name: value for name, value in parameters.items() if name in known})
        if hasattr(self, "feature_names_in_"):
            copy.feature_names_in_ = self.feature_names_in_
        return copy

    def _fit_members(
        self, source: Source, labels: NDArray[np.int64] | None, split: Split, seed: int
    ) -> None:
        """Fit all autoencoders, with the same validation rows."""
        first = self._copy_of_base(random_state=seed)
        member = fit_member(first, source, labels, split)
        sizes = sizes_of_codes(first.n_components_, source.n_features, self.n_estimators)
        others = [
            self._copy_of_base(n_components=k, random_state=(seed + m) % 2**32)
            for m, k in enumerate(sizes[1:], start=1)
        ]
        # What is stored elsewhere, such as an open file, may not be sent to other processes.
        prefer = None if source.has_random_access else "threads"
        more = Parallel(n_jobs=self.n_jobs, prefer=prefer)(
            delayed(fit_member)(other, source, labels, split) for other in others
        )
        self._members: list[Member] = [member, *more]


def sizes_of_codes(k: int, n_features: int, n: int) -> list[int]:
    """Return the sizes of the codes of n autoencoders, of which the first has k numbers.

    No other code has more than n_features − 1 numbers: beyond that no residual is left.
    """
    most = max(k, n_features - 1)
    wanted = (max(1, round(MULTIPLES[m % len(MULTIPLES)] * k)) for m in range(n))
    return [min(size, most) for size in wanted]
