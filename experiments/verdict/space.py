"""The space of designs: what is chosen from a few structures, what is turned, and the machine that follows."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

import models
import optics
from electronics import Constant
from electronics.constants import ELEMENTARY_CHARGE
from experiments.adapt.setting import Setting
from experiments.common import overrides
from experiments.common.workload import Workload
from optics.analysis.axis import between
from optics.analysis.heads import layers_and_heads
from optics.analysis.inverse import Knob
from optics.core.by_site import Machine
from optics.core.site_rule import SiteRule
from optics.energy.light_budget import DESIGN_INPUT_MEAN, DESIGN_WEIGHT_MEAN

Place = Literal["digital", "half", "most", "light"]
Ranges = Literal["follow", "fixed"]
Encoding = Literal["rails/rails", "slots/rails", "offset/rails", "rails/offset", "slots/offset", "offset/offset"]
ON = "projected_2029"
"""The scenario of the waterfall, of the comparison with a random search, and for whose core models are prepared."""
PLACES: tuple[Place, ...] = get_args(Place)
ON_LIGHT: Mapping[Place, float] = {"digital": 0.0, "half": 0.5, "most": 0.9, "light": 1.0}
"""Share of the heads whose attention runs on light, by where attention runs."""
Heads = Sequence[tuple[int, int]]
"""(layer, head) of all heads of keys of a model, those first that lose least on light."""
RANGES: tuple[Ranges, ...] = get_args(Ranges)
"""Full scale of the ADCs: "follow", set by the norms of each vector and column; "fixed", one for each column."""
ENCODINGS: tuple[Encoding, ...] = get_args(Encoding)
"""How signs are carried, of inputs and of weights, see `optics.Encoding`."""
RAILS: Encoding = "rails/rails"
OFFSET = "offset"
MEAN_OF_OFFSET = 0.5
"""Mean of an operand that is carried by an offset, (1 + x) / 2, as a share of full scale."""
BITS_OF_OFFSET = 10 * float(np.log10(4 * MEAN_OF_OFFSET / DESIGN_WEIGHT_MEAN)) / 6.02
"""Effective bits of light that an operand on an offset takes more than on rails, for the same precision of the product.

Half the amplitude is a quarter of the signal, and the mean of the operand, which shot noise follows, is 0.5 where that
of four-sigma Gaussian magnitudes is 0.2. With two pixels less to light that is 5 times the light for weights, and for
inputs, which are driven at 0.5, 25 times (docs/physics.md). The amplifier's noise is taken to follow that of the light.
"""
ACTIVATIONS = "*activations*"
KNOBS = {
    "light_bits": Knob(4.5, 9.5, False),
    "enob": Knob(5.5, 10.0, False),
    "dac_enob": Knob(5.5, 9.0, False),
    "clock": Knob(0.3e9, 5e9),
    "loading": Knob(5.0, 48.0),
}
"""Effective bits of light, ENOB of ADCs and DACs, clock [Hz], and the ADC's range in rms of the product.

The survey that ADCs are priced by ends at 10 ENOB.
"""
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
        ranges: full scale of the ADCs, see `RANGES`. One that follows each vector needs an amplifier whose gain is set
            at the symbol rate, which no public device has and the bill has no line for.
        encoding: how the signs of inputs and of weights are carried.
    """

    rows: int = 1024
    columns: int = 1024
    accumulate: int = 1
    attention: Place = "digital"
    mask: str = ""
    ranges: Ranges = "follow"
    encoding: Encoding = RAILS

    @property
    def inputs(self) -> str:
        """How the signs of inputs are carried."""
        return self.encoding.partition("/")[0]

    @property
    def weights(self) -> str:
        """How the signs of weights are carried."""
        return self.encoding.partition("/")[2]

    @property
    def bits_of_offsets(self) -> float:
        """Effective bits of light that the encoding takes more than one on rails."""
        return BITS_OF_OFFSET * (self.inputs, self.weights).count(OFFSET)

    def features(self) -> list[float]:
        """Return numbers by which structures are alike: doublings of sizes, and one for each other choice."""
        sizes = [np.log2(self.rows) - 10, np.log2(self.columns) - 10, np.log2(self.accumulate)]
        places = [2 * ON_LIGHT[self.attention], self.attention == "light"]
        others = [self.ranges == "fixed", self.inputs == "slots", self.inputs == OFFSET, self.weights == OFFSET]
        return [*sizes, *map(float, (*places, *others))]

    def __str__(self) -> str:
        joined = f", {self.accumulate} tiles a conversion" if self.accumulate > 1 else ""
        mask = f", {self.mask} mask" if self.mask else ""
        encoding = f", {self.encoding}" if self.encoding != RAILS else ""
        ranges = "ranges fixed" if self.ranges == "fixed" else "ranges follow"
        return f"{self.rows} x {self.columns}{joined}, attention {self.attention}{mask}{encoding}, {ranges}"


