"""The rules of the tree: which folder may import which, and what may not be in it at all."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("electronics", "optics", "models", "experiments")
ELECTRONICS = ("electronics", "electronics.numerics", "electronics.converters", "electronics.digital")
COMMON = ("experiments.common", "experiments.plotting")
EVALUATION = (*COMMON, "experiments.evaluation")
OPTICS = (
    "optics",
    "optics.components",
    "optics.datapath",
    "optics.equations",
    "optics.interpreter",
    "optics.core",
    "optics.energy",
    "optics.presets",
    "optics.analysis",
)
SWEEPS = ("experiments.sweeps.subjects", "experiments.sweeps.definition", "experiments.sweeps.execution")
PRODUCT = (*ELECTRONICS, *OPTICS, "models")
# A folder may import itself and these. The `__init__` of a package may import all of the package.
MAY_IMPORT = {
    "electronics": (),
    "electronics.numerics": ("electronics",),
    "electronics.converters": ("electronics", "electronics.numerics"),
    "electronics.digital": ("electronics", "electronics.numerics"),
    "optics": ELECTRONICS,
    "optics.components": (*ELECTRONICS, "optics"),
    "optics.datapath": (*ELECTRONICS, "optics", "optics.components"),
    "optics.equations": (),
    "optics.interpreter": ("electronics.numerics", "optics", "optics.equations"),
    "optics.core": (*ELECTRONICS, *OPTICS[:5]),
    "optics.energy": (*ELECTRONICS, *OPTICS[:6]),
    "optics.presets": (*ELECTRONICS, *OPTICS[:7]),
    "optics.analysis": (*ELECTRONICS, *OPTICS[:7]),
    "models": (),
    "models.shape": (),
    "models.transformer": ("models.shape",),
    "models.tokenizers": (),
    "models.data": (),
    "models.generation": (),
    "models.formats": ("models.shape", "models.transformer"),
    "models.encoder": ("models.shape", "models.transformer"),
    "models.families": ("models.shape", "models.transformer", "models.formats", "models.encoder"),
    "models.checkpoints": (
        "models.shape",
        "models.transformer",
        "models.formats",
        "models.families",
        "models.tokenizers",
        "models.generation",
    ),
    "models.writing": (
        "models.shape",
        "models.transformer",
        "models.formats",
        "models.families",
        "models.tokenizers",
        "models.checkpoints",
    ),
    "models.equivalent": ("models.shape", "models.transformer", "models.checkpoints"),
    "experiments.common": PRODUCT,
    "experiments.evaluation": (*PRODUCT, "experiments.common"),
    "experiments.plotting": ("optics.core",),
    "experiments.adapt": (*PRODUCT, "models.shape", "models.equivalent", *EVALUATION),
    "experiments.comparison": (
        *PRODUCT,
        *COMMON,
        "experiments.serving",
        "experiments.serving.model",
        "experiments.serving.optical",
    ),
    "experiments.drift": (*PRODUCT, *COMMON, *SWEEPS[:2]),
    "experiments.programs": (*PRODUCT, *EVALUATION),
    "experiments.generate": (*PRODUCT, "models.generation", *EVALUATION),
    "experiments.headline": (*PRODUCT, *EVALUATION),
    "experiments.target": (*PRODUCT, *EVALUATION),
    "experiments.results": (
        "experiments.bench",
        "electronics",
        "experiments",
        *COMMON,
        "experiments.adapt",
        "experiments.comparison",
        "experiments.headline",
        "experiments.programs",
        "experiments.scaling",
        "experiments.serving",
        "experiments.serving.model",
        "experiments.target",
        "experiments.training",
        "experiments.verdict.report",
        "experiments.width",
        "experiments.workloads",
    ),
    "experiments.verdict.report": (*PRODUCT, *COMMON, "experiments.comparison"),
    "experiments.verdict": (
        *PRODUCT,
        "models.shape",
        "models.equivalent",
        *EVALUATION,
        "experiments.adapt",
        "experiments.comparison",
        "experiments.serving.model",
        "experiments.verdict.report",
    ),
    "experiments.width": (*PRODUCT, *EVALUATION),
    "experiments.scaling": (*PRODUCT, "models.tokenizers", *EVALUATION, "experiments.training.run"),
    "experiments.bench": (*PRODUCT, *COMMON),
    "experiments.serving.model": (*ELECTRONICS, "models"),
    "experiments.serving.validate": (*ELECTRONICS, "models", *COMMON, "experiments.serving.model"),
    "experiments.serving.optical": (*PRODUCT, *COMMON, "experiments.serving.model"),
    "experiments.serving": (*PRODUCT, *COMMON, "experiments.serving.model", "experiments.serving.optical"),
    "experiments.workloads": (
        *PRODUCT,
        *COMMON,
        "experiments.serving",
        "experiments.serving.model",
        "experiments.serving.optical",
    ),
    "experiments.sweeps.subjects": (*PRODUCT, *EVALUATION),
    "experiments.sweeps.definition": (*PRODUCT, *COMMON, *SWEEPS[:1]),
    "experiments.sweeps.execution": (*PRODUCT, *COMMON, *SWEEPS[:2]),
    "experiments.sweeps.plots": (*PRODUCT, *COMMON, *SWEEPS),
    "experiments.sweeps": (*PRODUCT, *COMMON, *SWEEPS, "experiments.sweeps.plots"),
    "experiments.training.method": (*PRODUCT, *COMMON, *SWEEPS[:2]),
    "experiments.training.run": (*PRODUCT, *COMMON, *SWEEPS, "experiments.training.method"),
    "experiments.training": (
        *PRODUCT,
        *EVALUATION,
        *SWEEPS[:2],
        "experiments.training.method",
        "experiments.training.run",
    ),
}
MOST_LINES = 300
MOST_FILES = 13


def sources() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def folder_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).parent.parts)


MODULES = {name_of(path): path for path in sources()}


def imported(path: Path) -> Iterator[str]:
    """Modules that a file imports, of ours and others; a name from a package counts as the package."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            inner = [f"{module}.{alias.name}" for alias in node.names]
            yield from (name if name in MODULES else module for name in inner)


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_folder_imports_only_folders_below_it(folder):
    paths = [path for path in MODULES.values() if folder_of(path) == folder]
    assert paths
    for path in paths:
        if path.name == "__init__.py":
            continue
        ours = {name for name in imported(path) if name.partition(".")[0] in PACKAGES}
        folders = {name if MODULES[name].name == "__init__.py" else name.rpartition(".")[0] for name in ours}
        assert folders - {folder} <= set(MAY_IMPORT[folder]), path.name


