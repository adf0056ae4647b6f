# For a fresh clone: `make demo` and `make test`. Both create their environment in .venv from the pinned versions in
# requirements.lock (runtime and export) and requirements-dev.lock (everything else; only where a target needs it).
# PYTHON selects the interpreter: make test PYTHON=/opt/python3.12/bin/python3

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= $(firstword $(foreach name,python3.11 python3,$(shell command -v $(name) 2>/dev/null)) python3)
VENV := .venv
BIN := $(VENV)/bin
# Each stamp is written last, so that an interrupted installation starts over.
INSTALLED := $(VENV)/.installed
INSTALLED_DEV := $(VENV)/.installed-dev
KERNELS := $(VENV)/.kernels
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Print a command, then run it: the demo shows what a reader would type.
SHOW = run() { printf '\n$$ %s\n' "$$*"; PATH="$(CURDIR)/$(BIN):$$PATH" "$$@"; }; run

.PHONY: help venv dev kernels demo web bench test lint types tests fuzz test-kernels-sanitized layout docs docs-serve test-gpu test-gpu-package bench-peers test-libraries format lock clean

help: ## show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 26

venv: $(INSTALLED) ## create .venv with the runtime and the export

dev: $(INSTALLED_DEV) ## add everything for tests, docs and benchmarks to .venv

$(INSTALLED): requirements.lock pyproject.toml
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: $(PYTHON) is not \
	Python 3.11 or newer: install it, or choose another: make PYTHON=/path/to/python3" >&2; exit 1; }
	rm -rf $(VENV)
	"$(PYTHON)" -m venv $(VENV)
	@echo "installing requirements.lock into $(VENV); this takes a few minutes, once"
	$(PIP) install --quiet --requirement requirements.lock
	$(PIP) install --quiet --no-deps --editable .
	touch $@

$(INSTALLED_DEV): $(INSTALLED) requirements-dev.lock
	@echo "adding requirements-dev.lock to $(VENV); this takes a few minutes, once"
	$(PIP) install --quiet --requirement requirements-dev.lock
	touch $@

kernels: $(KERNELS) ## build the CPU kernels (kernels/) into .venv; without a C++ compiler, go on without them

$(KERNELS): $(INSTALLED) $(shell find kernels -type f -not -path 'kernels/build/*')
	@if command -v $${CXX:-c++} > /dev/null; then \
	  echo "building the CPU kernels into $(VENV); this takes a minute, once"; \
	  $(PIP) install --quiet ./kernels; \
	  touch $@; \
	else \
	  echo "no C++ compiler: going on without the CPU kernels, so without the variant int8"; \
	fi

demo: $(KERNELS) ## export the two demo checkpoints, then predict, score and annotate
	@echo "Both checkpoints are stand-ins: tiny models trained on generated text. They show the workflow, not the quality."
	@$(SHOW) assay export tests/checkpoints/pair-classifier --out bundles/pair-classifier --force
	@$(SHOW) assay export tests/checkpoints/complexity-adapter --out bundles/complexity --score-range 0 1 --force
	@$(SHOW) assay predict bundles/pair-classifier --file examples/pairs.jsonl
	@$(SHOW) assay score bundles/complexity --file examples/instructions.txt --scale 1 6
	@$(SHOW) assay annotate bundles/pair-classifier examples/pairs.jsonl -o bundles/judged.jsonl --force

# npm ci installs exactly what the lock says. Its settings are in examples/.npmrc.
WEB := examples/node_modules/.installed
web: $(WEB) ## install the npm packages of examples/browser and examples/node (Node 20 or newer; 500 MB)

$(WEB): examples/package.json examples/package-lock.json
	@command -v npm > /dev/null || { echo "error: no npm: install Node 20 or newer, which brings it" >&2; exit 1; }
	cd examples && npm ci --loglevel=error
	touch $@

# A few peers of each kind. Starting all of them would take longer than these small models can justify.
BENCH_PEERS := torch-fp32,optimum-int8,openvino-int8,assay-fp32,assay-int8

bench: $(INSTALLED_DEV) $(KERNELS) ## run the benchmark suite on the demo checkpoints (checks the suite; says nothing about real models)
	for model in pair-classifier complexity-adapter; do \
	  rm -rf build/benchmarks/$$model; \
	  $(BIN)/python -m benchmarks run tests/checkpoints/$$model --peers $(BENCH_PEERS) --lengths 16,64 --minutes 0.2 \
	    --out build/benchmarks/$$model; \
	done

