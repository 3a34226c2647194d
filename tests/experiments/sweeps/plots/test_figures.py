"""Every shape of sweep has its figures, drawn with no options; wrong choices are refused; the words are right."""

import sqlite3

import numpy as np
import pytest
from matplotlib import image

import optics
from experiments import sweeps
from experiments.sweeps.plots import figures, fronts, labels, tables
from experiments.sweeps.running.store import Store

ENOB = sweeps.linear("adc.enob", 5, 10, 4)
LIGHT = sweeps.log("light.photons_per_mac", 10, 1e4, 5)
WEIGHTS = sweeps.listed("encoding.weights", ["rails", "offset"])
DEVICES = sweeps.listed("device", [3, 1, 2])
INPUTS = sweeps.Dimension({"encoding.inputs": ("rails", "rails"), "encoding.weights": ("rails", "offset")})
BITS = sweeps.zipped(sweeps.listed("adc.enob", [6, 8]), sweeps.listed("adc.bits", [8, 10]))
CLOCK = sweeps.listed("clock", [1e9, 2e9, 4e9])
MASK = sweeps.listed("mask.bits", [4, 8])
SAMPLE = sweeps.sobol(8, {"adc.enob": (5, 10, "linear"), "light.photons_per_mac": (10, 1e4, "log")})
SHAPES = {
    "two short numbers": ((BITS, CLOCK), ["lines", "front"]),
    "two numbers": ((ENOB, LIGHT), ["map", "lines", "front"]),
    "number and words": ((ENOB, WEIGHTS), ["lines", "front"]),
    "serial numbers": ((DEVICES,), ["dots", "front"]),
    "words that move together": ((INPUTS, DEVICES), ["dots"]),
    "one number": ((ENOB,), ["lines"]),
    "sample": ((SAMPLE,), ["scatter", "front"]),
    "too many": ((ENOB, LIGHT, CLOCK, MASK), ["map", "lines"]),
}


