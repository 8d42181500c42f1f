# `make serve` and `make test` do all of their own set-up on a fresh Debian or Ubuntu with Python 3.11.
#
#   make serve                 the bundled store; trains a model first if there is none yet (about three minutes)
#   make serve DATA=folder     an imported folder with items.parquet and events.parquet
#   make serve BUNDLES=folder  bundles that `gemserve train` published
#   make serve ADMIN=open      everybody may change items and models: for trying it out on a machine of one's own
#   PORT, REDIS_URL, BUNDLES and RECIPE are read from the environment too; without REDIS_URL a Redis is started and stopped
#   make docs                  the documentation as a site in var/site
#   make results               measures quality again and writes the tables of the documentation; ONLY=part,… FORCE=yes DATA_DIR=folder
#   make test | test-slow | lint | format | setup | bench | load | lock | openapi | client-types | audit | licences
PYTHON  ?= python3.11
VENV    ?= .venv
DEVICE  ?= cpu
PORT    ?= 8000
VAR     ?= var
DATA_DIR ?= ../shared/data
DATA    ?= $(VAR)/shop
BUNDLES ?= $(VAR)/bundles/$(notdir $(patsubst %/,%,$(DATA)))
PROFILE ?= smoke
TIMEOUT ?= 30
# Processes that test: one more than there are cores, as tests wait too, but each with 4 GiB for what it starts.
WORKERS ?= $(shell awk -v cores="$$(nproc)" '/MemTotal/ { n = int($$2 / 4194304); if (n > cores) n = cores + 1; print n < 2 ? 2 : n }' /proc/meminfo)
EXAMPLES ?= quick
SLOW    ?= slow or hypothesis
RECIPE  ?= $(if $(filter $(VAR)/shop,$(DATA)),demo,small)

BIN     := $(VENV)/bin
NODE_MODULES := clients/typescript/node_modules
INSTANTSEARCH := clients/instantsearch/node_modules
AXE     := tests/e2e/node_modules
PIP     := $(BIN)/python -m pip install --quiet --disable-pip-version-check
UV      := $(BIN)/uv pip install --quiet --python $(BIN)/python
SUDO    := $(if $(filter 0,$(shell id -u)),,sudo)
TORCH_CPU_INDEX := https://download.pytorch.org/whl/cpu

export HF_HUB_OFFLINE ?= 1
export VLLM_NO_USAGE_STATS := 1
export VLLM_LOGGING_LEVEL ?= ERROR
export DO_NOT_TRACK := 1
unexport PYTHONDONTWRITEBYTECODE # every process would compile vLLM and transformers anew, which takes up to ten seconds
export UV_SYSTEM_CERTS := $(if $(wildcard /etc/ssl/certs/ca-certificates.crt),true,false)

.DEFAULT_GOAL := help
.PHONY: help setup deps setup-dev packages bundle serve bench load test test-slow lint format lock openapi client-types audit licences docs results

help:
	@sed -n 's/^# \{0,1\}//p' Makefile | head -10

# --- environment -----------------------------------------------------------------------------------------------------

deps: $(VENV)/.deps-$(DEVICE)
setup: $(VENV)/.ready-$(DEVICE)
setup-dev: $(VENV)/.ready-dev

