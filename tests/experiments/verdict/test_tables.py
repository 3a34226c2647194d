"""Tables of the verdict from small summaries, against what is read off them by eye."""

from experiments.verdict.report import tables, text

DESIGN = {"attention": "digital", "rows": 1024, "columns": 1024, "accumulate": 1, "mask": "", "ranges": "follow",
          "encoding": "rails/rails", "variant": "as it is", "excess_stderr": 0.01}  # fmt: skip


def design(watts, excess, **changes):
    return DESIGN | {"watts": watts, "excess": excess} | changes


def energy(nominal, break_even):
    known = {"a.b": {"value": 2.0, "low": 1.0, "high": 4.0}, "c.d": {"value": 5.0, "low": 3.0, "high": 6.0}}
    return {
        "sobol": {"a.b": {"total": 0.75}, "c.d": {"total": 0.25}},
        "watts_at_exaops": {"nominal": nominal},
        "break_even": break_even,
        "constants": known,
    }


PAIR = {"first": "a.b", "second": "c.d", "share": 0.5, "first_value": 1.5, "second_value": 4.0}


def summary(designs, judged=()):
    scenario = {"designs": designs, "judged": list(judged)}
    return {"limits": [0.05, 0.02], "target_watts": 1e4, "scenarios": {"projected_2029": scenario}}


def test_least_watts_of_each_choice_within_each_limit():
    designs = [
        design(17e3, 0.01),
        design(12e3, 0.04, attention="light"),
        design(9e3, 0.04, attention="light", accumulate=4),
        design(5e3, 0.3, accumulate=4),
    ]
    assert tables.family_rows(summary(designs)) == [
        ("", "projected 2029, 0.05 nats", "projected 2029, 0.02 nats"),
        ("attention digital", "17", "17"),
        ("attention light", "9", "none"),
        ("tiles a conversion 1", "12", "17"),
        ("tiles a conversion 4", "9", "none"),
    ]
    assert len(tables.family_rows(summary(designs[:1]))) == 1


def test_what_decides_and_what_would_close():
    alone = {"limit": 0.05, "energy": energy(11e3, {"a.b": 1.5}), "pairs": []}
    together = {"limit": 0.02, "energy": energy(20e3, {}), "pairs": [PAIR]}
    neither = {"limit": 0.01, "energy": energy(30e3, {}), "pairs": []}
    meets = {"limit": 0.1, "energy": energy(9e3, {"c.d": 5.5}), "pairs": []}
    rows = tables.deciding_rows(summary([], [alone, together, neither, meets]))[1:]
    assert {row[1] for row in rows} == {"a.b 0.75, c.d 0.25"}
    assert [row[2] for row in rows] == [
        "a.b 1.5 for 2 (1 to 4)", "none within its range", "none within its range", "c.d 5.5 for 5 (3 to 6)",
    ]  # fmt: skip
    assert [row[3] for row in rows] == [
        "none of the 8 of the widest swings", "a.b 1.5 with c.d 4", "none of the 8 of the widest swings", "",
    ]  # fmt: skip
    said = [text.closing(each["energy"], 1e4, each["pairs"]) for each in (alone, together, neither, meets)]
    assert said == [
        "Alone would close it: a.b at 1.5.",
        "No single constant closes it; a.b at 1.5 with c.d at 4 would.",
        "No single constant closes it, and no pair of those with the widest swings.",
        "It meets 10 kW, alone until c.d is 5.5.",
    ]
    assert (
        text.closing(energy(9e3, {}), 1e4, [])
        == "It meets 10 kW, at any value of each constant alone within its range."
    )