def filled(sweep, folder):
    """The folder of a run that is done: errors that differ by draw of the noise, and a bill that does not."""
    noise = np.random.default_rng(1)
    store = Store(folder)
    store.begin(sweep)
    for group in range(len(sweep.groups)):
        points, keys = (np.array(part) for part in store.claim(group, sweep.trials))
        level = 10.0 ** noise.uniform(-3, 1, sweep.points)
        error = level[points] * noise.uniform(0.9, 1.1, len(points))
        bill = 100 / np.sqrt(level[points]) * (1 + points % 3)
        store.complete(points, keys, {"relative_error": error[:, None], "fj_per_mac": bill[:, None]})
    store.close()
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Runs by their dimensions, each made once, with drawn numbers in place of computed ones."""
    runs = {}

    def make(*dimensions, keys=2, metrics=("relative_error", "fj_per_mac")):
        known = (tuple(map(id, dimensions)), keys, metrics)
        if known not in runs:
            sweep = sweeps.Sweep(
                core=optics.projected_2029(rows=8, columns=8),
                dimensions=dimensions,
                subject=sweeps.Product(rows=8, columns=8, vectors=4),
                metrics=metrics,
                keys=keys,
            )
            runs[known] = sweeps.Run(filled(sweep, tmp_path_factory.mktemp("run")))
        return runs[known]

    return make


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.filterwarnings("error")
def test_each_shape_of_sweep_has_the_figures_that_suit_it(made, tmp_path, shape):
    dimensions, kinds = SHAPES[shape]
    written = figures.draw(made(*dimensions), metrics=["relative_error"], out=tmp_path)
    assert [name.partition("_")[0] for name in written] == [kind for kind in kinds if kind != "front"]
    if "front" in kinds:
        written += figures.draw(made(*dimensions), kind="front", out=tmp_path)
    assert [name.partition("_")[0] for name in written] == kinds
    for name in written:
        pixels = image.imread(tmp_path / f"{name}.png")
        assert min(pixels.shape[:2]) > 200 and np.std(pixels[..., :3]) > 0.02
        assert (tmp_path / f"{name}.pdf").read_bytes().startswith(b"%PDF")
        assert "<svg" in (tmp_path / f"{name}.svg").read_text(encoding="utf-8")


def test_figures_go_into_the_folder_of_the_run_and_a_single_point_has_none(made):
    run = made(ENOB, LIGHT)
    assert figures.draw(run, kind="lines", metrics=["fj_per_mac"]) == ["lines_fj_per_mac"]
    assert (run.folder / "lines_fj_per_mac.svg").is_file()
    with pytest.raises(ValueError, match="there is nothing to draw: the sweep has a single point"):
        figures.draw(made())


def test_axes_may_be_chosen(made, tmp_path):
    run = made(ENOB, LIGHT)
    assert figures.draw(run, metrics=["fj_per_mac"], x="adc.enob", y="light.photons_per_mac", out=tmp_path) == [
        "map_fj_per_mac"
    ]
    roles, left = figures.roles(run, {"by": "light.photons_per_mac"}, "lines")
    assert roles["x"].name == "adc.enob" and not left
    assert figures.draw(run, metrics=["fj_per_mac"], by="adc.enob", out=tmp_path) == ["lines_fj_per_mac"]
    along = made(BITS, CLOCK)
    roles, _ = figures.roles(along, {"x": "adc.bits"}, "lines")
    assert roles["x"].values == (8, 10) and roles["x"].along == ("ADC ENOB",)


def test_a_cut_holds_the_figures_of_its_points(made):
    run = made(*SHAPES["too many"][0])
    roles, held = figures.roles(run, {}, "map")
    assert [roles[role].name for role in ("x", "y", "panel")] == ["light.photons_per_mac", "adc.enob", "mask.bits"]
    assert [axis.name for axis in held] == ["clock"]
    view = figures.View(run, 0.9, roles, held)
    mean, half = view.cut("relative_error", ("y", "x", "panel"))
    estimate = run.estimate("relative_error", 0.9)
    at = {name: run.axis(name) for name in run.axes}
    for (row, column, panel), value in np.ndenumerate(mean):
        here = (at["adc.enob"] == roles["y"].ordered[row]) & (at["mask.bits"] == roles["panel"].ordered[panel])
        here &= (at["light.photons_per_mac"] == roles["x"].ordered[column]) & (at["clock"] == 2e9)
        assert value == estimate.mean[here] and half[row, column, panel] == estimate.half[here]
    said = view.small_print(["relative_error"], "band")
    assert "90 % confidence interval over 2 draws of the noise" in said
    assert "clock = 2 GHz, the middle one of 3" in said


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"x": "adc.enb"}, "no axis 'adc.enb' in .*; did you mean 'adc.enob'"),
        ({"panel": "clock"}, "no axis 'clock' in .*; there are: adc.enob, encoding.weights"),
        ({"metrics": ["relative_eror"]}, "no metric 'relative_eror' in .*; did you mean 'relative_error'"),
        ({"kind": "bars"}, "kind 'bars' is none of lines, map, front, dots, scatter"),
        ({"kind": "lines", "x": "encoding.weights"}, "has no scale for lines"),
        ({"kind": "lines", "y": "adc.enob"}, "y = 'adc.enob' has no place in lines"),
        ({"kind": "map"}, "has no axis of numbers left for y of map"),
        ({"x": "adc.enob", "by": "adc.enob"}, "are of one dimension"),
        ({"kind": "front", "metrics": ["fj_per_mac"]}, "a front needs a metric of accuracy and one of energy"),
    ],
)
def test_wrong_choices_are_refused(made, choice, message):
    with pytest.raises(ValueError, match=message):
        figures.draw(made(ENOB, WEIGHTS), **choice)


def test_samples_have_no_grid(made):
    with pytest.raises(ValueError, match="sampled points have no grid for lines"):
        figures.draw(made(SAMPLE), kind="lines")


@pytest.mark.filterwarnings("error")
def test_an_unfinished_run_is_drawn_and_says_so(made, tmp_path):
    done = made(ENOB, LIGHT)
    for count in (0, 11):
        folder = tmp_path / str(count)
        folder.mkdir()
        (folder / done.path.name).write_bytes(done.path.read_bytes())
        with sqlite3.connect(folder / done.path.name) as file:
            file.execute("UPDATE trials SET done = point < ?", (count,))
            file.execute("DELETE FROM results WHERE point >= ?", (count,))
        file.close()
        run = sweeps.Run(folder)
        if not count:
            with pytest.raises(ValueError, match="nothing to draw: no trial is done"):
                figures.draw(run)
            continue
        view = figures.View(run, 0.68, *figures.roles(run, {}, "map"))
        assert "nfinished: 22 of 40 trials done" in view.small_print(["fj_per_mac"])
        assert "map_relative_error" in figures.draw(run, metrics=["relative_error"])
        assert tables.table(run).splitlines()[-1].split()[-2:] == ["-", "-"]


def test_labels_have_units(made):
    run = made(ENOB, LIGHT)
    stated = {
        "adc.enob": "ADC ENOB [bit]",
        "light.photons_per_mac": "photons per MAC, launched",
        "light.effective_bits": "light sized for [effective bits against the product]",
        "source.rin": "source RIN [dB/Hz]",
        "space.fan_out_loss_db": "space fan out loss [dB]",
        "clock": "clock [Hz]",
        "source.gain_mismatch": "source gain mismatch",
        "encoding.weights": "encoding weights",
        "on.window_tokens": "tokens a window",
    }
    assert {name: labels.label(run, name) for name in stated} == stated
    assert labels.metric_label("fj_per_mac") == "energy at the plug [fJ/MAC]"
    clock = labels.axis_of(made(BITS, CLOCK), 1)
    assert (clock.label, clock.stated(2e9)) == ("clock [GHz]", "clock = 2 GHz")
    assert not clock.log and labels.axis_of(run, 1).log and not labels.axis_of(run, 0).log


def test_the_table_says_what_was_measured(made):
    run = made(ENOB, WEIGHTS)
    header, _, *rows = tables.table(run, confidence=0.9).splitlines()
    assert header.split() == ["adc.enob", "[bit]", "encoding.weights", "relative_error", "fj_per_mac", "[fJ/MAC]"]
    estimate, price = run.estimate("relative_error", 0.9), run.estimate("fj_per_mac")
    assert len(rows) == run.points
    for point, row in enumerate(rows):
        enob, weights, mean, sign, half, joules = row.split()
        assert float(enob) == pytest.approx(run.axis("adc.enob")[point], rel=1e-3)
        assert weights == run.axis("encoding.weights")[point] and sign == "±"
        assert float(half) == pytest.approx(estimate.half[point], rel=0.06)
        assert abs(float(mean) - estimate.mean[point]) < 0.06 * estimate.half[point]
        assert float(joules) == pytest.approx(price.mean[point], rel=1e-3)


def test_a_long_table_is_cut_in_the_middle_and_the_heading_counts(made):
    run = made(ENOB, LIGHT)
    lines = tables.table(run, ["fj_per_mac"], most=5).splitlines()
    assert lines[5] == "... 15 more; `export` writes all" and len(lines) == 2 + 5 + 1
    assert tables.table(run, ["fj_per_mac"]).splitlines()[-2:] == lines[-2:]
    heading = tables.heading(run)
    assert "4 vectors through a 8 × 8 matrix: 20 points × 2 draws of the noise, 40 of 40 trials done" in heading
    assert run.sessions[0]["began"][:10] in heading and "energy at the plug" in heading
    with pytest.raises(ValueError, match="did you mean 'fj_per_mac'"):
        tables.table(run, ["fj_per_mc"])


@pytest.mark.parametrize(
    ("mean", "half", "text"),
    [
        (12.3456, 0.0123, "12.346 ± 0.012"),
        (1e-7, 3e-9, "(1.000 ± 0.030)e-7"),
        (5.0, np.nan, "5"),
        (5.0, 1e-12, "5"),
        (0.0, 0.3, "0.00 ± 0.30"),
        (np.nan, np.nan, "-"),
    ],
)
def test_a_mean_has_the_digits_that_its_interval_allows(mean, half, text):
    assert tables.plus_minus(mean, half) == text


def test_the_front_is_what_nothing_beats():
    x, y = np.array([1.0, 2, 2, 3, 4, np.nan]), np.array([5.0, 3, 4, 3, 1, 0])
    assert fronts.pareto(x, y).tolist() == [0, 1, 4]
    assert fronts.knee(np.array([0.0, 1, 9, 10]), np.array([10.0, 1, 0.5, 0])) == 1