# Debian packages that a fresh machine may lack; nothing happens where all are there.
packages:
	@missing=; \
	/sbin/ldconfig -p | grep -q 'libnuma\.so\.1' || missing="$$missing libnuma1"; \
	$(PYTHON) -c 'import ensurepip' 2>/dev/null || missing="$$missing $(notdir $(PYTHON))-venv"; \
	$(if $(WANT_REDIS),command -v redis-server >/dev/null || missing="$$missing redis-server";) \
	$(if $(WANT_NPM),command -v npm >/dev/null || missing="$$missing nodejs npm";) \
	$(if $(WANT_CURL),command -v curl >/dev/null || missing="$$missing curl";) \
	$(if $(WANT_NGINX),test -x /usr/sbin/nginx || command -v nginx >/dev/null || missing="$$missing nginx-light";) \
	$(if $(WANT_KUBECTL),command -v kubectl >/dev/null || missing="$$missing kubernetes-client";) \
	$(if $(WANT_HAPROXY),test -x /usr/sbin/haproxy || command -v haproxy >/dev/null || missing="$$missing haproxy";) \
	$(if $(WANT_BROWSER),command -v chromedriver >/dev/null && { command -v chromium-headless-shell || command -v chromium; } >/dev/null \
	  || missing="$$missing chromium-headless-shell chromium-driver";) \
	test -z "$$missing" || { echo "installing$$missing"; $(SUDO) sh -c "apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null"; }

$(BIN)/uv: | packages
	$(PYTHON) -m venv $(VENV)
	$(PIP) uv==0.13.8

# The CPU build of torch: from where pip is told to look, else from PyTorch's own index.
$(VENV)/.deps-cpu: $(BIN)/uv requirements/cpu.txt
	@grep -o '^torch==[^ ]*' requirements/cpu.txt > $(VENV)/torch.txt
	@grep -v '^torch==' requirements/cpu.txt > $(VENV)/others.txt
	$(PIP) --no-deps -r $(VENV)/torch.txt 2>/dev/null || $(PIP) --no-deps --index-url $(TORCH_CPU_INDEX) -r $(VENV)/torch.txt
	$(UV) --no-deps -r $(VENV)/others.txt
	@touch $@

$(VENV)/.deps-gpu: $(BIN)/uv requirements/gpu.txt
	$(UV) --no-deps -r requirements/gpu.txt
	@touch $@

$(VENV)/.ready-$(DEVICE): $(VENV)/.deps-$(DEVICE) pyproject.toml
	$(UV) --no-deps --editable .
	@touch $@

$(VENV)/.ready-dev: $(VENV)/.ready-$(DEVICE) requirements/dev.txt clients/python/pyproject.toml
	$(UV) --no-deps -r requirements/dev.txt
	$(UV) --no-deps --editable clients/python
	@touch $@

# What builds and tests the TypeScript client, as its lock file says; the client itself needs nothing.
$(NODE_MODULES)/.ready: clients/typescript/package.json clients/typescript/package-lock.json | packages
	cd clients/typescript && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

# The InstantSearch adapter's, among them the client beside it and the widgets that it is tried with.
$(INSTANTSEARCH)/.ready: clients/instantsearch/package.json clients/instantsearch/package-lock.json | packages
	cd clients/instantsearch && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

# What looks for barriers in the page, for the browser tests.
$(AXE)/.ready: tests/e2e/package.json tests/e2e/package-lock.json | packages
	cd tests/e2e && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

# Pinned lists of everything, from the short ones; needs the network.
lock: $(BIN)/uv
	cd requirements && ../$(BIN)/uv pip compile --quiet --upgrade --no-header --annotation-style line --python-version 3.11 \
	  --no-emit-index-url --no-emit-find-links --extra-index-url $(TORCH_CPU_INDEX) --index-strategy unsafe-best-match \
	  --override cpu-excludes.txt cpu.in -o cpu.txt
	cd requirements && ../$(BIN)/uv pip compile --quiet --upgrade --no-header --annotation-style line --python-version 3.11 gpu.in -o gpu.txt
	cd requirements && ../$(BIN)/uv pip compile --quiet --upgrade --no-header --annotation-style line --python-version 3.11 dev.in -o dev.txt

# --- serving ---------------------------------------------------------------------------------------------------------

bundle: setup
	@test -e $(BUNDLES)/current || { \
	  $(if $(filter $(VAR)/shop,$(DATA)),{ test -e $(DATA)/events.parquet || $(BIN)/python -m catalog.importers shop $(DATA); } &&) \
	  $(BIN)/python trainer/run.py --items $(DATA)/items.parquet --events $(DATA)/events.parquet \
	    --out $(BUNDLES) --recipe $(RECIPE) --resume; }

