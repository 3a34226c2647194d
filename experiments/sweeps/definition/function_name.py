"""Functions by name, as a file of a sweep names them: `module:name`, found beside the file or in the working folder."""

import importlib
import inspect
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from electronics.part import nearest
from experiments.common.options import short_repr
from experiments.sweeps.subjects.function import Function

ENTRY = "on.function"
WANTED = "a sweeps.Function, or a function without arguments that returns one"


def load(reference: Any, folder: Path) -> Function:
    """Return the function of a name.

    Args:
        reference: "module:name", where the name is that of a `Function` or of a function without arguments that returns
            one.
        folder: where the module is looked for first; then in the working folder, and then where Python looks.

    Raises:
        ValueError: if there is no such module or name, or it is something else. The message names the nearest.
    """
    return _function(reference, find(ENTRY, reference, folder))


def find(entry: str, reference: Any, folder: Path) -> Any:
    """Return what stands under a name in a module of the user's, whatever it is.

    Args:
        entry: the entry of a file that gives the name, for messages.
        reference: "module:name".
        folder: as for `load`.

    Raises:
        ValueError: if there is no such module or name. The message names the nearest.
    """
    if not isinstance(reference, str) or not all(_parts(reference)) or reference.count(":") != 1:
        raise ValueError(f"{entry} = {short_repr(reference)} must be 'module:name', in quotes")
    module_name, name = _parts(reference)
    module = _imported(entry, reference, module_name, [folder.absolute(), Path.cwd()])
    if not hasattr(module, name):
        public = [each for each in vars(module) if not each.startswith("_")]
        raise ValueError(f"{entry} = {reference!r}: module {module_name!r} has no {name!r}{nearest(name, public)}")
    return getattr(module, name)


def _parts(reference: str) -> tuple[str, str]:
    module, _, name = reference.partition(":")
    return module, name


def _imported(entry: str, reference: str, name: str, folders: Sequence[Path]) -> ModuleType:
    top = name.partition(".")[0]
    spec = PathFinder.find_spec(top, [str(folder) for folder in folders])
    found = getattr(sys.modules.get(top), "__file__", None)
    if spec is not None and spec.origin is not None and top in sys.modules and found != spec.origin:
        # Python keeps one module of a name, and would take the other for it.
        raise ValueError(
            f"{entry} = {reference!r}: {spec.origin} has the name of a module that is loaded already, from "
            f"{found}: rename it"
        )
    with _first_on_path(folders):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                raise ValueError(_failed(entry, reference, error)) from error
            known = sorted({path.stem for folder in folders for path in folder.glob("*.py")})
            where = " or ".join(dict.fromkeys(map(str, folders)))
            near = nearest(name, known) if known else ""
            raise ValueError(f"{entry} = {reference!r}: there is no module {name!r} in {where}{near}") from None
        except Exception as error:
            raise ValueError(_failed(entry, reference, error)) from error


def _failed(entry: str, reference: str, error: Exception) -> str:
    """The message for a module that raises while it is imported, with the line that raised."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{error.filename}:{error.lineno}" if isinstance(error, SyntaxError) else f"{last.filename}:{last.lineno}"
    return f"{entry} = {reference!r} cannot be imported: {type(error).__name__}: {error} ({where})"


def _function(reference: str, found: Any) -> Function:
    if isinstance(found, Function):
        return found
    if not callable(found):
        raise ValueError(f"on.function = {reference!r} must be {WANTED}, and is {short_repr(found)}")
    try:
        inspect.signature(found).bind()
    except (TypeError, ValueError):
        raise ValueError(f"on.function = {reference!r} must be {WANTED}, and takes arguments") from None
    made = found()
    if not isinstance(made, Function):
        raise ValueError(f"on.function = {reference!r} must be {WANTED}, and returned {short_repr(made)}")
    return made


@contextmanager
def _first_on_path(folders: Sequence[Path]) -> Iterator[None]:
    """Look in these folders first while a module is imported, and leave Python's path as it was."""
    before = list(sys.path)
    sys.path[:0] = [str(folder) for folder in folders]
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = before
