# meshsim's road: `make demo` and `make test` do their own set-up; `make help` names the rest.
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/setup.stamp
WORKERS ?= 2
OUT ?= demo-out
BASE ?= HEAD~1
RUN_TESTS = $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

# Bytecode is kept: without it every process of the demo compiles its imports anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-full test-slow mutation bench lab docs release-check coverage lint format environment clean

help:  ## Name the targets
	@sed -n 's/^\([a-z-]*\):.*  ## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

setup: $(STAMP)  ## Create .venv with everything the demo and the tests need

# Newer files only raise the question; the hash kept in the stamp answers it.
$(STAMP): pyproject.toml constraints.txt tools/setup.sh
	@bash tools/setup.sh $(VENV) $(STAMP)

demo: setup  ## Scenario, simulation, training, export, real nodes, report
	@$(BIN)/meshsim demo --out $(OUT) || { code=$$?; [ $$code -eq 3 ] && echo "a goal was missed on this machine: the report says which and by how much"; }

test: setup lint  ## The fast tier: lint, types, import contracts, all tests but the slow
	@$(RUN_TESTS) -m "not full"

test-full: test test-slow  ## The fast tier, then the slow tests

test-slow: setup  ## Only what test-full adds
	@$(RUN_TESTS) -m full

mutation: setup  ## Break meshsim/trust in thousands of small ways and count what its tests notice; some 20 minutes of CPU
	@WORKERS=$(WORKERS) bash tools/mutation.sh $(VENV) $(MODULES)

chaos: setup  ## Kill a batch of 500 runs a hundred times, ten of them on Ray where it is installed; five minutes
	@if $(BIN)/python -c 'import ray' 2>/dev/null; then on_ray=10; else on_ray=0; echo "Ray is not installed: all kills on this machine's processes"; fi; \
		$(BIN)/python benchmarks/chaos.py --ray-kills $$on_ray

bench: setup  ## Validity and speed, one after the other; half an hour on a quiet machine
	@failed=0; for verb in validate "bench packet" "bench elastic" "bench fidelity" "bench variance" "bench flow"; do \
		echo "== meshsim $$verb"; $(BIN)/meshsim $$verb || failed=$$?; done; exit $$failed

lab: setup  ## JupyterLab with the notebooks, for this machine only, asking nobody outside for news or updates
	@$(BIN)/python -m jupyterlab --ip=127.0.0.1 --notebook-dir=notebooks $$([ "$$(id -u)" != 0 ] || echo --allow-root) \
		--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate --LabApp.news_url=None --LabApp.extension_manager=readonly

bench-check: setup  ## The quick ones of the benchmarks against what they were (benchmarks/baselines.json); five minutes
	@$(BIN)/python tools/baselines.py check packet elastic batch "trust --scale"

docs: $(VENV)/docs.stamp  ## The site, to docs/_build/html; warnings are errors
	@$(BIN)/python -m sphinx -q -W --keep-going -j $(WORKERS) -c docs -d docs/_build/doctrees . docs/_build/html

# The extra is no part of what the tests need; installing it takes seconds.
$(VENV)/docs.stamp: $(STAMP)
	@bash tools/docs.sh $(VENV) && touch $@

release-check: setup  ## Public names as written down, changelog told since BASE, wheel small, extras enough
	@$(BIN)/python tools/release.py names
	@$(BIN)/python tools/release.py changelog $(BASE)
	@$(BIN)/python -m pytest -q tests/house

coverage: setup  ## Branch coverage of the fast tests, to htmlcov/
	@$(RUN_TESTS) -m "not full" --cov --cov-report=html --cov-report=term:skip-covered

lint: setup  ## Style, types, import contracts, docstrings, dead code, spelling
	@BIN=$(BIN) bash tools/lint.sh

format: setup  ## Let ruff put the code in order
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format --quiet .

environment: setup  ## Write environment.yml anew from pyproject.toml
	@$(BIN)/python tools/environment.py

clean:  ## Remove what can be made again (keeps .venv)
	@rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage htmlcov demo-out runs
