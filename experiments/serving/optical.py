"""Optical servers for the comparison: cores of one kind at 1 exaOPS, with memory, network and digital units.

Energies and core seconds are those of `optics.price`, host and power conversion included. The core is taken at the
nominal values of its constants, whose ranges `otc target` samples; the corners are those of the rest of the server.
"""

import dataclasses
import math
import tomllib
from collections.abc import Mapping
from functools import cached_property
from importlib.resources import files
from typing import NamedTuple

import models
import optics
from electronics.constants import Constant, parse
from experiments.common.workload import Workload
from experiments.serving.model import Corner, Cost, Model
from experiments.serving.model.transformer_cost import attention_flops, causal_pairs, layer_parameters
from optics.energy.basis import RESIDENCY

PRECISION = "int8"
SCENARIOS = ("today", "projected_2029", "physical_limit")
TOKENS_PER_PASS = 65_536
LARGEST_BATCH = 2048
# Prompts [tokens] and residencies [vectors] of the bills that the unit costs are solved from.
_PROMPTS, _RESIDENCIES = (256, 1024), (1024.0, 4096.0)


def _constants() -> dict[str, Constant]:
    tables = tomllib.loads((files("experiments.serving") / "optical.toml").read_text(encoding="utf-8"))
    return {name.removeprefix("optical."): constant for name, constant in parse(tables).items()}


CONSTANTS = _constants()


class UnitCosts(NamedTuple):
    """Energy at the plug [J] and core time [s] per token, per pair of query and key, and per load of all weights."""

    token_joules: float
    pair_joules: float
    load_joules: float
    token_seconds: float
    load_seconds: float


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class OpticalSystem:
    """Servers built from one core, the optical counterpart of `DigitalSystem`.

    Attributes:
        name: short name.
        core: the core, at nominal values.
        fields: constants of the rest of the server.
        given_costs: unit costs of layers and head by model, used instead of the core's own bills.
    """

    name: str
    core: optics.TensorCore
    fields: Mapping[str, Constant] = dataclasses.field(default_factory=lambda: CONSTANTS)
    given_costs: Mapping[models.DecoderConfig, tuple[UnitCosts, UnitCosts]] = dataclasses.field(default_factory=dict)

    @property
    def precisions(self) -> tuple[str, ...]:
        """Names of the precisions in which it multiplies."""
        return (PRECISION,)

    def at(self, chips: int, corner: Corner = "nominal", software: str | None = None) -> "OpticalMachine":
        """Return `chips` servers at a corner. `software` applies to digital systems alone and is ignored."""
        if chips < 1:
            raise ValueError(f"chips = {chips} must be at least 1")
        ends = {"nominal": "value", "best": "high", "worst": "low"}
        return OpticalMachine(
            system=self, chips=chips, constants={name: getattr(c, ends[corner]) for name, c in self.fields.items()}
        )

    @property
    def core_bias_watts(self) -> float:
        """Power of one core that waits: bias of its lasers, and its receivers, at the plug [W]."""
        core, code = self.core, self.core.encoding
        lasers = core.rows * code.sources * float(core.source.bias_power)
        receivers = core.columns * code.planes * float(core.tia.power)
        return (lasers + receivers) / float(core.overhead.conversion_efficiency)

    def bill_basis(self, config: models.DecoderConfig) -> str:
        """Return the basis of the bills, but for the residency of weights, which follows from the workload served."""
        bill = Workload(config=config, context=_PROMPTS[0]).price(self.core)
        return "; ".join(text for text in bill.basis if RESIDENCY not in text)

    def memory_joules(self, bits: float) -> float:
        """Return the energy at the plug for `bits` to or from main memory [J]."""
        overhead, engine = self.core.overhead, self.core.memory_cost(bits)
        delivered = engine + overhead.host(engine)
        return float(delivered + overhead.conversion(delivered))

    def with_engine(self, config: models.DecoderConfig, mac_joules: float, load_seconds: float) -> "OpticalSystem":
        """Return the same server with another engine.

        The energy of a load changes by the bias of the cores that wait for it; attention is unchanged.

        Args:
            config: shape of the model that is served.
            mac_joules: energy per MAC at the plug [J].
            load_seconds: time of one load of a mask [s].
        """
        layers, head = self.unit_costs(config)
        cells = self.core.rows * self.core.columns / self.core.encoding.passes
        changed: list[UnitCosts] = []
        for costs, weights in (
            (layers, config.layers * layer_parameters(config)),
            (head, config.hidden * config.vocabulary),
        ):
            loads = math.ceil(weights / cells)
            waiting = loads * load_seconds
            biased = (waiting - costs.load_seconds) * self.core_bias_watts / (1 - float(self.core.overhead.host_share))
            changed.append(
                costs._replace(
                    token_joules=weights * mac_joules, load_joules=costs.load_joules + biased, load_seconds=waiting
                )
            )
        return dataclasses.replace(self, given_costs={config: (changed[0], changed[1])})

    def unit_costs(self, config: models.DecoderConfig) -> tuple[UnitCosts, UnitCosts]:
        """Return the unit costs of the layers and of the head: those given, else those of the core's own bills."""
        if config in self.given_costs:
            return self.given_costs[config]
        if config not in self._solved_costs:
            self._solved_costs[config] = (
                _solve_unit_costs(self.core, config, head=False),
                _solve_unit_costs(self.core, config, head=True),
            )
        return self._solved_costs[config]

    @cached_property
    def _solved_costs(self) -> dict[models.DecoderConfig, tuple[UnitCosts, UnitCosts]]:
        return {}


