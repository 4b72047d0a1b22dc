# `make demo` and `make test` do all of their own set-up.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do if $$p -c '' 2>/dev/null; then echo $$p; break; fi; done)
BIN := .venv/bin
RUN ?= runs/demo
ROBOT ?= runs/robot

.DEFAULT_GOAL := help
.PHONY: help demo robot test test-extras check docs torture study clean

help:  ## Print what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv/ready  ## Train MIME and MAML to find goals on a ring, and show what they learned (four minutes)
	$(BIN)/python examples/demo.py $(RUN)

robot: .venv/ready  ## The same for the dog-feeding robot (half an hour)
	$(BIN)/python examples/demo.py $(ROBOT) dog-feeding-robot

test: .venv/ready  ## Lint and test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not torture and not learning"

test-extras: .venv/extras-ready  ## Install every extra, and run the tests that need one: make test skips them (minutes)
	$(BIN)/python -m pytest -rs -m "not torture and not learning" $$(grep -rl --include='test_*.py' importorskip tests)

check: .venv/ready  ## Lint, check types, and test with the lines covered
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/ty check
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not torture and not learning" --cov=mime --cov-report=term-missing:skip-covered

docs: .venv/docs-ready  ## Build the documentation site in build/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

torture: .venv/ready  ## Long robustness runs: kills, signals, full disks, generated configurations
	$(BIN)/python -m pytest -m torture -s

study: .venv/ready  ## Full learning runs with stated results
	$(BIN)/python -m pytest -m learning

.venv/ready: requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	touch $@

.venv/docs-ready: .venv/ready docs/requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r docs/requirements.txt
	touch $@

.venv/extras-ready: .venv/docs-ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[metaworld,mujoco,render,ray,torch,onnx]"
	touch $@

clean:  ## Remove the virtual environment and the demos' runs
	rm -rf .venv $(RUN) $(ROBOT)
