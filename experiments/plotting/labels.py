"""Labels beside their points, off lines, other labels and the frame; labels of contours; marks of hidden data."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.contour import ContourSet
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox

from experiments.plotting import style

# Unit steps from a point to its label, in the order of preference.
DIRECTIONS = {
    "above": (0, 1),
    "right": (1, 0),
    "left": (-1, 0),
    "below": (0, -1),
    "above right": (1, 1),
    "above left": (-1, 1),
    "below right": (1, -1),
    "below left": (-1, -1),
}
DISTANCES = (6, 10, 15, 22, 32)
"""Distances of a label from its point [points]."""
LEADER_FROM = 12
"""Distance [points] beyond which a label with a leader is joined to its point."""
STEP = 3.0
"""Distance of the places along a line where it is taken to cross a label [pixels]."""
OUTSIDE, ON_TEXT, ON_DATA, AWAY = 1e4, 1e3, 10.0, 0.2
"""Cost of a label out of the frame, of one over another, of each place of data below it, per point of distance."""


def beside(
    axes: Axes,
    text: str,
    point: tuple[float, float],
    directions: Sequence[str] = tuple(DIRECTIONS),
    xycoords: Any = "data",
    leader: bool = False,
    **look: Any,
) -> Annotation:
    """Write a label beside a point where it covers least: within the frame, off other labels, lines and markers.

    The limits and scales of the axes and everything to be avoided are set before. Labels that are written first keep
    their places.

    Args:
        axes: the panel.
        text: of the label.
        point: that is labelled.
        directions: those that are tried, in the order of preference; keys of `DIRECTIONS`.
        xycoords: coordinates of the point, as of `Axes.annotate`.
        leader: whether a thin line joins the label to its point where it stands far off.
        look: further arguments of `Axes.annotate`, such as color and fontsize.

    Returns:
        The label.
    """
    label = axes.annotate(text, point, xycoords=xycoords, textcoords="offset points", xytext=(0, 0), **look)
    label.set_in_layout(False)
    figure = axes.get_figure()
    assert figure is not None
    frame, data = axes.get_window_extent(), _data(axes)
    others = [other.get_window_extent() for other in axes.texts if other is not label and other.get_text()]
    best, far = (np.inf, (0.0, 0.0), "center", "center"), 0
    for distance in DISTANCES:
        for name in directions:
            right, up = DIRECTIONS[name]
            length = distance / np.hypot(right, up)
            ha = {1: "left", 0: "center", -1: "right"}[right]
            va = {1: "bottom", 0: "center", -1: "top"}[up]
            offset = (right * length, up * length)
            _put(label, offset, ha, va)
            cost = _cost(label.get_window_extent(), frame, others, data) + AWAY * distance
            if cost < best[0]:
                best, far = (cost, offset, ha, va), distance
    _put(label, *best[1:])
    if leader and far > LEADER_FROM:
        axes.annotate(
            "", point, xycoords=xycoords, textcoords="offset points", xytext=best[1],
            arrowprops={"arrowstyle": "-", "lw": 0.5, "color": "#777777", "shrinkA": 0, "shrinkB": 2},
        ).set_in_layout(False)  # fmt: skip
    return label


def _put(label: Annotation, offset: tuple[float, float], ha: Any, va: Any) -> None:
    label.set_position(offset)
    label.set_horizontalalignment(ha)
    label.set_verticalalignment(va)


def _cost(box: Bbox, frame: Bbox, others: Sequence[Bbox], data: np.ndarray) -> float:
    outside = box.x0 < frame.x0 or box.x1 > frame.x1 or box.y0 < frame.y0 or box.y1 > frame.y1
    padded = box.padded(3)
    over = sum(padded.overlaps(other) for other in others)
    return OUTSIDE * outside + ON_TEXT * over + ON_DATA * int(padded.count_contains(data))


def _data(axes: Axes) -> np.ndarray:
    """Places of all lines, error bars and markers of a panel [pixels], [places, 2]."""
    places = [np.empty((0, 2))]
    for line in axes.lines:
        corners = line.get_transform().transform(line.get_xydata())
        joined = line.get_linestyle() not in ("None", "none", "", " ")
        places.append(_along(corners) if joined else corners)
        if line.get_marker() not in ("None", "none", "", " ", None):
            radius = 0.5 * line.get_markersize() * axes.figure.dpi / 72
            places += [corners + radius * np.array(step) for step in DIRECTIONS.values() if 0 in step]
    for collection in axes.collections:
        if isinstance(collection, LineCollection):
            places += [_along(collection.get_transform().transform(line)) for line in collection.get_segments()]
        elif isinstance(collection, PathCollection):
            places.append(collection.get_offset_transform().transform(np.asarray(collection.get_offsets())))
    whole = np.concatenate(places)
    return whole[np.all(np.isfinite(whole), axis=1)]


def _along(corners: np.ndarray) -> np.ndarray:
    """Places along a broken line, `STEP` apart at most."""
    corners = corners[np.all(np.isfinite(corners), axis=1)]
    parts = [corners]
    for start, end in zip(corners[:-1], corners[1:], strict=True):
        count = min(int(np.hypot(*(end - start)) / STEP), 5000)
        parts.append(start + (end - start) * np.linspace(0, 1, count + 2)[1:-1, None])
    return np.concatenate(parts)


def mark_leaving(axes: Axes, x: Sequence[float], y: Sequence[float], **look: Any) -> list[tuple[float, float]]:
    """Draw a triangle wherever a curve leaves the panel through its top or bottom, on the frame.

    Args:
        axes: the panel, with its final limits.
        x: of the points of the curve.
        y: of the points of the curve.
        look: further arguments of `Axes.plot`, such as color.

    Returns:
        Places of the triangles, as shares of the panel.
    """
    points = axes.transAxes.inverted().transform(axes.transData.transform(np.column_stack([x, y])))
    marked = []
    for start, end in zip(points[:-1], points[1:], strict=True):
        for height, marker in ((1.0, "^"), (0.0, "v")):
            if (start[1] - height) * (end[1] - height) < 0:
                across = float(start[0] + (height - start[1]) / (end[1] - start[1]) * (end[0] - start[0]))
                if 0 <= across <= 1:
                    axes.plot(across, height, marker, transform=axes.transAxes, clip_on=False, zorder=6, **look)
                    marked.append((across, height))
    return marked


def of_contours(axes: Axes, contours: ContourSet, fmt: Any, fontsize: float = 7) -> list[Text]:
    """Label contours with horizontal numbers, outlined in white. `thin` removes those without room."""
    written = list(axes.clabel(contours, fmt=fmt, fontsize=fontsize, inline=False))
    for text in written:
        # Numbers along a steep line are read from below on one line and from above on the next.
        text.set_rotation(0)
        text.set_path_effects([patheffects.withStroke(linewidth=2.0, foreground="white", alpha=0.85)])
    return written


def thin(axes: Axes) -> None:
    """Remove the texts of a panel that overlap an earlier one or the frame."""
    frame, boxes = axes.get_window_extent(), []
    for text in [text for text in axes.texts if text.get_text()]:
        box = text.get_window_extent().padded(1)
        inside = frame.x0 < box.x0 and box.x1 < frame.x1 and frame.y0 < box.y0 and box.y1 < frame.y1
        if inside and not any(box.overlaps(other) for other in boxes):
            boxes.append(box)
        else:
            text.remove()


def legend_below(axes: Axes, height: float = -0.16, **look: Any) -> None:
    """Write the legend of a panel below it, where no data can lie. height: of its top, a share of the panel's."""
    handles, names = axes.get_legend_handles_labels()
    if handles:
        columns = look.pop("ncols", len(handles))
        axes.legend(
            handles, names, loc="upper left", bbox_to_anchor=(0.0, height), borderaxespad=0, ncols=columns,
            fontsize=style.SMALL, **look,
        )  # fmt: skip
