"""Rows of the comparison: losses from evaluations, photons and watts from the core, at the drive that was measured."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

import optics
from experiments.adapt.bills import Bills, Drives, rotation_of
from experiments.adapt.compare import compare, first_below
from experiments.adapt.methods import Prepared
from experiments.adapt.records import MethodRow, PointRecord, SiteRecord
from experiments.adapt.setting import kind_of
from experiments.evaluation.paired import averaged_by_window, joined, paired_loss
from experiments.evaluation.records import Evaluation, SiteFigures


class Measured(NamedTuple):
    """Evaluations of one model.

    Attributes:
        digital: in float32, against the reference.
        exact: of the reference itself.
        by_light: of each device, by factor on the source power.
        keys: how often the windows are repeated, each time under other noise.
        sites: the products of the model.
    """

    digital: Evaluation
    exact: Evaluation
    by_light: dict[float, list[Evaluation]]
    keys: int
    sites: Sequence[optics.Site]

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
    rotation, drives = rotation_of(made.checkpoint), Drives.of(measured.observed, measured.sites)
    points: list[PointRecord] = []
    basis: list[str] = []
    for light, evaluations in measured.by_light.items():
        bright = made.setting.machine(optics.with_source_power(core, core.source.power * light))
        bill = bills.price(bright, drives, rotation)
        basis = bills.statements(bill)
        found, repeats = joined(evaluations), measured.keys * len(evaluations)
        points.append(
            {
                **paired_loss(found, measured.exact, repeats),
                "light": light,
                "kl_by_window": averaged_by_window(found, measured.exact, repeats)[1].tolist(),
                "by_device": [paired_loss(each, measured.exact, measured.keys) for each in evaluations],
                "photons_per_mac": light * drives.photons_per_mac(core, made.setting),
                "source_power_w": light * float(core.source.power) * max(made.setting.light.values(), default=1.0),
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
        "mean_drive": drives.mean,
        "sinks": made.setting.sinks,
        "light_by_site": dict(made.setting.light),
        "gain_by_site": dict(made.setting.gain),
        "loading_by_site": {kind: factor * float(core.adc.loading) for kind, factor in made.setting.loading.items()},
        "drives": drives.by_kind,
        "sites": {kind_of(_short(site)): _site(figures) for site, figures in measured.observed.sites.items()},
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
    return {
        "mean_drive": _median(figures["mean_drive"]) or 0.0,
        "crest_factor": _median(figures["crest_factor"]),
        "snr_db": _median(figures["snr_db"]),
    }


def _median(by_layer: Sequence[float | None]) -> float | None:
    known = [value for value in by_layer if value is not None]
    return float(np.median(known)) if known else None
