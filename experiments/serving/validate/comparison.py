"""Published rows against the model."""

import dataclasses
import math
from collections.abc import Iterable, Mapping
from statistics import median

from electronics.constants import Constant
from experiments.serving.model.precision import precision_named
from experiments.serving.model.serving import Request, sequences_that_fit, serve
from experiments.serving.model.shape import Model, Shape
from experiments.serving.model.system import CALIBRATION, Corner, system_named
from experiments.serving.validate.published import Published


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What the model says of a row, of all its copies; watts in the row's own scope. Errors are logarithms."""

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
        """Predicted over published tokens/s."""
        return math.log(self.tokens_per_s / self.row.tokens_per_s) if self.row.tokens_per_s else None

    @property
    def in_watts(self) -> float | None:
        """Predicted over published watts."""
        return math.log(self.watts / self.row.watts) if self.row.watts else None

    @property
    def in_energy(self) -> float | None:
        """Predicted over published J per token."""
        return math.log(self.j_per_token / self.row.j_per_token) if self.row.j_per_token else None


def compare(
    row: Published,
    shapes: Mapping[str, Shape],
    calibration: Mapping[str, Constant] = CALIBRATION,
    corner: Corner = "nominal",
) -> Comparison:
    """Predicts one row; at most load its batch is the largest that fits."""
    machine = system_named(row.system).at(row.chips, corner, row.software, calibration)
    model = Model(shapes[row.model], precision_named(row.precision))
    request = Request(prompt=row.prompt, output=row.output)
    batch = row.batch or sequences_that_fit(machine, model, request.length)
    served = serve(machine, model, request, batch)
    watts = served.watts * row.copies / (machine.wall_factor if row.scope == "chips" else 1.0)
    return Comparison(row, batch, served.tokens_per_s * row.copies, watts)


def median_error(logarithms: Iterable[float | None]) -> float | None:
    """Median of |predicted / published - 1| over the rows that state the quantity; None without any."""
    found = [abs(math.expm1(value)) for value in logarithms if value is not None]
    return median(found) if found else None
