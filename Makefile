# make demo    a talking video in ./kouxing-demo.mp4
# make test    lint, types, tests
# make lint    ruff and mypy alone
# make format  let ruff rewrite the code
# make bench   speed and memory, into docs/figures/dub.json and the README
#
# Each needs nothing but Python 3.10, 3.11 or 3.12 with pip and venv: everything else goes into ./.venv.
# Another interpreter: make demo PYTHON=/path/to/python3.11

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# A bare `torch` takes gigabytes of CUDA on Linux where an index offers them; the pin comes first and alone.
TORCH := torch==2.13.0

FITS := import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))
ifndef PYTHON
PYTHON := $(shell for one in python3 python3.12 python3.11 python3.10; do \
	$$one -c '$(FITS)' >/dev/null 2>&1 && { echo $$one; break; }; done)
endif

.PHONY: help demo test lint format bench check clean

help:
	@sed -n 's/^# \{0,1\}//p' Makefile | head -5

demo: $(VENV)/.base check
	@$(BIN)/kouxing demo

test: $(VENV)/.test check lint
	$(BIN)/python -m pytest

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.test check
	for one in benchmarks/bench_*.py; do $(BIN)/python $$one; done
	$(BIN)/python -m kouxing.eval.figures

# OpenCV's wheel links against two system libraries that small Debian images lack.
check: | $(VENV)/.base
	@$(BIN)/python -c 'import cv2' 2>/dev/null || { \
		echo 'make: OpenCV cannot load; on Debian or Ubuntu: apt-get install libgl1 libglib2.0-0' >&2; \
		$(BIN)/python -c 'import cv2' 2>&1 | tail -n 1 >&2; exit 1; }

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache

$(VENV)/bin/python:
	@if [ -z "$(PYTHON)" ]; then \
		echo 'make: needs Python 3.10, 3.11 or 3.12 with venv (Debian: apt-get install python3-venv)' >&2; exit 1; fi
	$(PYTHON) -m venv $(VENV)

# -qq: errors only; a package index may warn about every package.
$(VENV)/.base: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo 'make: installing into $(VENV); a few minutes the first time'
	$(PIP) install -qq --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.test: pyproject.toml constraints.txt | $(VENV)/.base
	$(PIP) install -qq '$(TORCH)'
	$(PIP) install -qq --constraint constraints.txt --editable '.[train,text,render,pretrained,dev]'
	@touch $@
