"""The figure of `otc generate`: distance of each core from the digital model, token by token."""

from pathlib import Path

from experiments.generate.records import GenerateSummary
from experiments.plotting import style

LEAST_DRAWN = 1e-7
"""Divergences below this [nats] are drawn at it: float32 does not resolve them."""


def draw(summary: GenerateSummary, out: Path) -> None:
    """Draw the divergence at each place of the digital text, and where each core's own text leaves it."""
    with style.style():
        figure, axes = style.plt.subplots(figsize=(6.4, 3.6))
        for number, core in enumerate(summary["cores"]):
            colour = style.SERIES[number % len(style.SERIES)]
            kl = [max(each, LEAST_DRAWN) for each in core["kl"]]
            axes.plot(range(1, len(kl) + 1), kl, color=colour, label=core["name"], marker="o", ms=2.5, lw=1)
            place = core["first_divergence"]
            if place is not None and place < len(kl):
                axes.plot(place + 1, kl[place], color=colour, marker="X", ms=8, ls="none")
        axes.set_yscale("log")
        axes.set_xlabel("token of the digital text (✕: the core's own text differs from here on)")
        axes.set_ylabel("divergence from the digital prediction [nats]")
        axes.set_title(f"{summary['model']} on {summary['core'].replace('_', ' ')}")
        axes.legend()
        style.save(figure, out, "generate")
