# Prometheus: `make run` takes a past night from raw data to decisions, `make test` proves the whole.
# Needs Python 3.11 or newer (PYTHON=python3.12 chooses one) and, the first time, network. Uses uv when it is there.

PYTHON  ?= python3
SESSION ?= 2016-06-24
VENV    := .venv
BIN     := $(VENV)/bin
BENCHES ?= $(firstword $(wildcard bench/throughput.py bench/floor.py)) $(wildcard bench/calendars.py) $(wildcard bench/simulation.py)

# One stamp for each set of packages, named by the content of its lock and of our own package data: when these change,
# it installs again; a new checkout with new file times does not.
sum      = $(shell (cat locks/$(1).txt; sed '/^\[tool.pytest/,$$d' pyproject.toml) | cksum | cut -d' ' -f1)
desk    := $(VENV)/.desk-$(call sum,desk)
dev     := $(VENV)/.dev-$(call sum,dev)
setup   := $(VENV)/.setup-$(call sum,setup)

# Workers that may not keep compiled modules compile every library anew in every process.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup run test check format proof bench compiled up lock clean
.DELETE_ON_ERROR:

help:  ## what can be made
	@awk -F':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' Makefile

run: $(desk)  ## one US_EQ night of the past, end to end (SESSION=2016-06-24)
	$(BIN)/prometheus run us_eq_daily --session $(SESSION)

test: $(dev)  ## the whole test suite (TESTS=tests/markets for one room)
	$(BIN)/python -m pytest -n auto --maxprocesses 4 $(TESTS)

check: $(dev)  ## lint, format, types, imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(dev)  ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

proof: $(dev)  ## the properties with many more and new examples; nights with faults by the thousand; every session of nine years
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --hypothesis-profile=deep $(TESTS)
	$(MAKE) compiled
	$(BIN)/python tools/proof/nights.py --nights 20000
	$(BIN)/python tools/proof/sessions.py --home .prometheus/proof

compiled: $(dev)  ## the deciding core compiled into build/compiled (needs a C compiler), and shown to decide the same
	@if command -v uv >/dev/null; then \
	    PROMETHEUS_COMPILE=1 uv pip install -q --python $(BIN)/python --no-deps --no-build-isolation --reinstall \
	        --target build/compiled .; \
	else \
	    PROMETHEUS_COMPILE=1 $(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation \
	        --upgrade --target build/compiled .; \
	fi
	$(BIN)/python tools/native/comparing.py build/compiled
	$(BIN)/python -P -m pytest -n auto --maxprocesses 4 -o pythonpath="build/compiled . tests/support" \
	    tests/scheduler tests/forecast tests/ledger

bench: $(dev)  ## what a task costs, beside the floor
	@for bench in $(BENCHES); do $(BIN)/python $$bench || exit 1; done

up: $(setup)  ## the daemon, its API and page, until Ctrl-C
	$(BIN)/prometheus up

setup: $(setup)  ## only the environment (all extras but airflow)

# --- how it is installed ---

$(VENV)/.made:
	@command -v $(PYTHON) >/dev/null || { \
	    echo "make: no $(PYTHON) here; install Python 3.11 or newer, or say make PYTHON=/path/to/python3.12" >&2; \
	    exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "make: $$($(PYTHON) -V 2>&1) is too old; Prometheus needs 3.11 or newer: make PYTHON=python3.12" >&2; \
	    exit 2; }
	@if command -v uv >/dev/null; then \
	    uv venv -q --allow-existing --python "$$(command -v $(PYTHON))" $(VENV); \
	else \
	    $(PYTHON) -m venv $(VENV) || { \
	        echo "make: $(PYTHON) cannot make a virtual environment; on Debian: apt-get install python3-venv" >&2; exit 2; }; \
	fi
	@touch $@

$(VENV)/.%: locks/build.in | $(VENV)/.made
	@set=$$(echo '$*' | sed 's/-[0-9]*$$//'); echo "make: installing locks/$$set.txt (the first time takes a minute or two)"; \
	if command -v uv >/dev/null; then \
	    uv pip install -q --python $(BIN)/python --require-hashes -r locks/$$set.txt && \
	    uv pip install -q --python $(BIN)/python --no-deps --no-build-isolation --config-settings editable_mode=compat -e .; \
	else \
	    $(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r locks/$$set.txt && \
	    $(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation --config-settings editable_mode=compat -e .; \
	fi
	@rm -f $(VENV)/.$$(echo '$*' | sed 's/-[0-9]*$$//')-*; touch $@

# --- upkeep ---

COMPILE = uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate \
          --custom-compile-command 'make lock' pyproject.toml locks/build.in

lock:  ## pin every package anew (needs uv)
	@command -v uv >/dev/null || { echo "make: locking needs uv: pip install uv" >&2; exit 2; }
	$(COMPILE) -o locks/setup.txt --upgrade --extra desk --extra web --extra postgres --extra ray --extra dev
	$(COMPILE) -o locks/dev.txt -c locks/setup.txt --extra desk --extra dev
	$(COMPILE) -o locks/desk.txt -c locks/setup.txt --extra desk

clean:  ## remove the environment and caches; nights and downloaded data (.prometheus) stay
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
