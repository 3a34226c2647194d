"""The SQLite file of a run: definition, points, claims of processes on trials, and results.

Every change is a transaction, so the file holds whole batches however a process ends. Processes on one machine share
the file. Each claims trials before it runs them and holds a lock of the operating system for as long as it lives. A
claim without a lock is stale.
"""

import json
import sqlite3
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from experiments.sweeps.definition.sweep import Sweep
from experiments.sweeps.execution import extension, manifest

FILE = "results.sqlite"
WORKER = ".worker-"
# Primary result codes of SQLite, the low 8 bits of an extended code.
DISK = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
FOREIGN = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)
PATIENCE_SECONDS = 60.0


class StoreError(OSError):
    """The file cannot be written; its contents are intact."""


class Store:
    """The file of a run, opened by one process that works on it."""

    def __init__(self, folder: Path):
        self.folder, self.path = folder, folder / FILE
        self._worker = uuid.uuid4().hex[:12]
        self._lock: FileLock | None = None
        folder.mkdir(parents=True, exist_ok=True)
        with self._guarded():
            # Without an isolation level the module begins no transaction by itself.
            self._database = sqlite3.connect(self.path, timeout=PATIENCE_SECONDS, isolation_level=None)
            self._database.execute("PRAGMA journal_mode=WAL")

    def begin(self, sweep: Sweep, mixed: bool = False) -> None:
        """Create the tables for a sweep, or resume the run that is in the file.

        A run of a sweep whose axes had fewer values is extended: points that are done stay done.

        Args:
            sweep: the sweep.
            mixed: whether to resume a run that was begun with other code or on another kind of device, whose results
                differ in their last bits.

        Raises:
            ValueError: if the file is of another program or another sweep, or, unless `mixed`, of other code; if it is
                to be extended while another process works on it.
        """
        definition, code = sweep.describe(), manifest.code(sweep.subject)
        extended: dict[str, int] = {}
        with self._transaction():
            tables = [name for (name,) in self._database.execute("SELECT name FROM sqlite_master").fetchall()]
            if not tables:
                self._create(sweep, definition, code)
            elif "manifest" not in tables:
                raise ValueError(f"{self.path} is the file of another program: give another folder")
            moved = self._admit(sweep, definition, code, mixed)
            if moved is not None:
                self._extend(sweep, definition, moved)
                extended = {"extended_from_points": len(moved)}
            self._described = manifest.session(code) | extended
            self._session = self._database.execute(
                "INSERT INTO sessions (began, session) VALUES (?, ?)", (_now(), json.dumps(self._described))
            ).lastrowid
            # Within a transaction, as its release is: no other process sees the lock's file without the lock.
            lock = self._lock = FileLock(self._lock_file)
            lock.acquire(timeout=PATIENCE_SECONDS)
        self.release_stale_claims()

    def set_default(self, name: str, value: Any) -> Any:
        """Return an entry of the manifest, which is set to `value` where there is none yet."""
        with self._transaction():
            self._put_new(name, value)
        return self.entry(name)

    def entry(self, name: str) -> Any | None:
        """Return an entry of the manifest, as "definition", "code" or "layout"; None where there is none yet."""
        row = self._database.execute("SELECT value FROM manifest WHERE name = ?", (name,)).fetchone()
        return None if row is None else json.loads(row[0])

    def check_data(self, group: int, digest: str) -> None:
        """Raise ValueError unless a group still has the data, by digest, that the run began with."""
        name = f"data of group {group}"
        if self.set_default(name, digest) != digest:
            raise ValueError(
                f"{self.folder} was begun with another model, text or function under the same name: give another folder"
            )

    def free_group(self) -> int | None:
        """Return the group of the first trial that is neither done nor claimed; None where there is no such trial."""
        row = self._database.execute(
            "SELECT part FROM trials WHERE done = 0 AND worker IS NULL ORDER BY trial LIMIT 1"
        ).fetchone()
        return None if row is None else row[0]

    def claim(self, group: int, most: int) -> tuple[list[int], list[int]]:
        """Claim up to `most` trials of a group for this process and return their (points, keys)."""
        with self._transaction():
            taken = self._database.execute(
                "UPDATE trials SET worker = ? WHERE trial IN (SELECT trial FROM trials "
                "WHERE done = 0 AND worker IS NULL AND part = ? ORDER BY trial LIMIT ?) RETURNING trial, point, key",
                (self._worker, group, most),
            ).fetchall()
        taken.sort()
        return [point for _, point, _ in taken], [key for _, _, key in taken]

    def release_stale_claims(self) -> None:
        """Release the claims of processes that have ended: those whose lock is free or whose lock file is absent.

        The lock file is absent where a process ended normally but could not write its last transaction.
        """
        with self._transaction():
            files = list(self.folder.glob(f"{WORKER}*"))
            claims = self._database.execute("SELECT DISTINCT worker FROM trials WHERE worker IS NOT NULL AND done = 0")
            dead = {worker for (worker,) in claims} - {file.name.removeprefix(WORKER) for file in files}
            for file in files:
                if not _is_locked(file):
                    dead.add(file.name.removeprefix(WORKER))
                    file.unlink(missing_ok=True)
            self._database.executemany(
                "UPDATE trials SET worker = NULL WHERE worker = ? AND done = 0", [(worker,) for worker in dead]
            )

    def complete(self, points: np.ndarray, keys: np.ndarray, metrics: Mapping[str, np.ndarray]) -> None:
        """Store the results of claimed trials, each metric [trials, samples], in one transaction."""
        samples = next(iter(metrics.values())).shape[1]
        marks = ", ".join("?" * (3 + len(metrics)))
        rows = [
            (int(point), int(key), sample, *(float(values[i, sample]) for values in metrics.values()))
            for i, (point, key) in enumerate(zip(points, keys, strict=True))
            for sample in range(samples)
        ]
        columns = ", ".join(("point", "key", "sample", *map(quoted, metrics)))
        with self._transaction():
            self._database.executemany(f"INSERT INTO results ({columns}) VALUES ({marks})", rows)
            self._database.executemany(
                "UPDATE trials SET done = 1, worker = NULL WHERE point = ? AND key = ?",
                [(int(point), int(key)) for point, key in zip(points, keys, strict=True)],
            )
            self._database.execute("UPDATE sessions SET ended = ? WHERE session_id = ?", (_now(), self._session))

    def update_session(self, entries: Mapping[str, Any]) -> None:
        """Add entries to the description of this process."""
        self._described |= entries
        with self._transaction():
            self._database.execute(
                "UPDATE sessions SET session = ?, ended = ? WHERE session_id = ?",
                (json.dumps(self._described), _now(), self._session),
            )

    def done(self) -> int:
        """Return the number of trials that are done, by any process."""
        return self._database.execute("SELECT count(*) FROM trials WHERE done = 1").fetchone()[0]

    def close(self) -> None:
        """Release this process's unfinished claims and fold the write-ahead log into the file."""
        # An error of a full disk here would hide why the run ended; claims without a lock are stale in any case.
        with suppress(StoreError, sqlite3.Error), self._transaction():
            self._database.execute("UPDATE trials SET worker = NULL WHERE worker = ? AND done = 0", (self._worker,))
        self._database.close()
        if self._lock is not None:
            self._lock.release()
            self._lock_file.unlink(missing_ok=True)

    def _create(self, sweep: Sweep, definition: Mapping[str, Any], code: Mapping[str, str]) -> None:
        run = self._database.execute
        run("CREATE TABLE manifest (name TEXT PRIMARY KEY, value TEXT NOT NULL)")
        run("CREATE TABLE sessions (session_id INTEGER PRIMARY KEY, began TEXT, ended TEXT, session TEXT NOT NULL)")
        run(f"CREATE TABLE points ({', '.join(('point INTEGER PRIMARY KEY', *map(quoted, sweep.axes)))})")
        run(
            "CREATE TABLE trials (trial INTEGER PRIMARY KEY, point INTEGER NOT NULL, key INTEGER NOT NULL, "
            "part INTEGER NOT NULL, worker TEXT, done INTEGER NOT NULL DEFAULT 0, UNIQUE (point, key))"
        )
        run("CREATE INDEX free ON trials (trial) WHERE done = 0")
        metrics = "".join(f", {quoted(name)} REAL" for name in sweep.metrics)
        run(
            "CREATE TABLE results (point INTEGER NOT NULL, key INTEGER NOT NULL, sample INTEGER NOT NULL"
            f"{metrics}, PRIMARY KEY (point, key, sample))"
        )
        self._put_points(sweep, set())
        self._put_new("definition", definition)
        self._put_new("code", code)

    def _put_points(self, sweep: Sweep, done: set[tuple[int, int]]) -> None:
        """Insert the points and trials of a sweep; `done` holds the (point, key) of trials whose results are there."""
        marks = ", ".join("?" * (1 + len(sweep.axes)))
        rows = zip(range(sweep.points), *(sweep.column(name) for name in sweep.axes), strict=True)
        self._database.executemany(f"INSERT INTO points VALUES ({marks})", rows)
        trials = ((point, key, part, int((point, key) in done)) for point, key, part in _trials(sweep))
        self._database.executemany("INSERT INTO trials (point, key, part, done) VALUES (?, ?, ?, ?)", trials)

    def _extend(self, sweep: Sweep, definition: Mapping[str, Any], moved: Sequence[int]) -> None:
        """Turn the run into that of a sweep with more points; `moved` gives the new number of each point."""
        if any(_is_locked(file) for file in self.folder.glob(f"{WORKER}*")):
            # It would store results under the old numbers.
            raise ValueError(
                f"{self.folder} holds a shorter sweep, and another process works on it: wait for its end, or give "
                "another folder"
            )
        self._put_points(sweep, extension.renumber(self._database, moved, sweep))
        self._database.execute("UPDATE manifest SET value = ? WHERE name = 'definition'", (json.dumps(definition),))

    def _admit(
        self, sweep: Sweep, definition: Mapping[str, Any], code: Mapping[str, str], mixed: bool
    ) -> list[int] | None:
        """The new number of each point where the sweep extends that of the file; None where it is the same.

        Raises ValueError where it is another.
        """
        was = self.entry("definition") or {}
        # Values of axes last, since they alone would be no reason to refuse.
        changes = sorted(manifest.differences(was, definition), key=lambda line: line.startswith(extension.VARIED))
        moved = extension.moved_points(was, sweep, definition) if changes and was else None
        if changes and moved is None:
            raise ValueError(
                f"{self.folder} holds another sweep: {manifest.shortened(changes)}. Give another folder, or "
                "delete that one"
            )
        if not mixed and (changes := manifest.differences(self.entry("code") or {}, code)):
            raise ValueError(
                f"{self.folder} was begun with other code or on another device: {manifest.shortened(changes)}. "
                "Its rows would not match: finish it as it was begun, give another folder, or go on with --mixed"
            )
        return moved

    def _put_new(self, name: str, value: Any) -> None:
        self._database.execute("INSERT OR IGNORE INTO manifest VALUES (?, ?)", (name, json.dumps(value)))

    @property
    def _lock_file(self) -> Path:
        return self.folder / f"{WORKER}{self._worker}"

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._guarded():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Turn an error of SQLite into a message that a user can act on."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode & 0xFF in DISK:
                raise StoreError(
                    f"{self.path} cannot be written ({error}): the disk may be full. All batches that were finished "
                    "are in it; make room, and the same command goes on where this one was"
                ) from error
            if error.sqlite_errorcode & 0xFF in FOREIGN:
                raise StoreError(f"{self.path} is no file of a sweep ({error}): give another folder") from error
            raise StoreError(f"{self.path}: {error}") from error


def quoted(name: str) -> str:
    """Return the name of a column in SQL."""
    return '"' + name.replace('"', '""') + '"'


def _is_locked(file: Path) -> bool:
    """Whether the process that a lock file is of still lives."""
    lock = FileLock(file)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return True
    lock.release()
    return False


def _trials(sweep: Sweep) -> Iterator[tuple[int, int, int]]:
    """(point, key, group) of all trials, group by group."""
    for number, group in enumerate(sweep.groups):
        for point in group.points:
            for key in range(sweep.keys):
                yield int(point), key, number


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")
