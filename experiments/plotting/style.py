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
from matplotlib.ticker import FuncFormatter, NullFormatter  # noqa: E402

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
    """Set round ticks in plain digits on a logarithmic axis, fewer per decade where its limits span more decades."""
    steps = next(steps for most, steps in _STEPS if limits[1] / limits[0] < most)
    decades = range(int(np.floor(np.log10(limits[0]))), int(np.ceil(np.log10(limits[1]))) + 1)
    axis.set_ticks([t for d in decades for s in steps if limits[0] <= (t := s * 10.0**d) <= limits[1]])
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
