# Every target makes .venv by itself when it is missing: Python >= 3.11 and its pip are enough.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.holdfast-setup
SOURCE ?=
JOBS ?= 2

.DEFAULT_GOAL := help
.PHONY: help setup demo test check format bench bench-env soak clean

help:
	@echo "make demo      keep a real folder, restore it, and find one flipped bit (SOURCE=... for yours)"
	@echo "make test      the test suite"
	@echo "make check     ruff, mypy --strict, import-linter"
	@echo "make setup     .venv with Holdfast and its development tools"
	@echo "make bench     the comparisons of benchmarks/ (make bench-env first: the peers)"
	@echo "make soak      the fault suites at full size (long)"
	@echo "make s3-up, make test-s3, make s3-down    the tests against a real S3 server on loopback"

setup: $(STAMP)

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Holdfast needs Python >= 3.11; $(PYTHON) is older: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --upgrade "pip>=25.1"
	$(PY) -m pip install --quiet --editable . --group dev
	@touch $@

demo: $(STAMP)
	@$(PY) tools/demo.py $(if $(SOURCE),"$(SOURCE)")

test: $(STAMP)
	$(PY) -m pytest -n $(JOBS) --dist worksteal -m "not soak and not s3"

check: $(STAMP)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --no-cache

format: $(STAMP)
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

soak: $(STAMP)
	HOLDFAST_SOAK=1 $(PY) -m pytest -n $(JOBS) --timeout 7200 tests/crash tests/faults tests/functions

bench-env: $(STAMP)
	$(PY) benchmarks/peers_env.py

bench: $(STAMP)
	$(PY) benchmarks/run.py

clean:
	rm -rf .demo .bench-work .pytest_cache .mypy_cache .ruff_cache .hypothesis

-include tools/s3/s3.mk
