"""What all figures share: the style, the colours, and how they are saved."""

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

# Okabe and Ito (2008): told apart with every kind of colour vision.
BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, GREY = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#D55E00",
    "#CC79A7",
    "#56B4E9",
    "#8c8c8c",
)
CLEARED = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1.0}
_STEPS = ((12, (1, 1.5, 2, 3, 4, 5, 7)), (60, (1, 2, 5)), (1e4, (1, 3)), (np.inf, (1,)))
SERIES = (BLUE, VERMILION, GREEN, PURPLE, SKY, ORANGE)


@contextmanager
def style() -> Iterator[None]:
    """The project's look, for as long as the block lasts."""
    with as_file(files("experiments.plotting") / "style.mplstyle") as path, plt.style.context(path):
        yield


def save(figure: Figure, folder: Path, name: str, kinds: Sequence[str] = ("png", "pdf")) -> None:
    """Writes name.png and name.pdf, or other kinds of file, into the folder and closes the figure."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind in kinds:
        figure.savefig(folder / f"{name}.{kind}")
    plt.close(figure)


def note(axes: Axes, height: float, text: str) -> None:
    """Small print below the axes, `height` of their own height above their foot."""
    axes.text(0, height, text, transform=axes.transAxes, fontsize=7, color="#555555", va="top")


def plain_log(axis: Any, limits: tuple[float, float]) -> None:
    """Numbers as people write them on a logarithmic axis, as many in a decade as there is room for."""
    steps = next(steps for most, steps in _STEPS if limits[1] / limits[0] < most)
    decades = range(int(np.floor(np.log10(limits[0]))), int(np.ceil(np.log10(limits[1]))) + 1)
    axis.set_ticks([t for d in decades for s in steps if limits[0] <= (t := s * 10.0**d) <= limits[1]])
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
