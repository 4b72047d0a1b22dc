# `make demo` and `make test` do all of their own set-up.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do if $$p -c '' 2>/dev/null; then echo $$p; break; fi; done)
BIN := .venv/bin
RUN ?= runs/demo

.PHONY: demo test check torture study clean

demo: .venv/ready  ## Train MIME on the dog-feeding robot, test it, show what it learned
	$(BIN)/python train.py --config configs/msc_project/dog-feeding-robot-navigation.yaml --use-vime --adapt-eta \
		--output-folder $(RUN) --overwrite
	$(BIN)/python test.py --output-folder $(RUN)

test: .venv/ready  ## Lint and test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest -n 2 -m "not torture and not learning"

torture: .venv/ready  ## Long robustness runs: dozens of kills
	$(BIN)/python -m pytest -m torture -s

study: .venv/ready  ## Full learning runs with stated results
	$(BIN)/python -m pytest -m learning

.venv/ready: requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	touch $@

clean:  ## Remove the virtual environment and the demo's run
	rm -rf .venv $(RUN)
