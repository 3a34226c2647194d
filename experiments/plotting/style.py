"""Style, colours and file formats of all figures."""

import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

matplotlib.use("agg")

import matplotlib.pyplot as plt  # noqa: E402  (the backend is chosen first: figures go to files)
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter  # noqa: E402

# Okabe and Ito (2008), distinct for every kind of colour vision.
BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, GREY = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#D55E00",
    "#CC79A7",
    "#56B4E9",
    "#8c8c8c",
)
SMALL = 7.5
"""Font size of legends and of labels in a panel."""
CLEARED = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1.0}
TITLE_CHARACTERS = 10
"""Bold characters of 10 points per inch of a title."""
_NARROW = 2.5
"""Ratio of the limits of an axis below which its ticks are evenly spaced numbers."""
_LAID_OUT, _DIGIT = 0.9, 0.62
"""Length of an axis once a figure is laid out, over that before; and the width of a digit over its size."""
_STEPS = ((12, (1, 1.5, 2, 3, 4, 5, 7)), (60, (1, 2, 5)), (1e4, (1, 3)), (np.inf, (1,)))
SERIES = (BLUE, VERMILION, GREEN, PURPLE, SKY, ORANGE)


@contextmanager
def style() -> Iterator[None]:
    """Apply the style of the project within the block."""
    with as_file(files("experiments.plotting") / "style.mplstyle") as path, plt.style.context(path):
        yield


def save(figure: Figure, folder: Path, name: str, kinds: Sequence[str] = ("png", "pdf")) -> None:
    """Write name.png and name.pdf, or other kinds of file, into the folder and close the figure."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind in kinds:
        figure.savefig(folder / f"{name}.{kind}")
    plt.close(figure)


def title(figure: Figure, text: str, size: float = 10) -> None:
    """Write a title at the left edge of a figure, in lines no longer than the figure is wide."""
    width = int(figure.get_figwidth() * TITLE_CHARACTERS * 10 / size)
    figure.suptitle(textwrap.fill(text, width), x=0.01, ha="left", fontweight="bold", fontsize=size, linespacing=1.3)


def note(axes: Axes, height: float, text: str) -> None:
    """Write small print at `height`, a share of the height of the axes from their bottom."""
    axes.text(0, height, text, transform=axes.transAxes, fontsize=7, color="#555555", va="top")


def plain_log(axis: Any, limits: tuple[float, float]) -> None:
    """Set ticks in plain digits on a logarithmic axis: no denser than its decades and its length leave readable."""
    decades = range(int(np.floor(np.log10(limits[0]))), int(np.ceil(np.log10(limits[1]))) + 1)
    chosen = [
        [t for d in decades for s in steps if limits[0] <= (t := s * 10.0**d) <= limits[1]]
        for most, steps in _STEPS
        if limits[1] / limits[0] < most
    ]
    chosen += [chosen[-1][::2], chosen[-1][::3]]
    if limits[1] / limits[0] < _NARROW:
        chosen.insert(
            0, [t for t in MaxNLocator(5, steps=[1, 2, 5, 10]).tick_values(*limits) if limits[0] <= t <= limits[1]]
        )
    several = [ticks for ticks in chosen if len(ticks) > 1] or chosen[:1]
    axis.set_ticks(next((ticks for ticks in several if _has_room(axis, ticks, limits)), several[-1]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _has_room(axis: Any, ticks: Sequence[float], limits: tuple[float, float]) -> bool:
    """Whether the labels of ticks keep apart, by the length of the axis before the figure is laid out."""
    box, size = axis.axes.get_window_extent(), axis.get_major_ticks(1)[0].label1.get_size()
    across = axis.axis_name == "x"
    points = 72 / axis.axes.figure.dpi * _LAID_OUT * (box.width if across else box.height)
    places = np.log(np.divide(ticks, limits[0])) / np.log(limits[1] / limits[0]) * points
    widths = np.array([_DIGIT * size * len(f"{tick:g}") if across else size for tick in ticks])
    return bool(np.all(np.diff(places) > (widths[1:] + widths[:-1]) / 2 + size / 3))
