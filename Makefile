# `make demo` and `make test` do all of their own set-up.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do if $$p -c '' 2>/dev/null; then echo $$p; break; fi; done)
BIN := .venv/bin
RUN ?= runs/demo

.PHONY: demo test check torture study clean

demo: .venv/ready  ## Train MAML on dense navigation, test it, show what it learned
	$(BIN)/python train.py --config configs/2d-navigation-dense.yaml --output-folder $(RUN) --num-batches 60 --overwrite
	$(BIN)/python test.py --output-folder $(RUN)

test: .venv/ready  ## Lint and test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest -n 2 -m "not torture and not learning"

torture: .venv/ready  ## Long robustness runs
	$(BIN)/python -m pytest -m torture

.venv/ready: requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	touch $@

clean:  ## Remove the virtual environment and the demo's run
	rm -rf .venv $(RUN)
