"""Tables of any kind as numbers: arrays, lists, tensors, frames; missing values become NaN."""

from skae._data.tables.read import to_numbers, with_names

__all__ = ["to_numbers", "with_names"]
