"""Adding values to the axes of a run: points are known by their values, and those that are done keep their results.

The noise of a trial depends on the seed and the number of its draw, and not on its point's number. A trial thus has the
same result in the longer sweep, to the last bit, for one layout of the compiled program, which a run keeps to its end.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.sweeps.definition.axes import Value
from experiments.sweeps.definition.sweep import Sweep
from experiments.sweeps.execution import manifest

VARIED = ("axes", "dimensions")
"""Entries of a definition that state the values of axes."""


def moved_points(was: Mapping[str, Any], sweep: Sweep, now: Mapping[str, Any]) -> list[int] | None:
    """Return the number in a sweep of each point of a shorter one.

    Args:
        was: the definition of the shorter sweep.
        sweep: the sweep.
        now: its definition.

    Returns:
        The new number by old number; None unless the definitions differ in values alone that were added to axes.
    """
    others = ({name: value for name, value in each.items() if name not in VARIED} for each in (was, now))
    if manifest.differences(*others):
        return None
    if [(d["name"], d["axes"]) for d in was["dimensions"]] != [(d["name"], d["axes"]) for d in now["dimensions"]]:
        return None
    places = []
    for before, after in zip(was["dimensions"], now["dimensions"], strict=True):
        known = _points(sweep, before["axes"], was["axes"])
        points = _points(sweep, after["axes"], now["axes"])
        place = {point: number for number, point in enumerate(points)}
        # Draws of a box may repeat, in float32, and values then do not identify a point.
        if len(place) < len(points) or not set(known) <= set(place):
            return None
        places.append(np.array([place[point] for point in known]))
    shape = [d["points"] for d in now["dimensions"]]
    return np.ravel_multi_index(np.meshgrid(*places, indexing="ij"), shape).ravel().tolist() if places else [0]


def renumber(database: sqlite3.Connection, moved: Sequence[int], sweep: Sweep) -> set[tuple[int, int]]:
    """Give results, and entries of the manifest by group, the numbers that they have in a longer sweep.

    Points and trials are deleted, for the caller to insert those of the longer sweep.

    Args:
        database: the file, in a transaction, on which no other process works.
        moved: the new number of each point.
        sweep: the longer sweep.

    Returns:
        (point, key) of the trials that are done, by their new numbers.
    """
    run = database.execute
    groups = dict(run("SELECT point, part FROM trials"))
    done = {(moved[point], key) for point, key in run("SELECT point, key FROM trials WHERE done = 1")}
    run("CREATE TEMP TABLE moved (was INTEGER PRIMARY KEY, now INTEGER NOT NULL)")
    database.executemany("INSERT INTO moved VALUES (?, ?)", enumerate(moved))
    # By way of negative numbers, so that no row meets another that has its new number still.
    run("UPDATE results SET point = -1 - (SELECT now FROM moved WHERE was = point)")
    run("UPDATE results SET point = -1 - point")
    run("DROP TABLE moved")
    run("DELETE FROM trials")
    run("DELETE FROM points")
    now = {int(point): number for number, group in enumerate(sweep.groups) for point in group.points}
    _rename_groups(database, {group: now[moved[point]] for point, group in groups.items()})
    return done


def _rename_groups(database: sqlite3.Connection, moved: Mapping[int, int]) -> None:
    """Rename entries of the manifest such as "drive of group 3"."""
    entries = database.execute("SELECT name, value FROM manifest WHERE name LIKE '% of group %'").fetchall()
    database.execute("DELETE FROM manifest WHERE name LIKE '% of group %'")
    for name, value in entries:
        what, _, group = name.rpartition(" ")
        database.execute("INSERT INTO manifest VALUES (?, ?)", (f"{what} {moved[int(group)]}", value))


def _points(sweep: Sweep, names: Sequence[str], axes: Mapping[str, Sequence[Value]]) -> list[tuple[Value, ...]]:
    """The points of a dimension, each by the values that the core computes with: numbers in float32, choices as they
    stand."""
    static = set(sweep.static_axes)
    columns = [[value if name in static else float(np.float32(value)) for value in axes[name]] for name in names]
    return list(zip(*columns, strict=True))
