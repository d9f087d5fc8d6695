"""How tests compare what models say."""

import numpy as np
import torch


def assert_close(values, wanted, tolerance=1e-5):
    """Assert that values differ by no more than a share of the largest that is wanted."""
    if isinstance(values, torch.Tensor):
        values = values.detach().numpy()
    np.testing.assert_allclose(values, wanted, rtol=0, atol=tolerance * np.abs(wanted).max())


def results(model, X):
    """Return all that a fitted model says of rows, and what it draws."""
    codes = model.transform(X)
    found = [codes, model.inverse_transform(codes), model.score_samples(X), model.score(X)]
    if hasattr(model, "sample"):
        found += [model.sample(4, random_state=0), model.sample_codes(4, random_state=0)]
    if hasattr(model, "posterior"):
        with_holes = X.copy()
        with_holes[::2, 0] = np.nan
        found += [*model.posterior(X), model.score_samples(X, 10)]
        found.append(model.impute(with_holes, n_importance_samples=5))
        found.append(model.get_covariance())
    if hasattr(model, "sample") and model.net_.module_.loss.is_likelihood:
        found.append(model.sample(4, random_state=0, noise=True))
    return [*found, model.components_at(X[:20]), model.cumulative_explained_variance(X[:20])]


def assert_same(actual, expected):
    """Assert that two lists of arrays have the same bits."""
    for one, other in zip(actual, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def assert_finite(model, X):
    """Assert that all that a model says of rows is finite."""
    for each in results(model, X):
        assert np.isfinite(each).all()


def without_times(history):
    return [{name: v for name, v in row.items() if name != "dur"} for row in history]


def assert_same_bits(one, other, X):
    """Assert that two models say the same of rows, and of their fits."""
    assert_same(results(other, X), results(one, X))
    assert without_times(other.net_.history) == without_times(one.net_.history)
    for name in ("loss_curve_", "validation_scores_", "best_iter_", "noise_variance_", "scale_"):
        assert getattr(other, name) == getattr(one, name), name
