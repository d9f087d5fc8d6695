"""The constructor parameters that every autoencoder has."""

import math
import os
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import numpy as np

from skae._data.split import AUTO_VALIDATION, MAX_VALIDATION, MIN_VALIDATION
from skae._estimator.parameters.attributes import ATTRIBUTES
from skae._estimator.parameters.model import ModelParameters
from skae._estimator.parameters.rules import (
    Rule,
    boolean,
    integer,
    options,
    parameter,
    random_state_rule,
    real,
)
from skae._training.defaults import (
    AUTO_BATCH_SIZE,
    AUTO_NOISE,
    AUTO_RATE,
    AUTO_STEPS,
    DRAWN_RATE,
    FEW_COMPONENTS,
    MOST_PASSES,
    NARROW,
    NOISY_ROWS,
    PART_STEPS,
    WIDE_RATE,
)
from skae._training.outside.callbacks import is_callback
from skae._training.resume.disk import COPY_SHARE, WRITE_SHARE


@dataclass(eq=False, repr=False)
class SharedParameters(ModelParameters):
    """Parameters of every autoencoder, in the order in which ``help`` lists them."""

    _: KW_ONLY
    max_iter: int | str = parameter(
        "auto",
        integer(1) | options("auto"),
        f"""
        Number of epochs. "auto" takes as many as make {AUTO_STEPS[0][1]} optimizer steps for
        up to {AUTO_STEPS[0][0]:,} training rows, {AUTO_STEPS[1][1]} for up to
        {AUTO_STEPS[1][0]:,}, {AUTO_STEPS[2][1]} for up to {AUTO_STEPS[2][0]:,} and
        {AUTO_STEPS[3][1]} for more. Raise it for large tables, when there is time. In
        ``partial_fit`` it is the number of passes over a part, of which "auto" makes
        {PART_STEPS} steps, but no more than {MOST_PASSES} passes.
        """,
    )
    batch_size: int | str = parameter(
        "auto",
        integer(1) | options("auto"),
        f"""Rows in a step, at most, of all processes. "auto" is {AUTO_BATCH_SIZE} for one.""",
    )
    learning_rate: str = parameter(
        "one_cycle",
        options("one_cycle", "constant"),
        """
        Course of the learning rate: "one_cycle" rises to ``learning_rate_init`` in the
        first 30 % of the training and falls to nothing by its end; "constant" leaves it,
        as a scheduler among ``callbacks`` needs.
        """,
    )
    learning_rate_init: float | str = parameter(
        "auto",
        real(0, math.inf, "()") | options("auto"),
        f"""
        Highest learning rate of the AdamW optimizer. "auto" is {AUTO_RATE:g}, and {WIDE_RATE:g}
        for networks with a hidden layer of more than {NARROW}; {DRAWN_RATE:g} for these, and for X
        of more than {NARROW} features, where the method draws codes. Lower it when a
        ``ConvergenceWarning`` says that the loss was not finite.
        """,
    )
    residual_noise: float | str = parameter(
        "auto",
        real(0, 1, "[)") | options("auto"),
        f"""
        How much of the residual x − x̂ of another row is added to each row in training, so
        that the encoder learns to project rows it has not seen. "auto" is {AUTO_NOISE} for
        codes of up to {FEW_COMPONENTS} numbers, falls as 1/n_components beyond, and is 0 for
        more than {NOISY_ROWS:,} training rows, for binary cross-entropy and Poisson, which take
        no such rows, and where the method has noise of its own. Raise it towards 1 when new
        rows are reconstructed much worse than the training rows. The losses of training are
        those of the rows with the noise.
        """,
    )
    weight_decay: float = parameter(
        0.01,
        real(0, math.inf, "[)"),
        """
        Decoupled weight decay of the weights that are trained; biases are spared. Raise it
        when rows are few.
        """,
    )
    dtype: str = parameter(
        "float32",
        options("float32", "float64"),
        """
        Number format of weights, computation and results. Take "float64" for the digits, as
        in comparisons with other software: it takes twice the memory and the time.
        """,
    )
    precision: str = parameter(
        "auto",
        options("auto", "float32", "bfloat16"),
        """
        Number format in which the networks are trained; the weights, PCA's part and all use
        of a fitted model are in ``dtype``. "auto" is bfloat16 where the hardware gains from it
        (a CPU with AMX or AVX-512 BF16, a GPU from Ampere on) and the network is large enough;
        otherwise, and with ``dtype="float64"``, it is ``dtype``.
        """,
    )
    early_stopping: bool = parameter(
        True,
        boolean,
        """
        Whether some rows validate the training and do not train. With False all rows train,
        and the weights of the epoch with the lowest loss on them stay if that is lower than
        PCA's, which says nothing of new rows. Up to 1,000 of the rows are compared, in evaluation
        mode.
        """,
    )
    validation_fraction: float | str = parameter(
        "auto",
        real(0, 1, "()") | options("auto"),
        f"""
        Share of the rows that validates. "auto" is a tenth, but no more than {MAX_VALIDATION:,}
        rows; on small tables {AUTO_VALIDATION} rows, but no more than a quarter, and
        {MIN_VALIDATION}, but no more than half.
        Fewer than {MIN_VALIDATION} rows show no improvement beyond chance, so all train:
        ``init="pca"`` then stays at PCA, with a warning, and ``init="random"`` trains as without
        early stopping. Equal rows, and the rows of a group passed to ``fit``, count as one.
        Validation rows are drawn at random and stand for new rows; where new rows are
        unlike all of X, as in the next month of a series, hold the last rows out yourself, and
        compare ``score`` there with that of ``PCA``.
        """,
    )
    n_iter_no_change: int | str = parameter(
        "auto",
        integer(1) | options("auto"),
        """
        Epochs without progress after which training stops. "auto" is half of the epochs
        and 20 at least, for the loss may rise while the learning rate is high; it also stops a
        training whose loss on the validation rows has been above PCA's for a twentieth of the
        epochs, 20 at least, and does not fall. Give a number where losses rise before they fall.
        """,
    )
    tol: float = parameter(
        1e-4,
        real(0, 1, "[)"),
        """Part of the lowest loss by which a loss must fall below it to be progress.""",
    )
    warm_start: bool = parameter(
        False,
        boolean,
        """
        Whether ``fit`` goes on from the weights of the last fit, where their loss is lower than
        PCA's. Set it before the first fit. Rows that have trained the weights do not validate what
        comes of them; where too few rows are new to the weights, training starts anew at PCA,
        with a warning. To know these rows the model keeps eight bytes of each. Centre, scale and
        the size of the code stay those of the last fit. Rows more than 10 scales away, or of
        more than 10 times or less than a tenth of the scale, are fitted from PCA in units of
        their own.
        """,
    )
    random_state: int | np.random.RandomState | None = parameter(
        None,
        random_state_rule,
        """
        Source of every random draw: weights, validation rows, the order of rows. None draws
        from the operating system; NumPy's global state is left alone.
        """,
    )
    device: str = parameter(
        "auto",
        Rule("str, a torch device or 'auto'", lambda value: isinstance(value, str)),
        """Where to compute. "auto" is CUDA where there is one, otherwise the CPU.""",
    )
    callbacks: list[Any] | None = parameter(
        None,
        Rule(
            "list of skorch callbacks or (name, callback), or None",
            lambda value: (
                value is None or (isinstance(value, list) and all(map(is_callback, value)))
            ),
        ),
        """
        skorch callbacks, alone or as (name, callback). ``fit`` works on deep copies, which it
        leaves in ``net_.callbacks_``. An object of another class may have one hook only, such as
        ``on_epoch_end(net, **kwargs)``. Where X has 256 features, and more than twice as many as
        rows, what they see of rows and networks is in coordinates of the space that the rows span.
        """,
    )
    checkpoint: str | os.PathLike[str] | None = parameter(
        None,
        Rule(
            "path of a folder or None",
            lambda value: (
                value is None or (isinstance(value, str | os.PathLike) and bool(os.fspath(value)))
            ),
        ),
        f"""
        Folder in which ``fit`` keeps where the training stands. A fit that was killed, and is
        started again with the same parameters and rows, goes on from there and ends with the bits
        of one that was not. Checkpoints are written at the end of epochs, as often as takes
        {COPY_SHARE + WRITE_SHARE:.0%} of the time. Each fit has a file of its own, so
        that the fits of a search may share a folder; a search that was killed repeats no fit
        that had ended, unless ``random_state`` is None. A file of other parameters or rows is
        not used, and a warning names the difference. The files are yours to delete. ``partial_fit``
        keeps none: save the model between its calls. Set it when a fit takes minutes.
        """,
    )
    max_time: float | None = parameter(
        None,
        real(0, math.inf, "()") | options(None),
        """
        Seconds after which the training of a ``fit``, or of a call of ``partial_fit``, ends, and
        leaves the best weights so far; the choice of these, and one pass over the rows, follow. The
        seconds count from the beginning of the call: filling missing values takes of them, and is
        not cut short. The learning rate falls within that time, so that the end is nearly as good
        as that of a training of as many epochs. The result depends on the speed of the machine.
        None sets no limit.
        """,
    )
    keep_interrupted: bool = parameter(
        False,
        boolean,
        """
        Whether Ctrl-C ends the training only: ``fit`` then returns with the best weights so far,
        and a warning. A second Ctrl-C raises ``KeyboardInterrupt``, as the first does where this is
        False: the estimator then is as it was before. Set it where you watch a single fit, and not
        in a search, where Ctrl-C is to end all fits.
        """,
    )
    verbose: int | bool = parameter(
        0,
        integer(0) | boolean,
        """
        1 prints a line an epoch: losses, the score of the validation rows and PCA's, whether these
        are the best weights so far, and the time. In a terminal or a notebook it shows a bar
        in their place where rich is installed; 2 prints lines there too. 0 prints nothing.
        """,
    )

    _attributes: ClassVar[str] = ATTRIBUTES
