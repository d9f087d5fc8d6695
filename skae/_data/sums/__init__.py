"""Sums over the rows of a table, from which units and PCA are computed."""
