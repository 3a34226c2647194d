"""Optical servers for the comparison: cores of one kind or design at 1 exaOPS, with memory, network and digital units.

Energies and core seconds are those of `optics.price`, host and power conversion included. The corners are the ends of
the ranges of the server, and the 5th and 95th percentiles of the core's costs over the ranges of its constants.
"""

import dataclasses
import math
import tomllib
from collections.abc import Callable, Mapping
from functools import cached_property
from importlib.resources import files
from pathlib import Path

import models
import optics
from electronics.constants import Constant, parse
from experiments.common.verdict import Candidate
from experiments.common.workload import Attention, Workload
from experiments.serving.model import Corner
from experiments.serving.model.transformer_cost import layer_weights
from experiments.serving.optical.machine import PRECISION, OpticalMachine
from experiments.serving.optical.unit_costs import (
    PROMPTS,
    CoreCosts,
    PromptCosts,
    UnitCosts,
    core_costs,
    kinds,
    over_ranges,
    prompt_costs,
    shares_of_kinds,
)
from optics.core.by_site import Machine
from optics.energy.basis import RESIDENCY

NAMEPLATE_MODEL = models.CONFIGS["llama-3.1-70b"]


def _constants() -> dict[str, Constant]:
    tables = tomllib.loads((files("experiments.serving.optical") / "optical.toml").read_text(encoding="utf-8"))
    return {name.removeprefix("optical."): constant for name, constant in parse(tables).items()}


