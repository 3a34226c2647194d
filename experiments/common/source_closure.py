"""The source that a result depends on: the import closure of the modules that compute it, and a digest of it.

The closure is static. It holds the modules themselves, every module of this project that they import, at module level
or inside a function, and so on, and the data files that those modules read. Imports for type checkers alone are left
out. A package's `__init__` is in it where a name is taken from the package itself. Where the package only stands in the
path of a submodule, its `__init__` runs too, but nothing of it reaches the result.

The digest is that of the syntax trees without docstrings and of the parsed data, so that comments, docstrings and
formatting do not change it.
"""

import ast
import dataclasses
import functools
import hashlib
import json
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("electronics", "optics", "models", "experiments")
DATA_SUFFIXES = (".toml", ".csv")
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def source_digest(*modules: str, root: Path = ROOT) -> str:
    """Return the SHA-256 digest of the source that results of some modules depend on.

    Args:
        modules: dotted names of the modules that compute the result, at least one.
        root: the folder that holds the packages.

    Returns:
        Hexadecimal digest of the names and the normalised contents of all files in the closure.

    Raises:
        ValueError: if there is no such module under `root`, or none is named.
    """
    return _digest(tuple(sorted(modules)), root)


def source_closure(*modules: str, root: Path = ROOT) -> list[Path]:
    """Return the files that results of some modules depend on, Python and data, relative to `root` and sorted.

    Args:
        modules: dotted names of the modules that compute the result, at least one.
        root: the folder that holds the packages.

    Raises:
        ValueError: if there is no such module under `root`, or none is named.
    """
    return sorted(path.relative_to(root) for path in _files_of(modules, root))


def is_ours(module: str) -> bool:
    """Return whether a module is one of this project's own, by its dotted name."""
    return module.partition(".")[0] in PACKAGES


@dataclasses.dataclass(frozen=True)
class _Source:
    """What a closure takes from one module: its contents without docstrings, our modules it imports, its data files."""

    contents: str
    imports: tuple[str, ...]
    data: tuple[Path, ...]


def _files_of(modules: tuple[str, ...], root: Path) -> dict[Path, str]:
    """The files of the closure, with their normalised contents."""
    if not modules:
        raise ValueError("a result depends on one module at least: name those that compute it")
    waiting, known = list(modules), set()
    files: dict[Path, str] = {}
    while waiting:
        name = waiting.pop()
        if name in known:
            continue
        known.add(name)
        path = _path_of(name, root)
        if path is None:
            raise ValueError(f"there is no module {name!r} under {root}")
        source = _source(name, path, root, path.stat().st_mtime_ns)
        files |= {path: source.contents, **{data: _contents(data) for data in source.data}}
        waiting += source.imports
    return files


# The hundred files of a closure take a second to parse, and closures share most of theirs.
@functools.lru_cache(maxsize=1024)
def _source(name: str, path: Path, root: Path, changed: int) -> _Source:
    """A module as it was at a time of change."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imports, data = tuple(_imports(tree, name, path, root)), tuple(_data_files(tree, path, root))
    return _Source(ast.dump(_without_docstrings(tree)), imports, data)


@functools.lru_cache(maxsize=64)
def _digest(modules: tuple[str, ...], root: Path) -> str:
    whole = hashlib.sha256()
    for path, contents in sorted(_files_of(modules, root).items()):
        for part in (path.relative_to(root).as_posix(), contents):
            whole.update(part.encode() + b"\0")
    return whole.hexdigest()


def _contents(path: Path) -> str:
    """A data file without comments and formatting where it is TOML."""
    text = path.read_text(encoding="utf-8")
    return json.dumps(tomllib.loads(text), default=str) if path.suffix == ".toml" else text


def _without_docstrings(tree: ast.Module) -> ast.Module:
    """The tree without strings that stand as statements: docstrings of modules, classes, functions and attributes."""
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED):
            node.body = [statement for statement in node.body if not _is_string(statement)]
    return tree


def _is_string(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _imports(tree: ast.Module, name: str, path: Path, root: Path) -> Iterator[str]:
    """Our own modules that a module imports, wherever in its source, except for type checkers alone."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in _executed(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if is_ours(alias.name):
                    yield alias.name
                    if alias.asname is None:
                        # `import a.b` binds `a`, so any name of it may be used.
                        yield alias.name.partition(".")[0]
        elif isinstance(node, ast.ImportFrom):
            source = _absolute(node, package)
            if is_ours(source):
                for alias in node.names:
                    inner = f"{source}.{alias.name}"
                    yield source if _path_of(inner, root) is None else inner


def _executed(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes below a node, without the bodies of `if TYPE_CHECKING`."""
    for child in ast.iter_child_nodes(node):
        yield child
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for other in child.orelse:
                yield other
                yield from _executed(other)
        else:
            yield from _executed(child)


def _absolute(node: ast.ImportFrom, package: str) -> str:
    """The dotted name of the module that names are imported from."""
    if not node.level:
        return node.module or ""
    parts = package.split(".")
    return ".".join([*parts[: len(parts) - node.level + 1], *([node.module] if node.module else [])])


def _data_files(tree: ast.Module, path: Path, root: Path) -> Iterator[Path]:
    """The data files that a module may read.

    They are those that a string in it names, in the folder of the module or in a package that it gives to `files`; all
    in that folder where a call of `files` is given no literal.
    """
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and _called(node) == "files"]
    if not calls:
        return
    literals = [_literal(call.args[0]) if call.args else None for call in calls]
    folders = [path.parent, *(root.joinpath(*package.split(".")) for package in literals if package is not None)]
    named = {
        node.value.rpartition("/")[2]
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.endswith(DATA_SUFFIXES)
    }
    for folder in folders:
        yield from (folder / name for name in named if (folder / name).is_file())
    if None in literals:
        yield from (each for each in path.parent.iterdir() if each.suffix in DATA_SUFFIXES)


def _called(call: ast.Call) -> str:
    function = call.func
    return (
        function.id if isinstance(function, ast.Name) else function.attr if isinstance(function, ast.Attribute) else ""
    )


def _literal(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _path_of(module: str, root: Path) -> Path | None:
    """The file of a module, None where there is none."""
    base = root.joinpath(*module.split("."))
    return next((path for path in (base / "__init__.py", base.with_suffix(".py")) if path.is_file()), None)
