# Every target works from a fresh checkout, as root in a container or as an ordinary user, and a second time.

SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
BIN := .venv/bin
PYTEST_WORKERS ?= 2
PYTEST_ARGUMENTS ?=
BENCH_ARGUMENTS ?=

.PHONY: help install servers run test test-ha campaign check lint format pictures bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: .venv/installed ## virtual environment in .venv with the package and its extras

.venv/installed: setup.cfg pyproject.toml constraints.txt scripts/install
	@scripts/install
	@touch $@

servers: ## MariaDB and Redis for the tests, by apt as root, else unpacked into .servers
	@scripts/install-servers

run: install ## the whole service on the embedded default, with demo data; Ctrl-C stops it
	@$(BIN)/orderledger up --demo

test: install servers ## every check and every test, on private servers
	@$(MAKE) --no-print-directory lint || { echo "the checks failed, see above; the tests:" >&2; failed=1; }; \
	$(BIN)/pytest -n $(PYTEST_WORKERS) $(PYTEST_ARGUMENTS) && exit $${failed:-0}

test-ha: install ## clusters, replicas and failovers on private servers; prints what was lost and how long it took
	@scripts/install-servers ha
	@$(BIN)/pytest -p no:xdist -m ha tests/ha $(PYTEST_ARGUMENTS)

campaign: install servers ## the scenarios with a longer load, for a quarter of an hour or so
	@LOAD_COMMANDS=20000 OVERLOAD_S=60 $(BIN)/pytest tests/scenarios $(PYTEST_ARGUMENTS)

check: lint ## format, lint, types, import contracts, documentation
	@$(BIN)/pytest -q -m docs -p no:xdist

lint: install ## the same without the documentation's tests
	@failed=0; \
	$(BIN)/ruff format --check --quiet --output-format concise . || { failed=1; echo "formatting: run make format"; }; \
	$(BIN)/ruff check --quiet --output-format concise . || failed=1; \
	$(BIN)/mypy --no-error-summary || failed=1; \
	$(BIN)/lint-imports --no-cache | sed -n '/^Analyzed/,$$p' || failed=1; \
	exit $$failed

format: install ## rewrite the code as the formatter wants it
	@$(BIN)/ruff check --quiet --fix-only . ; $(BIN)/ruff format --quiet .

pictures: install servers ## the pictures of docs/console.md, with Debian's Chromium
	@$(BIN)/python scripts/take-pictures

bench: .venv/installed-bench servers ## measure throughput and latency on this machine, beside other ways
	@command -v wrk >/dev/null || \
		{ [ "$$(id -u)" = 0 ] && apt-get install -y -q --no-install-recommends wrk >/dev/null 2>&1; } || \
		echo "wrk is not installed: our own client sends the load over HTTP, and takes more processor time"
	@$(BIN)/python -m bench $(BENCH_ARGUMENTS)

.venv/installed-bench: .venv/installed
	@echo "installing what the ledger is measured beside"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --root-user-action=ignore \
		--constraint constraints.txt --editable '.[bench]'
	@touch $@

clean: ## remove what make made, but no data
	@rm -rf .venv .servers build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
