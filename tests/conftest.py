import numpy as np
import pytest
import torch
from estimators import fit_trained, make_spots
from sklearn.datasets import load_digits
from threadpoolctl import threadpool_limits


@pytest.fixture(scope="session")
def digits():
    """1,797 images of 64 pixels from 0 to 1: REFERENCES give PCA's errors on these."""
    return load_digits().data / 16


@pytest.fixture(scope="session")
def spots():
    """240 images of 64 pixels from 0 to 1, on which networks soon beat PCA."""
    return make_spots()


@pytest.fixture(scope="session")
def trained(spots):
    """A function that fits an estimator to spots, once for all tests, and asserts that it trained.

    A test that changes the fitted estimator takes a deep copy.
    """
    fits = {}

    def fit(estimator):
        name = repr(estimator)
        if name not in fits:
            model = fit_trained(estimator, spots)
            fits[name] = model, model.transform(spots)
        return fits[name][0]

    yield fit
    for model, codes in fits.values():
        np.testing.assert_array_equal(model.transform(spots), codes, "a test changed a shared fit")


@pytest.fixture(autouse=True, scope="session")
def quick_filling():
    """Let networks that fill missing values take few steps: the tests ask whether, not how well."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("skae._training.imputer.filler.N_STEPS", 60)
        yield


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    # The tables of the tests are too small for more, and pytest-xdist has the cores. NumPy's and
    # SciPy's threads wait for each other in loops, which takes the time of other tests.
    torch.set_num_threads(1)
    with threadpool_limits(1, user_api="blas"):
        yield


@pytest.fixture
def every_epoch(monkeypatch):
    """Let each epoch have a checkpoint, whatever it costs."""
    monkeypatch.setattr("skae._training.resume.disk.COPY_SHARE", np.inf)
    monkeypatch.setattr("skae._training.resume.disk.WRITE_SHARE", np.inf)
