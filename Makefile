# `make demo` and `make test` work from nothing: they make the virtual environment first.
PYTHON ?= python3
VENV ?= .venv
NEWEST_VENV ?= .venv-newest-jax
ORACLE_VENV ?= .venv-oracle
RUN := $(VENV)/bin/python
MADE := $(VENV)/.made
READY := $(VENV)/.ready
# Programs that tests compiled; those older than a week go.
COMPILED ?= $(VENV)/compiled-by-tests
READY_TO_DEVELOP := $(VENV)/.ready-to-develop
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export NO_MKDOCS_2_WARNING := 1
# Without bytecode on disk each of the programs that tests start compiles the packages anew: 1 s of 5.
unexport PYTHONDONTWRITEBYTECODE
# A file of tests stays with one worker, and files are taken in the order of tests/conftest.py.
IN_PARALLEL := -n auto --dist loadfile --no-loadscope-reorder

.PHONY: demo results results-quick test test-optimised test-slow test-newest-jax oracle lint docs clean

demo: $(READY)
	$(VENV)/bin/otc headline

# Every figure and generated table of the documentation, in hours; the same command goes on where it was stopped.
# Networks of its sweeps and studies are of scikit-learn and flax.
results: $(READY_TO_DEVELOP)
	$(VENV)/bin/otc results

# The same commands at their smallest, into runs/results/quick; ENTRIES names some of them.
results-quick: $(READY_TO_DEVELOP)
	$(VENV)/bin/otc results --quick $(if $(ENTRIES),--only $(ENTRIES))

test: $(READY_TO_DEVELOP)
	$(RUN) -m ruff check .
	@mkdir -p $(COMPILED) && find $(COMPILED) -type f -mtime +7 -delete
	TESTS_COMPILED=$(abspath $(COMPILED)) $(RUN) -m pytest $(IN_PARALLEL)

# As users compile; `make test` leaves optimisations out, because compilation is most of its time.
test-optimised: $(READY_TO_DEVELOP)
	TESTS_OPTIMISED=1 $(RUN) -m pytest $(IN_PARALLEL) $(TESTS)

test-slow: $(READY_TO_DEVELOP)
	TESTS_OPTIMISED=1 $(RUN) -m pytest -m slow

# The newest release of JAX, beyond the bound of pyproject.toml: the interpreter first, as it uses internals of JAX.
test-newest-jax:
	rm -rf $(NEWEST_VENV)
	$(PYTHON) -m venv $(NEWEST_VENV)
	$(NEWEST_VENV)/bin/python -m pip install --quiet --constraint constraints.txt --upgrade pip
	$(NEWEST_VENV)/bin/python -m pip install --quiet --constraint constraints.txt --editable ".[test]"
	$(NEWEST_VENV)/bin/python -m pip install --quiet --upgrade jax jaxlib
	$(NEWEST_VENV)/bin/python -c 'import jax; print("jax", jax.__version__)'
	$(NEWEST_VENV)/bin/python -m pytest tests/optics/interpreter
	$(NEWEST_VENV)/bin/python -m pytest $(IN_PARALLEL)

# Compares what transformers and torch compute on the tiny checkpoints with what tests/models/fixtures holds.
# `make oracle REMAKE=1` writes them anew. Neither library is a dependency of the project.
oracle: $(READY)
	test -d $(ORACLE_VENV) || $(PYTHON) -m venv $(ORACLE_VENV)
	$(ORACLE_VENV)/bin/python -m pip install --quiet --requirement tests/models/fixtures/requirements.txt
	$(ORACLE_VENV)/bin/python tests/models/fixtures/make_fixtures.py $(if $(REMAKE),,--check)
	$(ORACLE_VENV)/bin/python tests/models/fixtures/make_continuation.py $(if $(REMAKE),,--check) \
		"$$($(RUN) -c 'import models; print(models.fetch_model())')"
	$(ORACLE_VENV)/bin/python tests/models/fixtures/make_losses.py $(if $(REMAKE),,--check) \
		"$$($(RUN) -c 'import models; print(models.fetch_model())')"
	$(ORACLE_VENV)/bin/python tests/models/fixtures/make_embeddings.py $(if $(REMAKE),,--check) \
		"$$($(RUN) -c 'import models; print(models.fetch_encoder())')"

lint: $(READY_TO_DEVELOP)
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m basedpyright --pythonpath $(RUN)

docs: $(READY_TO_DEVELOP)
	$(RUN) -m mkdocs build --strict

$(MADE):
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed (set PYTHON=...)")'
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --constraint constraints.txt --upgrade pip
	touch $(MADE)

$(READY): pyproject.toml constraints.txt | $(MADE)
	$(RUN) -m pip install --quiet --constraint constraints.txt --editable ".[experiments]"
	touch $(READY)

$(READY_TO_DEVELOP): pyproject.toml constraints.txt | $(MADE)
	$(RUN) -m pip install --quiet --constraint constraints.txt --editable ".[docs,lint,test]"
	touch $(READY) $(READY_TO_DEVELOP)

clean:
	rm -rf $(VENV) $(NEWEST_VENV) $(ORACLE_VENV) build site *.egg-info
