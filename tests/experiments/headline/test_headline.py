"""The headline program on a tiny model: its numbers hang together, its files are there, and it goes on where it was."""

import json
import math

import pytest

import models
import optics
from experiments.evaluation import measure
from experiments.evaluation.paired import digital_cases
from experiments.evaluation.records import EvaluationCase
from experiments.headline.program import HeadlineOptions, main
from experiments.plotting import style

FIELDS = {
    "name",
    "perplexity",
    "delta_nll",
    "delta_nll_stderr",
    "top1_agreement",
    "kl",
    "energy_per_token_j",
    "energy_per_mac_j",
    "tops_per_watt",
    "watts_at_exaops",
    "components",
}


@pytest.fixture
def options(byte_model, text_file, tmp_path):
    def make(**changes) -> HeadlineOptions:
        given = {"text": str(text_file), "model": byte_model, "windows": 3, "window_tokens": 24, "light": (6.0,)}
        return HeadlineOptions(**given | {"out": tmp_path / "out"} | changes)

    return make


def test_summary_holds_together(options, drawn, capsys):
    returned = main(options(presets=("today", "ideal")))
    out = options().out
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert summary == json.loads(json.dumps(returned))
    assert {"text", "windows", "window_tokens", "versions"} <= set(summary)
    rows = {row["name"]: row for row in summary["rows"]}
    assert list(rows) == ["digital_fp32", "digital_w8a8", "today", "ideal"]
    for row in rows.values():
        assert set(row) >= FIELDS
        assert sum(row["components"].values()) == pytest.approx(row["energy_per_mac_j"], rel=1e-6)
        assert row["tops_per_watt"] == pytest.approx(2e-12 / row["energy_per_mac_j"])
        assert row["watts_at_exaops"] == pytest.approx(5e17 * row["energy_per_mac_j"])
        assert row["energy_per_token_j"] == pytest.approx(row["energy_per_mac_j"] * row["macs_per_token"])
        difference = math.log(row["perplexity"]) - math.log(rows["digital_fp32"]["perplexity"])
        assert row["delta_nll"] == pytest.approx(difference, abs=1e-5)
    # 2 layers of q, k, v, o, gate, up, down; the head; QK^T and PV over 12.5 of 24 positions, the mean of 1 to 24.
    linear = 2 * (32 * 32 + 2 * 32 * 16 + 32 * 32 + 3 * 32 * 48)
    assert rows["today"]["macs_per_token"] == linear + 32 * 257 + 2 * 2 * 4 * 8 * 12.5
    assert rows["digital_fp32"]["delta_nll"] == 0
    assert abs(rows["ideal"]["delta_nll"]) < 1e-4
    assert rows["ideal"]["top1_agreement"] == 1
    assert abs(rows["today"]["delta_nll"]) > abs(rows["ideal"]["delta_nll"])
    assert 0 < rows["today"]["snr_db"] < 60
    assert [point["effective_bits"] for point in summary["light_curve"]["points"]] == [6.0]
    printed = capsys.readouterr().out
    for name in rows:
        assert name in printed
    assert "[assumed" in summary["assumptions"]["today"][0]
    for name in ("perplexity_energy", "waterfall"):
        assert (out / f"{name}.png").is_file() and (out / f"{name}.pdf").is_file()
    assert_perplexity_energy(drawn["perplexity_energy"], rows, summary)
    assert_waterfall(drawn["waterfall"], rows)


