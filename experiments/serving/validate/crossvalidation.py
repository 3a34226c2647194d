"""Each row predicted by a fit that saw neither it nor those held out with it."""

from collections.abc import Callable, Hashable, Mapping, Sequence

from experiments.serving.model.shape import Shape
from experiments.serving.validate.calibration import STAGES, fit
from experiments.serving.validate.comparison import Comparison, compare
from experiments.serving.validate.published import Published

FOLDS = 5


def by_system_and_model(rows: Sequence[Published]) -> list[Hashable]:
    """All rows of a system and a model are held out together, whoever published them."""
    return [(row.system, row.model) for row in rows]


def by_rows(rows: Sequence[Published]) -> list[Hashable]:
    """Every fifth row is held out: its neighbours stay in the fit."""
    return [number % FOLDS for number in range(len(rows))]


def cross_validate(
    rows: Sequence[Published],
    shapes: Mapping[str, Shape],
    parts: Callable[[Sequence[Published]], list[Hashable]] = by_system_and_model,
) -> dict[Published, Comparison]:
    """Fits once for each part, to all rows outside it, and predicts those in it.

    Rows set apart take no part. A row for whose machine no other row is left has no prediction, since what ships was
    fitted to it.
    """
    usable = [row for row in rows if row.use != "apart"]
    labels = parts(usable)
    found = {}
    for part in dict.fromkeys(labels):
        rest = [row for row, label in zip(usable, labels, strict=True) if label != part]
        calibration = fit(rest, shapes)
        for row, label in zip(usable, labels, strict=True):
            if label == part and not _orphan(row, rest):
                found[row] = compare(row, shapes, calibration)
    return found


def _orphan(row: Published, rest: Sequence[Published]) -> bool:
    return any(row.system in stage.systems and stage.rows([row]) and not stage.rows(rest) for stage in STAGES)
