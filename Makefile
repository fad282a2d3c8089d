# make run | test | coverage | check | bench: each works from a bare checkout with Python 3.11 or newer.
PYTHON ?= python3
VENV_PYTHON := .venv/bin/python
ARGS ?=

.PHONY: run install test coverage check bench chaos help
.SILENT:
.DEFAULT_GOAL := help

help:
	echo 'make run       start everything; Ctrl-C stops it'
	echo 'make test      all tests, in a database of their own (ARGS="tests/unit -k wallet" for some)'
	echo 'make coverage  the same with branch coverage, which takes nearly half as long again'
	echo 'make check     format, lint, types, layers, templates, migrations, translations'
	echo 'make bench     benchmarks, as ratios to a reference in the same run'
	echo 'make chaos     300 paid workflows while workers, broker and database are hit (CHAOS_SEED=… for the same again)'
	echo 'make install   what the others do first'

install:
	$(PYTHON) scripts/bootstrap.py --dev --model

# exec: the process manager takes the place of the shell, so that signals reach it.
run:
	$(PYTHON) scripts/bootstrap.py --model && DEEPSPACE_UNDER_MAKE=1 exec $(VENV_PYTHON) -m config.runtime

# DEEPSPACE_REQUIRE_MODEL=1 also fetches the small local model (130 MB) and runs its tests.
test:
	$(PYTHON) scripts/bootstrap.py --dev $(if $(filter 1,$(DEEPSPACE_REQUIRE_MODEL)),--model) && exec $(VENV_PYTHON) scripts/run_tests.py $(ARGS)

coverage: export DEEPSPACE_COVERAGE = 1
coverage: test

check:
	$(PYTHON) scripts/bootstrap.py --dev && exec $(VENV_PYTHON) scripts/check.py $(ARGS)

bench:
	$(PYTHON) scripts/bootstrap.py --dev && exec $(VENV_PYTHON) -m bench $(ARGS)

# Bounded in faults and time; prints the seed. CHAOS_RUNS, CHAOS_FAULTS, CHAOS_SEED, ENGINE_EXAMPLES change it.
chaos: export CHAOS_RUNS ?= 300
chaos: export CHAOS_FAULTS ?= 40
chaos: export ENGINE_EXAMPLES ?= 300
chaos:
	$(PYTHON) scripts/bootstrap.py --dev && exec $(VENV_PYTHON) -m pytest -p no:randomly -s --timeout 1800 tests/chaos tests/unit/workflows_app/test_state_machine.py $(ARGS)
