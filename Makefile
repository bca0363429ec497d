# The book's commands; `make help` lists them. Works with GNU make 3.81 and newer.

PYTHON ?= python3
URL ?=
CHAPTERS ?=
PROCESSES ?= 2

BOOK := .venv-book
FULL := .venv
NBGRADER := .venv-nbgrader
REVEAL := .reveal
HTML := _build/html
PIP  := -m pip --disable-pip-version-check install --quiet
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)

# A stamp in each environment holds the place and the Python that it was made for. Where that
# is no longer true (the folder was moved or copied, another PYTHON was given), it goes.
PLACE := $(CURDIR) $(VERSION)
$(foreach env,$(BOOK) $(FULL) $(NBGRADER),$(shell \
  test "`cat $(env)/.ready 2>/dev/null`" = "$(PLACE)" || rm -f $(env)/.ready))

# Makes the environment $(1), unless there is a working one of this Python and this place.
define environment
$(1)/bin/python -m pip --version 2>/dev/null | grep -qF '$(CURDIR)/$(1)/' \
  && $(1)/bin/python -m pip --version | grep -qF '(python $(VERSION))' \
  || $(PYTHON) -m venv --clear $(1)
endef

.DEFAULT_GOAL := help
.PHONY: help book pdf slides test check run mutations doctor-bench grading-bench
.PHONY: nbgrader-round-trip lab clean set-repository python

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-20s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "  Another Python:  make book PYTHON=python3.12"

book: $(BOOK)/.ready ## build the HTML from the stored outputs (no torch needed)
	@rm -rf _build
	@$(BOOK)/bin/jupyter-book build . -q -W -n --keep-going
	@test -f $(HTML)/index.html
	@echo
	@echo "The book (`du -sh $(HTML) | cut -f1`) is in $(CURDIR)/$(HTML)"
	@echo "Open it:  $(PYTHON) -m webbrowser '$(CURDIR)/$(HTML)/index.html'"

pdf: book $(FULL)/.ready ## print the book to one PDF (needs Chromium or Chrome)
	@$(FULL)/bin/python tools/pdf.py

slides: $(BOOK)/.ready $(REVEAL)/.ready ## make the slides of two lectures, which work from a disk
	@$(BOOK)/bin/python tools/slides.py

test: $(FULL)/.ready ## run everything that must hold, in two processes of one thread each
	$(FULL)/bin/python -m ruff check .
	$(FULL)/bin/python -m ruff format --check .
	VAE_TUTORIAL_PROGRESS=0 OMP_NUM_THREADS=1 $(FULL)/bin/python -m pytest chapters tests \
	  --nbval-lax --nbval-current-env --nbval-cell-timeout=600 \
	  -n $(PROCESSES) --dist loadfile --no-loadscope-reorder

check: $(FULL)/.ready ## lint and the fast tests, in some three minutes
	$(FULL)/bin/python -m ruff check .
	$(FULL)/bin/python -m ruff format --check .
	VAE_TUTORIAL_PROGRESS=0 $(FULL)/bin/python -m pytest tests -m "not slow" -x -q

run: $(FULL)/.ready ## execute the chapters in place (some: CHAPTERS="01 03")
	$(FULL)/bin/python tools/run_chapters.py $(CHAPTERS)

mutations: $(FULL)/.ready ## break what each check verifies, and see it fail (some: CHAPTERS="03")
	$(FULL)/bin/python tools/mutations.py $(CHAPTERS)

doctor-bench: $(FULL)/.ready ## the doctor on the clinic's patients, five seeds (half an hour)
	$(FULL)/bin/python benchmarks/doctor_bench.py --seeds 5 --out benchmarks/results/doctor.json

grading-bench: $(FULL)/.ready ## the grader: seconds for 100, and each check left out in turn (minutes)
	$(FULL)/bin/python benchmarks/grading.py --out benchmarks/results/grading.json

nbgrader-round-trip: $(NBGRADER)/.ready ## the assignments through nbgrader and back
	$(NBGRADER)/bin/python tools/nbgrader_round_trip.py

lab: $(FULL)/.ready ## open JupyterLab on the chapters
	$(FULL)/bin/python -m jupyterlab chapters

set-repository: python ## rewrite all links for URL=… (default: git's origin)
	@$(PYTHON) tools/set_repository.py $(if $(URL),'$(URL)')

clean: ## remove what was built, the environments too
	rm -rf _build $(BOOK) $(FULL) $(NBGRADER) $(REVEAL) .pytest_cache .ruff_cache .hypothesis *.egg-info
	find tools tests vae_tutorial _ext -name __pycache__ -prune -exec rm -rf {} +

python:
	@test -n "$(VERSION)" || { \
	  echo "There is no $(PYTHON) here. Name one: make ... PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	  echo "Python 3.10 or newer is needed; $(PYTHON) is $(VERSION)." \
	    "Name another: make ... PYTHON=python3.12" >&2; exit 1; }

$(BOOK)/.ready: requirements-book.txt | python
	@echo "Making $(BOOK), the environment of the book's tools ..."
	@$(call environment,$(BOOK))
	@$(BOOK)/bin/python $(PIP) --no-compile -r requirements-book.txt
	@printf '%s' '$(PLACE)' > $@

$(FULL)/.ready: requirements.txt requirements-book.txt requirements-test.txt pyproject.toml | python
	@echo "Making $(FULL), the environment of everything; torch is large ..."
	@$(call environment,$(FULL))
	@$(FULL)/bin/python $(PIP) -r requirements.txt -e .
	@printf '%s' '$(PLACE)' > $@

# nbgrader wants older versions of Jupyter's parts than `make lab`, hence a place of its own.
$(NBGRADER)/.ready: requirements-nbgrader.txt pyproject.toml | python
	@echo "Making $(NBGRADER), for the round trip alone; torch is large ..."
	@$(call environment,$(NBGRADER))
	@$(NBGRADER)/bin/python $(PIP) -r requirements-nbgrader.txt -e .
	@printf '%s' '$(PLACE)' > $@

$(REVEAL)/.ready: requirements-slides.txt $(BOOK)/.ready
	@rm -rf $(REVEAL)
	@$(BOOK)/bin/python $(PIP) --no-deps --target $(REVEAL) -r requirements-slides.txt
	@touch $@
