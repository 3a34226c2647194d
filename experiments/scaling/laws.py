"""The laws that are fitted to the tiny models, their test on a larger one, and what they say of still larger ones."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

import models
from experiments.scaling.fit import CONFIDENCE, WIDEST, PowerLaw, fitted, judged, predicted
from experiments.scaling.records import ExtrapolationRecord, FitRecord, ModelRow, PointRecord

Quantity = Callable[[ModelRow, float], float]


def at_level(row: ModelRow, photons: float) -> PointRecord:
    """Return the point of a row at one of the light levels."""
    return next(point for point in row["points"] if point["photons_per_mac"] == photons)


QUANTITIES: Mapping[str, Quantity] = {
    "KL at equal photons per MAC": lambda row, level: at_level(row, level)["kl"],
    "KL per byte at equal photons per MAC": lambda row, level: at_level(row, level)["kl"] / row["bytes_per_token"],
    "KL at equal source power": lambda row, _: row["own"]["kl"],
    "KL over noise, as at equal SNR": lambda row, level: at_level(row, level)["kl"] / at_level(row, level)["noise"],
}
SIZES: Sequence[tuple[str, ...]] = (("parameters",), ("width",), ("layers",), ("width", "layers"))
DECIDES = (next(iter(QUANTITIES)), SIZES[0])
"""The law whose test decides, chosen before any was fitted: of sixteen tests one that passes by chance is likely."""


def fits(rows: Sequence[ModelRow], reference: float) -> list[FitRecord]:
    """Return all laws with their tests, that of `DECIDES` first.

    A law is fitted to the geometric means over the seeds of each size: models of one size share what the law leaves of
    the scatter between sizes. A law of more unknowns than the sizes fix with an error is left out.

    Args:
        rows: of the tiny models and of the tested one.
        reference: photons per MAC.
    """
    return [
        _fit(name, sizes, rows, reference)
        for name in QUANTITIES
        for sizes in SIZES
        if len(by_size(rows)) >= len(sizes) + 3
    ]


def by_size(rows: Sequence[ModelRow]) -> dict[tuple[int, int], list[ModelRow]]:
    """Return the rows of the tiny models by (width, layers)."""
    found: dict[tuple[int, int], list[ModelRow]] = {}
    for row in rows:
        if row["group"] == "tiny":
            found.setdefault((row["width"], row["layers"]), []).append(row)
    return found


def tested(rows: Sequence[ModelRow]) -> ModelRow:
    """Return the row of the model that the laws are tested on."""
    return next(row for row in rows if row["group"] == "tested")


def law_of(rows: Sequence[ModelRow], name: str, sizes: Sequence[str], reference: float) -> PowerLaw:
    """Return the law of a quantity against sizes, of the tiny models among the rows.

    Args:
        rows: of models.
        name: of the quantity.
        sizes: their names.
        reference: photons per MAC.
    """
    groups = by_size(rows).values()
    logs = [np.mean([np.log(QUANTITIES[name](row, reference)) for row in of_size]) for of_size in groups]
    return fitted(np.array([_sizes(of_size[0], sizes) for of_size in groups]), np.exp(logs))


def _fit(name: str, sizes: tuple[str, ...], rows: Sequence[ModelRow], reference: float) -> FitRecord:
    law, large = law_of(rows, name, sizes, reference), tested(rows)
    measured, point = QUANTITIES[name](large, reference), at_level(large, reference)
    prediction = predicted(law, _sizes(large, sizes), (point["kl_stderr"] or 0.0) / point["kl"])
    return {
        "quantity": name,
        "sizes": list(sizes),
        "exponents": law.coefficients[1:].tolist(),
        "stderrs": np.sqrt(np.diag(law.covariance))[1:].tolist(),
        "residual": law.residual,
        "predicted": prediction.value,
        "low": prediction.low,
        "high": prediction.high,
        "measured": measured,
        "ratio": measured / prediction.value,
        "verdict": judged(prediction, measured),
    }


def _sizes(row: ModelRow, names: Sequence[str]) -> list[float]:
    known = {"parameters": row["parameters"], "width": row["width"], "layers": row["layers"]}
    return [float(known[name]) for name in names]


def seed_spread(rows: Sequence[ModelRow], reference: float) -> float | None:
    """Return the standard deviation of ln KL over the seeds of one size, pooled over sizes; None for one seed."""
    logs = [[np.log(at_level(row, reference)["kl"]) for row in of_size] for of_size in by_size(rows).values()]
    variances = [np.var(values, ddof=1) for values in logs if len(values) > 1]
    return float(np.sqrt(np.mean(variances))) if variances else None


def extrapolated(rows: Sequence[ModelRow], reference: float, shapes: Sequence[str]) -> list[ExtrapolationRecord]:
    """Return what the law of `DECIDES` says of models by their shapes, and nothing where it failed its test.

    The law is the one that was tested, without the tested model. An interval that is too wide is not stated.
    """
    if fits(rows, reference)[0]["verdict"] != "predicts":
        return []
    law = law_of(rows, *DECIDES, reference)
    found: list[ExtrapolationRecord] = []
    for name in shapes:
        parameters = models.parameter_count(models.CONFIGS[name])
        prediction = predicted(law, [parameters])
        if prediction.factor <= WIDEST:
            found.append(
                {
                    "model": name,
                    "parameters": parameters,
                    "predicted": prediction.value,
                    "low": prediction.low,
                    "high": prediction.high,
                }
            )
    return found


def statement(
    rows: Sequence[ModelRow],
    found: Sequence[FitRecord],
    extrapolations: Sequence[ExtrapolationRecord],
    reference: float,
    shapes: Sequence[str],
) -> str:
    """Return what follows for larger models, in a sentence or two."""
    first, large = found[0], tested(rows)
    apart = large["parameters"] / max(row["parameters"] for row in rows if row["group"] == "tiny")
    compared = (
        f"At {reference:,.0f} photons per MAC the tiny models' law in the number of parameters predicts a KL of "
        f"{first['predicted']:.3g} ({first['low']:.3g} to {first['high']:.3g} at {CONFIDENCE:.0%}) for "
        f"{large['name']}, {apart:,.0f} times the largest of them; measured {first['measured']:.3g}, "
        f"{first['ratio']:.3g} times that. "
    )
    if first["verdict"] == "misses":
        return (
            compared + f"The tiny models do not predict {large['name']}, so no extrapolation to larger ones is offered."
        )
    if first["verdict"] == "too wide":
        return (
            compared
            + f"It lies in an interval of a factor of more than {WIDEST:g} to either side, which tells little, so no "
            "extrapolation to larger models is offered."
        )
    stated = [
        f"{each['model']} {each['predicted']:.3g} ({each['low']:.3g} to {each['high']:.3g})" for each in extrapolations
    ]
    silent = [name for name in shapes if name not in {each["model"] for each in extrapolations}]
    says = f"The law says {', '.join(stated)}, with an error that was measured once. " if stated else ""
    return compared + says + (f"Of {', '.join(silent)} its interval is too wide to say anything." if silent else "")