def _solve_unit_costs(core: optics.TensorCore, config: models.DecoderConfig, head: bool) -> UnitCosts:
    """Solve for the unit costs: bills are linear in tokens, pairs and loads, so three bills determine them."""
    (short, long), (often, seldom) = _PROMPTS, _RESIDENCIES
    a, b, c = (_bill(core, config, *at, head) for at in ((short, often), (short, seldom), (long, often)))
    loads = short * (1 / often - 1 / seldom)
    load, load_seconds = (a[0] - b[0]) / loads, (a[1] - b[1]) / loads
    # Bills without their loads: tokens x token + pairs x pair.
    rest = [bill[0] - load * tokens / often for bill, tokens in ((a, short), (c, long))]
    pairs = [tokens * (tokens + 1) / 2 for tokens in _PROMPTS]
    pair = (rest[1] / long - rest[0] / short) / (pairs[1] / long - pairs[0] / short)
    token = (rest[0] - pair * pairs[0]) / short
    return UnitCosts(token, pair, load, (a[1] - load_seconds * short / often) / short, load_seconds)


def _bill(
    core: optics.TensorCore, config: models.DecoderConfig, tokens: int, residency: float, head: bool
) -> tuple[float, float]:
    """(energy [J], core seconds) of a prompt of `tokens` where a load of the masks serves `residency` vectors.

    With `head` the products of the head alone, without it all others.
    """
    work = Workload(config=dataclasses.replace(config, context=max(config.context, tokens)), context=tokens)
    core = core.replace({"vectors_per_load": residency})
    sites = [site for site in work.sites if (site.stationary and site.columns == config.vocabulary) is head]
    if head:
        bill = optics.price(core, sites, operations={}, memory_bits={})
    else:
        bill = optics.price(core, sites, operations=work.operations, memory_bits=work.memory_bits)
    return float(bill.total), float(bill.core_seconds)


