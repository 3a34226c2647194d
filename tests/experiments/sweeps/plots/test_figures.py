"""Figures and tables of sweeps: the kinds that suit the axes, the data and labels drawn, and what is refused."""

import sqlite3

import numpy as np
import pytest
from matplotlib.collections import PathCollection
from matplotlib.colors import to_rgba

import optics
from experiments import sweeps
from experiments.plotting import style
from experiments.sweeps.execution.store import Store
from experiments.sweeps.plots import figures, fronts, labels, tables
from experiments.sweeps.plots.view import View

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
        figures_of = dict(zip(("relative_error", sweep.metrics[-1]), (error[:, None], bill[:, None]), strict=True))
        store.complete(points, keys, figures_of)
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
            runs[known] = sweeps.SweepResults(filled(sweep, tmp_path_factory.mktemp("run")))
        return runs[known]

    return make


@pytest.fixture(autouse=True)
def _coarse_figures() -> None:
    """Figures are saved in full here, in every format."""


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
        for suffix, start in (("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")):
            assert (tmp_path / f"{name}.{suffix}").read_bytes().startswith(start)


@pytest.fixture
def drawn():
    """Draws one figure in the project's style and returns its view, the figure and its panels."""
    figures_made = []

    def draw(run, kind, *metrics, **given):
        view = View(run, 0.68, *figures.roles(run, given, kind))
        with style.style():
            figure = figures.DRAWN[kind](view, *metrics)
        figures_made.append(figure)
        return view, figure, [axes for axes in figure.axes if axes.axison and axes.get_label() != "<colorbar>"]

    yield draw
    for figure in figures_made:
        style.plt.close(figure)


def means_where(run, metric, **values):
    """Means of a metric at the points where axes have given values, names written with __ for the dot."""
    here = np.all([run.axis(name.replace("__", ".")) == value for name, value in values.items()], axis=0)
    return run.estimate(metric).mean[here]


def test_lines_draws_a_line_and_a_band_per_value_of_by(made, drawn):
    run = made(ENOB, WEIGHTS)
    _, figure, (axes,) = drawn(run, "lines", "relative_error")
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("ADC ENOB [bit]", "rms error / rms result")
    assert figure.get_suptitle() == "4 vectors through a 8 × 8 matrix: rms error / rms result"
    enob, estimate = np.linspace(5, 10, 4), run.estimate("relative_error")
    low, high = axes.get_xlim()
    assert 4.5 < low < 5 and 10 < high < 10.5
    assert len(axes.lines) == len(axes.collections) == 2
    for line, band, weights, colour in zip(
        axes.lines, axes.collections, ("rails", "offset"), style.SERIES, strict=False
    ):
        means = means_where(run, "relative_error", encoding__weights=weights)
        np.testing.assert_allclose(line.get_xdata(), enob)
        np.testing.assert_allclose(line.get_ydata(), means)
        assert line.get_color() == colour
        here = run.axis("encoding.weights") == weights
        for x, mean, half in zip(enob, means, estimate.half[here], strict=True):
            heights = band.get_paths()[0].vertices
            heights = heights[np.isclose(heights[:, 0], x), 1]
            assert heights.max() == pytest.approx(mean + half)
            assert heights.min() == pytest.approx(mean - half if mean > half else heights.min())


def test_lines_with_panels_shares_limits_and_titles_each(made, drawn):
    run = made(ENOB, CLOCK, MASK)
    _, _, panels = drawn(run, "lines", "fj_per_mac", x="adc.enob", by="clock", panel="mask.bits")
    assert [axes.get_title(loc="left") for axes in panels] == ["mask bits = 4 bit", "mask bits = 8 bit"]
    assert panels[0].get_ylim() == panels[1].get_ylim() and panels[0].get_xlim() == panels[1].get_xlim()
    for axes, bits in zip(panels, (4, 8), strict=True):
        for line, clock in zip(axes.lines, (1e9, 2e9, 4e9), strict=True):
            means = means_where(run, "fj_per_mac", mask__bits=bits, clock=clock)
            np.testing.assert_allclose(line.get_ydata(), means)


