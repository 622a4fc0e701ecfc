# Every target sets up what it needs; PYTHON chooses the interpreter (3.11 or 3.12).
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
OUTPUT ?= demo_output

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-cluster check docs dist smoke bench soak clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(INSTALLED)  ## make the virtual environment with the tested versions

$(INSTALLED): setup.py pyproject.toml constraints.txt
	@echo "setting up $(VENV): pip downloads PyTorch and the other packages (on Linux up to 6 GB, minutes)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable '.[test]'
	touch $@

demo: setup  ## annotate the bundled photographs and clip; results go to demo_output/
	$(BIN)/hierprob3d predict model/assets/demo --output $(OUTPUT) --frame-step 10 \
		--visualise uncropped,samples
	$(BIN)/hierprob3d inspect $(OUTPUT)
	$(BIN)/hierprob3d report $(OUTPUT)
	@echo "overlays: $(OUTPUT)/pictures/   page: $(OUTPUT)/report.html   tables: $(OUTPUT)/people/"

test: setup  ## run the tests
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder

test-cluster: setup  ## run the tests on a real Slurm and on Prism, skipped with the reason where they are not installed (CLUSTER=all: the long trial too)
	HIERPROB3D_CLUSTER=$(or $(CLUSTER),1) $(BIN)/python -m pytest tests/cluster -rs

check: setup  ## lint and type check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	MYPYPATH=src $(BIN)/mypy -p hierprob3d

docs: setup  ## build the site into site/; a broken link or name is an error
	$(BIN)/python -m tools.site_pages build/docs
	$(BIN)/zensical build --strict --clean

dist: setup  ## wheel and sdist into dist/, the same bytes from the same commit
	$(BIN)/python -m tools.release dist
	$(BIN)/python -m pip install --quiet --constraint constraints.txt twine
	$(BIN)/twine check --strict dist/*

smoke: setup  ## install wheel and sdist with the oldest and the newest packages and run them (minutes, 8 GB)
	$(BIN)/python -m tools.smoke --python python3.11 --constraints constraints-oldest.txt
	$(BIN)/python -m tools.smoke --python python3.12 --constraints constraints-newest.txt

bench: setup  ## one table of all speeds beside ports of the original's loops; it goes into docs/speed.md
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.table --page docs/speed.md

soak: setup  ## kills, damaged files, poison and bad stores, some minutes (SOAK="--scale 0.1": fewer)
	$(BIN)/python -m tools.soak $(SOAK)

clean:  ## remove the environment and the demo's output
	rm -rf $(VENV) $(OUTPUT) site
