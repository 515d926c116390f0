# Everything a user runs; each target makes .venv first where it is missing.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DATA ?= data/demo
export PREFECT_SERVER_ANALYTICS_ENABLED = false
export DO_NOT_TRACK = 1

.PHONY: demo test test-all lint audit chaos clean bench-loader bench-load

# Whole way on the embedded corpora. KEEP=1 leaves the Prefect server up, to look at the run.
demo: $(VENV)/installed
	$(BIN)/lmpipe run flows/recipes/demo.toml --data $(DATA) --server $(if $(KEEP),--keep)

test: $(VENV)/installed lint
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow"

test-all: $(VENV)/installed lint
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(VENV)/installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

# Known vulnerabilities of the pinned versions; needs the network (pypi.org or osv.dev).
audit: $(VENV)/installed
	$(PYTHON) -m venv $(VENV)-audit
	$(VENV)-audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit
	$(VENV)-audit/bin/pip-audit --requirement .ci/constraints.txt --no-deps --disable-pip

# Kills and faults of every kind, and what became of each; as root it also fills disks. KILLS and SEED choose other kills.
chaos: $(VENV)/installed
	$(BIN)/python -m tests.chaos --kills $(or $(KILLS),100) --seed $(or $(SEED),1)

# Two loaders more to compare with; without their dependencies, among which pip finds no way to this torch.
bench-loader: $(VENV)-bench/installed
	$(VENV)-bench/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r .ci/bench-loader.txt
	$(VENV)-bench/bin/python -m tests.bench.loader $(DATA)

# Needs none of the yardsticks. RUNS chooses another number; DATABASE=postgres needs that program.
bench-load: $(VENV)/installed
	$(BIN)/python -m tests.bench.load $(DATA) $(or $(RUNS),1000) $(or $(DATABASE),sqlite)

# Benchmarks print a table and, as the last line, one JSON object of ratios; rows go into DATA's warehouse.
bench-%: $(VENV)-bench/installed
	$(VENV)-bench/bin/python -m tests.bench.$* $(DATA)

$(VENV)-bench/installed: pyproject.toml .ci/constraints.txt
	$(PYTHON) -m venv $(VENV)-bench
	$(VENV)-bench/bin/python -m pip install --quiet --disable-pip-version-check -c .ci/constraints.txt -e ".[bench]"
	touch $@

$(VENV)/installed: pyproject.toml .ci/constraints.txt
	@$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11)' || { echo "lmpipe needs Python 3.11 or newer: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' || { echo "Python has no venv module: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c .ci/constraints.txt -e ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) $(VENV)-bench data .mypy_cache .ruff_cache .pytest_cache
