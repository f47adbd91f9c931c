# Everything a newcomer types. `make demo` and `make test` build what they need by themselves.

PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
VENV ?= .venv
BIN := $(VENV)/bin
STATIONS ?= 50
FOR ?= 60
FUZZ_SECONDS ?= 60
QUICK := not journey and not live
PLAIN := $(QUICK) and not fuzz and not disk
PLAIN_TESTS := tests/domain tests/ocpp tests/blocks tests/simulators tests/house

.PHONY: demo test test-plain conformance fuzz bench bench-quick bench-scale lint format clean
.DEFAULT_GOAL := demo

demo: $(VENV)/.installed  ## a server with simulated stations charging on it, for FOR seconds
	@$(BIN)/csms demo --stations $(STATIONS) --for $(FOR)

test: $(VENV)/.installed-dev  ## the whole suite; installs the broker it needs where it may
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m tests.prepare
	@$(BIN)/ruff check . && $(BIN)/ruff format --check --quiet .
	@$(BIN)/python -m pytest -n 2 -m "$(QUICK)"
	@$(BIN)/python -m pytest -n 2 --dist loadfile -m "not ($(QUICK))"

test-plain: $(VENV)/.installed-dev  ## the tests that need no database, no socket and no generator: seconds
	@$(BIN)/python -m pytest -m "$(PLAIN)" $(PLAIN_TESTS)

conformance: $(VENV)/.installed-dev  ## the certification cases; which pass goes to build/conformance.json
	@$(BIN)/python -m pytest tests/conformance

fuzz: $(VENV)/.installed-dev  ## frames, WebSocket, handshake and messages, each for FUZZ_SECONDS, led by coverage
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,fuzz]' || true
	@$(BIN)/python -m tests.fuzz --seconds $(FUZZ_SECONDS)

bench: $(VENV)/.installed-dev  ## our server against the baseline, nine minutes; the table goes to build/bench.md
	@$(BIN)/python -m benchmarks

bench-quick: $(VENV)/.installed-dev  ## the same, rough, in a minute
	@$(BIN)/python -m benchmarks --quick

bench-scale: STATIONS = 50000
bench-scale: $(VENV)/.installed-dev  ## a large network on this machine: STATIONS connect, live, and all come back at once
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m tests.prepare
	@$(BIN)/python -m benchmarks.scale --stations $(STATIONS) $(OPTIONS)

format: $(VENV)/.installed-dev
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .

lint: $(VENV)/.installed-dev
	@$(BIN)/ruff check . && $(BIN)/lint-imports

$(VENV)/.python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: https://www.python.org/downloads/ (or set PYTHON=…)"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "The venv module is missing: on Debian and Ubuntu, apt install python3-venv"; exit 1; }
	@touch $@

$(VENV)/.installed: $(VENV)/.python pyproject.toml
	@echo "Installing into $(VENV) (the first time takes a minute) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.python pyproject.toml
	@echo "Installing into $(VENV) with what the tests need (the first time takes a minute) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .coverage
