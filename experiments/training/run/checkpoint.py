"""The files of a run: run.json says what it is, last.safetensors where it is, best.safetensors what was best.

adapted.safetensors, of a run that has ended, holds the trained parameters as they replace those of the start.

Each file is written beside its place, synchronised with the disk and then renamed, so a run that is killed at any
moment leaves the former file or the new one.
"""

import json
import os
from collections.abc import Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import jax
import numpy as np
from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from electronics.part import nearest
from experiments.sweeps.execution import manifest
from experiments.training.method.trainable import by_path, written

MANIFEST, LAST, BEST, ADAPTED = "run.json", "last.safetensors", "best.safetensors", "adapted.safetensors"
LOCK = ".training.lock"
NOTE = "training"


class Folder:
    """The folder of a run.

    Args:
        path: of the folder, made where it is absent.
        description: what the run computes. A run of another description is refused.
        session: versions and the like, which are stated and not compared.

    Raises:
        ValueError: if the folder holds a run with other options, or another process trains in it.
        OSError: if it cannot be written.
    """

    def __init__(self, path: Path, description: Mapping[str, Any], session: Mapping[str, Any]):
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        stated = json.loads(json.dumps(description))
        if (path / MANIFEST).exists():
            self._admit(stated)
        elif (path / LAST).exists() or (path / BEST).exists():
            raise ValueError(f"{path} holds {LAST} or {BEST} without {MANIFEST}: give another folder")
        else:
            text = json.dumps({"run": stated, "session": dict(session)}, indent=1) + "\n"
            _write(path / MANIFEST, text.encode(), "nothing was there before")

    @contextmanager
    def locked(self):
        """Hold the folder for this process within the block. Raises ValueError if another one has it."""
        lock = FileLock(self.path / LOCK)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise ValueError(f"another process trains in {self.path}: give another folder") from None
        try:
            yield
        finally:
            lock.release()

    def save(self, name: str, arrays: Any, note: Mapping[str, Any]) -> None:
        """Write a tree of arrays and a note that JSON can hold, at once.

        Raises:
            OSError: if it cannot be written; the file that was there stays.
        """
        tensors = {path: _plain(leaf) for path, leaf in _flat(arrays).items()}
        was = self.note(name)
        before = "there was none before" if was is None else f"that of step {was['step']} stays"
        _write(self.path / name, save(tensors, {NOTE: json.dumps(note)}), before)

    def note(self, name: str) -> dict[str, Any] | None:
        """Return the note of a file, or None where there is no such file."""
        return read_note(self.path / name)

    def load(self, name: str, like: Any) -> Any:
        """Return the arrays of a file in the form of a tree of arrays or of their shapes.

        Raises:
            ValueError: if the file holds others.
        """
        return read_arrays(self.path / name, like)

    def _admit(self, stated: Mapping[str, Any]) -> None:
        try:
            was = json.loads((self.path / MANIFEST).read_text(encoding="utf-8"))["run"]
        except (json.JSONDecodeError, KeyError, TypeError):
            raise ValueError(f"{self.path / MANIFEST} is no manifest of a run: give another folder") from None
        if lines := manifest.differences(was, stated):
            raise ValueError(
                f"{self.path} holds a run with other options: {manifest.shortened(lines)}; give another folder"
            )


def read_note(path: Path) -> dict[str, Any] | None:
    """Return the note of a checkpoint, or None where there is no such file.

    Raises:
        ValueError: if the file is damaged or no checkpoint of training.
    """
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="np") as file:
            return json.loads(file.metadata()[NOTE])
    except (SafetensorError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is no checkpoint of training: {error}") from None


def read_arrays(path: Path, like: Any) -> Any:
    """Return the arrays of a checkpoint in the form of a tree of arrays or of their shapes.

    Raises:
        ValueError: if the file is damaged or holds other arrays.
    """
    wanted = _flat(like)
    try:
        with safe_open(path, framework="np") as file:
            found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  it is no mapping
    except SafetensorError as error:
        raise ValueError(f"{path} is no checkpoint of training: {error}") from None
    if set(found) != set(wanted):
        name = min(set(found) ^ set(wanted))
        raise ValueError(
            f"{path} {'holds' if name in found else 'lacks'} {name!r}: it is of another optimiser or model"
        )

    def restored(name: Any, leaf: Any) -> Any:
        values = found[written(name)]
        if jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jax.random.wrap_key_data(values)
        if values.shape != tuple(leaf.shape) or values.dtype != leaf.dtype:
            raise ValueError(
                f"{path}: {written(name)!r} is {values.dtype} {values.shape}, not {leaf.dtype} {tuple(leaf.shape)}"
            )
        return jax.numpy.asarray(values)

    return jax.tree_util.tree_map_with_path(restored, like)


def load_adapted(folder: str | Path, params: Any) -> Any:
    """Return parameters with those in their places that a finished run has trained.

    Args:
        folder: of the run.
        params: tree of arrays that training started from.

    Raises:
        FileNotFoundError: if there is no finished run.
        ValueError: if its parameters are not those of the tree.
    """
    path = Path(folder) / ADAPTED
    if not path.exists():
        raise FileNotFoundError(f"{folder} holds no {ADAPTED}: no run has ended there")
    arrays = by_path(params)
    with safe_open(path, framework="np") as file:
        names = list(file.keys())
    if strange := [name for name in names if name not in arrays]:
        raise ValueError(f"{path} holds {strange[0]!r}, which is no parameter{nearest(strange[0], list(arrays))}")
    found = read_arrays(path, {name: jax.ShapeDtypeStruct(arrays[name].shape, np.float32) for name in names})
    return jax.tree_util.tree_map_with_path(lambda name, value: found.get(written(name), value), params)


def _write(path: Path, content: bytes, before: str) -> None:
    """Write a file durably, or leave the one that is there."""
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise OSError(f"{path} could not be saved ({error.strerror or error}); {before}") from error


def _flat(tree: Any) -> dict[str, Any]:
    return {written(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def _plain(leaf: Any) -> np.ndarray:
    if jax.numpy.issubdtype(getattr(leaf, "dtype", np.float32), jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    return np.asarray(leaf, order="C")
