"""A run gives the same file whatever happens to it: other devices, other processes, ten deaths, a full disk."""

import itertools
import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import time

import numpy as np
import pytest

from experiments import sweeps
from experiments.common.result_cache import ResultCache
from experiments.sweeps.definition import toml_file
from experiments.sweeps.execution import store
from experiments.sweeps.execution.store import FILE

PER_CALL = 8
TIMEOUT = 240


def rows(folder):
    """Every table of results as it stands in the file, without what says when and where."""
    with sqlite3.connect(folder / FILE) as database:
        results = database.execute("SELECT * FROM results ORDER BY point, key, sample").fetchall()
        points = database.execute("SELECT * FROM points ORDER BY point").fetchall()
        left = database.execute("SELECT count(*) FROM trials WHERE done = 0 OR worker IS NOT NULL").fetchone()[0]
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database.close()
    return results, points, left


def finish(process):
    out, error = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 0, error[-2000:]
    return out


def test_the_whole_run_has_every_row_once(whole):
    results, points, left = rows(whole.folder)
    assert left == 0 and len(points) == 60
    assert [row[:3] for row in results] == list(itertools.product(range(60), range(2), range(1)))
    assert all(np.isfinite(row[3:]).all() for row in results)


def test_three_devices_give_the_same_bits(definition, start, tmp_path):
    """Of one structure and without readings, as each of the three compiles for itself."""
    one, text = tmp_path / "one.toml", definition.read_text(encoding="utf-8")
    one.write_text(text.replace("rows = [8, 16]", "").replace('"snr_db", ', ""), encoding="utf-8")
    alone = sweeps.run(toml_file.load(one), tmp_path / "alone", per_call=PER_CALL, progress=False)
    out = finish(start(tmp_path / "three", flags="--xla_force_host_platform_device_count=3", of=one))
    assert rows(tmp_path / "three") == rows(alone.folder)
    assert "60 trials" in out and "3 device(s)" in out


def test_two_joined_processes_give_the_same_bits(whole, start, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    both = [
        start(tmp_path, ["--coordinator", address, "--processes", "2", "--process", str(number)]) for number in (0, 1)
    ]
    outs = [finish(process) for process in both]
    assert rows(tmp_path) == rows(whole.folder)
    assert "120 trials" in outs[0] and "2 compilation(s)" in outs[0]
    assert "Written" in outs[0] and "Written" not in outs[1]


def test_two_processes_on_one_file_share_the_work(whole, start, tmp_path):
    both = [start(tmp_path) for _ in range(2)]
    for process in both:
        finish(process)
    assert rows(tmp_path) == rows(whole.folder)
    assert sum(session.get("trials", 0) for session in sweeps.SweepResults(tmp_path).sessions) == 120


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
@pytest.mark.parametrize("kills", [2, pytest.param(10, marks=pytest.mark.slow)])
def test_kills_lose_and_double_nothing(kills, whole, start, tmp_path):
    """Each process is killed at a moment drawn within some seconds of its first result, or of its start."""
    moments, done = random.Random(5), 0
    for number in range(kills):
        process = start(tmp_path)
        until = time.monotonic() + TIMEOUT
        # Every other one is killed early: while it loads, compiles, or opens the file.
        while number % 2 and finished(tmp_path) == done and process.poll() is None and time.monotonic() < until:
            time.sleep(0.002)
        time.sleep(moments.uniform(0, 0.05 if number % 2 else 4))
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=TIMEOUT)
        before, done = done, finished(tmp_path)
        assert done >= before
    assert done > 0
    finish(start(tmp_path))
    assert rows(tmp_path) == rows(whole.folder)
    assert not list(tmp_path.glob(".worker-*"))


