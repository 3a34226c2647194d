"""The smaller programs on a tiny model: their numbers hang together, their figures are there, slips are one line."""

import json

import pytest
from matplotlib.image import imread

import optics
from experiments.programs import ablation, gain


def assert_drawn(folder, name):
    image = imread(folder / f"{name}.png")
    # The height follows the number of effects that are felt, here two.
    assert image.shape[0] > 400 and image.shape[1] > 800
    assert (image[..., :3].min(axis=-1) < 0.9).mean() > 0.01
    assert (folder / f"{name}.pdf").stat().st_size > 5000


@pytest.mark.slow
def test_gain_brings_back_what_a_full_range_loses(given, capsys):
    """The range of 16 rows at 4 bits has steps of 2.3 products: gain 1 reads little, gain 4 a good deal more."""
    summary = gain.main(gain.Gain(**given, gains=(1.0, 4.0), tile=16, bits=4))
    assert summary == json.loads((given["out"] / "summary.json").read_text(encoding="utf-8"))
    found = {(row["series"], row["gain"]): row for row in summary["rows"]}
    for series in gain.SERIES:
        assert abs(found[series, 4.0]["delta_nll"]) < abs(found[series, 1.0]["delta_nll"])
    assert "fp32" in capsys.readouterr().out
    assert_drawn(given["out"], "gain")


@pytest.mark.slow
def test_attribute_has_every_effect_alone_and_without(given, tmp_path, capsys):
    """A core on which the ADC's noise rules: it is first on the list, and all but it is close to fp32."""
    core = optics.today(rows=64, columns=64).replace(
        {"effects": optics.Effects.only("adc_noise", "weight_rounding"), "adc.enob": 4.0}
    )
    optics.serialise.save(core, tmp_path / "core.toml")
    summary = ablation.main(ablation.Attribute(**given, core=tmp_path / "core.toml"))
    rows = {row["effect"]: row for row in summary["rows"]}
    assert summary["rows"][0]["effect"] == "adc_noise"
    assert summary["nothing"]["kl"] == pytest.approx(0, abs=1e-5)
    whole = summary["everything"]["kl"]
    assert rows["adc_noise"]["alone"]["kl"] == pytest.approx(whole, rel=0.3)
    assert rows["adc_noise"]["saved_by_removing"]["kl"] == pytest.approx(whole, rel=0.3)
    assert 0 < rows["weight_rounding"]["alone"]["kl"] < whole / 3
    assert all(rows[name]["alone"]["kl"] == pytest.approx(0, abs=1e-5) for name in ("shot", "drift", "blur"))
    assert set(rows) == set(core.effects.numbers()) - {"correction"}
    assert "adc noise" in capsys.readouterr().out
    assert_drawn(given["out"], "attribute")


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
def test_what_the_user_can_mend_is_one_line(arguments, message, assert_refused):
    assert_refused(arguments, message)
