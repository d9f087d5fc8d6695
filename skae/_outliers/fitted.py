"""What a fitted detector does."""

import warnings
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from skae._data.checks import read_rows
from skae._data.sources import Array, Source
from skae._data.world import ALONE
from skae._estimator.environment import snapshot
from skae._estimator.missing import Observed, warn_of_empty_rows
from skae._estimator.parameters.arguments import check_groups
from skae._estimator.parameters.rules import check_argument, check_parameters, options
from skae._files.caller import caller_level
from skae._model.losses import require_valid, takes_any_row
from skae._outliers.calibration import adjusted, first_of_each, p_values, threshold_of_alarms
from skae._outliers.contributions import Explains
from skae._outliers.member import Member, in_use
from skae._outliers.saved import SavedDetector
from skae._outliers.scaling import lacks_values, scaled_for_use


class FittedDetector(SavedDetector, Explains, OutlierMixin, BaseEstimator):
    """What a detector does once it is fitted.

    Attributes
    ----------
    _members : list of Member
        Its autoencoders, and what normal rows are to them.
    """

    contamination: str | float
    false_alarm_rate: float
    scale_: Array | None
    offset_: float
    calibration_scores_: Array
    _members: list[Member]

    @property
    def estimator_(self) -> Any:
        """The first of the fitted autoencoders."""
        return self.estimators_[0]

    @property
    def estimators_(self) -> list[Any]:
        """The fitted autoencoders."""
        check_is_fitted(self)
        return [member.model for member in self._members]

    def score_samples(self, X: Any) -> Array:
        """Return for every row how normal it is.

        That is −(T² + Q/σ²) over its median, m, of the training rows: −1 is as odd as a typical
        training row, −9 nine times as odd. New rows, which the model has not seen, score somewhat
        lower. T² is the squared distance of the code to the mean of codes, in standard deviations
        (Hotelling's T²). Q, minus ``score_samples`` of the autoencoder, is the error of the
        reconstruction (squared prediction error). Of several autoencoders the score is the
        geometric mean.

        Parameters
        ----------
        X : array-like, sparse matrix or stored array of shape (n_samples, n_features)
            NaN is a missing value: the code is that of the observed ones, and missing ones add
            nothing to Q.

        Returns
        -------
        ndarray of shape (n_samples,), float64
            At most 0; the higher, the more normal the row.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from skae import AutoEncoderOutlierDetector
        >>> X, _ = load_iris(return_X_y=True)
        >>> detector = AutoEncoderOutlierDetector(random_state=0).fit(X)
        >>> normal, odd = detector.score_samples([[5.8, 3.0, 4.3, 1.3], [5.8, 3.0, 4.3, 9.0]])
        >>> bool(odd < 2 * normal)
        True
        """
        fitted = self._fitted()
        return fitted._score(fitted._rows(X))

    def decision_function(self, X: Any) -> Array:
        """Return ``score_samples`` less the threshold ``offset_``: below zero for outliers.

        Parameters
        ----------
        X : array-like, sparse matrix or stored array of shape (n_samples, n_features)
            As in ``score_samples``.

        Returns
        -------
        ndarray of shape (n_samples,), float64
            Negative for outliers.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from skae import AutoEncoderOutlierDetector
        >>> X, _ = load_iris(return_X_y=True)
        >>> detector = AutoEncoderOutlierDetector(random_state=0).fit(X)
        >>> bool(detector.decision_function([[5.8, 3.0, 4.3, 9.0]])[0] < 0)
        True
        """
        fitted = self._fitted()
        scores, offset = fitted._score(fitted._rows(X)), fitted.offset_
        return np.subtract(scores, offset, out=np.zeros_like(scores), where=scores != offset)

    def predict(self, X: Any) -> NDArray[np.int64]:
        """Return 1 for normal rows and −1 for outliers.

        Parameters
        ----------
        X : array-like, sparse matrix or stored array of shape (n_samples, n_features)
            As in ``score_samples``.

        Returns
        -------
        ndarray of shape (n_samples,), int64
            −1 where ``decision_function`` is negative: with ``contamination="auto"`` where the
            p-value is at most ``false_alarm_rate``. Where too few rows calibrate for that, as the
            fit has warned, −1 where the p-value is the least that there is.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from skae import AutoEncoderOutlierDetector
        >>> X, _ = load_iris(return_X_y=True)
        >>> detector = AutoEncoderOutlierDetector(random_state=0).fit(X)
        >>> detector.predict([[5.8, 3.0, 4.3, 1.3], [5.8, 3.0, 4.3, 9.0]])
        array([ 1, -1])
        """
        return np.where(self.decision_function(X) < 0, -1, 1)

    def p_values(self, X: Any, *, adjust: str | None = None) -> Array:
        """Return for every row the share of normal rows that are as odd, or odder.

        These are conformal p-values: p = (1 + #{sᵢ ≤ s}) / (n + 1), where s is the row's score and
        s₁, …, sₙ are ``calibration_scores_``. If normal rows are drawn as those of the calibration,
        a normal row has p ≤ α with a probability of at most α, whatever their distribution is.

        Parameters
        ----------
        X : array-like, sparse matrix or stored array of shape (n_samples, n_features)
            New rows, as in ``score_samples``. Those of the fit have trained the model: their
            p-values are too large. A row that misses many values has little to be odd in, and a
            larger p-value.
        adjust : {None, "bh"}
            None gives each row's own p-value. "bh" adjusts those of all rows of X by Benjamini
            and Hochberg's procedure: of the rows whose adjusted p is at most α, a share of at most
            α are false alarms in the mean. Set it to pick outliers from a whole set. To pick k of m
            rows, 1/(n + 1) has to be at most αk/m: with too few rows for calibration, n, none is
            picked.

        Returns
        -------
        ndarray of shape (n_samples,), float64
            From 1/(n + 1) to 1; small for outliers.

        Notes
        -----
        Validation rows take the place of rows that nothing has seen. They choose the epoch whose
        weights are kept, and have a part in the mean and the one scale by which the autoencoder
        centres and divides rows, which was not seen to raise the rate. They have a part in what
        fills missing values, too, which raises it where rows are few and many of their values are
        missing. With rows given to ``calibrate``, the rate holds without these reservations.

        It holds in the mean over calibrations. With one calibration of n rows, the share of false
        alarms at α varies by about √(α(1 − α)/n) [1]_.

        Where outliers are among the rows of the calibration, p-values are too large, and there
        are fewer alarms.

        References
        ----------
        .. [1] Bates, S., Candès, E., Lei, L., Romano, Y. and Sesia, M., "Testing for outliers
           with conformal p-values", Annals of Statistics 51, 2023, arXiv 2104.08279.
        .. [2] Vovk, V., Gammerman, A. and Shafer, G., "Algorithmic learning in a random world",
           2005.
        .. [3] Benjamini, Y. and Hochberg, Y., "Controlling the false discovery rate", Journal of
           the Royal Statistical Society B 57, 1995.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from skae import AutoEncoderOutlierDetector
        >>> X, _ = load_iris(return_X_y=True)
        >>> detector = AutoEncoderOutlierDetector(random_state=0).fit(X)
        >>> p = detector.p_values([[5.8, 3.0, 4.3, 1.3], [5.8, 3.0, 4.3, 9.0]])
        >>> bool(p[0] > 0.1), bool(p[1] < 0.05)
        (True, True)
        """
        check_argument("adjust", adjust, options(None, "bh"))
        fitted = self._fitted()
        scores = fitted._score(fitted._rows(X))
        return adjusted(p_values(scores, fitted.calibration_scores_), adjust)

    def calibrate(self, X: Any, *, groups: Any = None) -> Self:
        """Take normal rows that were not fitted for the calibration, in place of validation rows.

        Call it where you know rows to be normal and the training rows had outliers among them;
        where too few rows validate for the rate you need; and where p-values have to be exact.

        Parameters
        ----------
        X : array-like, sparse matrix or stored array of shape (n_samples, n_features)
            Rows that had no part in the fit, drawn as the normal rows that are to come. Training
            rows are no such rows: they are closer to the model, and alarms would be too many. Rows
            without any value are left out.
        groups : array-like of shape (n_samples,) or None
            Which rows belong together, such as those of one person: one of each group calibrates.

        Returns
        -------
        self
            With other ``calibration_scores_`` and, for ``contamination="auto"``, another
            ``offset_``.

        Raises
        ------
        ValueError
            For bad rows or parameters, and where no row has any value.

        Warns
        -----
        UserWarning
            Where X has too few rows for ``false_alarm_rate``: at least 1/rate − 1 are needed. And
            where ``contamination`` is a share, so that ``predict`` goes on as before.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from skae import AutoEncoderOutlierDetector
        >>> X, _ = load_iris(return_X_y=True)
        >>> detector = AutoEncoderOutlierDetector(random_state=0).fit(X[::2])
        >>> len(detector.calibrate(X[1::2]).calibration_scores_)
        75
        """
        check_parameters(self)
        fitted = self._fitted()
        source = fitted._rows(X)
        labels, known = check_groups(groups, source.n_rows, ALONE), Observed.of(source).rows
        if not known.any():
            raise ValueError("X has no row with any value to calibrate with; pass normal rows.")
        every = np.flatnonzero(known)
        if labels is not None:
            order = np.random.default_rng(0).permutation(every)
            every = first_of_each(order, labels[order])
        fitted._calibrate(fitted._score(source.subset(every)), "were passed")
        self.calibration_scores_, self.offset_ = fitted.calibration_scores_, fitted.offset_
        if self.contamination != "auto":
            warnings.warn(
                f"contamination={self.contamination:g} sets the threshold by the training rows, so "
                "that calibrate() changes p_values and not predict; fit with contamination='auto' "
                "for a threshold by false_alarm_rate.",
                stacklevel=caller_level(),
            )
        return self

    # -- rows ------------------------------------------------------------------------------

    def _fitted(self) -> Self:
        """Return the fit as it is now: a refit in another thread does not change it."""
        check_is_fitted(self)
        return snapshot(self)

    def _rows(self, X: Any) -> Source:
        """Return new rows as the autoencoders see them, but for what fills missing values."""
        given = read_rows(self, X, fitting=False)
        require_valid(self.estimator_.loss, given)
        source = scaled_for_use(given, self.scale_)
        if lacks_values(source):
            warn_of_empty_rows(Observed.of(source), "they are taken for the mean")
        return source

    def _score(self, source: Source) -> Array:
        """Return the scores of scaled rows."""
        total = np.zeros(source.n_rows)
        with np.errstate(divide="ignore"):  # a distance of zero
            for member in self._members:
                total += np.log(member.distances(in_use(member.model, source)))
        scores: Array = -np.exp(total / len(self._members))
        return scores

    def _calibrate(self, scores: Array, role: str | None) -> None:
        """Take scores for the calibration, and set the threshold where they decide it."""
        self.calibration_scores_ = np.sort(scores)
        if self.contamination == "auto":
            self.offset_ = threshold_of_alarms(scores, self.false_alarm_rate, role)

    # -- scikit-learn ----------------------------------------------------------------------

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.sparse = True
        tags.input_tags.positive_only = not takes_any_row(self.loss)
        return tags
