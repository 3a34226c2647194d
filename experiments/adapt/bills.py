"""What a prepared model costs: watts of a large model of its kinds of sites, and the photons that are launched."""

import dataclasses
from collections.abc import Sequence
from functools import cache

import models
import optics
from experiments.adapt.setting import Setting, kind_of
from experiments.common import billing
from experiments.common.workload import Attention, Workload, shapes_named
from experiments.evaluation.records import Evaluation, observed_drive
from models.shape.rotation import Rotation
from optics.core.by_site import Machine
from optics.energy.basis import DRIVE_MEASURED, DRIVE_PARTLY

PROMPT = 8192
"""Tokens of the prompt that is billed, or as many as the model takes."""


@dataclasses.dataclass(frozen=True)
class Drives:
    """Mean drives of a model, as fractions of full scale.

    Attributes:
        by_kind: of each kind of site with weights.
        macs: multiply-accumulates of each kind.
        mean: over the MACs of all sites.
    """

    by_kind: dict[str, float]
    macs: dict[str, float]
    mean: float

    @classmethod
    def of(cls, observed: Evaluation, sites: Sequence[optics.Site]) -> "Drives":
        """Return those of an evaluation with diagnostics of these sites."""
        by_kind: dict[str, float] = {}
        macs: dict[str, float] = {}
        for site in sites:
            if site.stationary and site.name in observed.drives:
                kind = kind_of(site.path)
                by_kind[kind], macs[kind] = observed.drives[site.name], float(site.macs)
        return cls(by_kind, macs, observed_drive(observed))

    def photons_per_mac(self, core: optics.TensorCore, setting: Setting) -> float:
        """Return the photons that are launched per MAC on light, over all kinds of sites."""
        launched = sum(
            macs
            * setting.light.get(kind, 1.0)
            * float(optics.photons_per_mac(billing.with_mean_drive(core, self.by_kind[kind])))
            for kind, macs in self.macs.items()
        )
        return launched / sum(self.macs.values())


@dataclasses.dataclass(frozen=True)
class Bills:
    """Prices the prefill of a model by its shapes, with the work that a method adds.

    Light is billed at the drive of each kind of site, where `otc target` bills all sites at the mean of these.

    Attributes:
        shapes: name of the model.
        attention: where attention runs.
        measured_on: the function that drives are measured on, as bills state it.
    """

    shapes: str
    attention: Attention
    measured_on: str

    def price(
        self, core: Machine, drives: Drives, rotation: Rotation | None, chosen_by: Machine | None = None
    ) -> optics.Bill:
        """Return the bill.

        Args:
            core: that the work is billed on.
            drives: of the model.
            rotation: what the model applies before `down`; None for nothing.
            chosen_by: as of `Workload.price`; `core` unless given.
        """
        workload = self.workload(rotation)
        billed = billing.with_mean_drive(core, drives.mean)
        return workload.price(billed, self.readings(drives, rotation), chosen_by=chosen_by or core)

    def workload(self, rotation: Rotation | None) -> Workload:
        """The work that is billed. rotation: as of `price`."""
        return _workload(self.shapes, self.attention, rotation)

    def readings(self, drives: Drives, rotation: Rotation | None) -> dict[str, float]:
        """Mean drive by name of each site of the work whose kind has one; arguments as of `price`."""
        return {site.name: drives.by_kind[kind] for site, kind in self._known(self.workload(rotation), drives)}

    def statements(self, bill: optics.Bill) -> list[str]:
        """Return what a bill rests on, with the function that the drives were measured on."""
        told = [text for text in bill.basis if DRIVE_MEASURED not in text and DRIVE_PARTLY not in text]
        of_light = f"measured: mean drive of each kind of site, on {self.measured_on}"
        return [of_light if bill.mean_drive is None else f"{of_light}: {float(bill.mean_drive):.3g}", *told]

    def check_kinds(self, kinds: Sequence[str]) -> None:
        """Raise ValueError where the model that is billed lacks a kind of site of the one that is prepared."""
        theirs = {kind_of(site.path) for site in _workload(self.shapes, self.attention, None).on_core}
        if missing := [kind for kind in kinds if kind not in theirs]:
            raise ValueError(
                f"shapes = {self.shapes} has no site {missing[0]}, as the model that is prepared has: its watts say "
                "nothing of light by site"
            )

    def shares_of_light(self, core: optics.TensorCore, drives: Drives, rotation: Rotation | None) -> dict[str, float]:
        """Return the share of each kind of site in the watts that light draws at equal source power."""
        workload = _workload(self.shapes, self.attention, rotation)
        at_start = float(self.price(core, drives, rotation).watts_at())
        found = {
            kind: float(self.price(Setting(light={kind: 2.0}).machine(core), drives, rotation).watts_at()) - at_start
            for kind in dict.fromkeys(kind for _, kind in self._known(workload, drives))
        }
        return {kind: watts / sum(found.values()) for kind, watts in found.items()}

    def _known(self, workload: Workload, drives: Drives) -> list[tuple[optics.Site, str]]:
        """The sites of a workload whose kind has a drive, and their kinds."""
        by_kind = [(site, kind_of(site.path)) for site in workload.on_core]
        return [(site, kind) for site, kind in by_kind if kind in drives.by_kind]


@cache
def _workload(shapes: str, attention: Attention, rotation: Rotation | None) -> Workload:
    config = dataclasses.replace(shapes_named(shapes), down_rotation=rotation)
    return Workload(config=config, context=min(PROMPT, config.context), attention=attention)


def rotation_of(checkpoint: models.Checkpoint) -> Rotation | None:
    """Return what a model applies to the inputs of `down` as it runs."""
    config = checkpoint.config
    return config.down_rotation if isinstance(config, models.DecoderConfig) else None
