# make demo    from sequences to scores on this machine (needs nothing but make, installs the rest)
# make test    all tests                  make check   format, lint, types, import contract
# make venv    .venv alone                make format  rewrite the sources in the project's format
# Settings: PYTHON=python3.12  JOBS=2 (test processes)  TORCH_INDEX=https://download.pytorch.org/whl/cpu  ARGS='-k store'

PYTHON ?= $(shell command -v python3.11 || command -v python3 || echo python3)
JOBS ?= 2
REPEATS ?= 100
ARGS ?=
TORCH_INDEX ?=
PIP := .venv/bin/python -m pip install --disable-pip-version-check --quiet --constraint constraints.txt
BIN := PATH="$(CURDIR)/.venv/bin:$$PATH"
export PYTHON

.PHONY: demo test faults check format venv system clean

demo: venv
	slurm/demo

# Tests that need Slurm share one cluster, so one process has them all; without root they cannot run.
test: venv
	@select=; \
	.ci/system slurm || { echo "No Slurm for this user: its tests are left out."; select='not slurm'; }; \
	.ci/system mmseqs || { echo "No MMseqs2: its tests are left out."; select="$${select:+$$select and }not mmseqs"; }; \
	.ci/system chromium || { echo "No Chromium: its tests are left out."; select="$${select:+$$select and }not browser"; }; \
	$(BIN) .venv/bin/python -m pytest -n $(JOBS) --dist loadgroup --no-loadscope-reorder -m "$$select" --durations=30 --durations-min=10 $(ARGS)

# The promises of tests/faults/README.md, tried again and again: about an hour. `REPEATS=4` is what `make test` does.
faults: venv
	$(BIN) SNW_FAULT_REPEATS=$(REPEATS) .venv/bin/python -m pytest -n $(JOBS) --dist loadgroup --no-loadscope-reorder \
		--promises=build/faults.json $(ARGS)

check: venv
	$(BIN) ruff format --check .
	$(BIN) ruff check .
	$(BIN) mypy
	$(BIN) lint-imports

format: venv
	$(BIN) ruff format .
	$(BIN) ruff check --fix .

venv: .venv/.stamp

system:
	@.ci/system

# torch first, so that nothing else chooses its build; esm last and alone, because its own pins would replace torch
# and transformers (setup.cfg lists what it needs).
.venv/.stamp: setup.cfg pyproject.toml constraints.txt | system
	@echo "Installing the pinned packages into .venv (some gigabytes, minutes without a word; once) ..."
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	$(PIP) $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) torch
	$(PIP) --editable '.[train,report,umap,inspect,mlflow,wandb,slurm,mpi,esm,dev]'
	$(PIP) --no-deps esm
	touch $@

clean:
	rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build *.egg-info
