# `make demo` plays the whole loop; `make test` runs every test that needs nothing from outside.
# Both set up their own environment first: Python 3.11 or later is all they need.

PYTHON ?= python3
OBP_PYTHON ?= $(firstword $(wildcard $(HOME)/.pyenv/versions/3.10.*/bin/python) 3.10)
VENV := .venv
BIN := $(VENV)/bin
export UV_CACHE_DIR ?= $(CURDIR)/.cache/uv
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# without kept bytecode every worker of the tests rewrites every assertion again
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install spark obp peers demo serve test test-fast test-data lint types bench clean

help: ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/'

install: $(VENV)/.installed ## make .venv with everything pinned in requirements.txt

$(VENV)/.installed: requirements.txt pyproject.toml
	@sh scripts/install.sh $(PYTHON) $(VENV)
	@touch $@

spark: install ## PySpark into .venv, for nba replay --engine spark: 400 MB, needs Java 17
	@uv=$$(command -v uv || echo .uv/bin/uv); UV_SYSTEM_CERTS=true UV_NATIVE_TLS=true \
		$$uv pip install --quiet --python $(BIN)/python --requirement requirements-spark.txt

peers: install ## Vowpal Wabbit and MABWiser into .peers, for benchmarks/bandits/bandits.py
	@uv=$$(command -v uv || echo .uv/bin/uv); export UV_SYSTEM_CERTS=true UV_NATIVE_TLS=true; \
		[ -x .peers/bin/python ] || $$uv venv --quiet --python $(PYTHON) .peers; \
		$$uv pip install --quiet --python .peers/bin/python --requirement requirements-peers.txt

obp: install ## the peer of benchmarks/off_policy/ope.py into .obp: 2 GB, its own Python 3.10
	@uv=$$(command -v uv || echo .uv/bin/uv); export UV_SYSTEM_CERTS=true UV_NATIVE_TLS=true; \
		$$uv venv --quiet --clear --python "$(OBP_PYTHON)" .obp && \
		$$uv pip install --quiet --python .obp/bin/python --requirement requirements-obp.txt

demo: install ## simulated bank -> models -> service -> live customers -> one decision
	$(BIN)/nba demo

serve: install ## the service, on the demo's log, until Ctrl-C
	$(BIN)/nba serve

# one worker a core; a file's tests stay with one worker, who makes their models and servers once
SIDE_BY_SIDE := -n logical --maxprocesses 4 --dist loadscope

test: install ## every test that needs nothing from outside
	$(BIN)/pytest $(SIDE_BY_SIDE) -m "not data"

test-fast: install ## the inner loop: no server, no training, a tenth of the random examples
	$(BIN)/pytest $(SIDE_BY_SIDE) -m "not data and not server" --hypothesis-profile dev \
		--ignore tests/training --ignore tests/test_loop.py tests nba features models

test-data: install ## the tests on the public data sets (NBA_DATA, or ../shared/data)
	$(BIN)/pytest -m data

lint: install ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install ## mypy, strict
	$(BIN)/mypy

bench: install ## the benchmarks that need no data
	for script in kernel ingest decide; do $(BIN)/python benchmarks/speed/$$script.py --json || exit 1; done

clean: ## stop the private PostgreSQL; remove the demo's home and all caches, keep .venv
	@[ ! -x $(BIN)/nba ] || $(BIN)/nba stop
	rm -rf .nba .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
