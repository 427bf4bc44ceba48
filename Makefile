# Belamy: `make help` says what there is. Without make: python -m tools.make book
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
ONE = $(if $(CHAPTER),--chapter $(CHAPTER))

.DEFAULT_GOAL := help
.PHONY: book preview outputs test lab notebooks colab-check pages serve portability bench mutants record sweep setup clean help
.PHONY: classroom classroom-check sheet grade

book: $(STAMP)  ## execute the chapters that are not in the cache, build the site into _build/html (CHAPTER=name: only that one)
	@$(BIN)/python -m tools.make book $(ONE)

preview: $(STAMP)  ## build the site from the stored outputs into _build/preview/html; refuse stale ones
	@$(BIN)/python -m tools.website preview

outputs: $(STAMP)  ## execute stale chapters in place (FORCE=1: all of them)
	@$(BIN)/python -m tools.setup_cell
	@$(BIN)/python -m tools.execute $(if $(FORCE),--force)

test: $(STAMP)  ## prove everything: library, house, chapters, site (CHAPTER=name: that chapter and its page)
	@$(BIN)/python -m tools.make test $(ONE)

lab: $(STAMP)  ## open the chapters as Jupyter can show them, in JupyterLab (CHAPTER=name: that one)
	@$(BIN)/python -m tools.make lab $(ONE)

notebooks: $(STAMP)  ## write every page as a notebook that runs by itself into _build/notebooks
	@$(BIN)/python -m tools.website notebooks

colab-check: $(STAMP)  ## run those notebooks as Colab would, without a network (PAGE="dcgan infogan": those; three quarters of an hour for all)
	@$(BIN)/python -m tools.website notebooks
	@$(BIN)/python -m tools.colab $(PAGE)

pages: $(STAMP)  ## measure the built pages in a browser: height, prose, cut code, wide tables (HTML=folder: not _build/html)
	@$(BIN)/python -m tools.pages $(HTML)

serve: $(STAMP)  ## serve _build/html at http://localhost:8000
	@$(BIN)/python -m http.server --directory _build/html --bind 127.0.0.1 8000

portability: $(STAMP)  ## try the chapters' bands under other arithmetics and seeds (CHAPTER=name: one; hours for all)
	@$(BIN)/python -m tools.portability $(CHAPTER)

bench: $(STAMP)  ## run the benchmarks (PART="vae loop": those; REPEATS=5)
	@$(BIN)/python -m benchmarks $(PART) $(if $(REPEATS),--repeats $(REPEATS))

mutants: $(STAMP)  ## would the tests notice? (FILE="losses.py game/fit.py": those; SAMPLE=200 of each file)
	@$(BIN)/python -m tools.mutants $(FILE) $(if $(SAMPLE),--sample $(SAMPLE)) $(if $(SEED),--seed $(SEED))

record: $(STAMP)  ## make a recorded run: RUN=name PROFILE=gpu|record-cpu
	$(if $(RUN),,$(error say which: make record RUN=name, of those in chapters/runs))
	@$(BIN)/python -m tools.record run $(RUN) $(if $(PROFILE),--profile $(PROFILE))

sweep: $(STAMP)  ## make the whole table of a sweep: RUN=name, or NOTEBOOK=path GRID=path of your own
	$(if $(RUN)$(NOTEBOOK),,$(error say which: make sweep RUN=name, or NOTEBOOK=my.ipynb GRID=my.json))
	@$(BIN)/python -m $(if $(NOTEBOOK),belamy.sweep $(NOTEBOOK),tools.record sweep $(RUN)) $(if $(GRID),--grid $(GRID)) $(if $(JOBS),--jobs $(JOBS))

classroom: $(STAMP)  ## write the student's and the instructor's notebooks, which run by themselves, into _build/classroom (CHAPTER=name)
	@$(BIN)/python -m tools.classroom $(ONE)

sheet: $(STAMP)  ## a sheet and a key for each student: CHAPTER=name STUDENTS=names.csv SECRET=word
	@$(BIN)/python -m tools.sheets make $(ONE) --students "$(STUDENTS)" --secret "$(SECRET)"

grade: $(STAMP)  ## grade returned sheets: CHAPTER=name RETURNED=folder
	@$(BIN)/python -m tools.sheets grade $(ONE) --returned "$(RETURNED)"

classroom-check: $(STAMP)  ## does nbgrader take the exercises as they are, do both versions of all run? (CHAPTER=name: of one)
	@$(BIN)/python -m tools.classroom_check $(ONE)

setup: $(STAMP)  ## create .venv with the pinned versions (the other targets do it by themselves)

$(STAMP): pyproject.toml requirements.lock
	@$(PYTHON) -m tools.make setup

clean:  ## remove the built sites and the cache of executed chapters
	rm -rf _build .cache

help:  ## say what there is
	@sed -nE 's/^([a-z-]+):.*  ## (.*)/\1	\2/p' $(MAKEFILE_LIST) | awk -F'\t' '{printf "make %-16s%s\n", $$1, $$2}'