@dataclasses.dataclass(frozen=True, kw_only=True)
class OpticalMachine:
    """Servers that hold one copy of a model. `constants` are those of optical.toml at a corner."""

    system: OpticalSystem
    chips: int
    constants: Mapping[str, float]
    tokens_per_pass: int = TOKENS_PER_PASS
    largest_batch: int = LARGEST_BATCH
    wall_factor: float = 1.0

    @property
    def name(self) -> str:
        return self.system.name

    @property
    def memory_bytes(self) -> float:
        return self.chips * self.constants["memory_bytes"] * self.constants["memory_share"]

    @property
    def hand_over_bandwidth(self) -> float:
        return self.chips * self.constants["network_bandwidth"]

    @property
    def cores(self) -> int:
        """Cores of all servers."""
        core = self.system.core
        each = 2 * core.rows * core.columns * float(core.clock) / core.encoding.symbols
        return self.chips * math.ceil(self.constants["ops"] / each)

    @property
    def idle_watts(self) -> float:
        """Bias of the lasers, the receivers, and the host's share of nameplate power [W]."""
        return self._bias_watts + self._host_share * self.nameplate_watts

    @property
    def nameplate_watts(self) -> float:
        """Power of all cores that multiply the layers of Llama 3.1 70B without a pause, without loads [W]."""
        layers, _ = self.system.unit_costs(next(iter(self.system.given_costs), _NAMEPLATE_MODEL))
        return self.cores * layers.token_joules / layers.token_seconds

    @property
    def _bias_watts(self) -> float:
        return self.cores * self.system.core_bias_watts

    @property
    def _host_share(self) -> float:
        return float(self.system.core.overhead.host_share)

    def check(self, model: Model) -> None:
        if model.precision.name != PRECISION:
            raise ValueError(f"{self.name} has no {model.precision.name} rate; it has {PRECISION}")

    def prefill(self, model: Model, batch: int, new: float, cached: float = 0.0) -> Cost:
        self.check(model)
        tokens = batch * new
        loads = max(1.0, tokens / self.tokens_per_pass)
        return self._pass(model, tokens, batch, batch * causal_pairs(new, cached), batch * cached, loads)

    def decode_step(self, model: Model, batch: int, context: float) -> Cost:
        self.check(model)
        return self._pass(model, batch, batch, batch * context, batch * context, 1.0)

    def _pass(self, model: Model, tokens: float, heads: float, pairs: float, cached: float, loads: float) -> Cost:
        """Cost of a pass. Weights are fetched while others multiply; digital attention waits for the products.

        Args:
            heads: tokens that are multiplied with the head.
            pairs: pairs of a query and a key.
            cached: tokens whose keys and values are read from memory.
            loads: times that all masks are loaded with the weights.
        """
        layers, head = self.system.unit_costs(model.config)
        loads = 0.0 if self._holds(model) else loads
        cached_bytes = cached * model.kv_bytes_per_token
        joules = (
            tokens * layers.token_joules
            + pairs * layers.pair_joules
            + heads * head.token_joules
            + loads * (layers.load_joules + head.load_joules)
            + self.system.memory_joules(8 * cached_bytes)
        )
        core_seconds = (
            tokens * layers.token_seconds
            + heads * head.token_seconds
            + loads * (layers.load_seconds + head.load_seconds)
        )
        busy = core_seconds / self.cores
        bandwidth = self.chips * self.constants["memory_bandwidth"]
        fetched = loads * model.step_weight_bytes / bandwidth
        attention = attention_flops(model.config, pairs) / (self.chips * self.constants["digital_ops"])
        seconds = max(busy, fetched) + max(attention, cached_bytes / bandwidth)
        # The bill includes the host and the bias of busy cores, which `idle_watts` counts too.
        return Cost(seconds, max(0.0, joules * (1 - self._host_share) - self._bias_watts * busy))

    def _holds(self, model: Model) -> bool:
        """Whether the masks hold all weights at once, so that none is ever loaded."""
        core = self.system.core
        return self.cores * core.rows * core.columns / core.encoding.passes >= model.linear_parameters


_NAMEPLATE_MODEL = models.CONFIGS["llama-3.1-70b"]


def from_preset(name: str, effective_bits: float) -> OpticalSystem:
    """Return servers of a preset's 1,024 x 1,024 cores, with light for `effective_bits` of a dot product."""
    if name not in SCENARIOS:
        raise ValueError(f"optical = {name!r} must be one of {', '.join(SCENARIOS)}")
    return OpticalSystem(name=f"optical_{name}", core=optics.with_effective_bits(optics.preset(name), effective_bits))
