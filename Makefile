# Each target does its own set-up: the first call makes .venv and installs the package into it.
PYTHON ?= python3
VENV ?= .venv
# Test processes; each holds some 2 GB.
JOBS ?= 2
BIN := $(VENV)/bin
export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: install demo test test-slow lint bench clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[cpu,test]'
	# Its own requirement, tensorflow, would come beside tensorflow-cpu.
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps tensorflow-serving-api
	touch $@

demo: install  ## the main job on scikit-learn's digits: map, plan, retraining, report
	$(BIN)/keras-pli demo --out runs/demo

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile

$(VENV)/.installed-slow: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt '.[jax,oracles]'
	touch $@

test-slow: lint $(VENV)/.installed-slow
	$(BIN)/python -m pytest -m slow

$(VENV)/.installed-bench: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt '.[bench]'
	touch $@

bench: $(VENV)/.installed-bench  ## side by side with the peers; needs Fashion-MNIST, which Keras downloads
	$(BIN)/python benchmarks/embedding.py
	$(BIN)/python benchmarks/attribution.py
	$(BIN)/python benchmarks/localization.py
	$(BIN)/python benchmarks/serving.py

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache build dist *.egg-info
