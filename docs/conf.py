"""How Sphinx builds the documentation: `make docs`."""

import os
import re
import sys
from pathlib import Path

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

# The examples of the gallery and the pages compute on small tables.
os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

import skae

project = "skae"
author = "The skae developers"
copyright = "The skae developers, BSD-3-Clause"
version = release = skae.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_parser",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build"]
templates_path = ["_templates"]

# Markdown: anchors of headings, so that pages link to each other's sections as on GitHub.
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 4

# The API reference. numpydoc makes the sections; a class's methods are listed by the template.
autosummary_generate = True
autodoc_typehints = "none"
toc_object_entries_show_parents = "hide"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

# Names of other libraries become links by the form of their addresses, without an inventory to
# download; what has no address of that form stays plain text (see `link_outside`).
nitpicky = True
# The same class as in skae.distributed, whose page is the one that is linked.
nitpick_ignore = [("py:obj", "skae.dask.ProcessLostError")]
OUTSIDE = {
    "sklearn": "https://scikit-learn.org/stable/modules/generated/{}.html",
    "numpy": "https://numpy.org/doc/stable/reference/generated/{}.html",
    "torch.nn": "https://docs.pytorch.org/docs/stable/generated/{}.html",
}
PLAIN = ("torch", "skorch", "dask", "distributed", "onnx", "skl2onnx", "scipy", "pandas")

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    # Only these are run: the others need a cluster or packages that skae does without.
    "filename_pattern": "/plot_",
    "within_subsection_order": "gallery_order.in_order_of_readme",
    "download_all_examples": False,
    "show_memory": False,
    "min_reported_time": 1,
    "doc_module": ("skae",),
    "backreferences_dir": "generated/backreferences",
}

html_math_renderer = "mathml"
html_theme = "pydata_sphinx_theme"
html_title = f"skae {release}"
html_static_path = ["_static"]
html_css_files = ["skae.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "show_prev_next": False,
    "navigation_with_keys": False,
    "header_links_before_dropdown": 6,
    "navbar_persistent": ["search-button"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
    "show_nav_level": 1,
}
html_sidebars = {page: [] for page in ("index", "new_autoencoder", "how_we_measure", "changelog")}


def link_outside(app, env, node, contnode):
    """Link a name of another library, or leave it as plain text; None for names of skae."""
    target = node.get("reftarget", "")
    for package, address in OUTSIDE.items():
        if target.startswith(package + ".") and node.get("reftype") in ("class", "func"):
            return nodes.reference("", "", contnode, refuri=address.format(target), internal=False)
    if target.split(".")[0] in (*OUTSIDE, *PLAIN):
        return contnode
    return None


def skip_inherited_of_sklearn(app, what, name, obj, skip, options):
    """Leave out what scikit-learn documents itself: `get_params`, `set_output` and the like."""
    return skip or str(getattr(obj, "__module__", "")).startswith(("sklearn.", "torch."))


def keep_underscores(app, what, name, obj, options, lines):
    """Let `n_components_` in the type of a parameter be text: docutils takes it for a link."""
    for i, line in enumerate(lines):
        if " of shape (" in line:
            lines[i] = re.sub(r"(\w_)(?=[,) +])", r"\1\\ ", line).replace("_\\ ", "\\_")


def show_math(translator, node):
    """Write a formula as MathML, which browsers show without a script from elsewhere."""
    as_block = isinstance(node, nodes.math_block)
    translator.body.append(tex2mathml(node.astext(), as_block=as_block))
    raise nodes.SkipNode


def setup(app):
    """Give Sphinx the functions above."""
    app.add_html_math_renderer("mathml", (show_math, None), (show_math, None))
    app.connect("autodoc-process-docstring", keep_underscores, priority=400)
    app.connect("missing-reference", link_outside)
    app.connect("autodoc-skip-member", skip_inherited_of_sklearn)
