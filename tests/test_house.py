"""The house keeps its rules: which room may import which, and what may not be in the tree at all."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "electronics": {"electronics"},
    "optics": {"electronics", "optics"},
    "models": {"models"},
    "experiments": {"electronics", "optics", "models", "experiments"},
}


def modules(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


def imported(tree: ast.Module) -> set[str]:
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_doors_open_one_way(room):
    assert modules(room)
    for path in modules(room):
        found = imported(ast.parse(path.read_text(encoding="utf-8"))) & set(MAY_IMPORT)
        assert found <= MAY_IMPORT[room], path.name


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_modules_say_what_they_are_for_and_library_code_does_not_print(room):
    for path in modules(room):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert ast.get_docstring(tree), path.name
        assert "pickle" not in imported(tree), path.name
        calls = {
            node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        assert room == "experiments" or "print" not in calls, path.name


def test_jax_internals_stay_in_one_module():
    for room in MAY_IMPORT:
        for path in modules(room):
            text = path.read_text(encoding="utf-8")
            assert path.name == "_jax.py" or not any(
                name in text for name in ("jax._src", "jax.extend", "get_bind_params")
            )
