# Each target does its own set-up: the first call makes .venv and installs the package into it.
PYTHON ?= python3
VENV ?= .venv
# Test processes, one for each core; each holds some 2 GB.
JOBS ?= 2
BIN := $(VENV)/bin
export TF_CPP_MIN_LOG_LEVEL ?= 3
# What pip says of itself: that there is a newer one, that it is run by root, that a folder is not searched; two
# times quiet, it says what went wrong and nothing else.
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_WARN_SCRIPT_LOCATION := 1
export PIP_ROOT_USER_ACTION := ignore
PIP := $(BIN)/python -m pip install --quiet --quiet --constraint constraints.txt

.PHONY: install install-bench demo studio test test-numeric test-slow lint bench release-check clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --quiet --upgrade pip
	$(PIP) --editable '.[cpu,test]'
	@# Its own requirement, tensorflow, would come beside tensorflow-cpu.
	$(PIP) --no-deps tensorflow-serving-api
	touch $@

demo: install  ## the main job on scikit-learn's digits: map, plan, retraining, report
	$(BIN)/keras-pli demo --out runs/demo

studio: install  ## the interactive map on the same digits, in the browser, until Ctrl-C
	$(BIN)/keras-pli studio --demo --out runs/studio

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# A process has a core: OpenMP and BLAS would only wait for threads that have none. A process that has no
# tests left takes some of another's, so that all end together. What runs numba's code is slow; to compile it
# for an import takes a quarter of a minute.
PYTEST := NUMBA_DISABLE_JIT=1 OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal

test: lint  ## lint, types and tests
	$(PYTEST)

# What rounds: passes through networks, and what is computed from them, the slow variants, too.
NUMERIC ?= $(addprefix tests/network/test_, backward_rules.py descent.py forward.py map_axes.py map_layers.py \
	positions.py) \
	$(addprefix tests/attribution/test_, cam.py contract.py lime.py method.py \
	paths.py::TestIntegratedGradients paths.py::TestGuidedIntegratedGradients) \
	$(addprefix tests/evaluation/test_, faithfulness.py fidelity.py) \
	$(addprefix tests/inspection/test_, influence.py landscape_sharpness.py maximization.py::TestClosedForms \
	receptive_fields.py top_activations.py) \
	$(addprefix tests/rationale/test_, inversion.py latent_search.py traversal.py) \
	tests/retraining/test_experiment.py::TestSources tests/serving/test_export.py::test_equal_to_direct_calls

test-numeric: install  ## the tests that another processor could fail: ONEDNN_MAX_CPU_ISA=AVX2 make test-numeric
	$(PYTEST) -m "" $(NUMERIC)

# Editable as before, or a copy of the package would take its place; and without a warning that
# tensorflow-serving-api misses tensorflow.
$(VENV)/.installed-slow: $(VENV)/.installed
	$(PIP) --no-warn-conflicts --editable '.[jax,oracles]'
	touch $@

test-slow: lint $(VENV)/.installed-slow
	$(BIN)/python -m pytest -m slow

$(VENV)/.installed-bench: $(VENV)/.installed
	$(PIP) --no-warn-conflicts --editable '.[bench]'
	# It asks for tensorflow, too, and from version 2 on for older ones of it, of SciPy and of scikit-learn.
	$(PIP) --no-deps 'xplique<2'
	@# It asks for nothing but torch and NumPy, and torch's newest CUDA build would come with it.
	$(PIP) --no-deps 'monai>=1.4'
	touch $@

install-bench: $(VENV)/.installed-bench  ## what the benchmarks compare with

bench: install-bench  ## side by side with the peers; needs Fashion-MNIST, which Keras downloads
	$(BIN)/python benchmarks/embedding.py
	$(BIN)/python benchmarks/attribution.py
	$(BIN)/python benchmarks/localization.py
	$(BIN)/python benchmarks/inspection.py
	$(BIN)/python benchmarks/volume.py
	$(BIN)/python benchmarks/serving.py

# The wheel must do without this folder: README's first script is run in another one.
release-check:  ## build, install the wheel in a clean environment, run README's first script there
	rm -rf build dist
	$(PYTHON) -m venv build/tools
	build/tools/bin/python -m pip install --quiet --quiet build twine
	build/tools/bin/python -m build
	build/tools/bin/python -m twine check --strict dist/*
	$(PYTHON) -m venv build/clean
	build/clean/bin/python -m pip install --quiet --quiet --constraint constraints.txt "$$(echo dist/*.whl)[cpu]"
	build/clean/bin/keras-pli --version
	mkdir build/elsewhere
	awk '/^```$$/ && inside {exit} inside {print} /^```python$$/ {inside = 1}' README.md \
		> build/elsewhere/first_script.py
	cd build/elsewhere && ../clean/bin/python first_script.py

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache build dist *.egg-info
