# Each target makes its own .venv; all that is needed is Python 3.11+ and make.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-real check bench picture completions man clean

demo: .venv/installed  ## Make a SynapseKit-style chat database and run the main job on it
	$(BIN)/python tests/demo.py

test: .venv/installed-test  ## Run the tests
	$(BIN)/pytest -n 3 --dist worksteal $(ARGS)

test-real: .venv/installed-test  ## Many kills and histories, on every store
	$(BIN)/pytest -n 3 --dist worksteal -m real $(ARGS)

check: .venv/installed-dev  ## Formatting, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: .venv/installed-test  ## Measure against the native tools, side by side
	$(BIN)/python -m benchmarks $(ARGS)

picture: .venv/installed-test  ## Draw the README's picture anew
	$(BIN)/python -m tests.pages.picture

completions: .venv/installed  ## Write completions/ anew
	$(BIN)/python -m synmem.cli.completing completions

man: .venv/installed  ## Write man/ anew, from what --help says
	$(BIN)/python -m synmem.cli.manual.roff man

.venv/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "synmem needs Python 3.11 or newer: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv .venv

.venv/installed: .venv/pyvenv.cfg pyproject.toml
	$(BIN)/pip install -q --disable-pip-version-check -e .
	touch $@

.venv/installed-test: .venv/installed
	$(BIN)/pip install -q --disable-pip-version-check -e '.[test]'
	touch $@

.venv/installed-dev: .venv/installed
	$(BIN)/pip install -q --disable-pip-version-check -e '.[dev]'
	touch $@

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis dist build
