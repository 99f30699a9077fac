# `make demo` and `make test` do all set-up themselves: they make .venv and install into it.
PYTHON ?= python3
BIN := .venv/bin
# pip would compile with one processor; the tests' packages are compiled below, with all
PIP := $(BIN)/python -m pip install --no-compile --quiet --disable-pip-version-check -c constraints.txt
# one thread each, as the processes share the cores
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses auto --dist loadfile --durations 25
TORCH := $(shell grep '^torch==' constraints.txt)

.PHONY: demo check test test-all bench docs format build clean

demo: .venv/core
	$(BIN)/motet demo

check: .venv/test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check
	$(PYTEST)

test-all: check
	$(PYTEST) -m "slow or not slow"

bench: .venv/test # quick; docs/benchmarks.md says how to measure in earnest
	$(BIN)/python benchmarks/recorded.py

docs: .venv/docs # pages in build/docs, from docs/ and the docstrings; any warning is an error
	$(BIN)/python -m sphinx -W -q -c docs/sphinx -d build/doctrees . build/docs
	@echo "open build/docs/index.html"

format: .venv/test
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

build: .venv/test
	$(BIN)/python -m build --no-isolation

clean:
	rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

# torch goes first and pinned: asked for by another package, pip may choose a build of many gigabytes
.venv/core: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) $(TORCH)
	$(PIP) --editable .
	touch $@

.venv/test: .venv/core
	$(PIP) --editable '.[test,loops,ray,adapters,image,tune,track,serve,export]'
	$(BIN)/python -W ignore -m compileall -qq -j 0 .venv/lib || true # some packages hold templates
	touch $@

.venv/docs: .venv/core
	$(PIP) --editable '.[docs,sklearn]'
	touch $@
