"""Watts of designs at 1 exaOPS: of many at once, and with the distribution over all constants."""

import dataclasses
from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

import optics
from experiments.adapt.bills import PROMPT, Bills, Drives
from experiments.adapt.setting import Setting
from experiments.common.candidates import DRIVE
from experiments.common.overrides import DESIGN, OWN
from experiments.common.verdict import Candidate
from experiments.common.workload import Attention, Workload, shapes_named
from experiments.verdict.space import FIRST, TURNED, Design, Heads, Space, Structure, every_head, turned
from models.shape.rotation import Rotation
from optics.core.by_site import Machine


def check_changes(changes: Sequence[str], scenario: str, judged: Sequence[str]) -> None:
    """Raise ValueError for a change of a constant that there is not, and of one that a design sets itself.

    Args:
        changes: see `overrides.with_overrides`.
        scenario: whose constants are changed.
        judged: all scenarios that are judged; a change of another is refused.
    """
    changed = Space(scenario, tuple(changes)).constants(FIRST)
    for field, constant in optics.constants_of(scenario).items():
        if changed[field] != constant and field in (*TURNED, DRIVE):
            raise ValueError(f"--set {field}: it is searched or measured, see the options of otc verdict")
    for text in changes:
        owner = text.partition(".")[0]
        if owner in (OWN, DESIGN) or (owner in optics.PRESETS and owner not in judged):
            raise ValueError(f"--set {text}: {owner} is not judged; judged are {', '.join(judged)}")


class Billable(Protocol):
    """What a bill needs of a model: its settings of cores, its drives, and what it applies before `down`."""

    @property
    def name(self) -> str: ...
    @property
    def setting(self) -> Setting: ...
    @property
    def drives(self) -> Drives: ...
    @property
    def rotation(self) -> Rotation | None: ...


class BilledModel(NamedTuple):
    """A model as bills see it, without its weights; fields as of `Billable`."""

    name: str
    setting: Setting
    drives: Drives
    rotation: Rotation | None


class Prices:
    """Prices the designs of a scenario on the work of a large model.

    Args:
        space: of the scenario.
        shapes: name of the model that is billed.
        measured_on: the function that drives are measured on, as bills state it.
    """

    def __init__(self, space: Space, shapes: str, measured_on: str):
        self.space, self.shapes, self.measured_on = space, shapes, measured_on

    @cached_property
    def heads(self) -> Heads:
        """All heads of the model that is billed, in any order, for they cost the same; none where layers differ."""
        return every_head(shapes_named(self.shapes))

    def bills(self, structure: Structure) -> Bills:
        """What prices designs of a structure."""
        return Bills(self.shapes, self.attention(structure), self.measured_on)

    def attention(self, structure: Structure) -> Attention:
        """Where attention runs, in the bill and in the loss, with the operand on the mask named.

        It is the operand that costs less on the core of the scenario, for the model that is billed; where it is not the
        same for scores and values, each bill and each run chooses by itself.
        """
        if structure.attention == "digital":
            return "digital"
        if structure not in self._attention:
            config = shapes_named(self.shapes)
            work = Workload(config=config, context=min(PROMPT, config.context), attention="light")
            sides = set(work.operands_on_mask(self.space.base(structure)).values())
            named: dict[str, Attention] = {"left": "light-left", "right": "light-right"}
            self._attention[structure] = named[sides.pop()] if len(sides) == 1 else "light"
        return self._attention[structure]

    @cached_property
    def _attention(self) -> dict[Structure, Attention]:
        return {}

    def machine(self, structure: Structure, knobs: Any, variant: Billable) -> Machine:
        """The machine that is billed, with as large a share of its heads on light as the model that runs."""
        return self.space.machine(structure, knobs, variant.setting, self.heads)

    def bill(
        self, structure: Structure, knobs: Any, variant: Billable, chosen_by: Machine | None = None
    ) -> optics.Bill:
        """The bill of a design.

        Args:
            structure: of the design.
            knobs: by name.
            variant: the model.
            chosen_by: what chooses the operands of attention on masks; the machine of the design unless given.
        """
        machine = self.machine(structure, knobs, variant)
        return self.bills(structure).price(machine, variant.drives, variant.rotation, chosen_by)

    def watts(self, structure: Structure, shares: np.ndarray, variant: Billable) -> np.ndarray:
        """Watts of many designs of one structure, for a search.

        The core of the scenario chooses the operands of attention on masks for all of them.

        Args:
            structure: of the designs.
            shares: of the ranges of their knobs [designs, knobs].
            variant: the model.
        """
        # The numbers of the core are made outside the trace.
        base = self.space.base(structure)
        key = structure, variant.name
        if key not in self._compiled:
            self._compiled[key] = jax.jit(
                jax.vmap(lambda at: self.bill(structure, turned(at), variant, base).watts_at())
            )
        # One size compiles one program.
        count = len(shares)
        padded = np.concatenate([shares, np.repeat(shares[:1], -count % _CHUNK, axis=0)]).astype(np.float32)
        chunks = [self._compiled[key](jnp.asarray(part)) for part in np.split(padded, len(padded) // _CHUNK)]
        return np.concatenate([np.asarray(chunk) for chunk in chunks])[:count]

    @cached_property
    def _compiled(self) -> dict[tuple[Structure, str], Any]:
        return {}

    def candidate(self, design: Design, variant: Billable) -> Candidate:
        """The candidate of a verdict on the energy of a design: what is turned is exact, all else has its range."""
        structure, knobs = design.structure, dict(design.knobs)
        core, constants = self.space.core(structure, knobs), dict(self.space.constants(structure))
        numbers = core.numbers()
        for field in TURNED:
            value = float(numbers[field])
            constants[field] = dataclasses.replace(constants[field], value=value, low=value, high=value)
        plain = Candidate(
            name=self.space.scenario,
            core=core,
            constants=constants,
            effective_bits=float(knobs["light_bits"]) + structure.bits_of_offsets,
        )
        readings = self.bills(structure).readings(variant.drives, variant.rotation)

        def placed(core: Machine) -> Machine:
            assert isinstance(core, optics.TensorCore)
            return self.space.placed(core, structure, variant.setting, self.heads)

        return dataclasses.replace(
            plain.at_drive(variant.drives.mean, self.measured_on), readings=readings, placed=placed
        )

    def workload(self, design: Design, variant: Billable) -> Workload:
        """The work that a design is billed for."""
        return self.bills(design.structure).workload(variant.rotation)


_CHUNK = 64
