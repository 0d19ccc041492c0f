# make finetune: the quickstart, from nothing to a served model
# make test:     the tests
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: finetune test lint clean

finetune: $(VENV)/ready
	$(BIN)/tlkit finetune recipes/quickstart.yaml

test: $(VENV)/ready-dev
	$(BIN)/python -m pytest -n auto --dist loadfile --max-worker-restart 0

lint: $(VENV)/ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(VENV)/ready: setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(VENV)/ready-dev: $(VENV)/ready tests/serve/kserve.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade \
		--target $(VENV)/kserve -r tests/serve/kserve.txt
	touch $@

clean:
	rm -rf $(VENV) runs
