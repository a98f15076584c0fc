# Everything runs in .venv, which is made and kept up to date as needed.
PYTHON ?= python3
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help venv run test check simulate bench lock clean

help:  ## Show what there is to make
	@sed -n 's/^\([a-z]*\):.*## /  make \1	/p' $(MAKEFILE_LIST) | expand -t 16

venv: .venv/has-tests  ## Make the virtual environment, with everything that tests need

run: .venv/has-product  ## Start everything, such as: make run ARGS="--port 9000"
	@exec $(BIN)/evergraph up $(ARGS)

test: .venv/has-tests  ## Run the tests
	@$(BIN)/pytest -q $(ARGS)

check: .venv/has-tests  ## Look at the code: style, types, layers, house rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/pytest -q tests/test_tidy.py

simulate: .venv/has-tests  ## Live through faults by the seed, such as: make simulate ARGS="--seeds 1000"
	@$(BIN)/python -m tests.simulation $(ARGS)

bench: .venv/has-tests  ## Measure
	@$(BIN)/python -m benchmarks $(ARGS)

lock: build/lock/bin/uv  ## Lock the newest dependencies, or with ARGS= no more than is missing
	@bash requirements/lock.sh $< $(ARGS)
lock: ARGS := --upgrade

clean:  ## Remove what was made here, except the data folder
	@rm -rf .venv build *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# pip installs what the lock files name, with the hashes that they give, and nothing else.
.venv/has-product: requirements/product.txt
.venv/has-tests: requirements/tests.txt
.venv/has-product .venv/has-tests: pyproject.toml requirements/install.sh
	@bash requirements/install.sh $(PYTHON) .venv $(filter %.txt,$^)
	@touch .venv/has-product $@

build/lock/bin/uv: Makefile
	@$(PYTHON) -m venv build/lock
	@build/lock/bin/python -m pip --quiet --disable-pip-version-check install uv==0.13.9
	@touch $@
