"""The verdict on light: the best with light against the best without, told apart only where ranges do not overlap."""

import pytest

from experiments.serving.accuracy import RECORDED, Accuracies
from experiments.serving.light import last_line, light_verdict
from experiments.serving.model import Range
from experiments.serving.workloads import WORKLOADS

ASSISTANT = WORKLOADS["assistant"]
PRECISIONS = {"mine": "int8", "tetra": "int8", "rubin": "fp8", "groq": "int8"}
KNOWN = Accuracies({"mine": RECORDED["projected_2029"]}, frozenset({"mine", "tetra"}), PRECISIONS)


@pytest.mark.parametrize(
    ("rate", "said", "apart"),
    [
        ((30, 21, 40), "Light helps on Assistant. Assistant: light helps, 3 (1.05 to 8) times", True),
        ((30, 19, 40), "Light is not shown to help. Assistant: cannot be told apart, 3 (0.95 to 8) times", False),
        ((3, 2, 4), "Light is not shown to help. Assistant: light does not help, 0.3 (0.1 to 0.8) times", True),
    ],
)
def test_light_helps_only_beyond_the_ranges(row, rate, said, apart):
    rows = [row("mine", "rubin", rate), row("rubin", "rubin", (10, 5, 20)), row("groq", "groq", (1, 1, 1))]
    verdict = light_verdict(ASSISTANT, rows, KNOWN)
    assert verdict.told_apart is apart
    assert verdict.factor == Range(rate[0] / 10, rate[1] / 20, rate[2] / 5)
    line = last_line([verdict], PRECISIONS)
    assert line.startswith(said)
    assert "mine + rubin against rubin" in line
    assert "at a delta NLL of 0.213 ± 0.011 nats/token (SmolLM2-135M-Instruct)" in line
    assert line.endswith("without light in fp8.") and "\n" not in line


def test_a_machine_that_nobody_measured_is_light_without_an_accuracy(row):
    verdict = light_verdict(ASSISTANT, [row("tetra", "rubin", (3, 2, 4)), row("rubin", "rubin", (1, 1, 1))], KNOWN)
    assert verdict.light is not None and verdict.light.prefill == "tetra"
    assert "at accuracy not measured" in verdict.sentence()


def test_rows_beyond_the_limits_do_not_count(row):
    late = row("mine", "mine", (9, 9, 9), within_limits=False)
    verdict = light_verdict(ASSISTANT, [late, row("rubin", "rubin", (1, 1, 1))], KNOWN)
    assert verdict.light is None and verdict.factor is None
    assert verdict.sentence() == "Assistant: only rubin is within the limits"
    assert light_verdict(ASSISTANT, [late], KNOWN).sentence() == "Assistant: nothing is within the limits"
