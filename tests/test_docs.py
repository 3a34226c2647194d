"""README and documentation: code blocks run, commands and targets exist, links resolve, the site is complete."""

import ast
import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

import jax
import pytest
import yaml

import models
import optics
from electronics import Part
from experiments import sweeps
from experiments.commands import PROGRAMS
from experiments.sweeps.definition import toml_file

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
README = ROOT / "README.md"
GUIDE = sorted((DOCS / "guide").rglob("*.md"))
# Their blocks run in tests/test_networks.py.
NETWORKS = sorted((DOCS / "guide" / "networks").glob("*.md"))
RUN_HERE = [README, *(page for page in GUIDE if page not in NETWORKS)]
PAGES = [README, ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
MOST_WORDS_OF_README = 700
# Numbers that the blocks of a page print: pattern, and the bounds of a right one.
NUMBER = r"(-?[\d.]+(?:e[+-]?\d+)?)"
PRINTED = {
    "README.md": [(rf"{NUMBER} fJ/MAC", 1000, 2000)],
    "docs/guide/emulate.md": [(rf"relative error {NUMBER}", 0, 0.3)],
    "docs/guide/own_function.md": [(rf"accuracy {NUMBER} at 4", 0.25, 0.99), (rf"bits, {NUMBER} at 8", 0.9, 1.01)],
    "docs/guide/models.md": [(rf"{NUMBER} nats lost", -1, 1), (rf"differ by {NUMBER}", -1e-9, 1e-4)],
    "docs/guide/price.md": [(rf"{NUMBER} fJ/MAC, ", 1000, 2000)],
    "docs/guide/train.md": [(rf"KL {NUMBER} before", 0.6, 0.8), (rf"before, {NUMBER} after", 0.3, 0.6)],
    "docs/guide/gradients.md": [(rf"source power = {NUMBER} per watt", -1e9, 0)],
}
SAID = {
    "docs/guide/models.md": ["is a pickle file, which can run code", "'q_bias', 'up', 'v', 'v_bias']"],
    "docs/guide/emulate.md": ["000 weights 64x32  dot_general"],
    "docs/guide/price.md": ["'digital products'"],
}
# The page whose TOML is of cores by site.
DESIGNS = DOCS / "guide" / "cores.md"
# The page whose TOML is of studies of training.
STUDIES = DOCS / "guide" / "train.md"
SWEPT = [page for page in RUN_HERE if page not in (DESIGNS, STUDIES)]
# Points and groups of the sweeps that a page defines in TOML, and the file that its first block of Python is.
SIZES = {"docs/guide/sweep.md": [(6 * 8 * 2 * 2, 2), (3 * 3 * 2, 1)], "docs/guide/own_function.md": [(5 * 3, 1)]}
MODULES = {"docs/guide/own_function.md": "classifier.py"}
# Pages that compare two programs to the last bit.
EXACT = {"docs/guide/preload.md"}
LINK = re.compile(r"\]\((?!https?:)([^)]+)\)")


def blocks(page: Path, language: str) -> list[str]:
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def run_blocks(page: Path) -> dict:
    """Run the Python blocks of a page in order, in one namespace."""
    space: dict = {}
    for number, block in enumerate(blocks(page, "python")):
        exec(compile(block, f"{name_of(page)}, block {number}", "exec"), space)
    return space


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("page", [p for p in RUN_HERE if blocks(p, "python")], ids=name_of)
def test_python_blocks_run_in_order_and_print_what_they_should(page, tmp_path, monkeypatch, capsys, request):
    if name_of(page) in EXACT:
        request.getfixturevalue("optimised")
    monkeypatch.chdir(tmp_path)
    space, printed = run_blocks(page), capsys.readouterr().out
    for text, least, most in PRINTED.get(name_of(page), ()):
        assert least < float(re.search(text, printed)[1]) < most, text
    for name, value in space.items():
        if isinstance(value, jax.Array) and jax.numpy.issubdtype(value.dtype, jax.numpy.floating):
            assert jax.numpy.isfinite(value).all(), name
    for text in SAID.get(name_of(page), ()):
        assert text in printed


def test_only_readme_and_guide_hold_python():
    for page in PAGES:
        if page != README and page not in GUIDE:
            assert not blocks(page, "python"), page


@pytest.mark.parametrize("page", [p for p in RUN_HERE if blocks(p, "toml") and p in SWEPT], ids=name_of)
def test_toml_blocks_define_sweeps(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_design.toml").write_text(blocks(DESIGNS, "toml")[0], encoding="utf-8")
    assert len(blocks(page, "toml")) == len(SIZES[name_of(page)])
    for number, block in enumerate(blocks(page, "toml")):
        path = tmp_path / f"sweep{number}.toml"
        path.write_text(block, encoding="utf-8")
        if name_of(page) in MODULES:
            (tmp_path / MODULES[name_of(page)]).write_text(blocks(page, "python")[0], encoding="utf-8")
        sweep = toml_file.load(path)
        assert (sweep.points, len(sweep.groups)) == SIZES[name_of(page)][number]


def test_toml_blocks_of_designs_load(tmp_path):
    (block,) = blocks(DESIGNS, "toml")
    path = tmp_path / "design.toml"
    path.write_text(block, encoding="utf-8")
    assert len(optics.load_by_site(path).rules) == 2


def test_toml_block_of_a_study_is_the_file_that_the_page_names():
    """Its loading is tested in tests/experiments/training/test_testbed.py."""
    (block,) = blocks(STUDIES, "toml")
    assert block == (DOCS / "training" / "digits.toml").read_text(encoding="utf-8")


def test_sweeps_of_the_gallery_load():
    """Those of a network, with a module beside them, load in tests/test_networks.py."""
    gallery = [path for path in sorted((DOCS / "sweeps").glob("*.toml")) if not path.with_suffix(".py").exists()]
    assert len(gallery) >= 6
    for path in gallery:
        assert toml_file.load(path).points > 1


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_exist(page):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    text = page.read_text(encoding="utf-8")
    targets = [*re.findall(r"`make ([\w-]+)`", text), *re.findall(r"^make (\S+)", "".join(blocks(page, "sh")), re.M)]
    for target in targets:
        assert f"\n{target}:" in makefile, target
    for program in re.findall(r"(?:`|bin/)otc ([\w-]+)", text):
        assert program in PROGRAMS, program


def test_every_program_is_in_the_guide():
    text = (DOCS / "guide" / "programs.md").read_text(encoding="utf-8")
    assert set(re.findall(r"`otc ([\w-]+)`", text)) == set(PROGRAMS)


def test_every_preset_and_device_is_in_the_guide():
    rows = re.findall(r"^\| (`.*?`) \|", (DOCS / "guide" / "emulate.md").read_text(encoding="utf-8"), re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert named == {*optics.PRESETS, *optics.DEVICES, "ideal"}


def test_readme_is_short():
    assert len(README.read_text(encoding="utf-8").split()) <= MOST_WORDS_OF_README


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page):
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        target, _, anchor = link.partition("#")
        path = page.parent / target if target else page
        assert path.exists(), link
        if anchor:
            assert anchor in anchors(path), link


def anchors(page: Path) -> Iterator[str]:
    for title in re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE):
        yield re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def test_navigation_holds_every_page():
    site = yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), yaml.BaseLoader)

    def pages(entry) -> Iterator[str]:
        if isinstance(entry, str):
            yield entry
        else:
            for inner in entry.values() if isinstance(entry, dict) else entry:
                yield from pages(inner)

    assert sorted(pages(site["nav"])) == sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))