# Peers whose pins do not fit this project's. Where pip finds no CPU build of torch==2.13.0 this installs the CUDA build,
# several gigabytes: set PIP_EXTRA_INDEX_URL or PIP_FIND_LINKS to where a CPU build is.
PEERS := openvino sentence-transformers-openvino sentence-transformers-onnx onnxruntime-openvino onnxruntime-ep-openvino \
  torchao transformers-exporters

bench-peers: $(PEERS:%=build/peers/%/.installed) ## install the benchmark peers with pins of their own into build/peers

build/peers/%/.installed: benchmarks/suite/peers/requirements/%.txt $(wildcard benchmarks/suite/peers/requirements/*.no-deps.txt)
	rm -rf $(@D)
	"$(PYTHON)" -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	if [ -f $(<:.txt=.no-deps.txt) ]; then $(@D)/bin/python -m pip install --quiet --disable-pip-version-check \
	  --no-deps --requirement $(<:.txt=.no-deps.txt); fi
	touch $@

# Libraries that the integrations are tested against and that are not in requirements-dev.lock: each environment is a file
# of tests/libraries. PyTorch as for bench-peers. A test that would be skipped there fails (tests/library_marker.py).
LIBRARIES := frameworks verl

test-libraries: $(LIBRARIES:%=build/libraries/%/.installed) ## test integrations in environments with pins of their own
	for name in $(LIBRARIES); do \
	  ASSAY_LIBRARIES=$$name OMP_NUM_THREADS=1 build/libraries/$$name/bin/python -m pytest \
	    $$(grep -rl --include='test_*.py' 'pytest.mark.library(' tests); \
	done

build/libraries/%/.installed: tests/libraries/base.txt tests/libraries/%.txt $(wildcard tests/libraries/*.no-deps.txt)
	rm -rf $(@D)
	"$(PYTHON)" -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --requirement tests/libraries/$*.txt
	if [ -f tests/libraries/$*.no-deps.txt ]; then $(@D)/bin/python -m pip install --quiet --disable-pip-version-check \
	  --no-deps --requirement tests/libraries/$*.no-deps.txt; fi
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

test: lint types docs tests test-kernels-sanitized ## run everything that continuous integration runs (.ci/run)

lint: $(INSTALLED_DEV) ## check rules and format with ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED_DEV) ## check types with mypy (strict)
	$(BIN)/mypy

# COVERAGE=--cov measures coverage, as .ci/run does.
COVERAGE :=
# Two processes with one arithmetic thread each: more threads than cores wait for each other. Tests that fork run after them
# in a process in which no other test has left threads, as Ray does. A child that was forked beside such threads may hang,
# and it keeps the pipes of pytest-xdist open, which then waits even if the parent has ended.
tests: $(INSTALLED_DEV) $(KERNELS) ## run pytest; COVERAGE=--cov measures coverage
	@$(MAKE) --no-print-directory web || echo "no npm packages: skipping the tests of examples/browser and examples/node"
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 -m 'not forks' $(COVERAGE)
	OMP_NUM_THREADS=1 $(BIN)/pytest -v -m forks $(COVERAGE:%=% --cov-append) \
	  $$(grep -rl --include='test_*.py' 'pytest.mark.forks' tests)

# FUZZ_EXAMPLES is how many inputs each test tries; 3,000 take some minutes. What fails is kept in .hypothesis and tried
# first in the next run; add it to the test as an @example.
FUZZ_EXAMPLES := 3000
fuzz: $(INSTALLED_DEV) ## try many damaged manifests, golden rows and input files (tests/fuzz) for some minutes
	OMP_NUM_THREADS=1 ASSAY_FUZZ_EXAMPLES=$(FUZZ_EXAMPLES) $(BIN)/pytest -n 2 tests/fuzz

# Uses g++, cmake and ninja of the system. The environment gets its kernels (target kernels) from scikit-build-core, which
# brings its own. Python is not built with AddressSanitizer, so its library must be loaded first, and that of C++ with
# it, where AddressSanitizer looks up __cxa_throw as the process starts. Leaks are not looked for: Python leaves some.
SANITIZED := build/kernels-sanitize
test-kernels-sanitized: $(INSTALLED_DEV) ## test the CPU kernels under AddressSanitizer and UndefinedBehaviorSanitizer
	@missing=; for tool in g++ cmake ninja; do command -v $$tool > /dev/null || missing+=" $$tool"; done; \
	test -f "$$(g++ -print-file-name=libasan.so 2> /dev/null)" || missing+=" libasan"; \
	if [ -n "$$missing" ]; then echo "skipping the sanitized tests of the CPU kernels: not installed:$$missing"; exit; fi; \
	CXX=g++ cmake -S kernels -B $(SANITIZED) -G Ninja -DASSAY_KERNELS_SANITIZE=ON -DASSAY_KERNELS_EMULATE=ON > /dev/null; \
	ninja -C $(SANITIZED) --quiet; \
	rm -f $(SANITIZED)/report.*; \
	OMP_NUM_THREADS=1 ASSAY_KERNELS_SANITIZED=1 ASSAY_KERNELS_LIBRARY=$(SANITIZED)/libassay_kernels.so \
	  LD_PRELOAD="$$(g++ -print-file-name=libasan.so) $$(g++ -print-file-name=libstdc++.so)" \
	  ASAN_OPTIONS=detect_leaks=0:log_path=$(CURDIR)/$(SANITIZED)/report \
	  UBSAN_OPTIONS=print_stacktrace=1:log_path=$(CURDIR)/$(SANITIZED)/report \
	  $(BIN)/python -m pytest -n 2 tests/kernels || { cat $(SANITIZED)/report.* >&2 || true; exit 1; }

layout: ## update the layout page (docs/contributing/layout.md) from the modules' docstrings
	"$(PYTHON)" docs/_layout.py

docs: $(INSTALLED_DEV) ## build the documentation site in build/site; a broken link is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

docs-serve: $(INSTALLED_DEV) ## serve the documentation at http://127.0.0.1:8000 and rebuild it on changes
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs serve

# PYTHON needs assay[gpu,export,dev]. .venv has the CPU build of ONNX Runtime.
test-gpu: ## run the tests that need a GPU (tests/gpu) with PYTHON's own packages
	"$(PYTHON)" -c 'import sys; from assay.gpu import driver; found = driver.find(); print(*found.gpus, sep="\n"); \
	sys.exit(found.problem and "error: " + found.problem)'
	NVIDIA_TF32_OVERRIDE=0 "$(PYTHON)" -m pytest tests/gpu -m gpu

# onnxruntime and onnxruntime-gpu overwrite each other, so the GPU build gets a separate environment (about 500 MB).
GPU_VENV := build/gpu
test-gpu-package: $(INSTALLED_DEV) ## test the error messages of the real onnxruntime-gpu on a machine without a GPU
	test -x $(GPU_VENV)/bin/python || { "$(PYTHON)" -m venv $(GPU_VENV) && $(GPU_VENV)/bin/python -m pip install \
	--quiet --disable-pip-version-check onnxruntime-gpu==1.31.1 numpy tokenizers; }
	ASSAY_GPU_PYTHON="$(CURDIR)/$(GPU_VENV)/bin/python" $(BIN)/pytest tests/runtime/gpu/test_package.py

format: $(INSTALLED_DEV) ## fix and format the sources with ruff
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Run this where torch==2.13.0 is the CPU build: a CUDA build would add its NVIDIA packages to the lock.
LOCK_PIP := build/lock/bin/python -m pip --disable-pip-version-check
FREEZE := $(LOCK_PIP) freeze --all --exclude pip --exclude assay --exclude assay-kernels | sed 's/+cpu$$//' | LC_ALL=C sort -f
lock: ## resolve pyproject.toml again and rewrite both lock files
	rm -rf build/lock
	"$(PYTHON)" -m venv build/lock
	$(LOCK_PIP) install --quiet ./kernels ".[cpu,export]" torch==2.13.0
	$(FREEZE) > build/lock/user
	$(LOCK_PIP) install --quiet --constraint build/lock/user ".[cpu,export,bench,parquet,zstd,completion,docs,dev]"
	$(FREEZE) > build/lock/all
	{ grep '^#' requirements.lock; cat build/lock/user; } > build/lock/new
	{ grep -E '^(#|-r)' requirements-dev.lock; LC_ALL=C comm -13 <(LC_ALL=C sort build/lock/user) \
	  <(LC_ALL=C sort build/lock/all) | LC_ALL=C sort -f; } > build/lock/new-dev
	mv build/lock/new requirements.lock
	mv build/lock/new-dev requirements-dev.lock
	rm -rf build/lock

clean: ## remove .venv, bundles, build and caches
	rm -rf $(VENV) bundles build dist examples/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .coverage.*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