FIRST = Structure()
"""The structure of the first verdict."""


def structures(
    sizes: Sequence[int],
    accumulate: Sequence[int],
    places: Sequence[Place],
    masks: Sequence[str] = ("",),
    ranges: Sequence[Ranges] = ("follow",),
    encodings: Sequence[Encoding] = (RAILS,),
    columns: Sequence[int] = (),
) -> list[Structure]:
    """Return all structures of these choices; cores are square where no `columns` are given."""
    sides = itertools.product(sizes, columns) if columns else zip(sizes, sizes, strict=True)
    chosen = itertools.product(sides, accumulate, places, masks, ranges, encodings)
    return [Structure(*side, tiles, place, mask, kind, signs) for side, tiles, place, mask, kind, signs in chosen]


def with_each_mask(structure: Structure) -> list[Structure]:
    """Return a structure with the mask of each technology; binary pixels hold a weight in bit slices."""
    return [dataclasses.replace(structure, mask=name) for name in optics.MASK_TECHNOLOGIES]


def otherwise(structure: Structure) -> list[Structure]:
    """Return a structure with the other kind of ranges, with other inputs, and with weights on an offset."""
    inputs: Encoding = "slots/rails" if structure.encoding != "slots/rails" else RAILS
    return [
        *(dataclasses.replace(structure, ranges=each) for each in RANGES if each != structure.ranges),
        dataclasses.replace(structure, encoding=inputs),
        dataclasses.replace(structure, encoding="rails/offset"),
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
                structure={
                    "encoding.inputs": structure.inputs,
                    "encoding.weights": structure.weights,
                    **(optics.mask_structure(structure.mask) if structure.mask else {}),
                },
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
        sized = optics.with_effective_bits(base.replace(changes), knobs["light_bits"] + structure.bits_of_offsets)
        assert isinstance(sized, optics.TensorCore)
        return _with_room(sized)

    def machine(self, structure: Structure, knobs: Mapping[str, Any], setting: Setting, heads: Heads) -> Machine:
        """The core or design of a structure, with light and digital tokens as a model is set.

        Args:
            structure: of the design.
            knobs: by name, see `KNOBS`.
            setting: of the model, see `experiments.adapt.setting`.
            heads: of the model that runs; those that lose most are digital where not all are on light.
        """
        return self.placed(self.core(structure, knobs), structure, setting, heads)

    def placed(self, core: optics.TensorCore, structure: Structure, setting: Setting, heads: Heads) -> Machine:
        """The core or design that `machine` makes of a core with its knobs turned; arguments as there."""
        machine = setting.machine(core)
        if structure.attention in ("digital", "light"):
            return machine
        if not heads:
            raise ValueError(f"attention {structure.attention} needs the heads of the model")
        rules = machine.rules if isinstance(machine, optics.CoresBySite) else ()
        return optics.CoresBySite(core, [*rules, *_digital(heads, round(ON_LIGHT[structure.attention] * len(heads)))])


def every_head(config: models.DecoderConfig) -> Heads:
    """Return the heads of a model, layer by layer; none where they differ in heads or stand in several scans."""
    sites = [site for site in Workload(config=config, context=min(2, config.context)).sites if not site.stationary]
    try:
        layers, heads = layers_and_heads(sites)
    except ValueError:
        return []
    return list(itertools.product(range(layers), range(heads)))


def _digital(heads: Heads, on_light: int) -> list[SiteRule]:
    """Rules that leave all heads but so many of the first ones digital; layers with the same heads share one."""
    every: dict[int, set[int]] = {}
    for layer, head in heads:
        every.setdefault(layer, set()).add(head)
    stays: dict[int, list[int]] = {}
    for layer, head in sorted(heads[on_light:]):
        stays.setdefault(layer, []).append(head)
    layers_of: dict[tuple[int, ...], list[int]] = {}
    for layer, own in sorted(stays.items()):
        layers_of.setdefault(() if len(own) == len(every[layer]) else tuple(own), []).append(layer)
    return [SiteRule(ACTIVATIONS, optics.DIGITAL, tuple(layers), heads=own) for own, layers in layers_of.items()]


def _with_room(core: optics.TensorCore) -> optics.TensorCore:
    """The core with an integrator that also holds the mean of a sum whose terms all have one sign.

    The full well of the constants is for terms that differ in sign. A sum on rails is far within it, and so is one with
    an offset whose other operand has its sign.
    """
    code = core.encoding
    if not code.unipolar:
        return core
    inputs = MEAN_OF_OFFSET if code.inputs == OFFSET else DESIGN_INPUT_MEAN
    products = core.accumulate * core.rows * inputs * MEAN_OF_OFFSET
    charge = products * core.electrons * ELEMENTARY_CHARGE
    return core.replace({"tia.full_well": core.tia.full_well + charge})
