"""The figure of `otc generate`: distance of each core from the digital model, token by token."""

from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

import numpy as np

from experiments.generate.records import FollowedRecord, GenerateSummary
from experiments.plotting import style

LEAST_DRAWN = 1e-7
"""Divergences below this [nats] are drawn at it: float32 does not resolve them."""


def draw(summary: GenerateSummary, out: Path) -> None:
    """Draw the divergence at each place of the digital text, and where each core's own text leaves it.

    Of several texts it is the mean over those that reach so far, without the places where they part.
    """
    texts = len(summary["prompts"])
    with style.style():
        figure, axes = style.plt.subplots(figsize=(6.4, 3.6))
        for number, core in enumerate(summary["cores"]):
            colour = style.SERIES[number % len(style.SERIES)]
            kl = np.maximum(mean_by_place(core["texts"]), LEAST_DRAWN)
            axes.plot(range(1, len(kl) + 1), kl, color=colour, label=core["name"], marker="o", ms=2.5, lw=1)
            place = core["texts"][0]["first_divergence"]
            if texts == 1 and place is not None and place < len(kl):
                axes.plot(place + 1, kl[place], color=colour, marker="X", ms=8, ls="none")
        axes.set_yscale("log")
        parts = "(✕: the core's own text differs from here on)" if texts == 1 else f"(mean of {texts} texts)"
        axes.set_xlabel(f"token of the digital text {parts}")
        axes.set_ylabel("divergence from the digital prediction [nats]")
        axes.set_title(f"{summary['model']} on {summary['core'].replace('_', ' ')}")
        axes.legend()
        style.save(figure, out, "generate")


def mean_by_place(texts: Sequence[FollowedRecord]) -> list[float]:
    """Return the mean divergence at each place over the texts that reach it [nats]."""
    places = zip_longest(*(text["kl"] for text in texts))
    return [float(np.mean([kl for kl in place if kl is not None])) for place in places]