def test_map_fills_from_the_least_to_the_largest_mean_and_marks_every_point(made, drawn):
    run = made(ENOB, LIGHT)
    _, figure, (axes,) = drawn(run, "map", "fj_per_mac")
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("photons per MAC, launched", "ADC ENOB [bit]")
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "linear")
    np.testing.assert_allclose(axes.get_xlim(), (10, 1e4), rtol=1e-6)
    np.testing.assert_allclose(axes.get_ylim(), (5, 10), rtol=1e-6)
    fill, means = axes.collections[0], run.estimate("fj_per_mac").mean
    assert (fill.norm.vmin, fill.norm.vmax) == pytest.approx((means.min(), means.max()))
    points = axes.lines[0].get_xydata()
    wanted = np.column_stack([run.axis("light.photons_per_mac"), run.axis("adc.enob")])
    np.testing.assert_allclose(points[np.lexsort(points.T)], wanted[np.lexsort(wanted.T)])
    (bar,) = (each for each in figure.axes if each.get_label() == "<colorbar>")
    assert bar.get_ylabel() == "energy at the plug [fJ/MAC]"


def test_map_labels_lines_horizontally(made, drawn):
    """Upside down, 0.6 reads as 9.0."""
    _, _, (axes,) = drawn(made(ENOB, LIGHT), "map", "relative_error")
    assert axes.texts and all(text.get_rotation() == 0 for text in axes.texts)


def test_a_metric_is_drawn_in_the_prefix_of_its_unit(made, drawn):
    run = made(ENOB, LIGHT, metrics=("relative_error", "joules_per_token"))
    energy = run.estimate("joules_per_token")
    assert 1e3 < energy.mean.max() < 1e6
    view, _, (axes, *_) = drawn(run, "front", "relative_error", "joules_per_token")
    assert axes.get_xlabel() == "energy at the plug [kJ/token]"
    np.testing.assert_allclose(view.means("joules_per_token"), energy.mean / 1e3)
    _, _, (axes,) = drawn(run, "map", "joules_per_token")
    assert axes.collections[0].norm.vmax == pytest.approx(energy.mean.max() / 1e3)
    assert view.scale("relative_error") == 1


def test_front_draws_all_points_and_the_line_of_those_that_none_beats(made, drawn):
    run = made(ENOB, WEIGHTS)
    _, _, (axes, *_) = drawn(run, "front", "relative_error", "fj_per_mac")
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("energy at the plug [fJ/MAC]", "rms error / rms result")
    error, energy = (run.estimate(name).mean for name in ("relative_error", "fj_per_mac"))
    line, marks = axes.lines
    best = [i for i in range(8) if not any((error < error[i]) & (energy <= energy[i]))]
    best = sorted(best, key=lambda i: energy[i])
    np.testing.assert_allclose(line.get_xydata(), np.column_stack([energy, error])[best])
    np.testing.assert_array_equal(marks.get_xydata(), line.get_xydata())
    offsets = [each.get_offsets() for each in axes.collections if isinstance(each, PathCollection)]
    assert sorted(np.concatenate(offsets).tolist()) == sorted(np.column_stack([energy, error]).tolist())
    letters = [text.get_text() for text in axes.texts]
    assert letters == list("abc")[: min(3, len(best))]


def test_dots_draws_the_mean_of_each_category_with_its_interval(made, drawn):
    run = made(WEIGHTS, DEVICES)
    view, _, (axes,) = drawn(run, "dots", "relative_error", x="encoding.weights", by="device")
    assert [text.get_text() for text in axes.get_yticklabels()] == ["rails", "offset"]
    assert axes.get_xlabel() == "rms error / rms result" and axes.get_ylabel() == "encoding weights"
    for bars, device, colour in zip(axes.containers, view.required("by").ordered, style.SERIES, strict=False):
        points, _, _ = bars.lines
        means = means_where(run, "relative_error", device=int(device))
        np.testing.assert_allclose(points.get_xdata(), means)
        np.testing.assert_allclose(np.round(points.get_ydata()), (0, 1))
        assert to_rgba(points.get_color()) == to_rgba(colour)


def test_scatter_draws_the_points_along_each_sampled_axis(made, drawn):
    run = made(SAMPLE)
    _, _, panels = drawn(run, "scatter", "relative_error")
    assert [axes.get_xlabel() for axes in panels] == ["ADC ENOB [bit]", "photons per MAC, launched"]
    assert panels[0].get_ylabel() == "rms error / rms result" and panels[1].get_ylabel() == ""
    for axes, name in zip(panels, SAMPLE.columns, strict=True):
        points = np.column_stack([run.axis(name), run.estimate("relative_error").mean])
        np.testing.assert_allclose(axes.collections[0].get_offsets(), points)


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
    view = View(run, 0.9, roles, held)
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
        run = sweeps.SweepResults(folder)
        if not count:
            with pytest.raises(ValueError, match="nothing to draw: no trial is done"):
                figures.draw(run)
            continue
        view = View(run, 0.68, *figures.roles(run, {}, "map"))
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
    assert labels.metric_label(sweeps.METRICS["fj_per_mac"]) == "energy at the plug [fJ/MAC]"
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
