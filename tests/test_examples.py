"""Examples run; those for clusters do what they say, each where its engine is installed."""

import ast
import re
import runpy
import sys
from importlib.util import find_spec
from math import inf
from pathlib import Path

import pytest
from processes import run_command
from sklearn.datasets import load_digits

FOLDER = Path(__file__).parent.parent / "examples"
PLOTS = sorted(path.name for path in FOLDER.glob("plot_*.py"))
DEMO = "plot_pca_vs_autoencoder.py"  # `make demo`, which has options
# What an example needs beside matplotlib and what skae needs.
NEEDS = {
    "plot_deploy.py": ("onnx", "onnxruntime"),
    "plot_displays.py": ("pandas",),
    "plot_outliers_ecg.py": ("pandas",),
    "plot_outliers_table.py": ("pandas",),
    "plot_pipeline.py": ("pandas",),
    "plot_tracking.py": ("pandas",),
}
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
# The package that an example needs, and the command that runs it on a small table.
EXAMPLES = {
    "torch": [*TORCHRUN, "examples/distributed_torchrun.py", "--rows", "1000"],
    "distributed": [sys.executable, "examples/distributed_dask.py", "--gigabytes", "0.2"],
    "ray": [sys.executable, "examples/distributed_ray.py", "--rows", "500"],
}


def load_few_digits(*, return_X_y=False):
    digits = load_digits()
    digits.data, digits.target = digits.data[:400], digits.target[:400]
    return (digits.data, digits.target) if return_X_y else digits


@pytest.fixture
def plt(monkeypatch):
    """Return matplotlib.pyplot, which shows nothing, and leave no figure behind."""
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    plt = pytest.importorskip("matplotlib.pyplot")
    monkeypatch.setattr(plt, "show", lambda: None)
    yield plt
    plt.close("all")


@pytest.mark.parametrize("name", PLOTS)
def test_an_example_of_the_gallery_runs_and_draws(name, plt, monkeypatch, tmp_path):
    missing = [package for package in NEEDS.get(name, ()) if not find_spec(package)]
    if missing:
        pytest.skip(f"{', '.join(missing)} is not installed")
    # Few digits and steps: what the examples say of their numbers is not tested here.
    monkeypatch.setattr("sklearn.datasets.load_digits", load_few_digits)
    monkeypatch.setattr("skae._training.defaults.AUTO_STEPS", ((inf, 30),))
    monkeypatch.setattr("skae._training.defaults.PART_STEPS", 1)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [name])
    runpy.run_path(str(FOLDER / name), run_name="__main__")
    assert plt.get_fignums()


@pytest.mark.parametrize("name", PLOTS)
def test_an_example_of_the_gallery_is_a_short_answer_to_a_question(name):
    source = (FOLDER / name).read_text()
    title, line, *_ = ast.get_docstring(ast.parse(source)).splitlines()
    assert title.endswith("?")
    assert line == "=" * len(title)
    most = 100 if name == DEMO else 60
    assert len(source.splitlines()) < most
    assert f"``{name}``" in (FOLDER / "README.rst").read_text()


@pytest.mark.parametrize("package", EXAMPLES)
def test_processes_of_an_example_fit_one_model_that_is_better_than_pca(package):
    if not find_spec(package):  # importing it would change this process
        pytest.skip(f"{package} is not installed")
    printed = run_command(EXAMPLES[package], timeout=180)
    share, of_pca = re.search(r"explained: (\S+), by PCA (\S+)", printed).groups()
    assert float(share) > float(of_pca) + 0.03
