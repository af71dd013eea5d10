# make demo    a talking video in ./kouxing-demo.mp4
# make demo-live  the live page in your browser: talk to a face
# make test    lint, types, tests
# make lint    ruff and mypy alone
# make format  let ruff rewrite the code
# make bench-live  the live server's delays, load and soak, into docs/figures/live.json and the README (half an hour)
# make bench   speed and memory, into docs/figures/dub.json and the README
# make web     the browser terminal, into src/kouxing/server/web (needs Node 20 with npm)
# make dist    a wheel in ./dist, with weights and the browser terminal inside
# make test-web  its types, unit tests, and tests in a real Chromium
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

.PHONY: help demo demo-live web test-web dist test lint format bench bench-live check clean

help:
	@sed -n 's/^# \{0,1\}//p' Makefile | head -10

demo: $(VENV)/.base check
	@$(BIN)/kouxing demo

demo-live: $(VENV)/.live check web
	@$(BIN)/kouxing serve

# The page is built again only when one of its sources changed.
WEB := src/kouxing/server/web/index.html
WEB_SOURCES := $(shell find web -path web/node_modules -prune -o -type f -print 2>/dev/null) src/kouxing/assets/head.glb

web: $(WEB)

$(WEB): $(WEB_SOURCES) web/node_modules/.package-lock.json
	npm --prefix web run --silent build

web/node_modules/.package-lock.json: web/package.json web/package-lock.json
	@command -v npm >/dev/null || { \
		echo 'make: the browser terminal needs Node 20.19 or later with npm (https://nodejs.org)' >&2; exit 1; }
	@# Not `npm ci`: it refuses a lock file without the optional packages of other platforms.
	npm --prefix web install --no-save --no-audit --no-fund
	@touch $@

# Chromium: apt-get install chromium, or CHROMIUM=/path/to/it.
test-web: $(VENV)/.live web
	npm --prefix web run --silent test
	KOUXING_PYTHON=$(abspath $(BIN))/python npm --prefix web run --silent e2e

dist: web | $(VENV)/bin/python
	$(PIP) wheel -q --no-deps -w dist .
	@ls -1 dist/*.whl

test: $(VENV)/.test check lint
	# Each process on a core: networks whose threads share cores only wait for each other.
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.test check
	$(BIN)/python benchmarks/bench_dub.py
	$(BIN)/python benchmarks/bench_net.py --threads 1
	$(BIN)/python -m kouxing.eval.figures

bench-live: $(VENV)/.test check
	$(BIN)/python benchmarks/bench_live.py --soak 15
	$(BIN)/python benchmarks/bench_rendered.py
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

$(VENV)/.live: pyproject.toml constraints.txt | $(VENV)/.base
	$(PIP) install -qq --constraint constraints.txt --editable '.[live,text,render]'
	@touch $@

$(VENV)/.test: pyproject.toml constraints.txt | $(VENV)/.base
	$(PIP) install -qq '$(TORCH)'
	$(PIP) install -qq --constraint constraints.txt --editable '.[train,text,render,pretrained,live,sign,dev]'
	@touch $@
