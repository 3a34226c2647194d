"""The space of designs: what is chosen from a few structures, what is turned, and the machine that follows."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

import optics
from electronics import Constant
from experiments.adapt.setting import Setting
from experiments.common import overrides
from optics.analysis.axis import between
from optics.analysis.inverse import Knob
from optics.core.by_site import Machine
from optics.core.site_rule import SiteRule

Place = Literal["digital", "mixed", "light"]
ON = "projected_2029"
"""The scenario of the waterfall, of the comparison with a random search, and for whose core models are prepared."""
PLACES: tuple[Place, ...] = get_args(Place)
"""Where attention runs: "mixed" is digital in the first half of the layers and on light in the others."""
ACTIVATIONS = "*activations*"
KNOBS = {
    "light_bits": Knob(5.5, 9.5, False),
    "enob": Knob(5.5, 10.0, False),
    "dac_enob": Knob(5.5, 9.0, False),
    "clock": Knob(0.3e9, 5e9),
    "loading": Knob(5.0, 24.0),
}
"""Effective bits of light, ENOB of ADCs and DACs, clock [Hz], and the ADC's range in rms of the product."""
TURNED = ("adc.enob", "adc.bits", "adc.loading", "dac.enob", "dac.bits", "clock")
"""Fields of a core that the knobs set, beside its light. Converters keep the distance of their bits from their ENOB."""


@dataclasses.dataclass(frozen=True, order=True)
class Structure:
    """What a design does not turn but choose.

    Attributes:
        rows: of the mask.
        columns: of the mask.
        accumulate: row tiles whose charges are integrated before one conversion.
        attention: where attention runs.
        mask: technology of the mask, see `optics.MASK_TECHNOLOGIES`; empty for the numbers of the scenario.
    """

    rows: int = 1024
    columns: int = 1024
    accumulate: int = 1
    attention: Place = "digital"
    mask: str = ""

    def features(self) -> list[float]:
        """Return numbers by which structures are alike: doublings of sizes, and one for each place of attention."""
        places = [float(self.attention == place) for place in PLACES]
        return [np.log2(self.rows) - 10, np.log2(self.columns) - 10, np.log2(self.accumulate), *places]

    def __str__(self) -> str:
        joined = f", {self.accumulate} tiles a conversion" if self.accumulate > 1 else ""
        mask = f", {self.mask} mask" if self.mask else ""
        return f"{self.rows} x {self.columns}{joined}, attention {self.attention}{mask}"


FIRST = Structure()
"""The structure of the first verdict."""


def structures(
    sizes: Sequence[int], accumulate: Sequence[int], places: Sequence[Place], masks: Sequence[str]
) -> list[Structure]:
    """Return all structures of square cores of these choices."""
    return [
        Structure(size, size, tiles, place, mask)
        for size, tiles, place, mask in itertools.product(sizes, accumulate, places, masks)
    ]


def turned(shares: np.ndarray) -> dict[str, Any]:
    """Return the knobs at shares [..., knobs] of their ranges, from 0 to 1."""
    return {name: between(*knob, shares[..., number]) for number, (name, knob) in enumerate(KNOBS.items())}


def shares_of(knobs: Mapping[str, float]) -> np.ndarray:
    """Return the shares [knobs] of the ranges that knobs are at; those beyond an end are at the end."""
    found = []
    for name, (low, high, logarithmic) in KNOBS.items():
        value, ends = knobs[name], (low, high)
        value, ends = (np.log(value), np.log(ends)) if logarithmic else (value, ends)
        found.append((value - ends[0]) / (ends[1] - ends[0]))
    return np.clip(np.array(found), 0.0, 1.0)


class Design(NamedTuple):
    """A design: its structure, and its knobs by name."""

    structure: Structure
    knobs: Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class Space:
    """Designs of one scenario.

    Attributes:
        scenario: whose constants the parts have.
        changes: of constants, see `overrides.with_overrides`.
    """

    scenario: str
    changes: tuple[str, ...] = ()

    def constants(self, structure: Structure) -> dict[str, Constant]:
        """The constants of a structure, by field, with their ranges; those of a mask technology in place of its own."""
        mask = optics.mask_constants(structure.mask, self.scenario) if structure.mask else {}
        return overrides.with_overrides({**optics.constants_of(self.scenario), **mask}, self.changes, self.scenario)

    @cached_property
    def _bases(self) -> dict[Structure, optics.TensorCore]:
        return {}

    def base(self, structure: Structure) -> optics.TensorCore:
        """The core of a structure as the scenario sets its numbers."""
        if structure not in self._bases:
            core = optics.from_constants(
                self.constants(structure),
                rows=structure.rows,
                columns=structure.columns,
                structure=optics.mask_structure(structure.mask) if structure.mask else None,
            )
            self._bases[structure] = core.replace({"accumulate": structure.accumulate})
        return self._bases[structure]

    def scenario_knobs(self, structure: Structure) -> dict[str, float]:
        """The knobs as the scenario has them."""
        core = self.base(structure)
        return {
            "light_bits": 7.0,
            "enob": float(core.adc.enob),
            "dac_enob": float(core.dac.enob),
            "clock": float(core.clock),
            "loading": float(core.adc.loading),
        }

    def core(self, structure: Structure, knobs: Mapping[str, Any]) -> optics.TensorCore:
        """The core of a structure with its knobs turned; they may be traced."""
        base = self.base(structure)
        changes = {
            "adc.enob": knobs["enob"],
            "adc.bits": knobs["enob"] + (base.adc.bits - base.adc.enob),
            "adc.loading": knobs["loading"],
            "dac.enob": knobs["dac_enob"],
            "dac.bits": knobs["dac_enob"] + (base.dac.bits - base.dac.enob),
            "clock": knobs["clock"],
        }
        sized = optics.with_effective_bits(base.replace(changes), knobs["light_bits"])
        assert isinstance(sized, optics.TensorCore)
        return sized

    def machine(self, structure: Structure, knobs: Mapping[str, Any], setting: Setting, layers: int) -> Machine:
        """The core or design of a structure, with light and digital tokens as a model is set.

        Args:
            structure: of the design.
            knobs: by name, see `KNOBS`.
            setting: of the model, see `experiments.adapt.setting`.
            layers: of the model that runs, of which "mixed" attention leaves half digital.
        """
        return self.placed(self.core(structure, knobs), structure, setting, layers)

    def placed(self, core: optics.TensorCore, structure: Structure, setting: Setting, layers: int) -> Machine:
        """The core or design that `machine` makes of a core with its knobs turned; arguments as there."""
        machine = setting.machine(core)
        if structure.attention != "mixed":
            return machine
        first_half = SiteRule(ACTIVATIONS, optics.DIGITAL, steps=tuple(range(layers // 2)))
        rules = machine.rules if isinstance(machine, optics.CoresBySite) else ()
        return optics.CoresBySite(core, [*rules, first_half])