def assert_perplexity_energy(figure, rows, summary):
    (axes,) = figure.axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("energy per MAC at the plug [fJ]", "perplexity")
    low, high = axes.get_ylim()
    perplexities = [row["perplexity"] for row in rows.values()]
    assert low < min(perplexities)
    texts = [text.get_text() for text in axes.texts]
    assert f"fp32: {rows['digital_fp32']['perplexity']:.2f}" in texts
    names = [name for name, row in rows.items() if row["optical"]]
    assert {*names, "6 b", "W8A8 on\nB200, H200, H100"} <= set(texts)
    # A large marker for each core's whole bill and for its products on light, at the core's own numbers.
    for colour, name in zip(style.SERIES, names, strict=False):
        large = [line for line in axes.lines if line.get_markersize() == 9 and line.get_markeredgecolor() == colour]
        points = {(float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in large}
        energies = rows[name]["energy_per_mac_j"], rows[name]["energy_per_mac_on_core_j"]
        assert points == {(energy * 1e15, rows[name]["perplexity"]) for energy in energies}
    (point,) = summary["light_curve"]["points"]
    today = next(line for line in axes.lines if line.get_color() == style.SERIES[0] and line.get_linestyle() == "-")
    assert point["energy_per_mac_j"] * 1e15 in list(today.get_xdata())
    assert high >= max(value for value in perplexities if value <= 4 * min(perplexities))


def assert_waterfall(figure, rows):
    names = [name for name, row in rows.items() if row["optical"]]
    assert [axes.get_title(loc="left") for axes in figure.axes] == names
    for axes, name in zip(figure.axes, names, strict=True):
        labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
        bars = dict(zip(labels, (bar.get_width() for bar in axes.patches), strict=True))
        assert bars["total"] == pytest.approx(rows[name]["energy_per_mac_j"] * 1e15)
        assert bars["ADC"] == pytest.approx(rows[name]["components"].get("ADC", 0.0) * 1e15)
        assert axes.get_xlabel() == "fJ/MAC"


def numbers(summary):
    return {row["name"]: (row["perplexity"], row["kl"], row["energy_per_mac_j"]) for row in summary["rows"]}


def test_a_design_by_site_with_attention_on_light_is_one_more_row(options, tmp_path):
    """Attention is on light but for the first layer, which is digital."""
    design = tmp_path / "later_layer.toml"
    design.write_text('core = "today"\n[[site]]\nsites = "layers.*"\nsteps = [0]\ncore = "digital"\n')
    summary = main(options(presets=(), light=(), cores=design, attention="light", windows=1))
    rows = {row["name"]: row for row in summary["rows"]}
    assert list(rows) == ["digital_fp32", "digital_w8a8", "later_layer.toml"]
    row = rows["later_layer.toml"]
    assert row["kl"] > 0
    assert row["components"]["digital products"] > 0
    assert summary["attention"] == "light"
    # q, k, v, o, gate, up, down, QK^T, PV and the head.
    assert len(row["sites"]) == 10


def test_scores_do_not_depend_on_how_often_a_core_is_loaded(byte_model, text_file, tmp_path, monkeypatch):
    """Of one evaluator, whose programs are compiled once, with a cache of its own each time."""
    checkpoint = models.load_gguf(byte_model)
    windows = models.windows(checkpoint.tokenizer.encode(models.load_text(str(text_file))), 3, 24)
    cases = [*digital_cases(3), EvaluationCase(name="today", core=optics.today(rows=64, columns=64), windows=3)]
    evaluator = measure.Evaluator(checkpoint, 0, tmp_path)

    def scores(windows_per_load):
        monkeypatch.setattr(measure, "_WINDOWS_PER_LOAD", windows_per_load)
        evaluator.cache_path = tmp_path / f"{windows_per_load}.sqlite"
        with evaluator:
            found = evaluator.measure(checkpoint, windows, cases)
        return {name: result.windows for name, result in found.items()}

    found = scores(2)
    assert found == scores(8)
    assert len({window["kl"] for window in found["today"]}) == 3


@pytest.mark.slow
def test_an_interrupted_run_goes_on(options, tmp_path, monkeypatch):
    whole = main(options(out=tmp_path / "whole"))
    evaluate, done = measure._Run._run, []

    def stop_at_seven(bench, core, observe):
        if len(done) == 7:
            raise KeyboardInterrupt
        done.append(core)
        return evaluate(bench, core, observe)

    monkeypatch.setattr(measure._Run, "_run", stop_at_seven)
    with pytest.raises(KeyboardInterrupt):
        main(options())
    monkeypatch.setattr(measure._Run, "_run", lambda *args: done.append(args) or evaluate(*args))
    resumed = main(options())
    assert numbers(resumed) == numbers(whole)
    # 3 windows of fp32, W8A8, three presets and another light level of each: nothing was done twice.
    assert len(done) == 3 * (2 + 3 + 3)
    main(options())
    assert len(done) == 3 * (2 + 3 + 3)


def test_one_window_has_no_standard_error(options):
    summary = main(options(windows=1, presets=(), light=()))
    assert [row["delta_nll_stderr"] for row in summary["rows"]] == [None, None]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--presets", "todya"], "no preset 'todya'; did you mean 'today'?"),
        (["--windows", "0"], "windows = 0 must be at least 1"),
        (["--window-tokens", "1"], "window_tokens = 1 must be at least 2"),
        (["--effective-bits", "0"], "effective bits = 0.0 must be between 1 and 12"),
        (["--text", "nowhere.txt"], "there is no file nowhere.txt"),
        (["--windows", "400"], "400 windows of 24 tokens need 9600 tokens"),
        (["--model", "nowhere.gguf"], "nowhere.gguf"),
        (["--out", "/dev/null"], "out = /dev/null must be a folder"),
    ],
)
def test_what_the_user_can_mend_is_one_line(byte_model, text_file, tmp_path, assert_refused, arguments, message):
    given = [
        "--model",
        str(byte_model),
        "--text",
        str(text_file),
        "--window-tokens",
        "24",
        "--out",
        str(tmp_path / "o"),
    ]
    assert_refused(["headline", *given, *arguments], message)
