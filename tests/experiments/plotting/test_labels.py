"""Labels keep off lines, other labels and the frame; marks of what lies beyond it; the check of collisions."""

import numpy as np
import pytest

from experiments.plotting import labels, style, waterfall


@pytest.fixture
def axes():
    with style.style():
        figure, axes = style.plt.subplots(figsize=(4, 3))
        yield axes
        style.plt.close(figure)


def box_of(text):
    return text.get_window_extent()


def test_beside_avoids_a_line_through_the_preferred_place(axes):
    axes.set(xlim=(0, 1), ylim=(0, 1))
    label = labels.beside(axes, "name", (0.5, 0.5), ("above", "below"))
    assert box_of(label).y0 > axes.transData.transform((0.5, 0.5))[1]
    label.remove()
    axes.plot([0.3, 0.7], [0.56, 0.56])
    label = labels.beside(axes, "name", (0.5, 0.5), ("above", "below"))
    assert box_of(label).y1 < axes.transData.transform((0.5, 0.5))[1]


def test_beside_keeps_within_the_frame_and_off_other_labels(axes):
    axes.set(xlim=(0, 1), ylim=(0, 1))
    written = [labels.beside(axes, f"label {number}", (0.98, 0.97)) for number in range(2)]
    frame = axes.get_window_extent()
    for number, label in enumerate(written):
        box = box_of(label)
        assert frame.x0 < box.x0 and box.x1 < frame.x1 and frame.y0 < box.y0 and box.y1 < frame.y1
        assert not any(box.overlaps(box_of(other)) for other in written[:number])


def test_mark_leaving_marks_where_the_curve_crosses_the_frame_on_its_scale(axes):
    """On log axes a straight line from (1, 10) to (100, 1000) crosses 100 at 10: in the middle of 1 to 100."""
    axes.set(xscale="log", yscale="log", xlim=(1, 100), ylim=(1, 100))
    assert labels.mark_leaving(axes, [1, 100], [10, 1000]) == [(pytest.approx(0.5), 1.0)]
    assert labels.mark_leaving(axes, [1, 100], [10, 50]) == []
    ((across, height),) = labels.mark_leaving(axes, [1, 100], [10, 0.1])
    assert (across, height) == (pytest.approx(0.5), 0.0)
    markers = [line.get_marker() for line in axes.lines]
    assert markers == ["^", "v"]


def test_steep_contours_are_labelled_horizontally(axes):
    x = np.linspace(0, 1, 40)
    contours = axes.contour(x, x, np.tile(x, (40, 1)) * 10, levels=[1, 2, 5])
    written = labels.of_contours(axes, contours, fmt="%g")
    assert [(text.get_text(), text.get_rotation()) for text in written] == [("1", 0), ("2", 0), ("5", 0)]


@pytest.mark.parametrize("name", ["x", "y"])
@pytest.mark.parametrize("inches", [1.8, 3.0, 6.0])
@pytest.mark.parametrize("limits", [(3200, 38000), (0.17, 0.31), (4000, 5100), (2e-3, 70), (0.9, 9e5)])
def test_ticks_in_plain_digits_keep_apart_at_any_length_of_the_axis(name, inches, limits, nothing_collides):
    with style.style():
        size = (inches, 3.0) if name == "x" else (3.0, inches)
        figure, axes = style.plt.subplots(figsize=size, layout="constrained")
        axes.set(**{f"{name}scale": "log", f"{name}lim": limits})
        axis = getattr(axes, f"{name}axis")
        style.plain_log(axis, limits)
        nothing_collides(figure)
        assert len(axis.get_majorticklocs()) > 1
        style.plt.close(figure)


def test_thin_removes_texts_over_others_and_over_the_frame(axes):
    for x, name in ((0.5, "kept"), (0.51, "over it"), (1.0, "over the frame"), (0.2, "kept too")):
        axes.text(x, 0.5, name)
    labels.thin(axes)
    assert [text.get_text() for text in axes.texts] == ["kept", "kept too"]


def test_long_range_of_a_waterfall_ends_in_an_arrow_that_states_its_end(drawn, nothing_collides, tmp_path):
    bill = {"laser light": waterfall.Line(10, 8, 14), "ADC": waterfall.Line(5, 4, 4000)}
    with style.style():
        waterfall.draw("A title that is too long for a figure of one panel " * 2, {"today": bill}, 20, tmp_path)
    nothing_collides(drawn["waterfall"])
    (axes,) = drawn["waterfall"].axes
    arrows = [line for line in axes.lines if line.get_marker() == ">"]
    assert len(arrows) == 1 and arrows[0].get_xdata()[0] < axes.get_xlim()[1]
    assert "5, to 4,000" in [text.get_text() for text in axes.texts]
    assert all(max(line.get_xdata()) < axes.get_xlim()[1] for line in axes.lines)


def made(fault):
    with style.style():
        figure, axes = style.plt.subplots(figsize=(3, 2))
        axes.plot([0, 1], [0, 1], label="line")
        axes.set(xlim=(0, 1), ylim=(0, 1))
        fault(axes)
    return figure


FAULTS = {
    "overlap": lambda axes: (axes.text(0.5, 0.5, "one"), axes.text(0.52, 0.5, "two")),
    "across an axis": lambda axes: axes.text(0.0, 0.5, "name", ha="center"),
    "beyond the figure": lambda axes: axes.set_title("a title that is wider than its figure by far", fontsize=12),
    "covers a line": lambda axes: axes.legend(loc="upper right"),
    "covers a bar": lambda axes: (axes.lines[0].set_visible(True), axes.bar([0.2], [0.9], 0.3), axes.legend(loc=2)),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_check_of_collisions_finds(fault, nothing_collides):
    said = {"beyond the figure": "reaches beyond", "overlap": "overlap"}.get(fault, fault)
    with pytest.raises(AssertionError, match=said):
        nothing_collides(made(FAULTS[fault]))
    nothing_collides(made(lambda axes: axes.text(0.1, 0.8, "name")))
    style.plt.close("all")
