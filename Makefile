# Two commands on a fresh machine: `make demo` runs the main job, `make test` passes the tests.
# Each makes .venv first, which takes seconds when nothing has changed.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
# What only the pages and the distribution need is installed when they are made.
DOCS := .venv/.installed-docs
DIST := .venv/.installed-dist

.PHONY: demo test lint docs browse dist bench clean

demo: $(INSTALLED)
	mkdir -p build
	$(BIN)/python examples/plot_pca_vs_autoencoder.py --out build/pca_vs_autoencoder.png $(ARGS)

test: $(INSTALLED)
	$(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS)

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/check_docstrings.py
	MYPYPATH=. $(BIN)/mypy --config-file= --strict --ignore-missing-imports --follow-imports=silent tests/users_script.py

# The pages, in docs/_build/html. What the gallery has run already is not run again.
docs: $(DOCS)
	$(BIN)/sphinx-build -W --keep-going -n $(ARGS) docs docs/_build/html
	@echo "The pages are in docs/_build/html/index.html"

# Do the pages open without a complaint? With chromium; screenshots are in build/screenshots.
browse: docs
	$(BIN)/python docs/browse.py docs/_build/html

# Wheel and sdist, and whether they hold what they should.
dist: $(DIST)
	rm -rf dist
	$(BIN)/python -m build --outdir dist
	$(BIN)/twine check --strict dist/*
	$(BIN)/python docs/check_dist.py dist

bench: $(INSTALLED)
	$(BIN)/python benchmarks/pca_floor.py $(ARGS)

# The marker is written last, so that a broken install is tried again.
$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit(f"skae needs Python 3.11 or later, $(PYTHON) is {v.major}.{v.minor}; try make PYTHON=python3.12")'
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch==$$(sed -n 's/^torch==//p' constraints.txt)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group test --group lint --editable .
	touch $@

$(DOCS): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group docs
	touch $@

$(DIST): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group dist
	touch $@

clean:
	rm -rf .venv build dist docs/_build docs/gallery docs/generated
