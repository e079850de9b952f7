# Everything that a fresh machine needs, in two commands: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PYTHONDONTWRITEBYTECODE ?= 1

.PHONY: demo test again check unit lab fuzz faults soak versions bench bench-cluster docs site dist deb sbom lock clean

$(VENV)/.run: pyproject.toml requirements.run.lock
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "hookrouter needs Python 3.11 or newer")'
	@echo "Once: hookrouter and the Python packages that it needs go into $(VENV); that takes a minute. Nothing else is touched."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements.run.lock
	$(BIN)/pip install -q --disable-pip-version-check --no-deps -e .
	touch $@

$(VENV)/.dev: $(VENV)/.run requirements.lock
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	touch $@

demo: $(VENV)/.run  ## A whole call, with nothing but Python
	@$(BIN)/hookrouter demo

RUNTIMES := golang-go:go ruby:ruby ruby-webrick php-cli:php default-jdk-headless:javac libgoogle-gson-java busybox:busybox jq:jq perl:perl nodejs:node npm:npm

lab:  ## A real Asterisk, SIPp, and the languages of the examples (root, Debian: installs what is missing)
	$(PYTHON) tests/lab/installing.py --tools sip-tester espeak-ng sox nginx-light:nginx caddy:caddy prometheus:promtool chromium:chromium postgresql:pg_ctlcluster $(RUNTIMES)
	$(PYTHON) tests/lab/node.py
	$(PYTHON) tests/lab/kubernetes.py

check: $(VENV)/.dev  ## Lint, types, architecture
	$(BIN)/ruff check hookrouter tests benchmarks scripts examples
	$(BIN)/ruff format --check hookrouter
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: $(VENV)/.dev  ## What needs neither network nor Asterisk
	$(BIN)/pytest tests/unit tests/store tests/docs

# After a run in which tests failed (1, and not 2 to 5: a run that was cut short), those are run once more.
AGAIN = || { test $$? = 1 && $(MAKE) again; }

test: $(VENV)/.dev lab check  ## Everything
	$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder -p no:benchmark -m "not alone" --cov --cov-report= --ignore=tests/faults $(AGAIN)
	$(BIN)/pytest -n 3 --dist loadfile -p no:benchmark --cov --cov-append --cov-report= tests/faults $(AGAIN)
	$(BIN)/pytest -m alone --cov --cov-append --cov-report=term tests/wire $(AGAIN)

again:  ## The tests that failed last, one after another with nothing beside them; what fails here, fails
	@echo "FAILED ABOVE, AND RUN ONCE MORE BY THEMSELVES. What passes now is a defect still: find out why it failed."
	$(BIN)/pytest -v -p no:benchmark --last-failed --last-failed-no-failures none

fuzz: $(VENV)/.dev  ## MINUTES=10: all that comes from outside, with what nobody would send
	$(BIN)/pytest tests/fuzz --minutes $(or $(MINUTES),10)

faults: $(VENV)/.dev lab  ## All faults of docs/reliability.md, at full length
	$(BIN)/pytest tests/faults --full --seed $(or $(SEED),1) --report docs/reliability.md

soak: $(VENV)/.dev lab  ## HOURS=1: random faults under load, on one router and on several; half of it for each mode
	$(BIN)/pytest tests/faults/test_soak.py tests/faults/test_cluster_soak.py --full --soak-hours $(or $(HOURS),1) \
	  --seed $(or $(SEED),1) --report docs/reliability.md

versions: $(VENV)/.dev lab  ## What works with each Asterisk that Debian gives; writes the table of docs/versions.md
	$(BIN)/pytest tests/asterisk/test_versions.py --versions
	$(BIN)/python scripts/make_docs.py

BENCH := .venv-bench
BENCH_PYTHON ?= $(firstword $(wildcard /usr/bin/python3) $(PYTHON))

$(BENCH)/.run: pyproject.toml requirements.lock
	$(BENCH_PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	$(BENCH)/bin/pip install -q --disable-pip-version-check matplotlib==3.10.9 py-spy==0.4.3
	touch $@

bench: $(BENCH)/.run lab  ## Rivals and hookrouter in one run, on the distribution's Python; writes docs/performance.md
	$(BENCH)/bin/python -m benchmarks.run

bench-cluster: $(BENCH)/.run lab  ## Several routers on PostgreSQL, beside one on SQLite; writes its part of docs/performance.md
	$(BENCH)/bin/python -m benchmarks.cluster

docs: $(VENV)/.run  ## The generated parts of docs/
	$(BIN)/python scripts/make_docs.py

SITE := .venv-site

$(SITE)/.run: requirements.site.lock
	$(PYTHON) -m venv $(SITE)
	$(SITE)/bin/pip install -q --disable-pip-version-check --require-hashes -r requirements.site.lock
	touch $@

site: $(SITE)/.run  ## site/: the pages as a site; a link that leads nowhere is a failure
	$(SITE)/bin/python scripts/make_site.py

dist: $(VENV)/.dev  ## dist/: the wheel and the source archive
	$(BIN)/hatchling build -d dist

deb: $(VENV)/.dev  ## dist/: a Debian package, for the release that makes it
	$(BIN)/python scripts/make_deb.py

sbom: $(VENV)/.dev  ## dist/hookrouter.cdx.json: what the image and the Debian package are made of
	mkdir -p dist
	$(BIN)/uvx -q --from cyclonedx-bom==7.5.0 cyclonedx-py requirements requirements.run.lock --pyproject pyproject.toml \
	  --output-reproducible --of JSON -o dist/hookrouter.cdx.json

lock: $(VENV)/.run  ## Pins by hashes what the tests run with, and what is installed to run
	$(BIN)/pip install -q uv
	$(BIN)/uv pip compile -q --universal --no-strip-extras --python-version 3.11 --no-header --no-annotate --generate-hashes --all-extras --group dev pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile -q --universal --no-strip-extras --python-version 3.11 --no-header --no-annotate --generate-hashes --extra speed --extra postgres -c requirements.lock pyproject.toml -o requirements.run.lock
	echo "mkdocs-material>=9.5,<10" | $(BIN)/uv pip compile -q --universal --python-version 3.11 --no-header --no-annotate --generate-hashes - -o requirements.site.lock

clean:
	rm -rf $(VENV) $(BENCH) $(SITE) site .mypy_cache .ruff_cache .pytest_cache .coverage
