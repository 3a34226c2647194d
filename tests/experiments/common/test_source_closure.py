"""Which edits of the tree change the key of a result, and that a closure holds all that its computation loads."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.common.source_closure import PACKAGES, ROOT, source_closure, source_digest
from experiments.sweeps.execution.manifest import computing_modules
from experiments.sweeps.subjects.product import Product
from experiments.sweeps.subjects.text import Text

MEASURE = ("experiments.evaluation.measure",)
SWEEP = ("experiments.sweeps.execution.engine", "experiments.sweeps.subjects.product")
BOTH = pytest.mark.parametrize("modules", [MEASURE, SWEEP], ids=["measure", "sweep"])
OUTSIDE = (
    "experiments/sweeps/plots/lines.py",
    "experiments/sweeps/program.py",
    "experiments/sweeps/execution/store.py",
    "experiments/headline/report.py",
    "experiments/headline/figures.py",
    "experiments/target/program.py",
    "experiments/plotting/style.py",
    "experiments/common/reporting.py",
    "experiments/commands.py",
)


@pytest.fixture
def tree(tmp_path) -> Path:
    """A copy of the source of all packages."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def edit(path: Path, pattern: str, replacement: str) -> None:
    text, count = re.subn(pattern, replacement, path.read_text(encoding="utf-8"), count=1, flags=re.MULTILINE)
    assert count == 1
    path.write_text(text, encoding="utf-8")


@BOTH
def test_digest_with_comments_and_docstrings_edited_everywhere_is_unchanged(tree, modules):
    for path in sorted([*tree.rglob("*.py"), *tree.rglob("*.toml")]):
        path.write_text(f"# A comment.\n{path.read_text(encoding='utf-8')}\n# Another.\n", encoding="utf-8")
    edit(tree / "optics/core/tensor_core.py", r'^"""', '"""Another beginning. ')
    edit(tree / "electronics/numerics/noise.py", r'^    """', '    """Another beginning. ')
    assert source_digest(*modules, root=tree) == source_digest(*modules)


@BOTH
def test_digest_with_plots_reports_and_other_programs_edited_is_unchanged(tree, modules):
    for file in OUTSIDE:
        with (tree / file).open("a", encoding="utf-8") as module:
            module.write("\nADDED = 1\n")
    assert source_digest(*modules, root=tree) == source_digest(*modules)


@pytest.mark.parametrize(
    ("file", "pattern", "replacement"),
    [
        ("electronics/constants.toml", r"^value = ", "value = 1"),
        ("optics/datapath/product.py", r"\Z", "\nADDED = 1\n"),
        ("experiments/evaluation/agreement.py", r"jnp\.mean", "jnp.median"),
        ("models/transformer/attention.py", r"-0\.5", "-0.25"),
    ],
)
def test_digest_with_the_closure_edited_changes(tree, file, pattern, replacement):
    edit(tree / file, pattern, replacement)
    assert source_digest(*MEASURE, root=tree) != source_digest(*MEASURE)


