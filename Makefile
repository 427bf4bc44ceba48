# Belamy: `make help` says what there is.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
CELL_TIMEOUT := 1800
PARALLEL := -n 2 --dist loadscope

.DEFAULT_GOAL := help
.PHONY: book preview outputs test serve bench record sweep setup clean help

book: $(STAMP)  ## execute the chapters that are not in the cache, two at a time, build the site into _build/html
	@$(BIN)/python -m tools.website book

preview: $(STAMP)  ## build the site from the stored outputs into _build/preview/html; refuse stale ones
	@$(BIN)/python -m tools.website preview

outputs: $(STAMP)  ## execute stale chapters in place (FORCE=1: all of them)
	@$(BIN)/python -m tools.setup_cell
	@$(BIN)/python -m tools.execute $(if $(FORCE),--force)

test: export OMP_NUM_THREADS := 1
test: export TQDM_DISABLE := 1
test: export BELAMY_PROFILE := cpu
test: $(STAMP)  ## prove everything: library, house, chapters, site
	@$(BIN)/python -m tools.chromium
	@echo "Test 1/3: the library and the house"
	$(BIN)/python -m pytest tests --ignore tests/test_site.py $(PARALLEL)
	@echo "Test 2/3: the chapters, each executed once"
	$(BIN)/python -m pytest chapters/*.ipynb --nbval-lax --nbval-current-env \
	  --nbval-cell-timeout=$(CELL_TIMEOUT) $(PARALLEL)
	@echo "Test 3/3: the site, from the outputs just confirmed, in headless Chromium"
	$(BIN)/python -m pytest tests/test_site.py

serve: $(STAMP)  ## serve _build/html at http://localhost:8000
	@$(BIN)/python -m http.server --directory _build/html --bind 127.0.0.1 8000

bench: $(STAMP)  ## run the benchmarks
	@$(BIN)/python -m benchmarks

record: $(STAMP)  ## make a recorded run: RUN=name PROFILE=gpu|record-cpu
	$(if $(RUN),,$(error say which: make record RUN=name, of those in chapters/runs))
	@$(BIN)/python -m tools.record run $(RUN) $(if $(PROFILE),--profile $(PROFILE))

sweep: $(STAMP)  ## make the whole table of a sweep: RUN=name, or NOTEBOOK=path GRID=path of your own
	$(if $(RUN)$(NOTEBOOK),,$(error say which: make sweep RUN=name, or NOTEBOOK=my.ipynb GRID=my.json))
	@$(BIN)/python -m $(if $(NOTEBOOK),belamy.sweep $(NOTEBOOK),tools.record sweep $(RUN)) $(if $(GRID),--grid $(GRID)) $(if $(JOBS),--jobs $(JOBS))

setup: $(STAMP)  ## create .venv with the pinned versions (the other targets do it by themselves)

$(STAMP): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
	  || { echo "$(PYTHON) is not Python 3.11-3.13: try make PYTHON=python3.12 book"; exit 1; }
	@echo "Setup 1/2: creating .venv"
	@$(PYTHON) -m venv .venv || { echo "On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@echo "Setup 2/2: installing the pinned versions (a few minutes, 5.5 GB on Linux)"
	@$(BIN)/python -m pip install -c requirements.lock -e '.[all]'
	@touch $@

clean:  ## remove the built sites and the cache of executed chapters
	rm -rf _build .cache

help:  ## say what there is
	@sed -nE 's/^([a-z]+):.*  ## (.*)/\1	\2/p' $(MAKEFILE_LIST) | awk -F'\t' '{printf "make %-9s%s\n", $$1, $$2}'
