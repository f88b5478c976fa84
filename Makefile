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
MINUTES ?= 60
BIN := .venv/bin

STAGE ?=
OPTIONS ?=
.PHONY: plan deploy destroy audit
.PHONY: help setup run demo soak test test-all check format lock clean

help:
	@echo "make run      start papercopy here      VENUE=simulated|live LEADERS=0x…,0x… PORT=$(PORT)"
	@echo "make demo     a bounded run with verdict FILLS=$(FILLS) ENGINE=embedded|aws MODE=api|polygon|both"
	@echo "make soak     all faults at random       SECONDS=$(SECONDS) SEED=$(SEED) BRIEF=1"
	@echo "make test     all tests, both engines    (make test-all adds the long ones)"
	@echo "make deploy   show the plan, then bring a stage up   STAGE=prod OPTIONS=\"--build-watcher --spot\""
	@echo "make destroy  take a stage down                      STAGE=prod OPTIONS=--delete-data"
	@echo "make plan     what make deploy would do              STAGE=prod"
	@echo "make audit    known vulnerabilities of what is shipped"
	@echo "make check    format, lint, types, import contract, templates"
	@echo "make cost     what a month costs on AWS  MINUTES=$(MINUTES) (of each counted hour)"
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

# An hour without fills, with 100 and with 200 of them; fewer minutes have as many fewer fills.
.PHONY: cost
cost: .venv/ready
	@exec $(BIN)/python -m bench.cost --minutes "$(MINUTES)"

test: setup
	@$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow"

test-all: setup
	@$(BIN)/python -m pytest -n 2 --dist loadfile

check: .venv/ready
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy --strict chalicelib
	@$(BIN)/lint-imports
	@$(BIN)/cfn-lint infra/base.yaml infra/app.yaml infra/edge.yaml
	@$(BIN)/statelint stepfunctions/*.asl.json

# Options: python -m infra.deploy --help. What is not given again stays as it is.
plan deploy destroy: .venv/ready
	@test -n "$(STAGE)" || { echo "which stage? make $@ STAGE=dev" >&2; exit 2; }
	@$(BIN)/python -m infra.deploy $(subst destroy,down,$(subst deploy,up,$@)) --stage "$(STAGE)" $(OPTIONS)

# Needs pypi.org: a mirror without advisories would find nothing wrong, so what cannot be looked up
# is a failure.
audit: .venv/ready
	@test -x build/audit/bin/pip-audit || { $(BIN)/python -m venv build/audit \
		&& build/audit/bin/pip install --quiet pip-audit; }
	@build/audit/bin/pip-audit --strict --disable-pip --require-hashes --progress-spinner off \
		-r requirements.txt -r requirements/watcher.txt

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
