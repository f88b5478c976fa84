# papercopy: everything runs from here. `make` lists the targets.
PYTHON ?= python3
VENUE ?= simulated
LEADERS ?=
PORT ?= 8000
FILLS ?= 200
ENGINE ?= embedded
MODE ?=
SECONDS ?= 300
SEED ?= 7
BRIEF ?=
BIN := .venv/bin

.PHONY: help setup run demo soak test test-all check format lock clean

help:
	@echo "make run      start papercopy here      VENUE=simulated|live LEADERS=0x…,0x… PORT=$(PORT)"
	@echo "make demo     a bounded run with verdict FILLS=$(FILLS) ENGINE=embedded|aws MODE=api|polygon|both"
	@echo "make soak     all faults at random       SECONDS=$(SECONDS) SEED=$(SEED) BRIEF=1"
	@echo "make test     all tests, both engines    (make test-all adds the long ones)"
	@echo "make check    format, lint, types, import contract, templates"
	@echo "make setup    only prepare .venv and the Node parts"

setup: .venv/ready tests/browser/node_modules/ready tests/chain/node_modules/ready

.venv/ready: requirements/dev.txt infra/local/setup.sh
	@PYTHON="$(PYTHON)" sh infra/local/setup.sh python

tests/browser/node_modules/ready: tests/browser/package-lock.json infra/local/setup.sh
	@sh infra/local/setup.sh node

tests/chain/node_modules/ready: tests/chain/package-lock.json infra/local/setup.sh
	@sh infra/local/setup.sh chain

run: .venv/ready
	@exec $(BIN)/python -m infra.local run --venue "$(VENUE)" --leaders "$(LEADERS)" --port "$(PORT)"

demo: .venv/ready
	@exec $(BIN)/python -m infra.local demo --fills "$(FILLS)" --engine "$(ENGINE)" --mode "$(MODE)"

soak: .venv/ready
	@exec $(BIN)/python -m infra.local soak --seconds "$(SECONDS)" --seed "$(SEED)" $(if $(BRIEF),--brief)

test: setup
	@$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow"

test-all: setup
	@$(BIN)/python -m pytest -n 2 --dist loadfile

check: .venv/ready
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy --strict chalicelib
	@$(BIN)/lint-imports
	@$(BIN)/cfn-lint infra/base.yaml infra/app.yaml
	@$(BIN)/statelint stepfunctions/*.asl.json

format: .venv/ready
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

# Rewrites the hash-locked requirements after a change to requirements/*.in.
lock: .venv/ready
	@$(BIN)/python -m pip install --quiet uv==0.13.8
	@$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --quiet requirements/lambda.in -o requirements.txt
	@$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --quiet requirements/watcher.in -o requirements/watcher.txt
	@$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --quiet requirements/dev.in -o requirements/dev.txt

clean:
	rm -rf .venv tests/browser/node_modules tests/chain/node_modules build .mypy_cache .ruff_cache .pytest_cache .hypothesis
