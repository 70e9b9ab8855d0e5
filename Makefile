# Two commands do it all on a fresh machine with Python >= 3.11 and make: `make demo` and `make test`.
# Every target makes what it needs in .venv, from the pins and hashes of constraints.txt.
#   PYTHON=...       the interpreter to build .venv with (default: the first of python3, 3.13, 3.12, 3.11 that is new enough)
#   PYTEST_ARGS=...  more arguments for pytest: make test PYTEST_ARGS="tests/estimate -x"
#   TIER=all         with make test: also what starts a server (PostgreSQL) and what takes long, as .ci/run does
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(or $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c '$(NEW_ENOUGH)' 2>/dev/null && echo $$p && break; done),python3)
PYTEST_ARGS ?=
TIER ?= unit
TIER_unit := -m "not server and not slow"
TIER_all := --cov --cov-report=term:skip-covered
SERVE_ARGS ?=
CODE := src tests bench tools .ci
BIN := .venv/bin
RUNTIME := .venv/.runtime
STAMP := .venv/.dev
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet install --require-hashes
PIP_LOCAL := $(BIN)/python -m pip --disable-pip-version-check --quiet install --no-deps --no-build-isolation

.PHONY: demo serve broker-demo test lint lint-format lint-rules lint-types lint-imports format docs generated bench constraints clean help

help:
	@echo "make demo    quote examples/mpt-30b.yaml, then a broker with this machine as supply: lease, run, receipt (a minute, no network)"
	@echo "make broker-demo  its second half alone"
	@echo "make serve   the broker stays up: API at /v1, tokens printed once (SERVE_ARGS=...)"
	@echo "make test    the unit tests; TIER=all: also those that start a server or take long, with coverage"
	@echo "make lint    formatting, lint rules, types, import contracts"
	@echo "make docs    the documentation, strictly, into site/"
	@echo "make generated  the parts of the docs that are made from data files and code"
	@echo "make bench   every figure of docs/benchmarks.md, into bench/out/"
	@echo "make format  let ruff format and fix what it can"
	@echo "make constraints  resolve the pins anew (needs uv)"

demo: $(RUNTIME)
	@$(BIN)/sublet demo

broker-demo: $(RUNTIME)
	@$(BIN)/sublet demo broker

serve: $(RUNTIME)
	@$(BIN)/sublet serve $(SERVE_ARGS)

test: $(STAMP)
	$(BIN)/python -m pytest -n auto $(TIER_$(TIER)) $(PYTEST_ARGS)

lint: lint-format lint-rules lint-types lint-imports
lint-format: $(STAMP)
	$(BIN)/ruff format --quiet --check $(CODE)
lint-rules: $(STAMP)
	$(BIN)/ruff check $(CODE)
lint-types: $(STAMP)
	$(BIN)/mypy
lint-imports: $(STAMP)
	$(BIN)/lint-imports --no-logo

format: $(STAMP)
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix $(CODE)

docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# Parts of the docs that come from data files and code. (The validation table needs measured runs: tools/validation_table.py.)
generated: $(STAMP)
	$(BIN)/python tools/method_tables.py
	$(BIN)/python tools/job_spec_tables.py
	$(BIN)/python tools/source_tables.py
	$(BIN)/python tools/rights_table.py
	$(BIN)/python tools/qualification_checks.py
	$(BIN)/python tools/bench_table.py
	$(BIN)/python tools/readme_demo.py
	$(BIN)/python tools/world_check.py

bench: $(STAMP)
	@code=0; for script in bench/bench_*.py; do $(BIN)/python $$script || { code=1; echo "$$script: failed"; }; done; exit $$code

constraints:
	@command -v $(or $(UV),uv) >/dev/null || { echo "make constraints needs uv (or UV=/path/to/uv)" >&2; exit 2; }
	$(or $(UV),uv) pip compile --quiet --generate-hashes --no-emit-index-url --no-header --extra dev pyproject.toml -p 3.11 -o constraints.txt

# What running needs; small and compiled, so that the first command is not slow.
$(RUNTIME): constraints.txt pyproject.toml tools/runtime_pins.py
	@$(PYTHON) -c '$(NEW_ENOUGH)' || { echo "Sublet needs Python 3.11 or newer; \
	$(PYTHON) is $$($(PYTHON) -c 'import platform; print(platform.python_version())' 2>/dev/null || echo not there). \
	Install one, or name it: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@echo "making .venv with $(PYTHON), once (half a minute or so)"
	@$(PYTHON) -m venv .venv
	@$(PYTHON) tools/runtime_pins.py > .venv/runtime.txt
	@$(PIP) -r .venv/runtime.txt
	@$(PIP_LOCAL) -e .
	@touch $@

# And what testing, linting and the docs need.
$(STAMP): $(RUNTIME)
	@echo "adding what tests, lint and docs need to .venv, once"
	@$(PIP) --no-compile -r constraints.txt
	@touch $@

clean:
	rm -rf .venv site bench/out
