"""A function of the user's own to train, with its data, as a file names it."""

import dataclasses
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from experiments.common.options import short_repr
from experiments.sweeps.definition import function_name

ENTRY = "function"
WANTED = "a training.Task, or a function of a seed (or of nothing) that returns one"


@dataclasses.dataclass(frozen=True, eq=False)
class Task:
    """A function to train and its data; the arguments of `experiments.training.train`.

    Attributes:
        loss: function of (params, batch, reference) whose products with params run on the core.
        params: tree of arrays, the starting point.
        data: tree of arrays whose leading axis counts examples, or a function of the number of the step.
        held_out: examples that the best state is chosen by.
        forward: function of (params, batch) whose exact result at the starting parameters is the reference.
        test: examples that the table is of; `held_out` unless given.
        name: for titles.
    """

    loss: Callable[..., Any]
    params: Any
    data: Any
    _: dataclasses.KW_ONLY
    held_out: Any
    forward: Callable[[Any, Any], Any] | None = None
    test: Any = None
    name: str = ""


def load(reference: Any, folder: Path) -> Callable[[int], Task]:
    """Return the task of a name, as a function of a seed.

    Args:
        reference: "module:name", where the name is that of a `Task`, or of a function of a seed, or of nothing, that
            returns one.
        folder: where the module is looked for first; then in the working folder, and then where Python looks.

    Raises:
        ValueError: if there is no such module or name, or it is something else. The message names the nearest.
    """
    found = function_name.find(ENTRY, reference, folder)
    if isinstance(found, Task):
        return lambda seed: found
    if not callable(found):
        raise ValueError(f"{ENTRY} = {reference!r} must be {WANTED}, and is {short_repr(found)}")
    for arguments in ((0,), ()):
        try:
            inspect.signature(found).bind(*arguments)
        except (TypeError, ValueError):
            continue
        given = arguments
        return lambda seed: _made(reference, found, (seed,)[: len(given)])
    raise ValueError(f"{ENTRY} = {reference!r} must be {WANTED}, and takes other arguments")


def _made(reference: str, function: Callable[..., Any], arguments: tuple[int, ...]) -> Task:
    made = function(*arguments)
    if not isinstance(made, Task):
        raise ValueError(f"{ENTRY} = {reference!r} must be {WANTED}, and returned {short_repr(made)}")
    return made
