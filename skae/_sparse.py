"""The sparse autoencoder."""

from typing import Any, ClassVar

from torch import Tensor

from skae._data.batch import mean_over_rows
from skae._estimator.fit import BaseAutoEncoder
from skae._estimator.parameters.rules import estimator, options, parameter, real
from skae._model.codes import OwnAxes
from skae._model.module import AutoEncoderModule
from skae.functional import bernoulli_kl


class SparseModule(AutoEncoderModule):
    """min over f and g of the mean of L(x, g(z)) + α Ω(z), z = f(x)."""

    is_isotropic = True

    axes = OwnAxes()

    def __init__(self, *parts: Any, penalty: str, alpha: float, target_activation: float) -> None:
        super().__init__(*parts)
        self.penalty, self.alpha, self.target_activation = penalty, alpha, target_activation

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Reconstruct ``x`` from a code that is mostly near zero."""
        z = self.encoder(x)
        output = self.decoder(z)
        if self.penalty == "l1":
            sparsity = z.abs().sum(dim=1)
        else:
            activations = mean_over_rows(z.abs().tanh())
            sparsity = bernoulli_kl(self.target_activation, activations).sum()
        return output, {"reconstruction": self.loss(x, output), "sparsity": self.alpha * sparsity}


@estimator
class SparseAutoEncoder(BaseAutoEncoder):
    r"""Autoencoder of whose code few numbers at a time are far from zero.

    It is trained to minimise, over the training rows x with codes z = f(x),

    .. math:: \frac{1}{n} \sum_x L(x, g(z)) + \alpha\, \Omega(z)

    where L is the loss and Ω is either the L1 norm, ``Ω(z) = Σⱼ |zⱼ|``, or, over the rows of a
    batch, Ω = Σⱼ KL(ρ ‖ ρ̂ⱼ) of Bernoulli distributions, with ρ̂ⱼ the mean of ``tanh |zⱼ|`` and ρ the
    ``target_activation``. Training starts at PCA's codes of unit variance, in whose units α is;
    with ``tied_weights=True`` at codes in units of ``scale_``.

    Codes keep their own axes, because a rotation would undo what the penalty does: they are
    ordered by variance and fixed in sign, but neither centred nor uncorrelated. The result is no
    worse than PCA in the sum that is minimised, the penalty included.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    {attributes}

    See Also
    --------
    sklearn.decomposition.SparsePCA : Sparse loadings; here it is the codes that are sparse.

    Notes
    -----
    Ng's hidden units are sigmoids, at rest at 0. These codes are real numbers, at rest at 0, and
    PCA is among their encoders; ``tanh |z|`` is what takes the place of the activation.

    References
    ----------
    .. [1] Ng, A., "Sparse autoencoder", CS294A lecture notes, Stanford, 2011.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skae import SparseAutoEncoder
    >>> X, _ = load_digits(return_X_y=True)
    >>> model = SparseAutoEncoder(16, max_iter=20, random_state=0).fit(X)
    >>> history = model.net_.history
    >>> history[-1, "train_sparsity"] < history[0, "train_sparsity"]
    True
    >>> model.best_validation_score_ > model.pca_score_
    True
    """

    _module: ClassVar[type[AutoEncoderModule]] = SparseModule

    penalty: str = parameter(
        "l1",
        options("l1", "kl"),
        """
        "l1" draws every number towards zero; "kl" asks that each be active in a share
        ``target_activation`` of the rows, so that none is lost.
        """,
    )
    alpha: float = parameter(
        0.1,
        real(0, 1e6),
        """
        Weight of the penalty, against a loss that is summed over features in units of
        ``scale_``. Raise it for sparser codes at the price of reconstruction.
        """,
    )
    target_activation: float = parameter(
        0.1,
        real(0, 1, "()"),
        """ρ, for "kl": how active a number of the code is to be on average.""",
    )
