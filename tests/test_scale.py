"""Rows of extreme scales, and codes of extreme sizes."""

import sys
from contextlib import contextmanager

import numpy as np
import pytest

from skae import AutoEncoder, VariationalAutoEncoder


@pytest.mark.parametrize("estimator", [AutoEncoder, VariationalAutoEncoder])
@pytest.mark.parametrize("factor", [1e-170, 1e-200, 1e-300])
def test_a_scale_whose_square_vanishes_is_refused_in_words(factor, estimator, digits):
    with pytest.raises(ValueError, match="scale"):
        estimator(2, max_iter=3).fit(factor * digits[:100])


@pytest.mark.parametrize("factor", [1e-170, 1e-200])
def test_constant_rows_of_any_size_are_still_constant_rows(factor):
    model = AutoEncoder(2, max_iter=3, early_stopping=False, random_state=0)
    assert model.fit(np.full((30, 3), factor)).scale_ == 1


@pytest.mark.parametrize("loss", ["squared_error", "huber", "absolute_error"])
@pytest.mark.parametrize("factor", [1e-25, 1, 1e19, 1e25])
def test_scores_of_rows_of_any_scale_are_their_errors(factor, loss, digits):
    X = factor * digits[:300]
    model = AutoEncoder(3, loss=loss, early_stopping=False, max_iter=5, random_state=0).fit(X)
    assert model.best_iter_ > 0
    scores = model.score_samples(X)
    assert scores.dtype == (np.float32 if factor == 1 else np.float64)
    X_hat = model.inverse_transform(model.transform(X)).astype(np.float64)
    errors, scale = np.abs(X_hat - X), model.scale_
    if loss == "squared_error":
        expected = np.square(errors)
    elif loss == "huber":
        expected = np.where(errors < scale, errors**2 / 2, scale * (errors - scale / 2))
    else:
        expected = errors
    np.testing.assert_allclose(scores, -expected.sum(axis=1), rtol=1e-3)


@contextmanager
def little_memory():
    """Let this process have 2 GB more than it has, so that a failure costs no other process."""
    if sys.platform != "linux":
        yield
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm") as file:
        size = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + 2 * 10**9, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@pytest.mark.parametrize("init", ["pca", "random"])
def test_a_code_that_no_memory_holds_is_refused_by_name(init):
    X = np.random.default_rng(0).normal(size=(20, 20_000))
    with little_memory(), pytest.raises(ValueError, match="n_components"):
        AutoEncoder(30_000, init=init, max_iter=1, early_stopping=False).fit(X)
