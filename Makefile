# Every target sets up what it needs first (packaging/setup.sh; nothing to do the second time).

VENV := .venv/bin
HAS_DISPLAY := $(or $(DISPLAY),$(WAYLAND_DISPLAY),$(filter Darwin,$(shell uname -s)))

# The recorded session the demonstration replays, where it is at hand (see CONTRIBUTING.md).
TRACE := $(wildcard $(or $(LUTRA_SHARED),../shared)/traces/friendsforever.json.gz)

# Which simulated life to replay, and for how long; SEED may be a range, FIRST:LAST.
SEED := 1
STEPS := 60

.PHONY: help setup run test lint format soak sim bench screenshots clean

help:
	@echo "make run          open Lutra (without a display: a demonstration in the terminal)"
	@echo "make test         all tests but the long ones"
	@echo "make lint         style, types, layers"
	@echo "make format       put the source into the common form"
	@echo "make soak         the long tests too"
	@echo "make sim          a simulated life of a group (SEED=1 STEPS=60), replayed exactly"
	@echo "make bench        measurements beside their limits"
	@echo "make screenshots  pictures of the windows"

setup:
	@packaging/setup.sh

run: setup
ifeq ($(HAS_DISPLAY),)
	@echo "No display here (neither DISPLAY nor WAYLAND_DISPLAY is set): running the demonstration"
	@echo "of two nodes in this terminal instead (lutra demo)."
	@$(VENV)/lutra demo $(if $(TRACE),--trace $(TRACE))
else
	@$(VENV)/lutra app
endif

test: setup
	QT_QPA_PLATFORM=offscreen $(VENV)/python -m pytest -n 2 tests

soak: setup
	QT_QPA_PLATFORM=offscreen $(VENV)/python -m pytest --soak --timeout 7200 -m soak tests

sim: setup
	$(VENV)/python -m tests.sim $(SEED) $(STEPS)

lint: setup
	$(VENV)/ruff check .
	$(VENV)/ruff format --check .
	$(VENV)/pyright
	$(VENV)/lint-imports

format: setup
	$(VENV)/ruff check --fix .
	$(VENV)/ruff format .

bench: setup
	$(VENV)/python -m tests.bench

screenshots: setup
	QT_QPA_PLATFORM=offscreen $(VENV)/python tests/app/screenshots.py

clean:
	rm -rf .venv build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find core app tests -name __pycache__ -type d -prune -exec rm -rf {} +
