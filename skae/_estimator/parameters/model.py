"""The constructor parameters that say what the model is."""

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass

from torch import Tensor, nn

from skae._estimator.parameters.rules import (
    Rule,
    boolean,
    image_shape_rule,
    integer,
    network_maker,
    options,
    parameter,
    real,
    sizes,
    takes,
)
from skae._model.losses import LOSSES
from skae._model.networks.mlp import ACTIVATIONS
from skae._training.defaults import (
    CHANNELS,
    DEEP,
    FEW_COMPONENTS,
    FEW_ROWS,
    MANY_FEATURES,
    MANY_ROWS,
    SHALLOW,
    WIDE,
)


@dataclass(eq=False, repr=False)
class ModelParameters:
    """What a model is: its code, its loss, its networks, and where they start."""

    n_components: int | float | None = parameter(
        0.95,
        integer(1) | real(0, 1, "(]") | options(None),
        """
        Size of the code. A float below 1 is a share of variance: the fewest components with which
        PCA keeps that share, as in :class:`sklearn.decomposition.PCA`. None and 1.0 are all
        components that PCA has, min(n_samples, n_features). A share keeps PCA's count, with which
        PCA keeps nearly all, so that there is little to gain: 0.95 makes the default safe, not
        small. For a smaller code pass an int, which you know, search with ``GridSearchCV``, or
        get from ``skae.select_n_components``. An int may exceed the number of features.
        """,
    )
    _: KW_ONLY
    loss: str | Callable[[Tensor, Tensor], Tensor] = parameter(
        "squared_error",
        options(*LOSSES)
        | Rule(
            "callable (x, x_hat) -> losses of the rows",
            lambda value: takes(value, 2) and not isinstance(value, type),
        ),
        """
        What a reconstruction costs: "squared_error" for real data; "absolute_error" or "huber"
        (squared up to an error of ``scale_``, linear beyond) for real data with outliers;
        "binary_cross_entropy" for data in [0, 1], of which reconstructions are probabilities;
        "poisson" for counts, of which they are rates; or a function of two tensors of shape
        (n_rows, n_features) in X's units that gives a tensor of shape (n_rows,), each row's loss
        summed over features. Under binary cross-entropy and Poisson PCA is no reconstruction:
        training starts at PCA's codes with the best linear decoder for the loss.
        """,
    )
    hidden_layer_sizes: tuple[int, ...] | int | str = parameter(
        "auto",
        sizes | integer(1) | options("auto"),
        f"""
        Widths of the encoder's hidden layers; the decoder has the same in reverse. 64 is (64,).
        ``()`` gives the linear autoencoder. "auto" is {SHALLOW}; {DEEP} where the code has up
        to {FEW_COMPONENTS} numbers and X more than {FEW_ROWS:,} rows; {WIDE} for {MANY_ROWS:,}
        rows or more of {MANY_FEATURES} features or more, such as images. Widen for these where
        there is time, as in (1024, 256). With ``image_shape`` these are the channels of
        convolutions, each of which halves the image; "auto" is then {CHANNELS}.
        """,
    )
    activation: str | type[nn.Module] = parameter(
        "silu",
        options(*ACTIVATIONS)
        | Rule(
            "a class of torch.nn.Module",
            lambda value: isinstance(value, type) and issubclass(value, nn.Module),
        ),
        """
        Nonlinearity of the hidden layers. A class is built without arguments, and trains at the
        pace of autograd.
        """,
    )
    tied_weights: bool = parameter(
        False,
        boolean,
        """
        Whether each layer of the decoder has the transpose of its twin's weight in the encoder,
        and a bias of its own: half as many weights. For dense networks. Set it when rows are few.
        """,
    )
    image_shape: tuple[int, ...] | None = parameter(
        None,
        image_shape_rule,
        """
        Shape of the images that rows are, flattened in C order, as by ``X.reshape(len(X), -1)``:
        encoder and decoder are then convolutional. Set it for images, where it pays from some
        thousand rows on.
        """,
    )
    encoder: Callable[[int, int], nn.Module] | None = parameter(
        None,
        network_maker,
        """
        Builds the encoder's network in place of the above, given the numbers of inputs and
        outputs. It maps a tensor (n_rows, n_inputs) to (n_rows, n_outputs). Its outputs, times a
        gate that starts at zero, are added to PCA's projection; with ``init="random"`` they are
        the code. ``fit`` trains a copy. Layers that draw at random draw from ``random_state``;
        torch.nn.Dropout is the fastest of these.
        """,
    )
    decoder: Callable[[int, int], nn.Module] | None = parameter(
        None,
        network_maker,
        """As ``encoder``, from codes to features.""",
    )
    init: str = parameter(
        "pca",
        options("pca", "random"),
        """
        "pca" starts at PCA, plus a network whose part is zero, and falls back to it when
        training brings no improvement. "random" is the plain network from random weights,
        for comparison: it gives no promise.
        """,
    )
    whiten: bool = parameter(
        False,
        boolean,
        """Whether codes are scaled to unit variance. As in PCA.""",
    )
