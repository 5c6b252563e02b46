# make demo   set up, then run the three phases on the embedded digits
# make photos set up, then take the photographs in FOLDER (or those of Oxford-IIIT Pet) to a report
# make test   set up, then check the style and run the tests that are quick, JOBS files at a time
# make test-all   the same with all tests
# make coverage   all tests, and the lines that they leave out, which takes a third longer
# make docs   set up, then build the site in site/, without network; a warning is an error
# make torch  set up, then add PyTorch, for tests that read its checkpoints
# make soak   set up, then kill each command KILLS times, damage files FLIPS times, run PAIRS at once, and
#             try 2,000 forms of data and 500 folders
# make lowest set up, then run some tests with the lowest versions that setup.py allows
# make dist   set up, then build the wheel and the source archive into dist, and check them
PYTHON ?= python3
VENV ?= .venv
RUN_DIR ?= runs/demo
KILLS ?= 25
FLIPS ?= 200
PAIRS ?= 20
PROPERTIES = tests/library/test_any_form.py tests/data/test_any_folder.py
JOBS ?= 2
LOWEST_TESTS ?= tests/ops tests/nn tests/data/test_folder.py tests/data/test_sources.py tests/test_cli.py
BIN = $(VENV)/bin

.PHONY: demo photos docs test test-all coverage torch soak lint lock lowest dist clean

demo: $(VENV)/ready
	$(BIN)/bginv demo --run-dir $(RUN_DIR) --overwrite

photos: $(VENV)/ready
	$(BIN)/bginv run $(if $(FOLDER),folder:$(FOLDER),tfds:oxford_iiit_pet) --recipe photographs

docs: $(VENV)/ready
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

PYTEST = $(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder

test: $(VENV)/ready lint
	$(PYTEST) -m "not slow"

test-all: $(VENV)/ready lint
	$(PYTEST)

coverage: $(VENV)/ready
	$(PYTEST) --cov --cov-report=term-missing:skip-covered --cov-fail-under=90

torch: $(VENV)/ready
	$(BIN)/python -m pip install --quiet torch==2.13.0

soak: $(VENV)/ready
	BGINV_SOAK_KILLS=$(KILLS) BGINV_SOAK_FLIPS=$(FLIPS) BGINV_SOAK_PAIRS=$(PAIRS) BGINV_SOAK_SEED=$$(date +%s) \
		$(BIN)/python -m pytest tests/test_resume.py tests/test_damaged_files.py tests/test_two_at_once.py tests/test_full_disks.py
	BGINV_PROPERTIES=soak $(BIN)/python -m pytest -m "not slow" $(PROPERTIES)

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(VENV)/ready: requirements.lock setup.py pyproject.toml
	$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 10) <= v <= (3, 13) else "bginv needs Python 3.10 to 3.13, not %d.%d: make PYTHON=python3.12" % v)'
	$(PYTHON) -m venv $(VENV) || { echo 'no venv module: apt-get install python3-venv' >&2; exit 1; }
	$(BIN)/python -m pip install --quiet --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	touch $@

# uv writes one lock for every Python that setup.py allows
lock: $(VENV)/ready
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile setup.py --extra test --extra photos --extra export --extra completion --extra tensorboard --extra docs --extra notebooks --extra data --extra app --universal --python-version 3.10 --upgrade \
		--no-header --no-annotate --no-emit-index-url --no-emit-find-links \
		--output-file requirements.lock

# what users install is the lowest of what setup.py names, and the newest of what that needs
lowest: $(VENV)/ready
	$(BIN)/python -m pip install --quiet uv
	mkdir -p build
	$(BIN)/uv pip compile --quiet setup.py --resolution lowest-direct --python $(BIN)/python --output-file build/lowest.txt
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python build/lowest
	$(BIN)/uv pip install --quiet --python build/lowest/bin/python --requirement build/lowest.txt pytest hypothesis
	build/lowest/bin/python -m pytest -m "not slow" $(LOWEST_TESTS)
	build/lowest/bin/python -m bginv demo --run-dir build/lowest-demo --overwrite \
		--classifier-steps 10 --masks-steps 5 --adversarial-steps 5

dist: $(VENV)/ready
	$(BIN)/python -m pip install --quiet build twine
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/twine check --strict dist/*

clean:
	rm -rf $(VENV) build dist site *.egg-info .pytest_cache .ruff_cache .coverage
