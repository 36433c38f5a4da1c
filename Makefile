# make demo       the main job on real data          make test        all tests but the exhaustive ones
# make test-all   the whole suite, with more examples of every property; .ci/run and .ci/full run more (CONTRIBUTING.md)
# make test-device  kernels as PTX, executed on the host with every access checked: three architectures, each with
#                 another order of threads, and a list of what no test reached; needs no GPU
# make test-faults  workers that die, files that change, memory that runs out: what is left must be the same
# make fuzz       files, bodies and runs that are spoilt, for MINUTES=30; FUZZ_ARGS="--only csv", "--only csv --case 7"
# make lint       every static check                 make format      apply the formatters
# make docs       the documentation as a site in build/site, every link checked
# make benchmarks tables and JSON lines              make clean       remove what was built
# make test-integrations  the drop-ins beside the real CTGAN and RDT, in two environments of their own
# make peers      gpuvgm beside scikit-learn, RDT, CTGAN, Polars, Dask, Spark and PyTorch (PEERS_RESULTS, PEERS_ROWS)
# make notebooks  runs all notebooks into build/notebooks; make notebooks-update writes what they show into them
# make test-gpu   gpuvgm doctor --gpu, the tests on this machine's GPU, none skipped for want of it, then its measurements
#                 (GPU_RESULTS, GPU_CHECKS), in an environment for the driver's CUDA (CUDA=12 or 13); RAPIDS=1 adds cuDF and dask-cuda
# make constraints  the versions that images for GPUs take, as the registry has them today (docker/constraints-cu*.txt)
# Choose the interpreter and its environment: make test PYTHON=python3.12 VENV=.venv312

PYTHON ?= python3
VENV ?= .venv
PYTEST_ARGS ?=
MINUTES ?= 30
FUZZ_ARGS ?=
GPU_RESULTS ?= build/gpu.jsonl
GPU_CHECKS ?= build/doctor.json
PEERS_RESULTS ?= build/peers.jsonl
PEERS_ROWS ?= 200000
# Tests of one file run in one process, files side by side on up to four cores; TEST_PROCESSES=0 runs all in one. A process
# that dies ends the run: of a test that kills each one it is given to, pytest-xdist 3.8 waits for the end for ever.
TEST_PROCESSES ?= auto
BENCHMARKS ?= fit estimator transform inverse table

BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest
SIDE_BY_SIDE := --numprocesses $(TEST_PROCESSES) --maxprocesses 4 --dist loadfile --max-worker-restart 0
STAMP := $(VENV)/.gpuvgm
COMMA := ,
CPLUSPLUS := $(wildcard gpuvgm/engines/kernels/*.cuh gpuvgm/engines/kernels/*/*.cpp gpuvgm/engines/kernels/*/*.hpp gpuvgm/engines/kernels/*/*.cuh)

FORMATTED := $(CPLUSPLUS) $(wildcard tests/*/*.hpp tests/*/*.cpp tests/*/*/*.hpp tests/*/*/*.cpp)

# Where there is a compiler, a failed build is an error; without one the NumPy engine is installed alone.
COMPILER := $(firstword $(foreach name,$(firstword $(CXX)) c++ g++ clang++,$(shell command -v $(name) 2>/dev/null)))
GPUVGM_REQUIRE_NATIVE ?= $(if $(COMPILER),1,0)
export GPUVGM_REQUIRE_NATIVE
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help demo docs test test-all test-device test-faults fuzz test-gpu test-one-gpu
.PHONY: test-integrations test-one-integration peers measure-peers notebooks notebooks-update run-notebooks
.PHONY: constraints lint format benchmarks install install-dev clean distclean

help:
	@sed -n 's/^# //p' Makefile

demo: $(STAMP)-demo
	$(BIN)/gpuvgm demo

docs: $(STAMP)-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

test: $(STAMP)-test
	$(PYTEST) $(SIDE_BY_SIDE) -m "not exhaustive" $(PYTEST_ARGS)

test-all: $(STAMP)-test
	$(PYTEST) $(SIDE_BY_SIDE) --hypothesis-profile=full $(PYTEST_ARGS)

