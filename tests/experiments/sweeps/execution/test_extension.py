"""A run whose axes get more values keeps its points, and its file is that of a run that had them from the beginning."""

import itertools
import sqlite3

import pytest

import optics
from experiments import sweeps
from experiments.sweeps.execution import engine, extension
from experiments.sweeps.execution.store import FILE, Store

SHORT = {"rows": [16], "adc.enob": [6.0, 8.0], "light.photons_per_mac": [30.0, 3e3]}
LONG = {"rows": [8, 16], "adc.enob": [8.0, 5.0, 6.0], "light.photons_per_mac": [30.0, 300.0, 3e3]}
PER_CALL = 4


def sweep_of(axes, **given):
    return sweeps.Sweep(
        **{
            "core": optics.projected_2029(rows=8, columns=8),
            "dimensions": tuple(sweeps.listed(name, values) for name, values in axes.items()),
            "subject": sweeps.Product(rows=16, columns=8, vectors=4),
            "metrics": ("relative_error", "fj_per_mac", "photons_per_mac"),
            "keys": 2,
        }
        | given
    )


def contents(folder):
    """Points, results, trials but for their numbers, and the manifest."""
    with sqlite3.connect(folder / FILE) as database:
        tables = [
            database.execute(f"SELECT {columns} FROM {table} ORDER BY {order}").fetchall()
            for table, columns, order in (
                ("points", "*", "point"),
                ("results", "*", "point, key, sample"),
                ("trials", "point, key, part, worker, done", "point, key"),
                ("manifest", "*", "name"),
            )
        ]
    database.close()
    return tables


def test_a_longer_axis_keeps_what_is_done_and_equals_a_fresh_run(tmp_path, monkeypatch):
    """Values are added before, between and after the old ones, one of which takes a compilation; the first run ended
    before all was done."""
    fresh = sweeps.run(sweep_of(LONG), tmp_path / "fresh", per_call=PER_CALL, progress=False)
    compute, computed = engine.Placed.run, []

    def interrupted(self, points, keys):
        if computed:
            raise KeyboardInterrupt
        computed.append(len(points))
        return compute(self, points, keys)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(engine.Placed, "run", interrupted)
        sweeps.run(sweep_of(SHORT), tmp_path / "run", per_call=PER_CALL, progress=False)
    assert sweeps.SweepResults(tmp_path / "run").progress == (4, 8)
    extended = sweeps.run(sweep_of(LONG), tmp_path / "run", progress=False)
    assert contents(tmp_path / "run") == contents(tmp_path / "fresh")
    assert extended.sessions[-1]["trials"] == 36 - 4
    assert extended.sessions[-1]["extended_from_points"] == 4
    assert fresh.values["relative_error"].shape == (18, 2, 1)


def test_extensions_repeat_and_a_finished_run_computes_new_points_alone(tmp_path):
    axes = {"adc.enob": [6.0]}
    sweeps.run(sweep_of(axes), tmp_path, per_call=PER_CALL, progress=False)
    for values in ([5.0, 6.0], [7.0, 6.0, 5.0], [5.0, 6.0, 7.0]):
        found = sweeps.run(sweep_of({"adc.enob": values}), tmp_path, progress=False)
        assert found.axis("adc.enob").tolist() == values
    assert [session.get("trials", 0) for session in found.sessions] == [2, 2, 2, 0]
    assert list(found.estimate("relative_error").mean.argsort()) == [2, 1, 0]


def moved(before, after):
    was, now = sweep_of(before), sweep_of(after)
    return extension.moved_points(was.describe(), now, now.describe())


def test_points_are_found_by_their_values():
    found = moved(SHORT, LONG)
    places = {point: number for number, point in enumerate(itertools.product(*LONG.values()))}
    assert found == [places[point] for point in itertools.product(*SHORT.values())]
    # 0.1 + 0.2 and 0.3 are one number in float32, in which the core computes.
    assert moved({"mask.mismatch": [0.1 + 0.2]}, {"mask.mismatch": [0.2, 0.3]}) == [1]


def test_draws_of_a_box_are_extended_by_more_of_them():
    bounds = {"adc.enob": (5, 9, "linear"), "clock": (1e8, 1e9, "log")}
    few, many = (sweep_of({}, dimensions=(sweeps.sobol(points, bounds),)) for points in (4, 16))
    assert extension.moved_points(few.describe(), many, many.describe()) == [0, 1, 2, 3]


REFUSED = {
    "a value that is gone": ({"adc.enob": [6.0]}, {}, "axes.adc.enob was [6.0, 8.0] and is [6.0]"),
    "another axis": (SHORT | {"clock": [1e9]}, {}, "axes.clock was absent and is [1000000000.0]"),
    "another order of axes": (dict(reversed(SHORT.items())), {}, "dimensions was"),
    "another seed": (LONG, {"seed": 3}, "seed was 0 and is 3"),
    "another number of keys": (LONG, {"keys": 3}, "keys was 2 and is 3"),
    "another subject": (LONG, {"subject": sweeps.Product(rows=16, columns=8, vectors=8)}, "on.vectors was 4 and is 8"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_every_other_change_is_refused_and_leaves_the_file(case, tmp_path):
    axes, given, message = REFUSED[case]
    begun = Store(tmp_path)
    begun.begin(sweep_of(SHORT))
    begun.close()
    before = contents(tmp_path)
    with pytest.raises(ValueError, match="holds another sweep") as refused:
        sweeps.run(sweep_of(SHORT | axes if case == "a value that is gone" else axes, **given), tmp_path)
    assert message in str(refused.value)
    assert contents(tmp_path) == before


def test_a_run_is_not_extended_while_another_process_works_on_it(tmp_path):
    first, second = Store(tmp_path), Store(tmp_path)
    first.begin(sweep_of(SHORT))
    before = contents(tmp_path)
    with pytest.raises(ValueError, match="holds a shorter sweep, and another process works on it"):
        second.begin(sweep_of(LONG))
    assert contents(tmp_path) == before
    first.close()
    second.begin(sweep_of(LONG))
    assert len(second.claim(0, 1000)[0]) == 18
    second.close()
