"""What the documentation shows works."""

import pkgutil
import re
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import joblib
import numpy as np
import pytest
from estimators import make_spots
from processes import run_command, run_script

import skae

ROOT = Path(__file__).parents[1]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def blocks_of(page):
    """Return the blocks of Python on a page."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), flags=re.DOTALL)
    assert blocks
    return blocks


PAGES = [
    "docs/compare_with_pca.md",
    "docs/first_steps.md",
    "docs/from_others.md",
    "docs/long_fits.md",
    "docs/new_autoencoder.md",
    "docs/out_of_python.md",
    "docs/outliers.md",
    "docs/reading_scores.md",
    "docs/real_data.md",
    "docs/reproducibility.md",
    "docs/saving.md",
    "docs/the_floor.md",
    "docs/watching_fits.md",
    "docs/which_estimator.md",
]


def block_with(text, page):
    """Return the only block of a page in which a text stands."""
    (block,) = [block for block in blocks_of(page) if text in block]
    return block


@pytest.mark.parametrize("page", PAGES)
def test_the_code_of_a_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = blocks_of(page)
    assert len(blocks[0].splitlines()) <= 45
    namespace = {"__name__": "page"}
    for block in blocks:
        exec(compile(block, page, "exec"), namespace)


def test_the_first_example_of_the_front_pages_runs(capsys):
    first = blocks_of("README.md")[0]
    assert first == blocks_of("docs/index.md")[0]
    exec(compile(first, "README.md", "exec"), {"__name__": "page"})
    shares, accuracy = capsys.readouterr().out.splitlines()
    of_pca, share = map(float, shares.split())
    assert share > of_pca
    assert float(accuracy) > 0.9


def public_modules():
    """Return the modules of skae that have public names."""
    names = (module.name for module in pkgutil.iter_modules(skae.__path__, "skae."))
    return ["skae", *(name for name in names if not name.split(".")[1].startswith("_"))]


def names_of_the_reference():
    """Return the names in the tables of the API reference, with their modules."""
    names, module = set(), None
    for line in (ROOT / "docs/api.rst").read_text().splitlines():
        if line.startswith(".. currentmodule:: "):
            module = line.split()[-1]
        elif re.fullmatch(r" {3}\w+", line):
            names.add((module, line.strip()))
    return names


@pytest.mark.parametrize("module", public_modules())
def test_the_api_reference_lists_all_public_names(module):
    listed = {name for where, name in names_of_the_reference() if where == module}
    assert listed == set(import_module(module).__all__)


def test_every_page_is_in_the_table_of_contents():
    listed = {"index"}
    for page in ("index", "user_guide"):
        for toctree in re.findall(
            r"```{toctree}\n(.*?)```", (ROOT / f"docs/{page}.md").read_text(), flags=re.DOTALL
        ):
            listed.update(re.findall(r"^(?:.*<)?([\w/]+)>?$", toctree, flags=re.MULTILINE))
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")}
    assert pages <= listed


SEARCH = "docs/grid_search_on_a_cluster.md"
MACHINES = "docs/many_machines.md"


@pytest.mark.parametrize("text", ["n_jobs=2", "from distributed import", "import ray"])
def test_each_search_of_the_page_runs(text):
    package = text.split()[1] if " " in text else "joblib"
    if not find_spec(package):  # importing it would change this process
        pytest.skip(f"{package} is not installed")
    blocks = [block_with("search = GridSearchCV", SEARCH), block_with(text, SEARCH)]
    report = "\nprint(search.best_params_, len(search.cv_results_['mean_test_score']))"
    assert run_script("".join(blocks) + report, timeout=180) == "{'ae__n_components': 8} 2\n"


def write_parts(folder):
    """Write the parts of a table that processes of a group read."""
    for part, rows in enumerate(np.split(make_spots(), 2)):
        np.save(folder / f"part-{part}.npy", rows)


def test_the_script_of_the_page_runs_in_processes(tmp_path):
    write_parts(tmp_path)
    (tmp_path / "fit.py").write_text(block_with("dist.get_rank()\n", MACHINES))
    run_command([*TORCHRUN, "fit.py"], timeout=180, cwd=tmp_path)
    assert joblib.load(tmp_path / "model.joblib").transform(make_spots()).shape == (240, 4)


def test_the_function_for_ray_is_that_of_the_example():
    assert block_with("ray.train", MACHINES) in (ROOT / "examples/distributed_ray.py").read_text()


def test_the_script_for_spark_runs(tmp_path):
    if not find_spec("pyspark"):
        pytest.skip("pyspark is not installed")
    write_parts(tmp_path)
    report = "\nprint(model.transform(np.zeros((3, 64))).shape)"
    (tmp_path / "fit.py").write_text(block_with("TorchDistributor", MACHINES) + report)
    run = [sys.executable, "fit.py"]
    printed = run_command(run, timeout=300, cwd=tmp_path, PYSPARK_PYTHON=sys.executable)
    assert "(3, 4)" in printed