# NVRTC holds one compiler for architectures before Blackwell, and one from there on; compute_90 is that of H100 and H200.
# Threads of each architecture run in another order: what depends on their order does so whatever the architecture.
test-device: $(STAMP)-test
	rm -rf build/ptx
	set -e; for kind in 75-forwards 90-shuffled 120-backwards; do \
	    echo "compute_$$kind"; \
	    PTX_ARCHITECTURE=$${kind%-*} PTX_SCHEDULE=$${kind#*-} PTX_COVERAGE=build/ptx \
	    $(PYTEST) $(SIDE_BY_SIDE) -m ptx tests/engines/kernels $(PYTEST_ARGS); done
	$(BIN)/python -m tests.harness.ptx.coverage build/ptx

test-faults: $(STAMP)-test
	$(PYTEST) $(SIDE_BY_SIDE) tests/execution/faults tests/table/recovery tests/io/storage $(PYTEST_ARGS)

fuzz: $(STAMP)-test
	$(BIN)/python -m tests.harness.fuzz --minutes $(MINUTES) --side-by-side 2 $(FUZZ_ARGS)

test-gpu:
	cuda=$$($(PYTHON) tests/harness/driver.py $(CUDA)) && \
	    $(MAKE) test-one-gpu VENV=$(VENV)-cu$$cuda EXTRA=test-cu$$cuda$(if $(RAPIDS),$(COMMA)cu$$cuda)

# What a check finds stops neither the tests nor the measurements, and fails the whole at its end. A test fails for want of
# a package that is named, and is skipped for want of another.
test-one-gpu: $(STAMP)-$(EXTRA)
	mkdir -p $(dir $(GPU_CHECKS))
	rm -f $(GPU_CHECKS).failed
	$(BIN)/gpuvgm doctor --gpu $(if $(RAPIDS),--cluster) --json $(GPU_CHECKS) || touch $(GPU_CHECKS).failed
	REQUIRE_GPU=cupy$(if $(RAPIDS),$(COMMA)cudf$(COMMA)rmm$(COMMA)dask_cudf$(COMMA)dask_cuda) $(PYTEST) -m gpu $(PYTEST_ARGS)
	$(BIN)/python -m benchmarks gpu --json $(GPU_RESULTS)
	test ! -e $(GPU_CHECKS).failed

constraints: $(STAMP)-build
	$(BIN)/python -m pip install --quiet uv
	set -e; for cuda in 12 13; do $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --no-header \
	    --no-annotate pyproject.toml --extra cu$$cuda --extra dask --extra s3 --extra serve \
	    --output-file docker/constraints-cu$$cuda.txt; done

test-integrations:
	$(MAKE) test-one-integration VENV=$(VENV)-ctgan EXTRA=test-ctgan
	$(MAKE) test-one-integration VENV=$(VENV)-rdt1 EXTRA=test-rdt1

test-one-integration: $(STAMP)-$(EXTRA)
	$(PYTEST) $(SIDE_BY_SIDE) tests/integrations tests/benchmarks/test_samples.py tests/benchmarks/test_training.py $(PYTEST_ARGS)

peers:
	$(MAKE) measure-peers VENV=$(VENV)-peers

measure-peers: $(STAMP)-test-peers
	$(PYTEST) tests/benchmarks/test_peers_sides.py $(PYTEST_ARGS)
	$(BIN)/python -m benchmarks peers --rows $(PEERS_ROWS) --json $(PEERS_RESULTS)

# The second one trains CTGAN, in the environment that has it.
notebooks notebooks-update:
	$(MAKE) run-notebooks EXTRA=test NOTEBOOKS="$(if $(findstring update,$@),--update) 01 03 04 05 07"
	$(MAKE) run-notebooks VENV=$(VENV)-ctgan EXTRA=test-ctgan NOTEBOOKS="$(if $(findstring update,$@),--update) 02 06"

run-notebooks: $(STAMP)-$(EXTRA)
	$(BIN)/python notebooks/execute.py $(NOTEBOOKS)

lint: $(STAMP)-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(if $(FORMATTED),$(BIN)/clang-format --dry-run -Werror $(FORMATTED))
	$(BIN)/codespell
	$(BIN)/validate-pyproject pyproject.toml

format: $(STAMP)-dev
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .
	$(if $(FORMATTED),$(BIN)/clang-format -i $(FORMATTED))

benchmarks: $(STAMP)-test
	set -e; for name in $(BENCHMARKS); do $(BIN)/python -m benchmarks $$name; done

install: $(STAMP)-test
install-dev: $(STAMP)-dev

# The build requirements live in the environment, so that a changed C++ file is compiled again and nothing else.
$(STAMP)-build: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip cmake ninja $$($(BIN)/python -c \
	    'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"])')
	touch $@

# aiobotocore, which s3fs needs, is named for pip: else that takes the newest boto3 for moto, and goes back through both
# for many minutes to find two that agree.
$(STAMP)-%: $(STAMP)-build CMakeLists.txt gpuvgm/__init__.py $(CPLUSPLUS)
	$(BIN)/python -m pip install --quiet --no-build-isolation -C build-dir=$(VENV)/build --editable ".[$*]" \
	    $(if $(filter test% dev,$*),"aiobotocore>=3.9")
	touch $@

clean:
	rm -rf build dist wheelhouse .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	rm -rf $(VENV)/build $(STAMP)-*
	find gpuvgm tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

distclean: clean
	rm -rf $(VENV) $(addprefix $(VENV)-,ctgan rdt1 peers cu12 cu13)
