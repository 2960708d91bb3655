# `make help` lists the targets. Everything runs in .venv, which the first target that
# needs it makes; it is refreshed only when what it was made from has changed.

PYTHON ?= python3
VENV ?= .venv
JOBS ?= 2

BIN := $(VENV)/bin
RUN := $(BIN)/python
PIP := $(RUN) -m pip --disable-pip-version-check
PYTEST := $(RUN) -m pytest
BUILD_REQUIREMENTS := "setuptools>=77" wheel "pybind11>=2.13" "tensorflow==2.21.*"
INSTALLED := $(VENV)/.installed
BUILT := $(VENV)/.built
CC_SOURCES := $(sort $(wildcard cc_ops/*/*.cc cc_ops/*/*.h))
PYTHON_FOLDERS := $(wildcard tfrec tests experiments tools) setup.py

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help build demo serve test lint format unit long soak bench-serving wheel \
	wheel-test asan bazel clean

help:  ## List the targets.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sort | \
		awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

$(INSTALLED): pyproject.toml setup.py constraints.txt
	test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet -c constraints.txt $(BUILD_REQUIREMENTS)
	$(PIP) install --quiet -c constraints.txt --no-build-isolation -e ".[dev]"
	touch $@

$(BUILT): $(INSTALLED) $(CC_SOURCES)
	$(RUN) setup.py --quiet build_ext --inplace
	touch $@

build: $(BUILT)  ## Make .venv and build the op library in place.

demo: build  ## Train, index, evaluate and export NANN on MovieLens 100K.
	TF_CPP_MIN_LOG_LEVEL=2 $(RUN) -m experiments.nann.run --dataset=ml-100k --output_dir=runs/demo

serve: build  ## Serve the last exports of NANN and PDN below runs/, and ask them.
	TF_CPP_MIN_LOG_LEVEL=2 $(RUN) -m experiments.serving.serve_demo

soak: build  ## Minutes of load, new versions, changed requests: memory and latency.
	TF_CPP_MIN_LOG_LEVEL=2 $(RUN) -m experiments.serving.soak

bench-serving: build  ## What gRPC and REST add to a call of the SavedModel.
	TF_CPP_MIN_LOG_LEVEL=2 $(RUN) -m experiments.serving.benchmark

test: lint unit  ## Lint, types, and every test that is not marked long.

lint: build  ## ruff, ruff format, mypy, clang-format.
	$(BIN)/ruff check $(PYTHON_FOLDERS)
	$(BIN)/ruff format --check $(PYTHON_FOLDERS)
	$(BIN)/mypy
	$(RUN) tools/clang_format.py --check

format: build  ## Rewrite the sources in the project's format.
	$(BIN)/ruff check --fix $(PYTHON_FOLDERS)
	$(BIN)/ruff format $(PYTHON_FOLDERS)
	$(RUN) tools/clang_format.py

unit: build  ## The tests that are not marked long.
	$(PYTEST) -m "not long" -n $(JOBS) --dist loadfile

long: build  ## The tests marked long, one after the other.
	$(PYTEST) -m long

wheel: $(INSTALLED)  ## Build dist/tfrec-*.whl in an isolated environment.
	rm -rf build/lib.* build/bdist.*
	PIP_CONSTRAINT=constraints.txt $(PIP) wheel --quiet --no-deps -w dist .

wheel-test: build  ## Build the wheel, run the op tests against it in a new environment.
	$(PYTEST) -m long tests/wheel_test.py

asan: build  ## The core under AddressSanitizer and UndefinedBehaviorSanitizer.
	$(PYTEST) -m long tests/cc_ops

bazel: build  ## Build the library with Bazel, and link it into a small model server.
	$(PYTEST) -m long tests/bazel_test.py tests/tf_serving_test.py

clean:  ## Remove .venv and what was built; keep runs/.
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache
	rm -f tfrec/ops/*.so
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
