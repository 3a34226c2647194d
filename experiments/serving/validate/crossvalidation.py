"""Cross-validation: each row predicted by a fit to the rows outside its part."""

from collections.abc import Callable, Hashable, Mapping, Sequence

import models
from experiments.serving.validate.calibration import STAGES, fit
from experiments.serving.validate.comparison import Comparison, compare
from experiments.serving.validate.published import Published

FOLDS = 5


def by_system_and_model(rows: Sequence[Published]) -> list[Hashable]:
    """Label rows by system and model, whoever published them."""
    return [(row.system, row.model) for row in rows]


def by_rows(rows: Sequence[Published]) -> list[Hashable]:
    """Label every fifth row alike, so that the neighbours of a held-out row stay in the fit."""
    return [number % FOLDS for number in range(len(rows))]


def cross_validate(
    rows: Sequence[Published],
    configs: Mapping[str, models.DecoderConfig],
    parts: Callable[[Sequence[Published]], list[Hashable]] = by_system_and_model,
) -> dict[Published, Comparison]:
    """Fit once per part to all rows outside it, and predict the rows in it.

    Rows set apart are left out. A row that alone determines a stage has no prediction, since the shipped constants were
    fitted to it.

    Args:
        rows: published rows.
        configs: shapes of the models by name.
        parts: returns the label of each row; rows of equal label are held out together.
    """
    usable = [row for row in rows if row.use != "apart"]
    labels = parts(usable)
    predicted: dict[Published, Comparison] = {}
    for part in dict.fromkeys(labels):
        rest = [row for row, label in zip(usable, labels, strict=True) if label != part]
        calibration = fit(rest, configs)
        for row, label in zip(usable, labels, strict=True):
            if label == part and not _alone_determines_stage(row, rest):
                predicted[row] = compare(row, configs, calibration)
    return predicted


def _alone_determines_stage(row: Published, rest: Sequence[Published]) -> bool:
    return any(row.system in stage.systems and stage.rows([row]) and not stage.rows(rest) for stage in STAGES)
