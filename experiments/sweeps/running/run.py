"""Running a sweep to its end: claim a batch, run it, keep it; and going on where an earlier process was."""

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from experiments.common import basis
from experiments.sweeps.definition import fields
from experiments.sweeps.definition.sweep import DRIVE, Group, Sweep
from experiments.sweeps.running import cluster
from experiments.sweeps.running.engine import Engine, Placed
from experiments.sweeps.running.layout import Layout, check
from experiments.sweeps.running.results import Run
from experiments.sweeps.running.store import Store
from experiments.sweeps.subjects import metrics
from experiments.sweeps.subjects.drive import Drive
from experiments.sweeps.subjects.subject import LoadedSubject, Subject

POLL_SECONDS = 0.5


def run(
    sweep: Sweep,
    out: str | Path,
    *,
    width: int | None = None,
    per_call: int | None = None,
    mixed: bool = False,
    progress: bool = True,
) -> Run:
    """Runs those of a sweep's trials that are not yet there, into `out`/results.sqlite, and returns the run.

    Killed at any moment, the same call goes on where it was and repeats at most the batch in flight. Other processes
    may work on the same folder at the same time. width, per_call: see `engine.Layout`; chosen by itself unless given.
    mixed: go on with a run that was begun with other code. Processes joined by `cluster.Cluster` all call this; the
    leader keeps the file. Raises ValueError for another sweep's folder, StoreError where the file cannot be written.
    """
    check(width, per_call)
    out = Path(out)
    store = Store(out) if cluster.leads() else None
    try:
        if store is not None:
            store.begin(sweep, mixed)
        work = _Work(sweep, store, width, per_call)
        with tqdm(
            total=sweep.trials,
            initial=work.done(),
            unit="trial",
            desc="sweeping",
            smoothing=0.05,
            disable=not (progress and store is not None),
        ) as bar:
            for done in work.through():
                bar.update(done - bar.n)
        if store is not None:
            store.note(work.described())
    except Exception as error:
        if store is not None:
            cluster.told({"stopped": str(error)})
        raise
    finally:
        if store is not None:
            store.close()
    return Run(out)


class _Work:
    """The batches that the leader claims, run on all processes alike; the leader is the one that has a store."""

    def __init__(self, sweep: Sweep, store: Store | None, width: int | None, per_call: int | None):
        self.sweep, self.store, self.width, self.per_call = sweep, store, width, per_call
        self.engine: Engine | None = None
        self.group = -1
        self.subject: Subject | None = None
        self.loaded: LoadedSubject | None = None
        self.placed: Placed | None = None
        self.began, self.trials = time.monotonic(), 0

    def through(self) -> Iterator[int]:
        """Runs everything; yields how many trials are finished after each batch."""
        while True:
            message = cluster.told(self._next())
            if "stopped" in message:
                raise ValueError(f"the leading process stopped: {message['stopped']}")
            if not message:
                return
            if message["group"] != self.group:
                self._enter(message["group"], message["layout"])
            if message["points"]:
                self._run(np.array(message["points"]), np.array(message["keys"]))
            yield self.done()

    def _next(self) -> dict[str, object] | None:
        """The leader's next message: a group and its claimed trials, none of them where the group is yet to be entered,
        or nothing where all is done."""
        if self.store is None:
            return None
        while (free := self.store.free_group()) is None:
            if self.store.done() == self.sweep.trials:
                return {}
            # The rest is in the hands of other processes, which may yet die.
            time.sleep(POLL_SECONDS)
            self.store.void_claims_of_the_dead()
        message = {"group": free, "layout": self.store.given("layout"), "points": [], "keys": []}
        if free == self.group and self.engine is not None:
            points, keys = self.store.claim(free, self.engine.batch)
            message |= {"points": points, "keys": keys}
        return message

    def _enter(self, group: int, layout: dict[str, int] | None) -> None:
        """Loads a group onto the devices, and settles the layout of the run where it has none yet."""
        of, self.placed = self.sweep.groups[group], None
        if self.loaded is None or of.subject != self.subject:
            # Of two models only one should be in memory.
            self.loaded = None
            self.subject, self.loaded = of.subject, of.subject.load()
        loaded = self.loaded
        if self.store is not None:
            self.store.vouch(group, loaded.digest())
        of = self._lit(group, of, loaded)
        if self.engine is None:
            chosen = Layout.of(loaded.macs, self.sweep.trials, self.width, self.per_call)
            if layout is not None:
                kept = Layout(**layout)
                kept.refuse_another(self.width, self.per_call)
            self.engine = Engine(self.sweep, chosen if layout is None else kept, settled=layout is not None)
            self.placed = self.engine.place(of, loaded)
            kept = cluster.told(None if self.store is None else self.store.keep_layout(self.engine.layout.described()))
            if kept != self.engine.layout.described():
                # Another process on this file settled it first.
                self.engine, self.placed = Engine(self.sweep, Layout(**kept), settled=True), None
        self.placed = self.placed or self.engine.place(of, loaded)
        self.group = group

    def _lit(self, number: int, group: Group, loaded: LoadedSubject) -> Group:
        """The group with the mean drive of its subject, which is measured once in a run, and what its bill rests on."""
        if self.sweep.measures_drive:
            name = f"drive of group {number}"
            kept = None
            if self.store is not None and (kept := self.store.given(name)) is None:
                kept = self.store.keep(name, loaded.drive(group.core)._asdict())
            group = group.with_drive(Drive(**cluster.told(kept)))
        if self.store is not None and metrics.needs(self.sweep.metrics, "bill"):
            self.store.keep(f"bill of group {number}", self._rests_on(group, loaded))
        return group

    def _rests_on(self, group: Group, loaded: LoadedSubject) -> list[str]:
        """What the bills of a group rest on; a number that varies within it is left out."""
        first = {name: values[0] for name, values in group.values.items()}
        bill, _ = loaded.price(fields.applied(group.core, first), group.drives)
        varied = {DRIVE: "mean_drive", "vectors_per_load": "vectors_per_load"}
        unknown = {field: None for name, field in varied.items() if name in self.sweep.axes}
        return basis.stated(dataclasses.replace(bill, **unknown), loaded.drive_of if group.drives else "")

    def _run(self, points: np.ndarray, keys: np.ndarray) -> None:
        assert self.placed is not None
        found = self.placed.run(points, keys)
        self.trials += len(points)
        if self.store is not None:
            self.store.complete(points, keys, found)

    def described(self) -> dict[str, int | float]:
        """How it went, for the manifest."""
        if self.engine is None:
            return {}
        return {
            "trials": self.trials,
            "seconds": time.monotonic() - self.began,
            "compilations": self.engine.compilations,
            "bytes_a_device": self.engine.bytes_a_device,
        }

    def done(self) -> int:
        """How many trials are finished, by whomever."""
        return 0 if self.store is None else self.store.done()
