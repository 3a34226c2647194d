"""`otc gain` and `otc attribute` on a tiny model: their summaries, tables and figures."""

import json

import numpy as np
import pytest

import optics
from experiments.plotting.style import BLUE, VERMILION
from experiments.programs import ablation, gain


def test_gain_recovers_what_a_full_range_loses(given, drawn, capsys):
    """The range of 16 rows at 4 bits has steps of 2.3 products: gain 1 reads little, gain 4 a good deal more."""
    summary = gain.main(gain.GainOptions(**given, gains=(1.0, 4.0), tile=16, bits=4))
    assert summary == json.loads((given["out"] / "summary.json").read_text(encoding="utf-8"))
    assert [(row["series"], row["gain"]) for row in summary["rows"]] == [
        ("rounding alone", 1.0),
        ("rounding alone", 4.0),
        ("with noise of one step", 1.0),
        ("with noise of one step", 4.0),
    ]
    by_key = {(row["series"], row["gain"]): row for row in summary["rows"]}
    for series in gain.SERIES:
        assert abs(by_key[series, 4.0]["delta_nll"]) < abs(by_key[series, 1.0]["delta_nll"])
    for row in summary["rows"]:
        assert np.log(row["perplexity"] / summary["fp32_perplexity"]) == pytest.approx(row["delta_nll"], abs=1e-6)

    printed = capsys.readouterr().out
    assert f"tiles of 16 rows, 4 bits in, weights and out; fp32 {summary['fp32_perplexity']:.2f}" in printed
    lines = [line.split() for line in printed.splitlines()]
    for row in summary["rows"]:
        numbers = [f"{row['gain']:g}", f"{row['perplexity']:.4g}", f"{row['delta_nll']:+.3f}"]
        assert [*row["series"].split(), *numbers] in lines

    (axes,) = drawn["gain"].axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("gain before the ADC", "perplexity")
    assert axes.get_title(loc="left").endswith("tiles of 16 rows, 4-bit output")
    assert list(axes.get_xticks()) == [1.0, 4.0]
    for series, colour in zip(gain.SERIES, (BLUE, VERMILION), strict=True):
        (line,) = (each for each in axes.lines if len(each.get_xdata()) == 2 and each.get_color() == colour)
        np.testing.assert_array_equal(line.get_xdata(), [1.0, 4.0])
        np.testing.assert_array_equal(line.get_ydata(), [by_key[series, each]["perplexity"] for each in (1.0, 4.0)])
        assert line.get_label() == series
    assert [text.get_text() for text in axes.get_legend().get_texts()] == list(gain.SERIES)
    assert f" fp32 {summary['fp32_perplexity']:.1f}" in [text.get_text() for text in axes.texts]


@pytest.fixture
def noisy_adc(tmp_path):
    """A core file on which the noise of the ADC dominates the rounding of weights."""
    core = optics.today(rows=64, columns=64).replace(
        {"effects": optics.Effects.only("adc_noise", "weight_rounding"), "adc.enob": 4.0}
    )
    optics.serialise.save(core, tmp_path / "core.toml")
    return tmp_path / "core.toml"


def test_ablation_ranks_every_effect_alone_and_removed(given, noisy_adc, drawn, capsys):
    summary = ablation.main(ablation.AblationOptions(**given, core=noisy_adc))
    assert summary == json.loads((given["out"] / "summary.json").read_text(encoding="utf-8"))
    rows = {row["effect"]: row for row in summary["rows"]}
    assert list(rows)[:2] == ["adc_noise", "weight_rounding"]
    assert set(rows) == set(optics.today().effects.numbers()) - {"correction"}
    assert summary["nothing"]["kl"] == pytest.approx(0, abs=1e-5)
    whole = summary["everything"]["kl"]
    assert rows["adc_noise"]["alone"]["kl"] == pytest.approx(whole, rel=0.3)
    assert rows["adc_noise"]["saved_by_removing"]["kl"] == pytest.approx(whole, rel=0.3)
    assert 0 < rows["weight_rounding"]["alone"]["kl"] < whole / 3
    assert all(rows[name]["alone"]["kl"] == pytest.approx(0, abs=1e-5) for name in ("shot", "drift", "blur"))

    printed = capsys.readouterr().out
    assert f"KL {whole:.4f}" in printed
    (line,) = (each for each in printed.splitlines() if each.startswith("adc noise"))
    alone, saved = rows["adc_noise"]["alone"], rows["adc_noise"]["saved_by_removing"]
    assert line.split() == [
        *("adc", "noise"),
        *(f"{alone['kl']:+.4f}", "±", f"{alone['kl_stderr']:.4f}"),
        *(f"{saved['kl']:+.4f}", "±", f"{saved['kl_stderr']:.4f}"),
        *(f"{alone['delta_nll']:+.4f}", "±", f"{alone['delta_nll_stderr']:.4f}"),
        *(f"{saved['delta_nll']:+.4f}", "±", f"{saved['delta_nll_stderr']:.4f}"),
    ]

    (axes,) = drawn["attribute"].axes
    felt = [name for name, row in rows.items() if row["alone"]["kl"] > 1e-3 * whole]
    assert felt[0] == "adc_noise"
    assert [label.get_text() for label in axes.get_yticklabels()] == [name.replace("_", " ") for name in felt]
    assert axes.get_xlabel() == "divergence from fp32 [nats per token]"
    assert axes.get_title(loc="left").endswith(f"{whole:.3f} nats in all")
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["this one alone", "saved by removing it"]
    widths = [bar.get_width() for bar in axes.patches]
    kinds = ("alone", "saved_by_removing")
    assert widths == [rows[effect][kind]["kl"] for effect in felt for kind in kinds]
    assert f"{len(rows) - len(felt)} effects too small to show" in axes.texts[0].get_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gain", "--gains", "0"], "gains = (0.0,) must be numbers above 0"),
        (["gain", "--tile", "0"], "tile = 0 must be at least 1 row"),
        (["gain", "--bits", "1"], "bits = 1 must be between 2 and 16"),
        (["attribute", "--preset", "lumai"], "no preset 'lumai'"),
        (["attribute", "--core", "nowhere.toml"], "nowhere.toml"),
        (["attribute", "--windows", "0"], "windows = 0 must be at least 1"),
    ],
)
def test_program_refuses_bad_option_in_one_line(arguments, message, assert_refused):
    assert_refused(arguments, message)
