"""Announced pairs: shown whatever their rank, with the row that a user would choose, against Galaxy alone."""

import pytest

from experiments.serving.accuracy import Accuracies
from experiments.serving.announced import PAIRS, announced
from experiments.serving.model import SYSTEMS, Range
from experiments.serving.report import print_rows
from experiments.serving.workloads import WORKLOADS

ASSISTANT = WORKLOADS["assistant"]


def test_pairs_are_of_known_systems_and_have_a_source():
    for pair in PAIRS:
        assert {pair.prefill, pair.decode} <= set(SYSTEMS) and pair.source
    assert {pair.title for pair in PAIRS} == {"Nvidia GPU + Groq LPU", "Trainium + Cerebras", "Intel GPU + SambaNova"}


def test_all_are_shown_and_optical_prefill_with_each_of_their_decode_machines(row):
    shown = announced(ASSISTANT, [row("galaxy", "galaxy", (10, 5, 20))], ["optical_today"])
    assert [each.title for each in shown] == [
        "Nvidia GPU + Groq LPU",
        "Trainium + Cerebras",
        "Intel GPU + SambaNova",
        "Optical prefill + Groq LPU",
        "Optical prefill + Cerebras",
        "Optical prefill + SambaNova",
        "Tenstorrent Galaxy Blackhole",
    ]
    assert [each.row is None for each in shown] == [True] * 6 + [False]
    assert shown[-1].over_reference == Range(1.0, 1.0, 1.0)
    assert len(announced(ASSISTANT, [], [])) == 4


def test_row_is_the_best_within_the_limits_in_the_form_announced(row):
    rows = [
        row("rubin", "lp30", (9, 8, 10)),
        row("rubin", "lp30", (3, 1, 6), split=True),
        row("rubin", "lp30", (2, 1, 6), split=True),
        row("rubin", "lp30", (7, 6, 8), split=True, within_limits=False),
        row("galaxy", "galaxy", (2, 1, 4)),
    ]
    pair = announced(ASSISTANT, rows, [])[0]
    assert pair.row is rows[1]
    assert pair.over_reference == Range(1.5, 0.25, 6.0)


def test_row_exceeds_the_limits_least_where_none_is_within(row):
    """Limits of 2 s and 0.1 s: 3 s are 1.5 times, 0.4 s per token are 4 times."""
    rows = [
        row("trainium3", "cs3", (9, 8, 10), within_limits=False, tpot_s=Range(0.4, 0.4, 0.4)),
        row("trainium3", "cs3", (1, 1, 1), within_limits=False, ttft_s=Range(3.0, 3.0, 3.0)),
    ]
    pair = announced(ASSISTANT, rows, [])[1]
    assert pair.row is rows[1] and pair.over_reference is None


def test_best_optical_server_stands_for_optical_prefill(row):
    rows = [row("optical_today", "sn50", (1, 1, 1)), row("mine", "sn50", (2, 2, 2)), row("sn50", "sn50", (3, 3, 3))]
    assert announced(ASSISTANT, rows, ["optical_today", "mine"])[5].row is rows[1]


@pytest.mark.parametrize("kept", [True, False])
def test_report_has_every_announced_pair_by_name(row, capsys, kept):
    rows = [row("rubin", "lp30", (3, 1, 6), split=True, within_limits=kept), row("galaxy", "galaxy", (2, 1, 4))]
    names = dict.fromkeys(("rubin", "lp30", "galaxy"), "fp8")
    shown = announced(ASSISTANT, rows, [])
    print_rows({ASSISTANT: rows}, {ASSISTANT: shown}, Accuracies({}, frozenset(), names), "a model")
    printed = capsys.readouterr().out
    line = next(line for line in printed.splitlines() if line.startswith("Nvidia GPU + Groq LPU"))
    assert "rubin / lp30" in line and "1.5 (0.25 to 6)" in line and ("kept" if kept else "missed") in line
    assert any(line.startswith("Intel GPU + SambaNova") and "fits at no batch" in line for line in printed.splitlines())