def test_closure_follows_imports_inside_functions_but_not_those_for_type_checkers(tmp_path):
    (tmp_path / "models" / "deep").mkdir(parents=True)
    files = {
        "models/__init__.py": "",
        "models/root.py": (
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from models import typed\n"
            "from models.deep import inner\ndef f():\n    from models import late\n    import models.later\n"
        ),
        "models/typed.py": "",
        "models/late.py": "from .latest import x",
        "models/later.py": "from importlib.resources import files\nT = files('models.deep') / 'table.csv'\n",
        "models/latest.py": "x = 1",
        "models/unused.py": "",
        "models/deep/__init__.py": "from models import unused",
        "models/deep/inner.py": "'other.csv'",
        "models/deep/table.csv": "a,b",
        "models/deep/other.csv": "a,b",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert [path.as_posix() for path in source_closure("models.root", root=tmp_path)] == [
        "models/__init__.py",
        "models/deep/inner.py",
        "models/deep/table.csv",
        "models/late.py",
        "models/later.py",
        "models/latest.py",
        "models/root.py",
    ]


def test_closure_of_an_edited_module_is_that_of_the_edited_one(tmp_path):
    """What is known of a module holds until its file changes."""
    (tmp_path / "models").mkdir()
    for name, text in (("__init__", ""), ("a", "from models import b"), ("b", ""), ("c", "")):
        (tmp_path / "models" / f"{name}.py").write_text(text, encoding="utf-8")
    assert [path.stem for path in source_closure("models.a", root=tmp_path)] == ["a", "b"]
    changed = tmp_path / "models" / "a.py"
    changed.write_text("from models import c", encoding="utf-8")
    # Later than the clock of the file system can miss.
    os.utime(changed, (changed.stat().st_atime, changed.stat().st_mtime + 2))
    assert [path.stem for path in source_closure("models.a", root=tmp_path)] == ["a", "c"]


@pytest.mark.parametrize(("modules", "message"), [((), "one module at least"), (("optics.none",), "'optics.none'")])
def test_closure_of_no_module_or_an_unknown_one_is_refused(modules, message):
    with pytest.raises(ValueError, match=message):
        source_closure(*modules)


PROGRAMS = {
    "measure": (
        MEASURE,
        """
import dataclasses
import jax, numpy as np
import models, optics
from experiments.evaluation.records import EvaluationCase
from experiments.evaluation.measure import measure
config = models.DecoderConfig(hidden=16, intermediate=16, layers=1, heads=2, kv_heads=1, head_dim=8, vocabulary=32,
                            context=16, tied_head=True, rope_theta=1e4)
checkpoint = models.Checkpoint(config=config, params=models.initialise(config, jax.random.key(0)), vocabulary=None,
                               source=None, sha256="")
windows = np.arange(8, dtype=np.int32)[None]
cases = [EvaluationCase(name="light", core=optics.projected_2029(rows=32, columns=32), windows=1)]
found = measure(checkpoint, windows, cases, 0, Path(sys.argv[1]))["light"].windows
""",
    ),
    "sweep": (
        SWEEP,
        """
import numpy as np
import optics
from experiments.sweeps.definition.axes import listed
from experiments.sweeps.definition.sweep import Sweep
from experiments.sweeps.execution.engine import Engine
from experiments.sweeps.execution.layout import Layout
from experiments.sweeps.subjects.product import Product
sweep = Sweep(core=optics.projected_2029(rows=8, columns=8), dimensions=(listed("adc.enob", [5.0, 6.0]),),
              subject=Product(rows=8, columns=8, vectors=2), metrics=("snr_db", "fj_per_mac"))
(group,), loaded = sweep.groups, sweep.subject.load()
group = group.with_drive(loaded.drive(group.core))
placed = Engine(sweep, Layout(1, 2), settled=True).place(group, loaded)
found = {name: values.tolist() for name, values in placed.run(np.arange(2), np.zeros(2, int)).items()}
""",
    ),
}
REPORT = """
import json
print(json.dumps([found, sorted(n for n in sys.modules if n.partition(".")[0] in {packages!r})]))
"""


# The tree of `measure` takes twice as long as that of `sweep`, and fails with it.
TREES = [pytest.param(name, marks=pytest.mark.slow if name == "measure" else ()) for name in PROGRAMS]


@pytest.mark.parametrize("name", TREES)
def test_a_tree_of_the_closure_alone_computes_the_same_result(name, tmp_path, monkeypatch):
    """Other files are absent and the `__init__` of packages that are not in the closure is empty. This process has the
    whole tree."""
    modules, program = PROGRAMS[name]
    closure = source_closure(*modules)
    for path in closure:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, tmp_path / path)
    for folder in {folder for path in closure for folder in path.parents if folder != Path()}:
        (tmp_path / folder / "__init__.py").touch()
    program = f"import sys\nfrom pathlib import Path\n{program}"
    command = [sys.executable, "-P", "-c", program + REPORT.format(packages=PACKAGES), str(tmp_path / "one.sqlite")]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr[-2000:]
    alone, loaded = json.loads(ended.stdout.splitlines()[-1])
    monkeypatch.setattr(sys, "argv", ["-c", str(tmp_path / "two.sqlite")])
    here: dict = {}
    exec(compile(program, name, "exec"), here)
    assert alone == json.loads(json.dumps(here["found"]))
    files = {path.with_suffix("").as_posix().removesuffix("/__init__").replace("/", ".") for path in closure}
    empty = {module for module in loaded if module not in files}
    assert all(not (tmp_path.joinpath(*module.split(".")) / "__init__.py").read_text() for module in empty)


@pytest.mark.parametrize("subject", [Product, Text])
def test_a_sweep_depends_on_the_module_of_its_subject(subject):
    assert computing_modules(subject()) == ["experiments.sweeps.execution.engine", subject.__module__]
