# Ten words do everything; each installs what it needs. Only Python 3.11+ and make must be there.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

PYTHON ?= python3
BIN := .venv/bin
COMPILE := $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links \
	--no-header --python-version 3.11 pyproject.toml
INSTALL := $(BIN)/uv pip install --quiet --require-hashes --python $(BIN)/python

.PHONY: help setup up test check fix bench docs lock local-model

help:
	@echo "make up           run Colonnade here: database, server, worker; Ctrl-C stops all of it"
	@echo "make test         everything that must hold, from lint to whole journeys"
	@echo "make check        the everyday loop: lint, types, import contracts, quick tests"
	@echo "make fix          format and mend what can be mended by itself"
	@echo "make setup        the environment alone: .venv with everything that is locked"
	@echo "make bench        measure side by side, write bench/results.md"
	@echo "make docs         write what the manual lists from the code"
	@echo "make lock         choose the newest versions that fit and lock them"
	@echo "make local-model  a small language model that runs on this machine"

# A new environment is made beside and then named: one that was cut off in the middle is never used.
.venv/.made:
	@$(PYTHON) tools/can_install.py
	@rm -rf .venv
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --require-hashes -r locks/setup.txt
	@touch $@

.venv/.run: .venv/.made locks/run.txt pyproject.toml
	@echo "Installing what Colonnade needs; the first time this takes about a minute ..."
	@$(INSTALL) --compile-bytecode -r locks/run.txt
	@$(BIN)/uv pip install --quiet --no-deps --python $(BIN)/python --editable .
	@$(BIN)/python -m compileall -q src
	@touch $@

.venv/.dev: .venv/.run locks/dev.txt
	@echo "Installing what its tests need ..."
	@$(INSTALL) -r locks/dev.txt
	@touch $@

setup: .venv/.dev

up: .venv/.run
	@exec $(BIN)/colonnade up

local-model: .venv/.run locks/local.txt
	@$(INSTALL) -r locks/local.txt
	@$(BIN)/python tools/local_model.py

fix: .venv/.dev
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format --quiet .

.PHONY: lint quick
lint: .venv/.dev
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@said=$$($(BIN)/lint-imports 2>&1) || { echo "$$said"; exit 1; }

quick: .venv/.dev
	@$(BIN)/pytest -n 2 -m "not long and not journey and not fuzz and not browser"

check: lint quick

test: lint
	@$(BIN)/python tools/programs.py
	@$(BIN)/pytest -n 2 --timeout 300

bench: .venv/.dev
	@$(BIN)/python -m bench $(if $(ONLY),--only $(ONLY)) $(if $(PEERS),--peers)

docs: .venv/.dev
	@$(BIN)/python tools/write_docs.py
	@$(BIN)/python tools/write_openapi.py
	@$(BIN)/python -m tests.scale.counts

lock: .venv/.made
	@$(COMPILE) --upgrade -o locks/run.txt
	@$(COMPILE) --upgrade --extra local -c locks/run.txt -o locks/local.txt
	@$(COMPILE) --upgrade --extra local --group dev -c locks/local.txt -o locks/dev.txt
	@echo "uv" | $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url \
		--no-emit-find-links --upgrade --python-version 3.11 - -o locks/setup.txt