def test_every_folder_has_a_rule():
    with_rule = {*MAY_IMPORT, "experiments"}
    assert {folder_of(path) for path in sources()} == with_rule


def test_modules_import_each_other_in_no_cycle():
    edges = {
        name: {to for to in imported(path) if to in MODULES and MODULES[to].name != "__init__.py"}
        for name, path in MODULES.items()
        if path.name != "__init__.py"
    }
    while leaves := {name for name, to in edges.items() if not to & set(edges)}:
        edges = {name: to for name, to in edges.items() if name not in leaves}
    assert not edges


@pytest.mark.parametrize("package", PACKAGES)
def test_folders_and_files_are_small(package):
    for folder in [ROOT / package, *(path for path in (ROOT / package).rglob("*") if path.is_dir())]:
        files = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
        assert len(files) <= MOST_FILES, folder
        for path in files:
            assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES, path


@pytest.mark.parametrize("package", PACKAGES)
def test_modules_have_docstrings_and_library_code_does_not_print(package):
    for path in (ROOT / package).rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert ast.get_docstring(tree), path
        assert "pickle" not in imported(path), path
        calls = {
            node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        assert package == "experiments" or "print" not in calls, path


def test_jax_internals_stay_in_one_module_of_each_package():
    users = [
        path
        for path in sources()
        if any(name in path.read_text(encoding="utf-8") for name in ("jax._src", "jax.extend", "jax.interpreters"))
    ]
    assert {path.relative_to(ROOT).as_posix() for path in users} == {
        "electronics/numerics/_jax.py",
        "optics/equations/_jax.py",
    }


def test_parameters_of_equations_are_read_in_one_module():
    for path in (*(ROOT / "optics" / "interpreter").glob("*.py"), *(ROOT / "optics" / "equations").glob("*.py")):
        text = path.read_text(encoding="utf-8")
        assert path.name == "_jax.py" or not any(word in text for word in (".params", ".primitive")), path.name
