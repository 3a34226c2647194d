"""`otc compare` on a small model: summary, tables and figure, with cores and designs of the user's own."""

import json
from typing import Any

import pytest

import optics
from experiments.common.workload import Workload, shapes_named
from experiments.comparison import program as compare
from experiments.comparison.achieved import achieved
from experiments.results.tables import TABLES

SMALL: dict[str, Any] = {"model": "smollm2-135m", "context": 64}


def test_compare_writes_what_it_prints(tmp_path, drawn, capsys, nothing_collides):
    core = optics.today(rows=64, columns=64)
    optics.serialise.save(core, tmp_path / "mine.toml")
    (tmp_path / "design.toml").write_text(
        'core = "mine.toml"\n[[site]]\nsites = "*.down"\ncore = "digital"\n', encoding="utf-8"
    )
    options = compare.CompareOptions(
        **SMALL,
        presets=("today",),
        core=(tmp_path / "mine.toml",),
        cores=(tmp_path / "design.toml",),
        systems=("b200", "rubin"),
        set=("pue=1.1", "overlap=0:0.2:1"),
        out=tmp_path / "out",
    )
    summary = compare.main(options)
    assert summary == json.loads((options.out / "summary.json").read_text(encoding="utf-8"))
    assert [(row["name"], row["format"]) for row in summary["rows"]] == [
        ("today", "light"),
        ("mine", "light"),
        ("design", "light"),
        ("b200", "FP8"),
        ("b200", "NVFP4"),
        ("rubin", "FP8"),
        ("rubin", "NVFP4"),
    ]
    assert summary["schedule"]["pue"]["high"] == 1.1
    assert summary["rows"][2]["accuracy"] == "accuracy not measured"
    assert summary["rows"][4]["published_watts_at_exaops"] == pytest.approx(
        {"nominal": 550e3, "low": 460e3, "high": 650e3}
    )
    printed = capsys.readouterr().out
    assert "Within 10% of it come: 19.8 TOPS/W (highest peak of 50 POPS, chips alone, high" in printed
    assert "Achieved at the facility, beside 10 kW: today" in printed
    nothing_collides(drawn["compare"])
    assert {len(row) for row in TABLES["compare"](summary)} == {9}


def test_digital_machines_and_cores_alone_are_drawn(tmp_path, drawn, nothing_collides, capsys):
    for name, given in (("cores", {"systems": ()}), ("machines", {"presets": (), "systems": ("h200",)})):
        compare.main(compare.CompareOptions(**{**SMALL, "presets": ("today",), **given}, out=tmp_path / name))
        nothing_collides(drawn["compare"])
        assert "best digital machine" in capsys.readouterr().out or name == "cores"


def test_compare_gives_what_the_function_gives(tmp_path, capsys):
    options = compare.CompareOptions(**SMALL, presets=("today",), systems=(), attention="light", out=tmp_path)
    work = Workload(config=shapes_named("smollm2-135m"), context=64, attention="light")
    assert compare.main(options)["rows"] == [achieved(optics.preset("today"), work, name="today")]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"presets": (), "systems": ()}, "are all empty"),
        ({"context": 0}, "context = 0 must be a whole number, at least 1"),
        ({"systems": ("rubyn",)}, "did you mean 'rubin'"),
        ({"set": ("overlp=1",)}, "there is no constant 'overlp'; did you mean 'overlap'"),
        ({"set": ("pue=0.9",)}, "pue = 0.9 to 0.9 must be at least 1"),
        ({"digital_ops": -1.0}, "digital_ops = -1.0 must be above 0"),
        ({"mean_drive": 2.0}, "mean_drive"),
    ],
)
def test_option_out_of_range_is_refused(given, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        compare.main(compare.CompareOptions(**{**SMALL, "presets": ("today",), **given}, out=tmp_path / "out"))
