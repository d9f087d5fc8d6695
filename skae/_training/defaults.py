"""What "auto" stands for. Chosen by measurement: see benchmarks/README.md."""

import math

AUTO_BATCH_SIZE = 128
# Tables of up to so many training rows get so many optimizer steps.
AUTO_STEPS = ((1000, 1000), (2000, 1500), (10_000, 2000), (math.inf, 4000))
# A part of data that come in parts is passed over so often that it gets so many steps, but no
# more often than so.
PART_STEPS, MOST_PASSES = 128, 10
# Tables of up to so many training rows are trained with noise, and so much of it.
AUTO_NOISE, NOISY_ROWS = 0.5, 10_000
# Codes of up to so many numbers, from more than so many rows, come from the deep network.
FEW_COMPONENTS, FEW_ROWS = 3, 1000
# Tables of many rows and features, such as images, get the wide network.
MANY_ROWS, MANY_FEATURES = 10_000, 256
SHALLOW, DEEP, WIDE = (128, 128), (192, 96, 96), (512, 256)
# Channels of convolutions.
CHANNELS = (16, 32)
# Networks with layers wider than this learn at the lower rate, and remember gradients longer.
NARROW = 256
AUTO_RATE, WIDE_RATE = 7e-3, 5e-3
# Methods that draw codes learn at half of that as soon as a layer or X is wider than NARROW.
DRAWN_RATE = 2.5e-3
AUTO_BETAS, WIDE_BETAS = (0.9, 0.95), (0.9, 0.999)


def auto_sizes(n_rows: int, n_features: int, n_components: int) -> tuple[int, ...]:
    """Return the widths of hidden layers that suit a table of this shape and its code."""
    if n_rows >= MANY_ROWS and n_features >= MANY_FEATURES:
        return WIDE
    return DEEP if n_components <= FEW_COMPONENTS and n_rows > FEW_ROWS else SHALLOW


def auto_batch_size(n_rows: int, n_processes: int) -> int:
    """Return how many rows of all processes a step has.

    More processes get larger batches as far as a fit still has as many steps as suit its rows:
    then nothing is lost, and each process has as many rows of a step as one alone. With fewer
    steps a fit would be worse.
    """
    most_steps = next(steps for most, steps in AUTO_STEPS if n_rows <= most)
    return int(min(AUTO_BATCH_SIZE * n_processes, max(AUTO_BATCH_SIZE, n_rows // most_steps)))


def auto_epochs(n_rows: int, n_batches: int) -> int:
    """Return how many epochs make as many steps as suit so many rows."""
    return math.ceil(next(steps for most, steps in AUTO_STEPS if n_rows <= most) / n_batches)


def stream_epochs(n_batches: int) -> int:
    """Return how many passes to make over a part of data that come in parts."""
    return min(MOST_PASSES, math.ceil(PART_STEPS / n_batches))


def auto_patience(n_epochs: int) -> int:
    """Return after how many epochs without progress to stop: the rate is high in the first half."""
    return max(20, math.ceil(n_epochs / 2))


def auto_rate(
    hidden_layer_sizes: tuple[int, ...], n_features: int, *, draws_codes: bool
) -> tuple[float, tuple[float, float]]:
    """Return the highest learning rate that suits a network, and AdamW's betas."""
    if draws_codes and max((n_features, *hidden_layer_sizes)) > NARROW:
        return DRAWN_RATE, WIDE_BETAS
    if max(hidden_layer_sizes, default=0) <= NARROW:
        return AUTO_RATE, AUTO_BETAS
    return WIDE_RATE, WIDE_BETAS


def auto_noise(n_rows: int, n_components: int) -> float:
    """Return how much residual noise suits a training on so many rows.

    A code of many numbers can express the noise, and then learns it.
    """
    return AUTO_NOISE * min(1, FEW_COMPONENTS / n_components) if n_rows <= NOISY_ROWS else 0.0
