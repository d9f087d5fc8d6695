"""What the documentation shows works."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("page", ["docs/new_autoencoder.md", "docs/compare_with_pca.md"])
def test_the_code_of_a_page_runs(page):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), flags=re.DOTALL)
    assert blocks
    assert len(blocks[0].splitlines()) <= 45
    namespace = {"__name__": "page"}
    for block in blocks:
        exec(compile(block, page, "exec"), namespace)
