"""Running a sweep to its end: claim a batch, run it, store it, from where an earlier process ended."""

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from experiments.common import billing
from experiments.sweeps.definition import fields
from experiments.sweeps.definition.sweep import DRIVE, Group, Sweep
from experiments.sweeps.execution import cluster
from experiments.sweeps.execution.engine import Engine, Placed
from experiments.sweeps.execution.layout import Layout, check
from experiments.sweeps.execution.results import SweepResults
from experiments.sweeps.execution.store import Store
from experiments.sweeps.subjects import metrics
from experiments.sweeps.subjects.drive import Drive
from experiments.sweeps.subjects.subject import LoadedSubject, PlacedSubject, Subject

POLL_SECONDS = 0.5


def run(
    sweep: Sweep,
    out: str | Path,
    *,
    width: int | None = None,
    per_call: int | None = None,
    mixed: bool = False,
    progress: bool = True,
) -> SweepResults:
    """Run the trials of a sweep that are not yet in `out`/results.sqlite, and return the results.

    After an interruption at any moment the same call resumes the run and repeats at most one batch. Other processes may
    work on the same folder at the same time. Processes joined by `cluster.Cluster` all call this; the leader owns the
    file.

    Args:
        sweep: the sweep.
        out: folder of the run, made where it is absent.
        width: trials that a device runs at once, see `Layout`; chosen unless given.
        per_call: trials per call and device, see `Layout`; chosen unless given.
        mixed: whether to resume a run that was begun with other code.
        progress: whether to show a progress bar on stderr.

    Raises:
        ValueError: if `out` holds another sweep, or one of other code.
        StoreError: if the file cannot be written.
    """
    check(width, per_call)
    out = Path(out)
    store = Store(out) if cluster.is_leader() else None
    try:
        if store is not None:
            store.begin(sweep, mixed)
        runner = _Runner(sweep, store, width, per_call)
        with tqdm(
            total=sweep.trials,
            initial=runner.done(),
            unit="trial",
            desc="sweeping",
            smoothing=0.05,
            disable=not (progress and store is not None),
        ) as bar:
            for done in runner.batches():
                bar.update(done - bar.n)
        if store is not None:
            store.update_session(runner.describe())
    except Exception as error:
        if store is not None:
            cluster.broadcast({"stopped": str(error)})
        raise
    finally:
        if store is not None:
            store.close()
    return SweepResults(out)


class _Runner:
    """The batches that the leader claims, run on all processes alike; the leader is the one that has a store."""

    def __init__(self, sweep: Sweep, store: Store | None, width: int | None, per_call: int | None):
        self.sweep, self.store, self.width, self.per_call = sweep, store, width, per_call
        self.engine: Engine | None = None
        self.group = -1
        self.subject: Subject | None = None
        self.loaded: LoadedSubject | None = None
        self.placed: Placed | None = None
        self.began, self.trials = time.monotonic(), 0

    def batches(self) -> Iterator[int]:
        """Run all batches; yield the number of trials that are done after each."""
        while True:
            message = cluster.broadcast(self._next())
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
        or nothing where all is done; None on the other processes."""
        if self.store is None:
            return None
        while (free := self.store.free_group()) is None:
            if self.store.done() == self.sweep.trials:
                return {}
            # The rest is claimed by other processes, which may still be killed.
            time.sleep(POLL_SECONDS)
            self.store.release_stale_claims()
        message = {"group": free, "layout": self.store.entry("layout"), "points": [], "keys": []}
        if free == self.group and self.engine is not None:
            points, keys = self.store.claim(free, self.engine.batch)
            message |= {"points": points, "keys": keys}
        return message

    def _enter(self, group: int, layout: dict[str, int] | None) -> None:
        """Load a group onto the devices, and settle the layout of the run where it has none yet."""
        of, self.placed = self.sweep.groups[group], None
        if self.loaded is None or of.subject != self.subject:
            # Freed first, so that two models are never in memory together.
            self.loaded = None
            self.subject, self.loaded = of.subject, of.subject.load()
        loaded = self.loaded
        if self.store is not None:
            self.store.check_data(group, loaded.digest())
        of, loaded = self._placed(group, of, loaded)
        if self.engine is None:
            if layout is None:
                chosen = Layout.of(loaded.macs, self.sweep.trials, self.width, self.per_call)
            else:
                chosen = Layout(**layout)
                chosen.refuse_another(self.width, self.per_call)
            self.engine = Engine(self.sweep, chosen, settled=layout is not None)
            self.placed = self.engine.place(of, loaded)
            own = self.engine.layout.describe()
            agreed = cluster.broadcast(None if self.store is None else self.store.set_default("layout", own))
            if agreed != own:
                # Another process on this file settled it first.
                self.engine, self.placed = Engine(self.sweep, Layout(**agreed), settled=True), None
        self.placed = self.placed or self.engine.place(of, loaded)
        self.group = group

    def _placed(self, number: int, group: Group, loaded: LoadedSubject) -> tuple[Group, LoadedSubject]:
        """The group with the mean drive of its subject, which is measured once in a run, and the subject as it runs.

        The statements of its bill go to the manifest.
        """
        subject, loaded = loaded, _placed(loaded, group)
        if self.sweep.measures_drive:
            name = f"drive of group {number}"
            drive = None
            if self.store is not None and (drive := self.store.entry(name)) is None:
                drive = self.store.set_default(name, loaded.drive(group.core)._asdict())
            group = group.with_drive(Drive(**cluster.broadcast(drive)))
            loaded = _placed(subject, group)
        if self.store is not None and metrics.needs(self.sweep.metrics, "bill"):
            self.store.set_default(f"bill of group {number}", self._statements(group, loaded))
        return group, loaded

    def _statements(self, group: Group, loaded: LoadedSubject) -> list[str]:
        """The statements of the bills of a group, without numbers that vary within it."""
        first = {name: values[0] for name, values in group.values.items()}
        bill, _ = loaded.price(fields.with_values(group.core, first), group.drives)
        varied = {DRIVE: "mean_drive", "vectors_per_load": "vectors_per_load"}
        unknown = {field: None for name, field in varied.items() if name in self.sweep.axes}
        return billing.statements(dataclasses.replace(bill, **unknown), loaded.drive_of if group.drives else "")

    def _run(self, points: np.ndarray, keys: np.ndarray) -> None:
        assert self.placed is not None
        metrics_of_trials = self.placed.run(points, keys)
        self.trials += len(points)
        if self.store is not None:
            self.store.complete(points, keys, metrics_of_trials)

    def describe(self) -> dict[str, int | float]:
        """Return trials, time, compilations and memory of this process, for the manifest."""
        if self.engine is None:
            return {}
        return {
            "trials": self.trials,
            "seconds": time.monotonic() - self.began,
            "compilations": self.engine.compilations,
            "bytes_a_device": self.engine.bytes_per_device,
        }

    def done(self) -> int:
        """Return the number of trials that are done, by any process; 0 unless this process is the leader."""
        return 0 if self.store is None else self.store.done()


def _placed(loaded: LoadedSubject, group: Group) -> LoadedSubject:
    """The subject with its products placed for the cores of a group."""
    if not isinstance(loaded, PlacedSubject):
        return loaded
    return loaded.placed_on(group.nominal, None if group.drive is None else group.drive.mean)
