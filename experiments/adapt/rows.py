"""Rows of the comparison: losses from evaluations, photons and watts from the core, at the drive that was measured."""

import dataclasses
from functools import cache
from typing import NamedTuple

import numpy as np

import models
import optics
from experiments.adapt.compare import compare, first_below
from experiments.adapt.methods import Prepared
from experiments.adapt.records import MethodRow, PointRecord, SiteRecord
from experiments.common import billing
from experiments.common.workload import Attention, Workload, shapes_named
from experiments.evaluation.paired import losses_by_window, paired_loss
from experiments.evaluation.records import Evaluation, SiteFigures, observed_drive
from models.shape.rotation import Rotation


@dataclasses.dataclass(frozen=True)
class Bills:
    """Prices the prefill of a model by its shapes, with the work that a method adds.

    Attributes:
        shapes: name of the model.
        attention: where attention runs.
        measured_on: the function that the mean drive is measured on, as bills state it.
    """

    shapes: str
    attention: Attention
    measured_on: str

    def price(self, core: optics.TensorCore, mean_drive: float, rotation: Rotation | None) -> optics.Bill:
        """Return the bill. rotation: what the model applies before `down`; None for nothing."""
        workload = _workload(self.shapes, self.attention, rotation)
        return workload.price(billing.with_mean_drive(core, mean_drive), chosen_by=core)


@cache
def _workload(shapes: str, attention: Attention, rotation: Rotation | None) -> Workload:
    config = dataclasses.replace(shapes_named(shapes), down_rotation=rotation)
    return Workload(config=config, context=min(8192, config.context), attention=attention)


class Measured(NamedTuple):
    """Evaluations of one model.

    Attributes:
        digital: in float32, against the reference.
        exact: of the reference itself.
        by_light: of each device, by factor on the source power.
        keys: how often the windows are repeated, each time under other noise.
    """

    digital: Evaluation
    exact: Evaluation
    by_light: dict[float, list[Evaluation]]
    keys: int

    @property
    def observed(self) -> Evaluation:
        """The evaluation with diagnostics."""
        return self.by_light[1.0][0]


def method_row(
    name: str,
    made: Prepared,
    measured: Measured,
    core: optics.TensorCore,
    bills: Bills,
    unprepared: MethodRow | None,
    trained: bool,
    digital_difference: float | None,
    kl: float,
) -> MethodRow:
    """Return the row of a method.

    Args:
        name: of the method.
        made: the model that it made.
        measured: its evaluations.
        core: the core at its own light.
        bills: what prices it.
        unprepared: the row of the model as it is; None for that row itself.
        trained: whether the model was trained.
        digital_difference: see `MethodRow`.
        kl: for which watts are stated.
    """
    config = made.checkpoint.config
    rotation = config.down_rotation if isinstance(config, models.DecoderConfig) else None
    mean_drive = observed_drive(measured.observed)
    points: list[PointRecord] = []
    basis: list[str] = []
    for light, evaluations in measured.by_light.items():
        bright = optics.with_source_power(core, core.source.power * light)
        bill = bills.price(bright, mean_drive, rotation)
        basis = billing.statements(bill, bills.measured_on)
        joined = Evaluation(windows=[window for each in evaluations for window in each.windows])
        repeats = measured.keys * len(evaluations)
        exact = Evaluation(windows=measured.exact.windows * len(evaluations))
        by_window = losses_by_window(joined, exact)[1].reshape(repeats, -1).mean(axis=0)
        points.append(
            {
                **paired_loss(joined, exact, repeats),
                "light": light,
                "kl_by_window": by_window.tolist(),
                "photons_per_mac": float(optics.photons_per_mac(billing.with_mean_drive(bright, mean_drive))),
                "source_power_w": float(bright.source.power),
                "watts_at_exaops": float(bill.watts_at()),
            }
        )
    losses = [point["kl"] for point in points]
    return {
        "name": name,
        "exponents": made.exponents,
        "tried": made.tried,
        "trained": trained,
        "digital_kl": float(np.mean([window["kl"] for window in measured.digital.windows])),
        "digital_difference": digital_difference,
        "mean_drive": mean_drive,
        "sites": {_short(site): _site(figures) for site, figures in measured.observed.sites.items()},
        "points": points,
        "against_unprepared": compare(points, points if unprepared is None else unprepared["points"]),
        "watts_for_kl": first_below([point["watts_at_exaops"] for point in points], losses, kl),
        "bill_rests_on": basis,
    }


def _short(site: str) -> str:
    """The name of a site without its number and its shape."""
    parts = site.split(" ")
    return parts[1] if len(parts) > 1 else site


def _site(figures: SiteFigures) -> SiteRecord:
    snr = [value for value in figures["snr_db"] if value is not None]
    drive = [value for value in figures["mean_drive"] if value is not None]
    return {
        "mean_drive": float(np.median(drive)) if drive else 0.0,
        "snr_db": float(np.median(snr)) if snr else None,
    }