def test_reference_holds_every_public_name():
    """mkdocstrings renders what `__all__` holds; the page of each package names the package."""
    for package in ("optics", "electronics", "models", "experiments.sweeps"):
        page = DOCS / "reference" / f"{package.rpartition('.')[2]}.md"
        assert f"::: {package}\n" in page.read_text(encoding="utf-8")


def test_tests_that_the_physics_names_exist():
    """`test_file.py::test_name_...`: the file is there, and a test in it begins so."""
    page = (DOCS / "physics.md").read_text(encoding="utf-8")
    files: dict[str, str] = {}
    for path in (ROOT / "tests").rglob("test_*.py"):
        files[path.name] = files.get(path.name, "") + path.read_text(encoding="utf-8")
    named = re.findall(r"(test_\w+\.py)(?:::(\w+))?", page)
    assert len(named) > 40
    for module, test in named:
        assert module in files, module
        assert f"def {test.rstrip('_')}" in files[module], f"{module}::{test}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_paths_in_code_exist(page):
    """`optics/core/cost.py` in backticks is a file or a folder of the tree."""
    text = page.read_text(encoding="utf-8")
    for path in re.findall(r"`((?:electronics|optics|models|experiments|tests|docs)/[\w/.]*)`", text):
        assert "NAME" in path or (ROOT / path).exists(), path


