"""Comparison of published rows with the model."""

import dataclasses
import math
from collections.abc import Iterable, Mapping
from statistics import median

import models
from electronics.constants import Constant
from experiments.serving.model.batching import Request, sequences_that_fit, serve
from experiments.serving.model.precision import precision_named
from experiments.serving.model.system import CALIBRATION, Corner, system_named
from experiments.serving.model.transformer_cost import Model
from experiments.serving.validate.published import Published


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Prediction of a row, all copies together, watts in the row's own scope; errors are ln(predicted / published)."""

    row: Published
    batch: int
    tokens_per_s: float
    watts: float

    @property
    def j_per_token(self) -> float:
        """Predicted J per output token."""
        return self.watts / self.tokens_per_s

    @property
    def in_rate(self) -> float | None:
        """Error in tokens/s; None where none are published."""
        return math.log(self.tokens_per_s / self.row.tokens_per_s) if self.row.tokens_per_s else None

    @property
    def in_watts(self) -> float | None:
        """Error in watts; None where none are published."""
        return math.log(self.watts / self.row.watts) if self.row.watts else None

    @property
    def in_energy(self) -> float | None:
        """Error in J per token; None where none is published."""
        return math.log(self.j_per_token / self.row.j_per_token) if self.row.j_per_token else None


def compare(
    row: Published,
    configs: Mapping[str, models.DecoderConfig],
    calibration: Mapping[str, Constant] = CALIBRATION,
    corner: Corner = "nominal",
) -> Comparison:
    """Predict one row, at its published batch or else at the largest that fits."""
    machine = system_named(row.system).at(row.chips, corner, row.software, calibration)
    model = Model(configs[row.model], precision_named(row.precision))
    request = Request(prompt=row.prompt, output=row.output)
    batch = row.batch or sequences_that_fit(machine, model, request.length)
    served = serve(machine, model, request, batch)
    watts = served.watts * row.copies / (machine.wall_factor if row.scope == "chips" else 1.0)
    return Comparison(row, batch, served.tokens_per_s * row.copies, watts)


def median_error(logarithms: Iterable[float | None]) -> float | None:
    """Return the median of |predicted / published - 1| over the rows with a published value; None without any."""
    errors = [abs(math.expm1(value)) for value in logarithms if value is not None]
    return median(errors) if errors else None