CONSTANTS = _constants()


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class OpticalSystem:
    """Servers built from one core or design, the optical counterpart of `DigitalSystem`.

    Attributes:
        name: short name.
        core: the core or design, at nominal values.
        fields: constants of the rest of the server.
        constants: constants of the core by the names that `core.replace` takes; their ranges give the corners.
        effective_bits: bits that the light is sized for at any value of the constants; None where it is given.
        preset: name of the preset; empty for a core of the user's own.
        file: file of the core; None for a preset.
        sized_on: shape of the model that nameplate power, and the mix of cores of a design, are stated for.
        given_costs: costs of the core by model, used instead of its own bills.
        attention: where attention of prompts without a cached prefix runs; it is digital in all else, as each decoded
            token would need masks of all its keys and values.
    """

    name: str
    core: Machine
    fields: Mapping[str, Constant] = dataclasses.field(default_factory=lambda: CONSTANTS)
    constants: Mapping[str, Constant] = dataclasses.field(default_factory=dict)
    effective_bits: float | None = None
    preset: str = ""
    file: Path | None = None
    sized_on: models.DecoderConfig = dataclasses.field(default_factory=lambda: NAMEPLATE_MODEL)
    given_costs: Mapping[models.DecoderConfig, CoreCosts] = dataclasses.field(default_factory=dict)
    attention: Attention = "digital"

    @property
    def precisions(self) -> tuple[str, ...]:
        """Names of the precisions in which it multiplies."""
        return (PRECISION,)

    @property
    def stated_for(self) -> models.DecoderConfig:
        """Shape of the model that nameplate power is stated for."""
        return next(iter(self.given_costs), self.sized_on)

    @property
    def optical(self) -> bool:
        """Whether its products with weights run on light."""
        return True

    def at(self, chips: int, corner: Corner = "nominal", software: str | None = None) -> "OpticalMachine":
        """Return `chips` servers at a corner. `software` applies to digital systems alone and is ignored."""
        if chips < 1:
            raise ValueError(f"chips = {chips} must be at least 1")
        ends = {"nominal": "value", "best": "high", "worst": "low"}
        return OpticalMachine(
            system=self,
            chips=chips,
            corner=corner,
            constants={name: getattr(c, ends[corner]) for name, c in self.fields.items()},
        )

    @cached_property
    def shares(self) -> list[float]:
        """Share of each kind of core in a server."""
        return shares_of_kinds(self.core, self.sized_on, self.attention)

    def mean_over_cores(self, function: Callable[[optics.TensorCore], float]) -> float:
        """Return the mean of a figure over the cores of a server."""
        return sum(share * function(core) for share, core in zip(self.shares, kinds(self.core), strict=True))

    @property
    def core_rate(self) -> float:
        """Operations/s of one core that is never reloaded, the mean over the cores of a server."""
        return self.mean_over_cores(
            lambda core: 2 * core.rows * core.columns * float(core.clock) / core.encoding.symbols
        )

    @property
    def cells(self) -> float:
        """Weights that one core holds, the mean over the cores of a server."""
        return self.mean_over_cores(lambda core: core.rows * core.columns / core.encoding.passes)

    def bill_basis(self, config: models.DecoderConfig) -> str:
        """Return the basis of the bills, but for the residency of weights, which follows from the workload served."""
        bill = Workload(config=config, context=PROMPTS[0], attention=self.attention).price(self.core)
        basis = [text for text in bill.basis if RESIDENCY not in text]
        return "; ".join([*basis, f"attention of prompts without a cached prefix on {_unit(self.attention)}"])

    def with_engine(self, config: models.DecoderConfig, mac_joules: float, load_seconds: float) -> "OpticalSystem":
        """Return the same server with another engine.

        The energy of a load changes by the bias of the cores that wait for it; attention is digital.

        Args:
            config: shape of the model that is served.
            mac_joules: energy per MAC at the plug [J].
            load_seconds: time of one load of a mask [s].
        """
        costs = self.costs(config)
        active, resident = layer_weights(config)
        head = config.hidden * config.vocabulary
        changed: list[UnitCosts] = []
        for unit, macs, weights in ((costs.layers, active, resident), (costs.head, head, head)):
            loads = math.ceil(weights / self.cells)
            waiting = loads * load_seconds
            biased = (waiting - unit.load_seconds) * costs.bias_watts / (1 - costs.host_share)
            changed.append(
                unit._replace(
                    token_joules=macs * mac_joules, load_joules=unit.load_joules + biased, load_seconds=waiting
                )
            )
        given = {config: costs._replace(layers=changed[0], head=changed[1])}
        return dataclasses.replace(self, given_costs=given, attention="digital")

    def costs(self, config: models.DecoderConfig, corner: Corner = "nominal") -> CoreCosts:
        """Return the costs of the core: those given, else those of its own bills at a corner of its ranges."""
        if config in self.given_costs:
            return self.given_costs[config]
        if (config, corner) not in self._solved:
            if corner == "nominal" or not self.constants:
                self._solved[config, corner] = core_costs(self.core, self.shares, config)
            else:
                found = over_ranges(
                    self._candidate, lambda core: core_costs(core, self.shares, config, lambda value: value)
                )
                self._solved.update({(config, end): costs for end, costs in found.items()})
        return self._solved[config, corner]

    def attention_on_light(
        self, config: models.DecoderConfig, tokens: int, corner: Corner = "nominal"
    ) -> PromptCosts | None:
        """Return what attention of a prompt costs at a corner of the core's ranges; None where it is digital.

        Args:
            config: shape of the model that is served.
            tokens: of the prompt, nothing of which is cached.
            corner: of the ranges.
        """
        if self.attention == "digital":
            return None
        if (config, tokens, corner) not in self._prompts:
            given = config, tokens, self.attention, self.core
            if corner == "nominal" or not self.constants:
                self._prompts[config, tokens, corner] = prompt_costs(self.core, *given)
            else:
                found = over_ranges(self._candidate, lambda core: prompt_costs(core, *given, lambda value: value))
                self._prompts.update({(config, tokens, end): costs for end, costs in found.items()})
        return self._prompts[config, tokens, corner]

    @property
    def _candidate(self) -> Candidate:
        return Candidate(name=self.name, core=self.core, constants=self.constants, effective_bits=self.effective_bits)

    @cached_property
    def _prompts(self) -> dict[tuple[models.DecoderConfig, int, Corner], PromptCosts]:
        return {}

    @cached_property
    def _solved(self) -> dict[tuple[models.DecoderConfig, Corner], CoreCosts]:
        return {}

    def digital_share(self, config: models.DecoderConfig) -> float:
        """Return the share of the weights whose products a design leaves digital."""
        if isinstance(self.core, optics.TensorCore):
            return 0.0
        if config not in self._digital_shares:
            work = Workload(config=config, context=PROMPTS[0])
            self._digital_shares[config] = 1.0 - work.weights_on(self.core) / work.weights
        return self._digital_shares[config]

    @cached_property
    def _digital_shares(self) -> dict[models.DecoderConfig, float]:
        return {}


def _unit(attention: Attention) -> str:
    """Where attention runs, in words."""
    if attention == "digital":
        return "digital units"
    side = attention.removeprefix("light").removeprefix("-")
    return f"light, the {side or 'cheaper'} operand on the mask"