def finished(folder):
    """Trials that are done, as another process sees them."""
    try:
        return sweeps.SweepResults(folder).progress[0]
    except (FileNotFoundError, ValueError, sqlite3.Error, KeyError):
        return 0


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    command = [mount or "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or mount is None or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("mounting a file system needs more rights than this test has")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_said_and_mended(whole, definition, start, small_disk):
    """The rest of the disk is taken by another file, given back later."""
    out, ballast = small_disk / "run", small_disk / "ballast"
    ballast.write_bytes(b"\0" * 900_000)
    process = start(out)
    _, error = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 2
    assert f"error: {out / FILE} cannot be written" in error and "the disk may be full" in error
    assert "Traceback" not in error
    ballast.unlink()
    sweeps.run(toml_file.load(definition), out, per_call=PER_CALL, progress=False)
    assert rows(out) == rows(whole.folder)


def test_a_file_that_cannot_grow_keeps_what_it_has(whole, definition, tmp_path, monkeypatch):
    """SQLite's own limit on the size of a file stands for the disk, where none can be mounted."""
    complete = store.Store.complete

    def limited(self, points, keys, found):
        if self.done() >= 40:
            (pages,) = self._database.execute("PRAGMA page_count").fetchone()
            self._database.execute(f"PRAGMA max_page_count = {pages}")
        complete(self, points, keys, {name: np.repeat(values, 200, axis=1) for name, values in found.items()})

    monkeypatch.setattr(store.Store, "complete", limited)
    with pytest.raises(sweeps.StoreError, match="the disk may be full"):
        sweeps.run(toml_file.load(definition), tmp_path, per_call=8, progress=False)
    kept, _, left = rows(tmp_path)
    assert len(kept) == 40 * 200 and left == 80


def test_a_changed_definition_is_refused_with_the_difference(whole, definition, tmp_path):
    changed = tmp_path / "changed.toml"
    text = definition.read_text(encoding="utf-8")
    changed.write_text(text.replace("points = 6", "points = 7").replace("seed = 3", "seed = 4"), encoding="utf-8")
    with pytest.raises(ValueError, match="holds another sweep") as refused:
        sweeps.run(toml_file.load(changed), whole.folder, progress=False)
    assert "axes.adc.enob was [5.0, 6.0" in str(refused.value)
    assert "seed was 3 and is 4" in str(refused.value)


def test_the_file_of_another_program_is_refused(definition, tmp_path):
    ResultCache(tmp_path / FILE, "experiments.evaluation.measure").put("headline", 1)
    with pytest.raises(ValueError, match="is the file of another program"):
        sweeps.run(toml_file.load(definition), tmp_path, progress=False)
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / FILE).write_text("no database at all " * 100, encoding="utf-8")
    with pytest.raises(sweeps.StoreError, match="is no file of a sweep"):
        sweeps.run(toml_file.load(definition), tmp_path / "deep", progress=False)


def test_other_code_is_refused_unless_mixed(definition, tmp_path, monkeypatch):
    sweep = toml_file.load(definition)
    begun = store.Store(tmp_path)
    begun.begin(sweep)
    begun.close()
    monkeypatch.setattr("experiments.sweeps.execution.manifest.source_digest", lambda *modules: "another one")
    with pytest.raises(ValueError, match=r"other code or on another device: source was .* --mixed"):
        sweeps.run(sweep, tmp_path, progress=False)
    begun = store.Store(tmp_path)
    begun.begin(sweep, mixed=True)
    begun.close()


def test_another_layout_is_refused(whole, definition):
    sweep = toml_file.load(definition)
    with sqlite3.connect(whole.folder / FILE) as database:
        database.execute("UPDATE trials SET done = 0 WHERE point = 0 AND key = 0")
        database.execute("DELETE FROM results WHERE point = 0 AND key = 0")
    database.close()
    with pytest.raises(ValueError, match="per_call = 16, but the run was begun with 8"):
        sweeps.run(sweep, whole.folder, per_call=16, progress=False)
    again = sweeps.run(sweep, whole.folder, progress=False)
    assert again.progress == (120, 120)


def test_claims_of_the_living_are_kept_and_those_of_the_dead_void(definition, tmp_path):
    sweep = toml_file.load(definition)
    first, second = store.Store(tmp_path), store.Store(tmp_path)
    first.begin(sweep)
    second.begin(sweep)
    taken = first.claim(0, 50)
    second.release_stale_claims()
    rest = second.claim(0, 50)
    assert len(taken[0]) == 50 and len(rest[0]) == 10
    assert not set(zip(*taken, strict=True)) & set(zip(*rest, strict=True))
    # As the operating system does when a process ends.
    first._lock.release()
    second.release_stale_claims()
    assert second.claim(0, 50) == taken
    second.close()


def test_claims_of_a_process_whose_last_write_failed_are_void(definition, tmp_path):
    """It has taken its lock away, but had no room to give back its claims."""
    sweep = toml_file.load(definition)
    ended, second = store.Store(tmp_path), store.Store(tmp_path)
    ended.begin(sweep)
    second.begin(sweep)
    taken = ended.claim(0, 50)
    ended._lock.release()
    ended._lock_file.unlink()
    second.release_stale_claims()
    assert second.claim(0, 50) == taken
    second.close()
