"""Accuracy beside optical rows: recorded, read from the summaries of other programs, or said to be missing."""

import dataclasses
import json
from pathlib import Path

import pytest

import optics
from experiments.serving.accuracy import NOT_MEASURED, accuracies
from experiments.serving.model import SYSTEMS
from experiments.serving.optical import OpticalSystem, from_preset

RUN = {"text": "owt_5", "model": "SmolLM2", "windows": 2, "window_tokens": 64, "seed": 0}
LOSS = {"delta_nll": 0.5, "delta_nll_stderr": 0.1, "kl": 0.6}
OTHER = {"delta_nll": 0.7, "delta_nll_stderr": None, "kl": 0.8}
HEADLINE = {
    **RUN,
    "effective_bits": 7.0,
    "rows": [{"name": "digital_w8a8", "optical": False, **OTHER}, {"name": "today", "optical": True, **LOSS}],
}
TARGET = {**RUN, "effective_bits": 7.0, "scenarios": {"today": LOSS, "core": OTHER}}
ADAPT = {
    **RUN,
    "core": "here/mine.toml",
    "best": "rescaled",
    "rows": [
        {"name": "unprepared", "points": [{"light": 1.0, **OTHER}]},
        {"name": "rescaled", "points": [{"light": 0.5, **OTHER}, {"light": 1.0, **LOSS}]},
    ],
}


VERDICT = {
    **RUN,
    "confirming_devices": [3, 4],
    "scenarios": {
        "today": {
            "judged": [
                {
                    "file": "designs/mine.toml",
                    "place": "light-left",
                    "design": {"variant": "trained", "delta_nll": 0.4, "kl": 0.5},
                    "confirmed": {"variant": "trained", **LOSS},
                }
            ]
        }
    },
}


@pytest.fixture(scope="module")
def preset():
    return from_preset("today", 7.0)


@pytest.fixture(scope="module")
def mine():
    return OpticalSystem(name="mine", core=optics.today(), file=Path("here/mine.toml"))


@pytest.fixture
def written(tmp_path):
    def write(summary) -> Path:
        file = tmp_path / "summary.json"
        file.write_text(summary if isinstance(summary, str) else json.dumps(summary))
        return file

    return write


def test_presets_have_what_is_recorded_for_their_light_and_others_have_none(preset, mine, row):
    found = accuracies([SYSTEMS["tetra"], SYSTEMS["rubin"], preset, mine], 7.0, [])
    assert found.by_system["optical_today"].delta_nll == 0.404
    assert found.of_row(row("optical_today", "rubin", (1, 1, 1))) == "0.404 ± 0.011"
    for name in ("mine", "tetra"):
        assert found.of_row(row(name, "rubin", (1, 1, 1))) == NOT_MEASURED
    assert found.of_row(row("rubin", "rubin", (1, 1, 1))) == NOT_MEASURED
    assert not accuracies([preset], 8.0, []).by_system


@pytest.mark.parametrize(
    ("summary", "name", "delta"),
    [
        (HEADLINE, "optical_today", 0.5),
        (TARGET, "optical_today", 0.5),
        (TARGET, "mine", 0.7),
        (ADAPT, "mine", 0.5),
    ],
)
def test_summary_gives_the_loss_of_its_cores(preset, mine, written, summary, name, delta):
    found = accuracies([preset, mine], 7.0, [written(summary)]).by_system[name]
    assert found.delta_nll == delta and found.model == "SmolLM2"
    assert "2 windows of 64 tokens of owt_5" in found.source


def test_design_of_a_verdict_has_the_loss_that_its_choice_has_not_seen(preset, mine, written):
    """Of attention on light, which servers compute digitally; without an error where a summary has none."""
    found = accuracies([preset, mine], 7.0, [written(VERDICT)]).by_system
    assert found["optical_today"].delta_nll == 0.404
    assert (found["mine"].delta_nll, found["mine"].delta_nll_stderr, found["mine"].kl) == (0.5, 0.1, 0.6)
    assert found["mine"].model == "SmolLM2, trained" and "served on digital units" in found["mine"].source
    on_light = dataclasses.replace(mine, attention="light")
    found = accuracies([dataclasses.replace(preset, attention="light"), on_light], 7.0, [written(VERDICT)]).by_system
    assert "served on" not in found["mine"].source and "optical_today" not in found
    judged = VERDICT["scenarios"]["today"]["judged"][0]
    older = {"variant": "trained", "delta_nll": 0.5, "kl": 0.6}
    digital = {**judged, "place": "digital", "confirmed": older}
    found = accuracies([mine], 7.0, [written({**VERDICT, "scenarios": {"today": {"judged": [digital]}}})]).by_system
    assert found["mine"].delta_nll_stderr is None and found["mine"].source.endswith("which the search has not seen")
    summary = written({**VERDICT, "scenarios": {"today": {"judged": [digital]}}})
    assert (
        accuracies([on_light], 7.0, [summary]).by_system["mine"].source.endswith("was digital, and is served on light")
    )


@pytest.mark.parametrize(
    "by_site", [{"sinks": 2}, {"light_by_site": {"head": 2.0}}, {"loading_by_site": {"head": 8.0}}]
)
def test_loss_of_a_core_set_by_site_is_that_of_the_saved_design_alone(preset, written, by_site):
    """Not of the preset that the design was made of."""
    row = {"name": "sinks+light", **by_site, "points": [{"light": 1.0, **LOSS}]}
    summary = {**RUN, "core": "today", "best": "sinks+light", "machine": "design.toml", "rows": [row]}
    design = OpticalSystem(name="design", core=optics.today(), file=Path("here/design.toml"))
    found = accuracies([preset, design], 7.0, [written(summary)]).by_system
    assert found["design"].delta_nll == 0.5 and found["design"].source.endswith("prepared by sinks+light")
    assert found["optical_today"].delta_nll == 0.404
    with pytest.raises(ValueError, match="it has design.toml, and none of the optical servers"):
        accuracies([preset], 7.0, [written(summary)])


@pytest.mark.parametrize(
    ("summary", "message"),
    [
        ({**TARGET, "scenarios": {"projected_2029": LOSS}}, "it has projected_2029, and none of the optical servers"),
        ({**HEADLINE, "effective_bits": 8.0}, "today was run with light of 8 effective bits, and is compared with eff"),
        ({"program": "serve"}, "it has neither rows nor scenarios"),
        ({**RUN, "scenarios": {"today": {"kl": 1}}}, "it lacks 'delta_nll'"),
        ({**HEADLINE, "rows": HEADLINE["rows"][:1]}, "no core that computes with light"),
        ("[1]", "it has neither rows nor scenarios"),
        ("no json", "must be a summary.json of otc headline, target, adapt or verdict"),
        ({**VERDICT, "scenarios": {"today": {"judged": []}}}, "no core that computes with light"),
    ],
)
def test_a_file_that_says_nothing_of_these_cores_is_one_clear_line(preset, mine, written, summary, message):
    with pytest.raises(ValueError, match=message):
        accuracies([preset, mine], 7.0, [written(summary)])
