# Two commands on a fresh machine: `make demo` runs the main job, `make test` passes the tests.
# Each makes .venv first, which takes seconds when nothing has changed.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed

.PHONY: demo test lint bench clean

demo: $(INSTALLED)
	$(BIN)/python examples/plot_pca_vs_autoencoder.py $(ARGS)

test: $(INSTALLED)
	$(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS)

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	MYPYPATH=. $(BIN)/mypy --config-file= --strict --ignore-missing-imports --follow-imports=silent tests/users_script.py

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

clean:
	rm -rf .venv
