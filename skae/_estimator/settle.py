"""What a fit leaves in an estimator."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

from skae._data.batches import RowDataset
from skae._data.sources import Array
from skae._data.sums.moments import Moments
from skae._data.world import ALONE
from skae._estimator.environment import as_if_alone, snapshot
from skae._estimator.jobs.job import Job
from skae._estimator.use import FittedAutoEncoder
from skae._start.pca import n_left_out
from skae._training.net import AutoEncoderNet
from skae._training.outside.progress import Score
from skae._training.selection import Training


class Settles(FittedAutoEncoder):
    """An estimator that takes over what a training has reached."""

    # What to say where a training has brought nothing; "" where PCA does what the method is for.
    _at_pca: ClassVar[str] = ""

    early_stopping: bool
    init: str
    whiten: bool
    pca_score_: float | None
    validation_scores_: list[float] | None
    _is_pca: bool

    @abstractmethod
    def _scorer(self, net: AutoEncoderNet, rows: RowDataset) -> Callable[[dict[str, float]], float]:
        """Return the function that makes ``score`` of rows from the means of their loss terms."""

    @abstractmethod
    def _diagnose(self, variances: Array) -> None:
        """Say what the variances of the codes tell, the largest first."""

    @property
    def best_validation_score_(self) -> float | None:
        """Score on the validation rows of what was kept: of epoch ``best_iter_``, or of PCA."""
        scores = self.validation_scores_
        if scores is None or self._is_pca:
            return None if scores is None else self.pca_score_
        # Parts that came before there were validation rows have no scores.
        from_end = self.n_iter_ - self.best_iter_
        is_known = self.best_iter_ > 0 and from_end < len(scores)
        return scores[len(scores) - 1 - from_end] if is_known else None

    def _may_train(self, training: Training) -> bool:
        """Tell whether to train: without rows that validate, a guarded fit stays at PCA."""
        is_guarded = self.early_stopping and self.init == "pca"
        return training.validation is not None or not is_guarded

    def _title(self) -> str:
        """Return what is shown to be trained."""
        return f"{type(self).__name__}({self.n_components_})"

    # -- settle ----------------------------------------------------------------------------

    def _score(self, training: Training) -> Score:
        """Return how the loss terms of a training's rows are told as the score."""
        score, terms = self._scorer(training.net, training.deciding), training.start.pca_terms
        return Score(self._score_name, score, None if terms is None else score(terms))

    def _stopped(self, job: Job, training: Training) -> dict[str, Any]:
        """Return the attributes of a fit that ends now, with the weights as they are."""
        stopped = snapshot(self)
        stopped._report(training, self._score(training))
        stopped.best_iter_, history = stopped.n_iter_, training.net.history
        stopped.net_ = self._load_net(training.state())
        stopped.net_.history.extend(history)
        stopped._stream, stopped._trained, stopped._is_pca = None, job.trained, False
        stopped._settle(job)
        return dict(vars(stopped))

    def _report(self, training: Training, score: Score) -> None:
        """Set the attributes that tell how the training went."""
        net = training.net
        self.net_ = net
        self.n_iter_ = len(net.history)
        self.best_iter_ = training.best.epoch_
        self.loss_curve_ = [row["train_loss"] for row in net.history]
        self.pca_score_, self.validation_scores_ = score.pca, None
        if training.validation is not None:
            self.validation_scores_ = [score.of_validation(row) for row in net.history]

    def _settle(self, job: Job) -> None:
        """Turn the codes into the method's axes over all rows, and measure the noise."""
        module, degrees = self.net_.module_, job.moments.degrees_of_freedom or 1.0
        with as_if_alone(inference=True):
            rows = (x for _, x in self._batches(job.source))
            codes = module.turn_codes(rows, degrees, whiten=self.whiten, world=job.source.world)
        self.net_.world = ALONE
        if module.noise_variance is None:
            n_left = n_left_out(job.moments, self.n_components_)
            variance = codes.squares / (degrees * n_left) if n_left > 0 else 0.0
        else:
            variance = module.noise_variance.item()
        self.noise_variance_ = variance * self.scale_**2
        self.n_samples_ = job.n_counted
        self._tell_variances(codes.explained, job.moments)
        self._code_mean = codes.mean
        self._diagnose(codes.variances)

    def _tell_variances(self, explained: Array, moments: Moments) -> None:
        """Set what is told of the codes' variances, and of their share of the rows'."""
        self.explained_variance_ = explained
        self.explained_variance_ratio_ = explained / (moments.total_variance or 1.0)
