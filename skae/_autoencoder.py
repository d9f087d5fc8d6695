"""The plain autoencoder."""

from torch import Tensor

from skae._estimator.fit import BaseAutoEncoder
from skae._estimator.parameters.rules import estimator
from skae._model.module import AutoEncoderModule


class PlainModule(AutoEncoderModule):
    """min over encoder f and decoder g of the mean over rows of L(x, g(f(x)))."""

    is_isotropic = True

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Reconstruct ``x``; see :meth:`AutoEncoderModule.forward`."""
        output = self.decoder(self.encoder(x))
        return output, {"reconstruction": self.loss(x, output)}


@estimator
class AutoEncoder(BaseAutoEncoder):
    r"""Autoencoder that starts at PCA and is used where PCA is.

    An encoder f and a decoder g are trained to minimise, over the training rows x,

    .. math:: \frac{1}{n} \sum_x L(x, g(f(x)))

    where L is the loss, by default ½‖g(f(x)) − x‖², f(x) = Px + network(x) and g(z) = Pᵀz +
    network(z). P are PCA's components, and both networks start at zero. Some rows do not train
    but validate: after every epoch the loss is computed on them. The weights of the best epoch
    stay if they beat PCA on the validation rows beyond chance; otherwise the result is PCA of
    all rows. Once fitted, the networks see their inputs clipped to the range they had in
    training, so that far from it the model goes on as PCA does.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    {attributes}

    See Also
    --------
    sklearn.decomposition.PCA : What it starts from, and all there is without a network.

    Notes
    -----
    With ``hidden_layer_sizes=()`` this is the linear autoencoder, whose optimum spans
    PCA's subspace [2]_. Codes have PCA's geometry in every case: after training they are
    rotated, which changes no reconstruction, so that they are uncorrelated, ordered by variance
    and fixed in sign.

    Computation and output are in ``dtype``.

    References
    ----------
    .. [1] Hinton, G. E. and Salakhutdinov, R. R., "Reducing the dimensionality of data with
       neural networks", Science 313, 2006.
    .. [2] Baldi, P. and Hornik, K., "Neural networks and principal component analysis:
       learning from examples without local minima", Neural Networks 2, 1989.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skae import AutoEncoder
    >>> X, _ = load_digits(return_X_y=True)
    >>> autoencoder = AutoEncoder(8, max_iter=20, random_state=0).fit(X)
    >>> autoencoder.transform(X).shape
    (1797, 8)
    >>> autoencoder.best_validation_score_ > autoencoder.pca_score_
    True
    """

    _module = PlainModule
