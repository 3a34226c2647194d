"""Figures of programs from summaries that are written here: the usual one, and one with a single row or no curve."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from experiments.bench import figure as bench
from experiments.headline import figures as headline
from experiments.plotting import style
from experiments.plotting.pareto import pareto
from experiments.programs import gain
from experiments.target import figures as target
from experiments.target.design_space import IMPERFECTIONS, Axes
from experiments.training import report as training


@pytest.fixture
def drawn(monkeypatch) -> Iterator[dict[str, Figure]]:
    """Figures by name, as the programs would save them; writing their files takes most of the time of a test."""
    figures: dict[str, Figure] = {}
    monkeypatch.setattr(style, "save", lambda figure, folder, name, *kinds: figures.__setitem__(name, figure))
    yield figures
    style.plt.close("all")


RESTS_ON = ["measured: mean drive of full scale, by readings of this function: 0.06"]
TARGET = {"energy_per_mac_j": 20e-15, "watts": 1e4, "fj_per_mac": 20.0}


def machine(name, perplexity, femtojoules, stderr):
    return {
        "name": name,
        "optical": not name.startswith("digital"),
        "perplexity": perplexity,
        "delta_nll_stderr": stderr,
        "energy_per_mac_j": femtojoules * 1e-15,
        "energy_per_mac_on_core_j": 0.6e-15 * femtojoules,
        "components": {"laser light": 0.7e-15 * femtojoules, "ADC": 0.3e-15 * femtojoules},
        "bill_rests_on": RESTS_ON,
    }


def of_headline(presets, points, stderr) -> Any:
    return {
        "model": "SmolLM2-135M-Instruct",
        "text": "owt_5",
        "windows": 8,
        "window_tokens": 512,
        "mask": None,
        "attention": "digital",
        "target": TARGET,
        "rows": [
            machine("digital_fp32", 31.4, 3850, None),
            machine("digital_w8a8", 32.8, 1600, stderr),
            *(machine(name, *numbers, stderr) for name, numbers in presets.items()),
        ],
        "light_curve": {
            "windows": 4,
            "points": [
                {
                    "name": name,
                    "effective_bits": bits,
                    "perplexity": perplexity,
                    "energy_per_mac_j": femtojoules * 1e-15,
                    "energy_per_mac_on_core_j": 0.6e-15 * femtojoules,
                }
                for name, bits, perplexity, femtojoules in points
            ],
        },
        "digital_machines": {
            name: {"energy_per_mac_j": value * 1e-15, "low": 0.8e-15 * value, "high": 1.2e-15 * value}
            for name, value in (("b200", 1100), ("h200", 1600), ("h100", 1900))
        },
    }


PRESETS = {"today": (46.6, 142), "projected_2029": (38.1, 47), "physical_limit": (35.3, 4.2)}
POINTS = [("today", 6, 400, 120), ("today", 8, 40, 220), ("projected_2029", 6, 73, 41), ("projected_2029", 8, 36, 74)]


def test_headline_marks_the_curve_that_leaves_the_frame_and_errors(drawn, nothing_collides, tmp_path):
    headline.draw(of_headline(PRESETS, POINTS, 0.02), tmp_path)
    nothing_collides(drawn["perplexity_energy"])
    nothing_collides(drawn["waterfall"])
    (axes,) = drawn["perplexity_energy"].axes
    # today at 6 bits has a perplexity of 400: its two curves leave through the top.
    triangles = [line for line in axes.lines if line.get_marker() == "^"]
    assert [line.get_markeredgecolor() for line in triangles] == [style.BLUE] * 2
    assert all(line.get_ydata()[0] == 1.0 for line in triangles)
    bars = [segment for bar in axes.collections for segment in bar.get_segments() if segment[0][0] == segment[1][0]]
    ends = {(round(float(low), 3), round(float(high), 3)) for (_, low), (_, high) in bars}
    assert ends == {tuple(np.round(value * np.exp([-0.02, 0.02]), 3)) for value, _ in PRESETS.values()}
    edges = axes.get_window_extent()
    line = axes.transData.transform((20, 40))[0]
    for text in axes.texts:
        box = text.get_window_extent()
        if box.y1 < edges.y0:  # the small print
            continue
        assert box.x0 > edges.x0 and box.x1 < edges.x1, text.get_text()
        assert not box.x0 < line < box.x1, f"{text.get_text()} lies across the line of the target"
    assert "8 b" in [text.get_text() for text in axes.texts]


@pytest.mark.parametrize("presets", [{"today": (46.6, 142)}, {}], ids=["one preset", "no preset"])
def test_headline_of_one_window_has_no_errors(presets, drawn, nothing_collides, tmp_path):
    headline.draw(of_headline(presets, [], None), tmp_path)
    for figure in drawn.values():
        nothing_collides(figure)
    (axes,) = drawn["perplexity_energy"].axes
    assert not [line for line in axes.lines if line.get_marker() == "^"]


def of_map(axes) -> tuple[Any, Any]:
    """(summary with a map, its design space): watts that rise with light and ENOB, a loss that falls with both."""

    def loss(size, how, bits, enob):
        return (0.9 if how == "as they are" else 0.6) * (np.exp(6 - bits) + np.exp(1.4 * (5 - enob)) + 0.02)

    def watts(size, bits, enob, clock):
        by_enob = 2.5e-3 * 4.0 ** (enob - 5) * (clock / 1e9) ** 0.5
        core = 1e3 * (1024 / size) ** 0.5 * (3 + 2 * 4.0 ** (bits - 7) + by_enob)
        return {"model": 8e3 + core, "core": core}

    points = [
        {
            "size": size,
            "imperfections": how,
            "kl": float(loss(size, how, bits, enob)),
            "watts": watts(size, bits, enob, 1e9)["model"],
        }
        for size in axes.sizes
        for how in IMPERFECTIONS
        for bits in axes.light_bits
        for enob in axes.enob
    ]
    fronts = {}
    for how in IMPERFECTIONS:
        own = [point for point in points if point["imperfections"] == how]
        places = pareto(np.array([point["watts"] for point in own]), np.array([point["kl"] for point in own]))
        fronts[how] = [own[place] for place in places]
    total = {"nominal": 17e3, "p05": 13e3, "p95": 31e3}
    summary = {
        "shapes": "llama-3.1-70b",
        "workload": "prefill at 8192 tokens, batch 1",
        "mask": None,
        "model": "SmolLM2-135M-Instruct",
        "target": TARGET,
        "descent": None,
        "digital": {"digital_w8a8": {"kl": 0.045}},
        "digital_watts": {"b200": 550e3, "h200": 800e3},
        "scenarios": {
            "projected_2029": {
                "kl": 0.24,
                "watts_at_exaops": total,
                "components": {"laser light": {"nominal": 34.0, "p05": 26.0, "p95": 62.0}},
                "bill_rests_on": RESTS_ON,
                "tornado": {"mask.update_time": {"low": 16e3, "high": 3e6}},
                "sobol": {"mask.update_time": {"total": 0.4}},
                "constants": {"mask.update_time": {"mark": "assumed"}},
            }
        },
        "map": {
            "scenario": "projected_2029",
            "axes": {"sizes": list(axes.sizes)},
            "points": points,
            "nll_per_kl": 0.91,
            "fronts": fronts,
        },
    }
    space = SimpleNamespace(
        axes=axes, watts=watts, delta_nll=loss, photons=lambda size, bits: 0.6 * 4.0**bits * 1024 / size
    )
    return summary, space


ONE_PANEL = Axes(sizes=(64,), light_bits=(7.0, 8.0), enob=(6.0, 8.0), clocks=(1e9,))
ON_LIGHT = "10 kW, products on light alone; closes to its left"


@pytest.mark.parametrize(("axes", "legend"), [(Axes(), [ON_LIGHT]), (ONE_PANEL, [])], ids=["whole", "one panel"])
def test_target_has_entries_only_for_lines_that_are_drawn(axes, legend, drawn, nothing_collides, tmp_path):
    summary, space = of_map(axes)
    target.draw(summary, space, tmp_path)
    for figure in drawn.values():
        nothing_collides(figure)
    (key,) = drawn["map"].legends
    entries = [text.get_text() for text in key.get_texts()]
    assert [entry for entry in entries if "kW" in entry] == legend
    assert "10 kW is nowhere on this map for the whole model" in key.get_title().get_text()
    panels = [panel for panel in drawn["map"].axes if panel.get_title(loc="left")]
    assert all(text.get_rotation() == 0 for panel in panels for text in panel.texts)
    assert len([panel for panel in panels if panel.texts]) == len(panels)


def test_bench_of_one_case_has_its_name_and_legend(drawn, nothing_collides, tmp_path):
    work = "1024 -> 4096, 512 vectors, tiles of 1024, exact shot noise"
    row = {"work": work, "way": "float32", "threads": 1, "ratio_quartiles": [1.2, 1.3, 1.4]}
    summary: Any = {"preset": "today", "rows": [row]}
    bench.draw(summary, tmp_path)
    nothing_collides(drawn["bench"])
    (axes,) = drawn["bench"].axes
    assert [label.get_text().replace("\n", " ") for label in axes.get_yticklabels()] == [work]
    assert [text.get_text() for text in drawn["bench"].legends[0].get_texts()] == ["digital float32", "float32"]


def test_gain_has_its_legend_off_a_curve_through_the_middle(drawn, nothing_collides, tmp_path):
    points = {"rounding alone": (2e5, 1100.0), "with noise of one step": (4e5, 2200.0)}
    rows = [
        {"series": name, "gain": at, "perplexity": value}
        for name, values in points.items()
        for at, value in zip((1.0, 8.0), values, strict=True)
    ]
    of_text = {"model": "SmolLM2-135M-Instruct", "text": "owt_5", "windows": 1, "window_tokens": 16}
    summary: Any = {**of_text, "tile": 128, "bits": 8, "fp32_perplexity": 781.0, "rows": rows}
    gain._draw(summary, tmp_path)
    nothing_collides(drawn["gain"])
    (axes,) = drawn["gain"].axes
    legend = axes.get_legend()
    assert legend is not None and [text.get_text() for text in legend.get_texts()] == list(points)


def test_training_of_one_model_has_a_short_title_and_plain_ticks(drawn, nothing_collides, tmp_path):
    recovery = [
        {"core": "design", "photons": None, "method": method, "loss": loss, "loss_stderr": None, "watts": 24e3}
        for method, loss in (("none", 0.2190), ("light", 0.2185))
    ]
    rows = [{"core": "design", "photons": None, "method": "light", "curve": [(0, 0.171), (2, 0.229)]}]
    name = "/home/someone/runs/results/quick/prepare/model"
    summary: Any = {"name": name, "figure": "kl", "seeds": [0], "draws": 2, "recovery": recovery, "rows": rows}
    training.draw(summary, tmp_path)
    nothing_collides(drawn["train"])
    left, right = drawn["train"].axes
    assert left.get_title(loc="left") == "prepare/model"
    right.figure.draw_without_rendering()
    ticks = [label.get_text() for label in right.get_yticklabels()]
    assert len(ticks) > 2 and all(tick == f"{float(tick):g}" for tick in ticks)
