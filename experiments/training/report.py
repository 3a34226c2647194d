"""The table and the figure of `otc train`."""

from collections.abc import Sequence
from pathlib import Path

from experiments.common import reporting
from experiments.plotting import style
from experiments.plotting.style import BLUE, GREEN, GREY, ORANGE, PURPLE, VERMILION
from experiments.training.records import Recovery, TrainSummary
from experiments.training.study import CODESIGN, DIGITAL, FIXED_GAUSSIAN, GAUSSIAN, LIGHT, NONE

COLOURS = {NONE: GREY, DIGITAL: ORANGE, GAUSSIAN: GREEN, FIXED_GAUSSIAN: PURPLE, LIGHT: BLUE, CODESIGN: VERMILION}
NAMES = {
    NONE: "as it was",
    DIGITAL: "trained without noise",
    GAUSSIAN: "trained on Gaussian noise",
    FIXED_GAUSSIAN: "trained on Gaussian noise of fixed size",
    LIGHT: "trained on light",
    CODESIGN: "trained with the core",
}
OFFSET = 1.04
"""Between the points of two methods at one light level, so that error bars are seen apart."""


def table(summary: TrainSummary) -> str:
    """Return the means over the seeds as a table."""
    header = ("core", "photons/MAC", "method", summary["figure"], "recovered", "on its own noise", "less Gaussian")
    header = (*header, "launched", "W at 1 exaOPS")
    cells = [
        (
            row["core"],
            "-" if row["photons"] is None else f"{row['photons']:g}",
            NAMES[row["method"]],
            with_error(row["loss"], row["loss_stderr"], ".4g"),
            "" if row["method"] == NONE else with_error(row["recovered"], row["recovered_stderr"], ".3f"),
            ""
            if row["recovered_in_training"] is None
            else with_error(row["recovered_in_training"], row["recovered_in_training_stderr"], ".3f"),
            ""
            if row["over_gaussian"] is None or row["method"] == GAUSSIAN
            else with_error(row["over_gaussian"], row["over_gaussian_stderr"], "+.3f"),
            "-" if row["launched"] is None else f"{row['launched']:,.0f}",
            f"{row['watts']:,.0f}",
        )
        for row in summary["recovery"]
    ]
    return reporting.table([header, *cells])


def with_error(value: float, error: float | None, form: str) -> str:
    """Return a number with its standard error, where it has one."""
    return f"{value:{form}}" + ("" if error is None else f" ± {error:{form.lstrip('+')}}")


def draw(summary: TrainSummary, out: Path) -> None:
    """Draw the compared figure by light or by watts, and the curves over the steps."""
    with style.style():
        figure, (left, right) = style.plt.subplots(
            1, 2, figsize=(9.6, 3.8), width_ratios=(1.1, 1), gridspec_kw={"wspace": 0.28}
        )
        _draw_levels(left, summary)
        _draw_curves(right, summary)
        left.set_title("/".join(Path(summary["name"]).parts[-2:]))
        style.save(figure, out, "train")


def _draw_levels(axes, summary: TrainSummary) -> None:
    rows = summary["recovery"]
    by_light = all(row["photons"] is not None and row["method"] != CODESIGN for row in rows)
    methods = [method for method in NAMES if any(row["method"] == method for row in rows)]
    several = len({row["core"] for row in rows}) > 1
    for number, method in enumerate(methods):
        for core in dict.fromkeys(row["core"] for row in rows):
            points = [row for row in rows if row["method"] == method and row["core"] == core]
            shift = OFFSET ** (number - (len(methods) - 1) / 2) if by_light else 1.0
            places = [shift * _place(row, by_light) for row in points]
            axes.errorbar(
                places,
                [row["loss"] for row in points],
                [row["loss_stderr"] or 0 for row in points],
                fmt="o-" if by_light else "o",
                color=COLOURS[method],
                ms=5,
                capsize=3,
                label=NAMES[method] if core == rows[0]["core"] else None,
            )
            if several and method == NONE:
                axes.annotate(core, (places[0], points[0]["loss"]), (6, 6), textcoords="offset points", fontsize=8)
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="photons per MAC, launched by the network as it was" if by_light else "kW at 1 exaOPS",
        ylabel=f"{_in_words(summary['figure'])} on test examples",
    )
    _plain(axes, sorted({_place(row, by_light) for row in rows}))
    style.plain_log(axes.yaxis, axes.get_ylim())
    _legend(axes)
    seeds, draws = len(summary["seeds"]), summary["draws"]
    errors = f"; bars: standard errors over {seeds} seeds" if seeds > 1 else ""
    style.note(axes, -0.2, f"{draws} draw{'s' if draws > 1 else ''} of noise that no training saw{errors}")


def _legend(axes) -> None:
    """Below the axes, where no curve is."""
    axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(0, -0.26), frameon=False)


def _in_words(figure: str) -> str:
    return "KL [nats]" if figure == "kl" else figure


def _place(row: Recovery, by_light: bool) -> float:
    return float(row["photons"] or 1.0) if by_light else row["watts"] / 1e3


def _plain(axes, places: Sequence[float]) -> None:
    style.plain_log(axes.xaxis, (places[0] / 1.5, places[-1] * 1.5))
    axes.set_xlim(places[0] / 1.5, places[-1] * 1.5)


def _draw_curves(axes, summary: TrainSummary) -> None:
    rows = [row for row in summary["rows"] if row.get("curve")]
    levels = list(dict.fromkeys((row["core"], row["photons"]) for row in rows))
    for row in rows:
        level = levels.index((row["core"], row["photons"]))
        steps, values = zip(*row.get("curve", []), strict=True)
        axes.plot(steps, values, color=COLOURS[row["method"]], lw=1, ls=("-", "--", ":", "-.")[level % 4], alpha=0.8)
    axes.set(yscale="log", xlabel="steps", ylabel=f"{_in_words(summary['figure'])} on data held out")
    style.plain_log(axes.yaxis, axes.get_ylim())
    named = [core if photons is None else f"{core}, {photons:g} photons" for core, photons in levels]
    for style_of_line, name in zip(("-", "--", ":", "-."), named, strict=False):
        axes.plot([], [], color=GREY, ls=style_of_line, label=name)
    _legend(axes)
    style.note(axes, -0.2, "each under the noise that it is trained on")
