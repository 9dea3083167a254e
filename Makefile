# Needs make and Python 3.11+; everything else comes from requirements.lock into .venv.
PYTHON ?= python3
.DEFAULT_GOAL := help
.PHONY: help demo test test-slow test-long faults ui check bench lock clean

# A plant's proxy often signs TLS with its own authority: trust what the system trusts.
export UV_SYSTEM_CERTS ?= 1

BIN := .venv/bin
# Two workers with servers of their own: most tests wait. A file stays with one; those with servers come first.
SIDE_BY_SIDE := -n 2 --dist loadfile --no-loadscope-reorder
READY := .venv/.ready
SPARK := .venv/.spark

$(READY): requirements.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.8'
	$(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

help: ## what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

demo: $(READY) ## the main job on embedded servers and a simulated plant
	$(BIN)/ferry demo

test: $(READY) ## the tests
	$(BIN)/pytest $(SIDE_BY_SIDE) -m 'not slow'

$(SPARK): requirements-spark.lock $(READY)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --no-deps -r requirements-spark.lock
	@touch $@

test-slow: $(SPARK) ## the slow end: kill matrix, daemon, servers of other settings, Spark
	$(BIN)/pytest $(SIDE_BY_SIDE) -m 'slow and not long'

test-long: $(READY) ## soak, journey, every page, power cut, UI
	$(BIN)/pytest $(SIDE_BY_SIDE) -m long

faults: $(READY) ## N seeds of the scheduler of faults, from SEED (docs/proof.md)
	$(BIN)/python -m tests.faults --count $(or $(N),20) --seed $(or $(SEED),1)

ui: $(READY) ## Dagster's UI on the plant of ferry.toml
	$(BIN)/python -m assets_defs.ui

check: $(READY) ## lint, format, types, import contract
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY) ## events/s of every stage beside a plain reference, in one run
	$(BIN)/python -m benchmarks

lock: $(READY) ## compile requirements.lock anew (no index addresses)
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --no-header \
	  --python-version 3.11 --group dev --extra ntlm pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --no-header \
	  --python-version 3.11 --group spark --constraints requirements.lock -o requirements-spark.lock

clean: ## stop the servers and remove what was made here
	-$(BIN)/ferry down
	rm -rf .venv .ferry
