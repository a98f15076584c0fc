# Everything runs in .venv, which is made and kept up to date as needed.
PYTHON ?= python3
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help venv run test check simulate bench clean

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

clean:  ## Remove what was made here, except the data folder
	@rm -rf .venv build *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/has-product: EXTRAS :=
.venv/has-tests: EXTRAS := [test]
.venv/has-product .venv/has-tests: pyproject.toml
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip --quiet --quiet --disable-pip-version-check install --editable '.$(EXTRAS)'
	@touch .venv/has-product $@
