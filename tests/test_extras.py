"""optics and electronics work with the base dependencies alone; a missing extra is named."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# Modules that only extras bring, and what brings them in turn.
EXTRA = (
    "equinox",
    "filelock",
    "flax",
    "gguf",
    "haiku",
    "hypothesis",
    "jinja2",
    "matplotlib",
    "mkdocs",
    "pandas",
    "pyarrow",
    "pytest",
    "requests",
    "safetensors",
    "sklearn",
    "tokenizers",
    "tqdm",
    "tyro",
    "xarray",
    "yaml",
)
IMPORT_ALL = """
import importlib, pkgutil
for package in map(importlib.import_module, ("electronics", "optics")):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        importlib.import_module(module.name)
"""
MAIN = "from experiments.__main__ import main; sys.argv = ['otc', 'bill']; sys.exit(main())"


def run_without(modules: tuple[str, ...], code: str) -> subprocess.CompletedProcess:
    """Run code in a process in which importing the modules fails as if they were not installed."""
    blocked = f"import sys; sys.modules.update(dict.fromkeys({modules!r}))\n"
    return subprocess.run([sys.executable, "-c", blocked + code], capture_output=True, text=True, timeout=300)


def test_every_module_of_optics_and_electronics_needs_only_base_dependencies():
    run = run_without(EXTRA, IMPORT_ALL)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("missing", ["gguf", "jinja2", "safetensors", "tokenizers", "tqdm"])
def test_models_without_its_extra_names_it(missing):
    run = run_without((missing,), "import models")
    assert run.returncode == 1
    assert run.stderr.splitlines()[-1].endswith(f"models needs {missing}: pip install 'optical-tensor-core[models]'")


@pytest.mark.parametrize("missing", ["gguf", "tyro"])
def test_otc_without_its_extra_names_it_in_one_line(missing):
    run = run_without((missing,), MAIN)
    assert run.returncode == 2, run.stderr
    assert run.stderr == f"error: otc needs {missing}: pip install 'optical-tensor-core[experiments]'\n"


def test_extras_that_messages_name_exist():
    extras = {"models", "experiments", "export", "guests", "docs", "lint", "test"}
    assert extras == set(PROJECT["optional-dependencies"])
