import pytest
import torch
from sklearn.datasets import load_digits


@pytest.fixture(scope="session")
def digits():
    """1,797 images of 64 pixels from 0 to 1: REFERENCES give PCA's errors on these."""
    return load_digits().data / 16


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    # The networks of the tests are too small for more, and pytest-xdist has the cores.
    torch.set_num_threads(1)
