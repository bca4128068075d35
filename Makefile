# Everything sets itself up in .venv: Python 3.11 or newer with pip, and make, are all it needs.
PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 8000
BIN := .venv/bin

.PHONY: serve test setup check fmt chaos bench-training redis-server clean

serve: .venv/.serve ## set up without torch, and serve the shipped model
	$(BIN)/python -m service --host $(HOST) --port $(PORT)

test: .venv/.dev redis-server ## set up, and run every test
	$(BIN)/python -m pytest --cov

setup: .venv/.dev ## set up everything, torch included, in .venv

check: .venv/.dev ## lint, types, import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fmt: .venv/.dev ## put code into shape
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

chaos: .venv/.dev redis-server ## crashes, retries and duplicates against the durable stores
	$(BIN)/python -m tests.chaos

bench-training: .venv/.dev ## training speed beside torch's example: EXAMPLE=word_language_model DATA=wikitext-2
	$(BIN)/python -m tests.bench.training_speed $(EXAMPLE) $(DATA)

redis-server: # a Debian package, not one of Python's
	@command -v $@ >/dev/null \
	    || { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $@; } \
	    || { echo "$@ is missing: install it with your system's package manager" >&2; exit 1; }

clean: ## forget the set-up
	rm -rf .venv

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("nextword needs Python 3.11 or newer, not " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip

.venv/.serve: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[cpu,service]'
	touch $@

.venv/.dev: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@ .venv/.serve
