"""Input of `otc reprice` that is refused, with one error each."""

import json

import pytest

from experiments.verdict.reprice import RepriceOptions, _Repriced
from experiments.verdict.space import Design, Space, Structure

SUMMARY = {
    "shapes": "smollm2-135m",
    "limits": [0.05],
    "target_watts": 1e4,
    "changes": [],
    "model": "SmolLM2",
    "text": "owt_5",
    "seed": 0,
    "scenarios": {"today": {"variants": {"as it is": {"rotation_seed": None}}}},
}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "summary.json"
    path.write_text(json.dumps(SUMMARY))
    return path


def options(file, **changes):
    return RepriceOptions(**{"verdict": file, "scenarios": ("today",)} | changes)


def test_a_summary_of_the_verdict_is_read(file):
    assert options(file, set=("overhead.host_share=0",)).load() == SUMMARY


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"scenarios": ("physical_limit",)}, "scenarios = physical_limit must be among those of the verdict: today"),
        ({"set": ("overhead.host=0",)}, "there is no constant 'overhead.host'; did you mean 'overhead.host_share'"),
        ({"set": ("adc.enob=9",)}, "--set adc.enob: it is searched or measured"),
        ({"set": ("physical_limit.overhead.host_share=0",)}, "physical_limit is not judged; judged are today"),
        ({"draws": 100}, "draws = 100 must be a power of two, at least 2"),
        ({"scenarios": ()}, "scenarios is empty"),
    ],
)
def test_options_out_of_range_are_refused(file, changes, said):
    with pytest.raises(ValueError, match=said):
        options(file, **changes).load()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "is no file; it must be the summary.json of otc verdict"),
        ("no json", "is no JSON"),
        ("[]", "has no shapes"),
        (json.dumps(SUMMARY | {"scenarios": {"today": {"variants": {"as it is": {}}}}}), "is of an earlier version"),
    ],
)
def test_files_that_are_no_summary_are_refused(tmp_path, content, said):
    path = tmp_path / "other.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ValueError, match=said):
        options(path).load()


@pytest.mark.parametrize(
    ("change", "touched"),
    [("overhead.host_share=0.3", False), ("mask.update_time=1e-4", True), ("mask.extinction_ratio=300", True)],
)
def test_a_price_that_moves_the_operand_of_attention_on_the_mask_is_said_to_touch_the_run(file, change, touched):
    """Masks of 0.1 ms: the left operand stands on them, where the right one does at those of 2029."""
    before = SUMMARY | {"shapes": "llama-3.1-70b", "scenarios": {"projected_2029": {"variants": {}, "designs": []}}}
    changed = _Repriced(options(file, set=(change,)), before, "projected_2029")
    structure = Structure(2048, 2048, 4, "light")
    knobs = Space("projected_2029").scenario_knobs(structure)
    assert changed._touched(Design(structure, knobs)) == touched
