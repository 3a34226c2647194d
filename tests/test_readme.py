"""The README does what it says: its Python runs, its commands exist, its links lead somewhere."""

import re
from pathlib import Path

import jax
import pytest

from experiments.commands import PROGRAMS
from experiments.sweeps.definition import toml_file

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_python_blocks_run_in_order(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    space: dict = {}
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), space)
    printed = capsys.readouterr().out
    error, energy = re.search(r"relative error ([\d.]+), (\d+) fJ/MAC", printed).groups()
    assert 0 < float(error) < 0.3
    assert 10 < int(energy) < 1000
    assert "000 in 256x512" in printed and "001 out 512x64" in printed
    assert "'digital products'" in printed
    assert space["ys"].shape == (4, 32, 64)
    assert float(space["slope"]) < 0
    assert jax.numpy.isfinite(space["y"]).all()


def test_sweeps_are_as_files_define_them(tmp_path):
    """Those of the gallery, and the one in the README."""
    (block,) = blocks("toml")
    (tmp_path / "my_sweep.toml").write_text(block, encoding="utf-8")
    sweep = toml_file.load(tmp_path / "my_sweep.toml")
    assert sweep.points == 6 * 8 * 2 * 2 and len(sweep.groups) == 2
    gallery = sorted((ROOT / "docs" / "sweeps").glob("*.toml"))
    assert len(gallery) >= 6
    for path in gallery:
        assert toml_file.load(path).points > 1


def test_commands_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make (\S+)", "\n".join(blocks("sh")), flags=re.MULTILINE):
        assert f"\n{target}:" in makefile
    for program in re.findall(r"bin/otc (\S+)", README):
        assert program in PROGRAMS


def test_tests_that_the_physics_names_exist():
    """`test_file.py::test_name_...`: the file is there, and a test in it begins so."""
    page = (ROOT / "docs" / "physics.md").read_text(encoding="utf-8")
    files = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")}
    named = re.findall(r"(test_\w+\.py)(?:::(\w+))?", page)
    assert len(named) > 40
    for module, test in named:
        assert module in files, module
        assert f"def {test.rstrip('_')}" in files[module], f"{module}::{test}"


@pytest.mark.parametrize("link", re.findall(r"\]\((?!http)([^)]+)\)", README))
def test_links_lead_somewhere(link):
    assert (ROOT / link).is_file()