serve: WANT_REDIS := $(if $(REDIS_URL),,yes)
serve: packages setup bundle
	@exec $(BIN)/python -m server --bundles $(BUNDLES) --port $(PORT) \
	  $(if $(REDIS_URL),--redis $(REDIS_URL),--managed-redis $(VAR)/redis) $(if $(filter open,$(ADMIN)),--open-admin true)

# --- measuring -------------------------------------------------------------------------------------------------------

bench: packages setup
	@mkdir -p $(VAR)/bench
	$(BIN)/python -m loadtest.index --json $(VAR)/bench/index.json
	$(BIN)/python -m loadtest.breakdown --json $(VAR)/bench/breakdown.json
	$(BIN)/python -m loadtest.live --json $(VAR)/bench/live.json
	$(BIN)/python -m loadtest.engine --json $(VAR)/bench/engine.json

# The JSON files of docs/measurements, and from them the tables of the documentation; `ONLY=tables` writes the tables alone.
results: packages setup
	$(BIN)/python -m loadtest.measure.results --data $(DATA_DIR) --var $(VAR)/results $(if $(ONLY),--only $(ONLY)) $(if $(filter yes,$(FORCE)),--force)

# A server and its Redis under the load of customers who check every answer; reports in $(VAR)/load.
load: WANT_REDIS := yes
load: packages setup-dev bundle
	$(BIN)/python -m loadtest.load --profile $(PROFILE) --bundles $(BUNDLES) --out $(VAR)/load/$(PROFILE)

# The document that clients are made from; a test fails where it is not what the server says.
openapi: setup
	$(BIN)/python -m server.cli.openapi docs/openapi.json

# The TypeScript client's types, from that document; a test fails where they are not its own.
client-types: WANT_NPM := yes
client-types: openapi $(NODE_MODULES)/.ready
	cd clients/typescript && npm run schema

# --- checks ----------------------------------------------------------------------------------------------------------

PYTEST := $(BIN)/pytest -n $(WORKERS) --dist loadscope --no-loadscope-reorder --hypothesis-profile $(EXAMPLES) \
  $(if $(TIMINGS),--timings=$(TIMINGS))
test test-slow: WANT_REDIS := yes
test test-slow: WANT_NPM := yes
test test-slow: WANT_BROWSER := yes
test test-slow: WANT_CURL := yes
test test-slow: WANT_HAPROXY := yes
test test-slow: WANT_KUBECTL := yes
test test-slow: WANT_NGINX := yes
test: packages setup-dev $(NODE_MODULES)/.ready $(INSTANTSEARCH)/.ready $(AXE)/.ready
	$(PYTEST) --timeout $(TIMEOUT) $(TESTS)

# What takes minutes, and every property once more with the examples of EXAMPLES (quick: 25, ci: 100). SLOW says which of
# these, by their marks; ONLY=--last-failed runs what failed the last time. TESTS names files, of `make test` too.
test-slow: packages setup-dev $(NODE_MODULES)/.ready $(INSTANTSEARCH)/.ready $(AXE)/.ready
	$(PYTEST) $(ONLY) -m "$(SLOW)" --timeout 600 -o faulthandler_timeout=1800 $(TESTS)

lint: setup-dev
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/pytest -q tests/test_imports.py

# Known vulnerabilities of everything in the lock files; asks the network, and says so where nobody answers.
audit: WANT_NPM := yes
audit: packages setup-dev
	$(BIN)/python .ci/audit.py

# docs/licences.md; a test fails where it is not current, or a licence is not allowed.
licences: setup-dev
	$(BIN)/python .ci/licences.py

# The documentation as a site in var/site; a link that leads nowhere is an error.
docs: setup-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

format: setup-dev
	$(BIN)/ruff format
	$(BIN)/ruff check --fix
