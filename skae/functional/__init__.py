"""The formulas: pure functions of tensors.

Every loss is summed over features and given per row, shape ``(n_rows,)``: a mean over
features would make any penalty beside it dominate, and the rows are what the PCA floor
compares.
"""

from skae.functional._distributions import (
    bernoulli_kl,
    bernoulli_log_likelihood,
    gaussian_kl,
    gaussian_log_likelihood,
    poisson_log_likelihood,
    standard_normal_kl,
    standard_normal_log_density,
)
from skae.functional._losses import (
    absolute_error,
    binary_cross_entropy,
    huber,
    poisson,
    squared_error,
)
from skae.functional._mmd import kernel_sums, mmd, mmd_by_row
from skae.functional._outliers import (
    conformal_p_values,
    hotelling_t2,
    outlier_distance,
)
from skae.functional._statistics import (
    extremes,
    linearly_explained,
    own_axes,
    principal_axes,
)

__all__ = [
    "absolute_error",
    "bernoulli_kl",
    "bernoulli_log_likelihood",
    "binary_cross_entropy",
    "conformal_p_values",
    "extremes",
    "gaussian_kl",
    "gaussian_log_likelihood",
    "hotelling_t2",
    "huber",
    "kernel_sums",
    "linearly_explained",
    "mmd",
    "mmd_by_row",
    "outlier_distance",
    "own_axes",
    "poisson",
    "poisson_log_likelihood",
    "principal_axes",
    "squared_error",
    "standard_normal_kl",
    "standard_normal_log_density",
]
