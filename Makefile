# Everything that a fresh machine needs, in two commands: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PYTHONDONTWRITEBYTECODE ?= 1

.PHONY: demo test check unit lab faults soak bench docs lock clean

$(VENV)/.run: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "hookrouter needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --disable-pip-version-check -c requirements.lock -e .
	touch $@

$(VENV)/.dev: $(VENV)/.run requirements.lock
	$(BIN)/pip install -q --disable-pip-version-check -r requirements.lock
	touch $@

demo: $(VENV)/.run  ## A whole call, with nothing but Python
	$(BIN)/hookrouter demo

RUNTIMES := golang-go:go ruby:ruby ruby-webrick php-cli:php default-jdk-headless:javac libgoogle-gson-java busybox:busybox jq:jq perl:perl nodejs:node npm:npm

lab:  ## A real Asterisk, SIPp, and the languages of the examples (root, Debian: installs what is missing)
	$(PYTHON) tests/lab/asterisk.py setup --tools sip-tester espeak-ng sox $(RUNTIMES)
	$(PYTHON) tests/lab/node.py

check: $(VENV)/.dev  ## Lint, types, architecture
	$(BIN)/ruff check hookrouter tests benchmarks scripts examples
	$(BIN)/ruff format --check hookrouter
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: $(VENV)/.dev  ## What needs neither network nor Asterisk
	$(BIN)/pytest tests/unit tests/store tests/docs

test: $(VENV)/.dev lab check  ## Everything
	$(BIN)/coverage run -m pytest
	$(BIN)/coverage report

faults: $(VENV)/.dev lab  ## All faults of docs/reliability.md, at full length
	$(BIN)/pytest tests/faults --full --seed $(or $(SEED),1) --report docs/reliability.md

soak: $(VENV)/.dev lab  ## HOURS=1: random faults under load
	$(BIN)/pytest tests/faults/test_soak.py --full --soak-hours $(or $(HOURS),1) \
	  --seed $(or $(SEED),1) --report docs/reliability.md

bench: $(VENV)/.dev lab  ## Rivals and hookrouter in one run; writes docs/performance.md
	$(BIN)/pip install -q --disable-pip-version-check -c requirements.lock matplotlib==3.10.9 py-spy==0.4.3
	$(BIN)/python -m benchmarks.run

docs: $(VENV)/.run  ## The generated parts of docs/
	$(BIN)/python scripts/make_docs.py

lock: $(VENV)/.run  ## Pins what the tests run with
	$(BIN)/pip install -q uv
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --no-header --no-annotate --all-extras --group dev pyproject.toml -o requirements.lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .coverage
