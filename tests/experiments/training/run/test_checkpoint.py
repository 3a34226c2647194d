"""Files of a run: what is read is what was written, and what cannot be written leaves what was there."""

import errno
import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file

from experiments.training.run.checkpoint import BEST, LAST, MANIFEST, Folder

TREE = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": {"count": np.int32(4), "key": jax.random.key(3)}}
RUN = {"options": {"rate": 0.1, "steps": 5}}


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path / "run", RUN, {"jax": "0"})


def test_arrays_and_note_are_read_as_they_were_written(folder):
    folder.save(LAST, TREE, {"step": 3, "losses": [0.1, 1 / 3]})
    found = folder.load(LAST, TREE)
    assert np.array_equal(found["a"], TREE["a"]) and found["b"]["count"] == 4
    assert jnp.array_equal(jax.random.key_data(found["b"]["key"]), jax.random.key_data(TREE["b"]["key"]))
    assert folder.note(LAST) == {"step": 3, "losses": [0.1, 1 / 3]}
    assert set(load_file(folder.path / LAST)) == {"a", "b.count", "b.key"}
    assert sorted(path.name for path in folder.path.iterdir()) == [LAST, MANIFEST]


@pytest.mark.parametrize("broken", ["write", "fsync", "replace"])
def test_full_disk_leaves_the_earlier_checkpoint_and_says_so(folder, monkeypatch, broken):
    folder.save(LAST, TREE, {"step": 3})

    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if broken == "fsync":
        monkeypatch.setattr(os, "fsync", full)
    elif broken == "replace":
        monkeypatch.setattr("pathlib.Path.replace", full)
    else:
        real = type(folder.path).open

        class Full:
            def __init__(self, file):
                self.file = file

            def __enter__(self):
                return self

            def __exit__(self, *raised):
                self.file.close()

            def write(self, content):
                self.file.write(content[:10])
                full()

        monkeypatch.setattr(type(folder.path), "open", lambda self, mode="r": Full(real(self, mode)))
    with pytest.raises(OSError, match=r"last.safetensors could not be saved \(No space left.*that of step 3 stays"):
        folder.save(LAST, {**TREE, "a": TREE["a"] + 1}, {"step": 6})
    monkeypatch.undo()
    assert np.array_equal(folder.load(LAST, TREE)["a"], TREE["a"]) and folder.note(LAST) == {"step": 3}
    assert not list(folder.path.glob("*.partial"))


def test_real_full_disk_is_said(folder):
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    (folder.path / (BEST + ".partial")).symlink_to("/dev/full")
    with pytest.raises(OSError, match="best.safetensors could not be saved .*; there was none before"):
        folder.save(BEST, TREE, {"step": 1})


def test_folder_of_another_run_is_refused_and_left(folder):
    before = (folder.path / MANIFEST).read_bytes()
    Folder(folder.path, RUN, {"jax": "1"})
    with pytest.raises(ValueError, match="a run with other options: options.rate was 0.1 and is 0.2; give another"):
        Folder(folder.path, {"options": {"rate": 0.2, "steps": 5}}, {})
    assert (folder.path / MANIFEST).read_bytes() == before


def test_folder_of_another_program_is_refused(tmp_path):
    (tmp_path / LAST).write_bytes(b"something")
    with pytest.raises(ValueError, match="holds last.safetensors or best.safetensors without run.json"):
        Folder(tmp_path, RUN, {})
    (tmp_path / MANIFEST).write_text("{")
    with pytest.raises(ValueError, match="run.json is no manifest of a run"):
        Folder(tmp_path, RUN, {})


def test_damaged_or_foreign_files_are_refused(folder):
    folder.save(LAST, TREE, {"step": 3})
    with pytest.raises(ValueError, match="lacks 'c': it is of another optimiser or model"):
        folder.load(LAST, {**TREE, "c": np.zeros(2)})
    with pytest.raises(ValueError, match=r"'a' is float32 \(2, 3\), not float32 \(3, 3\)"):
        folder.load(LAST, {**TREE, "a": np.zeros((3, 3), np.float32)})
    whole = (folder.path / LAST).read_bytes()
    (folder.path / LAST).write_bytes(whole[:50])
    with pytest.raises(ValueError, match="last.safetensors is no checkpoint of training"):
        folder.note(LAST)


def test_second_process_in_a_folder_is_refused(folder):
    with (
        folder.locked(),
        pytest.raises(ValueError, match="another process trains in"),
        Folder(folder.path, RUN, {}).locked(),
    ):
        pass
