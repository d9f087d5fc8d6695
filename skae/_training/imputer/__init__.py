"""A network that fills missing values, on top of a Gaussian."""
