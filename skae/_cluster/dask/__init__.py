"""Dask: fits on the workers that hold the rows, and lazy results by partition.

Nothing here imports Dask before it is needed: where a collection is, Dask is imported already.
"""
