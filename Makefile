# Needs only python3 (3.11 or newer), its pip and make: every target installs its own needs into VENV.
#
#   make demo     play the whole story on a throw-away ledger
#   make test     run the tests; only some: make test ARGS="-k weeks"
#   make bench    measure costs, for more than an hour; in minutes: make bench ARGS=--quick
#   make lint     check style and formatting
#   make mutations  change one line of the rules at a time; a test must fail for each
#   make simulate   let simulated workers crash, race and lose answers, and check the outcome
#   make fuzz     feed it 200,000 damaged files, events, saved plans, exports, configs and command lines
#   make types    check types
#   make package  build wheel and sdist twice, compare them to the byte, install both outside this checkout, check each, run its demo
#   make sbom     list every pinned package with version and hash in dist/meterctl.cdx.json, for CycloneDX readers
#   make pictures redraw docs/pictures from the output of the commands
#   make man      write the man pages to build/man, from the help texts
#   make lock     pin every installed package to a version and hash, after a change of pyproject.toml
#   make clean    remove the files left by builds and tests

PYTHON ?= python3
VENV ?= .venv
ARGS ?=

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --compile

.PHONY: demo test bench lint types clean mutations simulate fuzz package sbom pictures man lock
.DELETE_ON_ERROR:

demo: $(VENV)/.runtime
	$(BIN)/meterctl demo

# Three processes: many tests wait, for a server or for a time limit, and two would leave a core idle.
test: $(VENV)/.dev
	$(BIN)/pytest -n 3 --dist loadfile $(ARGS)

bench: $(VENV)/.dev
	$(BIN)/python -m bench $(ARGS)

mutations: $(VENV)/.dev
	$(BIN)/python -m tests.mutations

# Fixed seeds, so that anyone can repeat a failure. About two minutes, half of it in memory.
simulate: $(VENV)/.dev
	$(BIN)/python -m tests.simulator --store memory --seed 0 --runs 1800 $(ARGS)
	$(BIN)/python -m tests.simulator --store sqlite --seed 0 --runs 200 $(ARGS)
	$(BIN)/python -m tests.simulator --store mongomock --seed 0 --runs 80 $(ARGS)
	$(BIN)/python -m tests.simulator --store mongod --seed 0 --runs 60 $(ARGS)

# The same seed makes the same inputs. A failure prints the command that repeats it.
fuzz: $(VENV)/.dev
	$(BIN)/python -m tests.fuzz --inputs 200000 --seed 1 $(ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports --no-logo

types: $(VENV)/.dev
	$(BIN)/mypy

# The same tree gives the same bytes: hatchling dates every file by SOURCE_DATE_EPOCH.
export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 1580601600)
HATCH := $(BIN)/python -m hatchling build -t sdist -t wheel

package: $(VENV)/.runtime
	rm -rf dist
	$(HATCH) -d dist
	$(HATCH) -d dist/again
	for file in dist/*.whl dist/*.tar.gz; do cmp "$$file" "dist/again/$${file##*/}" || exit 1; done
	rm -rf dist/again
	for file in dist/*.whl dist/*.tar.gz; do \
	  rm -rf dist/venv && $(PYTHON) -m venv --without-pip dist/venv && \
	  $(BIN)/python -m pip --python dist/venv/bin/python install --quiet --disable-pip-version-check --compile "$$file" && \
	  (cd / && $(CURDIR)/dist/venv/bin/meterctl demo > /dev/null) && \
	  (cd / && $(CURDIR)/dist/venv/bin/python $(CURDIR)/.ci/check_installed.py $(CURDIR)/dist/venv/bin/meterctl) || exit 1; \
	done
	rm -rf dist/venv

# From the pinned versions, so that it names what `make demo` and the image install.
sbom: $(VENV)/.dev
	$(PIP) --require-hashes -r requirements/release.txt
	mkdir -p dist
	$(BIN)/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible -o dist/meterctl.cdx.json requirements/runtime.txt
	$(BIN)/python .ci/finish_sbom.py dist/meterctl.cdx.json

man: $(VENV)/.runtime
	$(BIN)/python -m docs.man.make build/man

# Versions and hashes of everything that is installed here, for every Python and platform that meterctl runs on.
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-annotate

lock: $(VENV)/.pip
	$(PIP) uv
	$(LOCK) pyproject.toml -o requirements/runtime.txt
	$(LOCK) --group build -o requirements/build.txt
	$(LOCK) pyproject.toml --group dev -o requirements/dev.txt
	$(LOCK) --group release -o requirements/release.txt

pictures: $(VENV)/.runtime
	$(BIN)/python -m docs.pictures.make

clean:
	rm -rf $(VENV) build dist .coverage .coverage.* htmlcov .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

# --compile covers installed packages, not an editable checkout. Without bytecode every command would compile it again,
# and take half as long again, wherever Python may not write bytecode.
$(VENV)/.runtime: pyproject.toml requirements/runtime.txt requirements/build.txt $(VENV)/.pip
	$(PIP) --require-hashes -r requirements/runtime.txt -r requirements/build.txt
	$(PIP) --no-deps --no-build-isolation --editable .
	$(BIN)/python -m compileall -q meterctl
	@touch $@

$(VENV)/.dev: pyproject.toml requirements/dev.txt $(VENV)/.runtime
	$(PIP) --require-hashes -r requirements/dev.txt
	@touch $@

# Debian's python3 cannot put pip into a virtual environment, and Debian's own pip is too old for --group. So that pip
# installs a current one into an environment made without pip.
$(VENV)/.pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) is not Python 3.11 or newer; name one that is: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m pip --version >/dev/null 2>&1 || \
	  { echo "$(PYTHON) has no pip; on Debian and Ubuntu: apt-get install python3-pip" >&2; exit 1; }
	$(PYTHON) -m venv --without-pip $(VENV)
	$(PYTHON) -m pip --python $(BIN)/python install --quiet --disable-pip-version-check 'pip>=25.1'
	@touch $@
