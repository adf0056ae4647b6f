# Two commands for a fresh clone: `make demo` and `make test`. Both make their own environment in .venv first, from the
# versions in requirements.lock. PYTHON names another interpreter: make test PYTHON=/opt/python3.12/bin/python3

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= $(firstword $(foreach name,python3.11 python3,$(shell command -v $(name) 2>/dev/null)) python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Prints the line that follows, then runs it: the demo shows what a reader would type.
SHOW = run() { printf '\n$$ %s\n' "$$*"; PATH="$(CURDIR)/$(BIN):$$PATH" "$$@"; }; run

.PHONY: help venv demo bench test lint types tests test-gpu test-gpu-package format lock clean

help: ## this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 26

venv: $(STAMP) ## the environment in .venv, made anew when requirements.lock or pyproject.toml changed

# The stamp is written last: an interrupted installation is started over.
$(STAMP): requirements.lock pyproject.toml
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: $(PYTHON) is not \
	Python 3.11 or newer: install one, or name it: make PYTHON=/path/to/python3" >&2; exit 1; }
	rm -rf $(VENV)
	"$(PYTHON)" -m venv $(VENV)
	@echo "installing requirements.lock into $(VENV): some minutes, once"
	$(PIP) install --quiet --requirement requirements.lock
	$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	touch $@

demo: $(STAMP) ## export the two stand-in checkpoints, print parity, predict, score, annotate
	@echo "Both checkpoints are stand-ins: tiny models, trained on generated text. They show the path, not the quality."
	@$(SHOW) assay export tests/checkpoints/pair-classifier --out bundles/pair-classifier --force
	@$(SHOW) assay export tests/checkpoints/complexity-adapter --out bundles/complexity --force
	@$(SHOW) assay predict bundles/pair-classifier --file examples/pairs.jsonl
	@$(SHOW) assay score bundles/complexity --file examples/instructions.txt --scale 1 6
	@$(SHOW) assay annotate bundles/pair-classifier examples/pairs.jsonl -o bundles/judged.jsonl --force

# A few peers of each kind: all of them would take longer to start than these small models tell anything about.
BENCH_PEERS := torch-fp32,optimum-int8,openvino-int8,assay-fp32,assay-int8

bench: $(STAMP) ## the benchmark suite on the two demo checkpoints: proves the suite, says nothing about real models
	for model in pair-classifier complexity-adapter; do \
	  rm -rf build/benchmarks/$$model; \
	  $(BIN)/python -m benchmarks run tests/checkpoints/$$model --peers $(BENCH_PEERS) --lengths 16,64 --minutes 0.2 \
	    --out build/benchmarks/$$model; \
	done

test: lint types tests ## lint, types and tests: what .ci/run runs

lint: $(STAMP) ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP) ## mypy, strict
	$(BIN)/mypy

# Two processes, one thread of arithmetic each: more threads than cores wait on each other.
tests: $(STAMP) ## pytest
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2

# PYTHON is to have 'assay[gpu,export]' with onnxruntime-gpu, pytest and hypothesis: .venv has the build for the CPU.
test-gpu: ## the tests that need a GPU (tests/gpu), with PYTHON's own packages
	"$(PYTHON)" -c 'import sys; from assay.gpu import driver; found = driver.find(); print(*found.gpus, sep="\n"); \
	sys.exit(found.problem and "error: " + found.problem)'
	NVIDIA_TF32_OVERRIDE=0 "$(PYTHON)" -m pytest tests/gpu -m gpu

# onnxruntime and onnxruntime-gpu overwrite each other, so it has an environment of its own; about 500 MB, once.
GPU_VENV := build/gpu
test-gpu-package: $(STAMP) ## what the real onnxruntime-gpu says where there is no GPU
	test -x $(GPU_VENV)/bin/python || { "$(PYTHON)" -m venv $(GPU_VENV) && $(GPU_VENV)/bin/python -m pip install \
	--quiet --disable-pip-version-check onnxruntime-gpu==1.31.1 numpy tokenizers; }
	ASSAY_GPU_PYTHON="$(CURDIR)/$(GPU_VENV)/bin/python" $(BIN)/pytest tests/runtime/gpu/test_package.py

format: $(STAMP) ## rewrite the sources as ruff wants them
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# To be run where torch==2.13.0 is a CPU build: a CUDA build would put its NVIDIA packages into the lock.
lock: ## rewrite requirements.lock from pyproject.toml, in an environment of its own
	rm -rf build/lock
	"$(PYTHON)" -m venv build/lock
	build/lock/bin/python -m pip install --quiet ".[cpu,export,bench,parquet,zstd,dev]" torch==2.13.0 hatchling editables
	{ grep '^#' requirements.lock; build/lock/bin/python -m pip freeze --all --exclude pip --exclude assay | sed 's/+cpu$$//'; } > build/lock/new
	mv build/lock/new requirements.lock
	rm -rf build/lock

clean: ## remove .venv, bundles and caches
	rm -rf $(VENV) bundles build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
