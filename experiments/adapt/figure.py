"""Figure of the preparation: KL against launched photons, peak power and watts, a curve for each method."""

from pathlib import Path

from matplotlib.axes import Axes

from experiments.adapt.compare import own_light
from experiments.adapt.records import CRITERIA, AdaptSummary, Criterion
from experiments.common.workload import attention_in_words
from experiments.plotting import style

LABELS: dict[Criterion, tuple[str, float]] = {
    "photons_per_mac": ("launched photons per MAC [thousands]", 1e-3),
    "source_power_w": ("peak power of a source [mW]", 1e3),
    "watts_at_exaops": ("kW at 1 exaOPS", 1e-3),
}
MARKERS = "osD^vP*X"


def draw(summary: AdaptSummary, out: Path) -> None:
    """Write adapt as PNG and PDF."""
    with style.style():
        figure, panels = style.plt.subplots(1, len(CRITERIA), figsize=(10.5, 4.0), sharey=True)
        for axes, criterion in zip(panels, CRITERIA, strict=True):
            _panel(axes, summary, criterion)
        panels[0].set_ylabel("KL from the digital model [nats per token]")
        figure.suptitle(
            f"{summary['model']} on {summary['core']}{attention_in_words(summary['attention'])}, "
            f"{summary['windows']} x {summary['window_tokens']} tokens of {summary['text']}",
            x=0.01,
            ha="left",
        )
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=2, frameon=False)
        figure.tight_layout(rect=(0, 0, 1, 0.97))
        style.save(figure, out, "adapt")


def _limits(values: list[float]) -> tuple[float, float]:
    """Limits of a logarithmic axis: the positive values with a margin, and at least a factor of two about them."""
    positive = [value for value in values if value > 0]
    low, high = min(positive), max(positive)
    margin = max((high / low) ** 0.06, 2**0.5 if high < 1.5 * low else 1.0)
    return low / margin, high * margin


def _panel(axes: Axes, summary: AdaptSummary, criterion: Criterion) -> None:
    label, unit = LABELS[criterion]
    axes.set(xscale="log", yscale="log", xlabel=label)
    for number, row in enumerate(summary["rows"]):
        colour = style.SERIES[number % len(style.SERIES)] if number else style.GREY
        x = [point[criterion] * unit for point in row["points"]]
        errors = [point["kl_stderr"] or 0.0 for point in row["points"]]
        axes.errorbar(
            x,
            [point["kl"] for point in row["points"]],
            yerr=errors,
            color=colour,
            marker=MARKERS[number % len(MARKERS)],
            markersize=4,
            lw=1.2,
            elinewidth=0.8,
            ls="--" if row["trained"] else "-" if number <= len(style.SERIES) else "-.",
            label="as it is" if number == 0 else row["name"],
        )
    points = [point for row in summary["rows"] for point in row["points"]]
    axes.set_xlim(_limits([point[criterion] * unit for point in points]))
    axes.set_ylim(_limits([point["kl"] + sign * (point["kl_stderr"] or 0.0) for point in points for sign in (-1, 1)]))
    own = own_light(summary["rows"][0]["points"])
    axes.axvline(own[criterion] * unit, color=style.GREY, lw=0.8, ls=(0, (4, 3)))
    style.plain_log(axes.xaxis, axes.get_xlim())
    style.plain_log(axes.yaxis, axes.get_ylim())