def test_names_that_contributing_places_in_files_are_there():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    places = re.findall(r"`([A-Z_a-z]\w*)`\s+in\s+`([\w/]+\.py)`", text)
    assert len(places) > 15
    for name, path in places:
        source = (ROOT / path).read_text(encoding="utf-8")
        assert re.search(rf"^\s*(?:def|class) {name}\b|^{name}\b", source, re.MULTILINE), f"{name} in {path}"


def members() -> set[str]:
    """`Class.member`, inherited ones too, and `module.function` of all packages."""
    found: set[str] = set()
    own: dict[str, set[str]] = {}
    bases: dict[str, set[str]] = {}
    for package in ("electronics", "optics", "models", "experiments"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.FunctionDef | ast.ClassDef):
                    found.add(f"{path.stem}.{node.name}")
                if isinstance(node, ast.ClassDef):
                    bases.setdefault(node.name, set()).update(b.id for b in node.bases if isinstance(b, ast.Name))
                    own.setdefault(node.name, set()).update(names_in(node))
    for name in own:
        line = [name]
        for cls in line:
            line += bases.get(cls, ())
        found |= {f"{name}.{member}" for cls in line for member in own.get(cls, ())}
    return found


def names_in(cls: ast.ClassDef) -> Iterator[str]:
    for node in cls.body:
        if isinstance(node, ast.FunctionDef):
            yield node.name
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id


def fields_of(part: Part, prefix: str = "") -> Iterator[str]:
    for field in dataclasses.fields(part):
        value = getattr(part, field.name)
        yield f"{prefix}{field.name}"
        if isinstance(value, Part):
            yield from fields_of(value, f"{prefix}{field.name}.")


@pytest.mark.parametrize("page", [DOCS / "physics.md", DOCS / "performance.md"], ids=name_of)
def test_functions_and_fields_that_a_page_names_exist(page):
    """`Class.method`, `module.function` and `part.field` in backticks."""
    public = (f"{package.__name__}.{name}" for package in (models, optics) for name in package.__all__)
    known = {*members(), *fields_of(optics.today()), *public}
    named = re.findall(r"`(\w+\.\w+)(?:\(.*?\))?`", page.read_text(encoding="utf-8"))
    assert len(named) > 5
    for name in named:
        if not name.startswith(("core.", "jax.", "jnp.")) and not name.endswith((".json", ".py")):
            assert name in known, name


@pytest.mark.parametrize("package", [models, optics, sweeps], ids=lambda package: package.__name__)
def test_changelog_names_every_renamed_name(package):
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    for old, new in package._RENAMED.items():
        assert re.search(rf"^\|.*`{package.__name__}\.{old}`.*\|.*`{package.__name__}\.{new}`", text, re.MULTILINE), old
