"""The examples for clusters do what they say, each where its engine is installed."""

import re
import sys
from importlib.util import find_spec

import pytest
from processes import run_command

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
# The package that an example needs, and the command that runs it on a small table.
EXAMPLES = {
    "torch": [*TORCHRUN, "examples/distributed_torchrun.py", "--rows", "1000"],
    "distributed": [sys.executable, "examples/distributed_dask.py", "--gigabytes", "0.2"],
    "ray": [sys.executable, "examples/distributed_ray.py", "--rows", "500"],
}


@pytest.mark.parametrize("package", EXAMPLES)
def test_processes_of_an_example_fit_one_model_that_is_better_than_pca(package):
    if not find_spec(package):  # importing it would change this process
        pytest.skip(f"{package} is not installed")
    printed = run_command(EXAMPLES[package], timeout=180)
    share, of_pca = re.search(r"explained: (\S+), by PCA (\S+)", printed).groups()
    assert float(share) > float(of_pca) + 0.03
