"""The one file of a run: definition, points, who is at which trial, and results, in SQLite.

Every change is a transaction, so whatever ends a process, the file holds the batches that were finished and no part of
another. Processes on one machine share the file: each claims trials before it runs them, and holds a lock of the
operating system for as long as it lives, by which the others know whose claims are void.
"""

import json
import sqlite3
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from experiments.sweeps.definition.sweep import Sweep
from experiments.sweeps.running import manifest

FILE = "results.sqlite"
WORKER = ".worker-"
# Primary result codes; the bits above them say more.
DISK = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
FOREIGN = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)
PATIENCE_SECONDS = 60.0


class StoreError(OSError):
    """The file cannot be written; what is in it is whole."""


class Store:
    """The file of a run, open for one process at work on it."""

    def __init__(self, folder: Path):
        self.folder, self.path = folder, folder / FILE
        self._worker = uuid.uuid4().hex[:12]
        self._lock: FileLock | None = None
        folder.mkdir(parents=True, exist_ok=True)
        with self._guarded():
            # Transactions are begun by hand.
            self._database = sqlite3.connect(self.path, timeout=PATIENCE_SECONDS, isolation_level=None)
            self._database.execute("PRAGMA journal_mode=WAL")

    def begin(self, sweep: Sweep, mixed: bool = False) -> None:
        """Makes the file for a sweep, or takes up the run that is in it.

        Raises ValueError where that is of another sweep, and, unless `mixed`, where it was begun with other code or on
        another kind of device, whose results have other bits.
        """
        definition, code = sweep.describe(), manifest.code(sweep.subject)
        with self._transaction():
            tables = [name for (name,) in self._database.execute("SELECT name FROM sqlite_master").fetchall()]
            if not tables:
                self._create(sweep, definition, code)
            elif "manifest" not in tables:
                raise ValueError(f"{self.path} is the file of another program: give another folder")
            self._refuse_another(definition, code, mixed)
            self._described = manifest.session(code)
            self._session = self._database.execute(
                "INSERT INTO sessions (began, session) VALUES (?, ?)", (_now(), json.dumps(self._described))
            ).lastrowid
            # Within a transaction, as its release is: nobody sees the lock's file without the lock.
            self._lock = FileLock(self._lock_file)
            self._lock.acquire(timeout=PATIENCE_SECONDS)
        self.void_claims_of_the_dead()

    def keep_layout(self, layout: Mapping[str, int]) -> dict[str, int]:
        """The layout that the run keeps: this one, unless it has one already."""
        return self.keep("layout", layout)

    def keep(self, name: str, value: Any) -> Any:
        """The entry of that name that the run keeps in its manifest: this one, unless it has one already."""
        with self._transaction():
            self._put_new(name, value)
        return self.given(name)

    def given(self, name: str) -> Any | None:
        """An entry of the manifest: "definition", "code", "layout"; None where there is none yet."""
        row = self._database.execute("SELECT value FROM manifest WHERE name = ?", (name,)).fetchone()
        return None if row is None else json.loads(row[0])

    def vouch(self, group: int, digest: str) -> None:
        """Notes what data a group runs on; ValueError where the run began with other data."""
        name = f"data of group {group}"
        with self._transaction():
            self._put_new(name, digest)
        if self.given(name) != digest:
            raise ValueError(
                f"{self.folder} was begun with another model or text under the same name: give another folder"
            )

    def free_group(self) -> int | None:
        """The group of the first trial that is neither done nor claimed; None where there is no such trial."""
        row = self._database.execute(
            "SELECT part FROM trials WHERE done = 0 AND worker IS NULL ORDER BY trial LIMIT 1"
        ).fetchone()
        return None if row is None else row[0]

    def claim(self, group: int, most: int) -> tuple[list[int], list[int]]:
        """(points, keys) of up to `most` trials of a group, from now on this process's own."""
        with self._transaction():
            taken = self._database.execute(
                "UPDATE trials SET worker = ? WHERE trial IN (SELECT trial FROM trials "
                "WHERE done = 0 AND worker IS NULL AND part = ? ORDER BY trial LIMIT ?) RETURNING trial, point, key",
                (self._worker, group, most),
            ).fetchall()
        taken.sort()
        return [point for _, point, _ in taken], [key for _, _, key in taken]

    def void_claims_of_the_dead(self) -> None:
        """Frees what processes have claimed that are no more: whose lock is free, or gone.

        The lock is gone and the claim is not where the process ended in order but its last write had no room.
        """
        with self._transaction():
            files = list(self.folder.glob(f"{WORKER}*"))
            claims = self._database.execute("SELECT DISTINCT worker FROM trials WHERE worker IS NOT NULL AND done = 0")
            dead = {worker for (worker,) in claims} - {file.name.removeprefix(WORKER) for file in files}
            for file in files:
                lock = FileLock(file)
                try:
                    lock.acquire(blocking=False)
                except Timeout:
                    continue
                dead.add(file.name.removeprefix(WORKER))
                lock.release()
                file.unlink(missing_ok=True)
            self._database.executemany(
                "UPDATE trials SET worker = NULL WHERE worker = ? AND done = 0", [(worker,) for worker in dead]
            )

    def complete(self, points: np.ndarray, keys: np.ndarray, found: Mapping[str, np.ndarray]) -> None:
        """Stores the results of claimed trials, each metric [trials, samples], in one transaction."""
        samples = next(iter(found.values())).shape[1]
        marks = ", ".join("?" * (3 + len(found)))
        rows = [
            (int(point), int(key), sample, *(float(values[i, sample]) for values in found.values()))
            for i, (point, key) in enumerate(zip(points, keys, strict=True))
            for sample in range(samples)
        ]
        columns = ", ".join(("point", "key", "sample", *map(quoted, found)))
        with self._transaction():
            self._database.executemany(f"INSERT INTO results ({columns}) VALUES ({marks})", rows)
            self._database.executemany(
                "UPDATE trials SET done = 1, worker = NULL WHERE point = ? AND key = ?",
                [(int(point), int(key)) for point, key in zip(points, keys, strict=True)],
            )
            self._database.execute("UPDATE sessions SET ended = ? WHERE session_id = ?", (_now(), self._session))

    def note(self, more: Mapping[str, Any]) -> None:
        """Adds to what the manifest says of this process."""
        self._described |= more
        with self._transaction():
            self._database.execute(
                "UPDATE sessions SET session = ?, ended = ? WHERE session_id = ?",
                (json.dumps(self._described), _now(), self._session),
            )

    def done(self) -> int:
        """How many trials are finished, by whomever."""
        return self._database.execute("SELECT count(*) FROM trials WHERE done = 1").fetchone()[0]

    def close(self) -> None:
        """Gives back what this process has claimed and not finished, and folds the write-ahead log into the file."""
        # A full disk must not hide why the run ended; claims without their lock are void in any case.
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
        marks = ", ".join("?" * (1 + len(sweep.axes)))
        rows = zip(range(sweep.points), *(sweep.column(name) for name in sweep.axes), strict=True)
        self._database.executemany(f"INSERT INTO points VALUES ({marks})", rows)
        self._database.executemany("INSERT INTO trials (point, key, part) VALUES (?, ?, ?)", _trials(sweep))
        self._put_new("definition", definition)
        self._put_new("code", code)

    def _refuse_another(self, definition: Mapping[str, Any], code: Mapping[str, str], mixed: bool) -> None:
        if found := manifest.differences(self.given("definition"), definition):
            raise ValueError(
                f"{self.folder} holds another sweep: {manifest.some(found)}. Give another folder, or delete that one"
            )
        if not mixed and (found := manifest.differences(self.given("code"), code)):
            raise ValueError(
                f"{self.folder} was begun with other code or on another device: {manifest.some(found)}. Its rows would "
                "not match: finish it as it was begun, give another folder, or go on with --mixed"
            )

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
        """Turns what SQLite says into a message that a user can act on."""
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
    """A column's name in SQL."""
    return '"' + name.replace('"', '""') + '"'


def _trials(sweep: Sweep) -> Iterator[tuple[int, int, int]]:
    """(point, key, group) of all trials, group by group."""
    for number, group in enumerate(sweep.groups):
        for point in group.points:
            for key in range(sweep.keys):
                yield int(point), key, number


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")
