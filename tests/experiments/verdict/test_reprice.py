"""Input of `otc reprice` that is refused, with one error each."""

import json

import pytest

from experiments.verdict.reprice import RepriceOptions

SUMMARY = {
    "shapes": "smollm2-135m",
    "limits": [0.05],
    "target_watts": 1e4,
    "changes": [],
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
        ({"seed": -1}, "seed = -1"),
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
