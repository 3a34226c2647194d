"""Optical servers for the comparison: cores of one kind at 1 exaOPS, and what a server needs beside them.

Joules and core seconds are those of `optics.price`, host and power conversion included. The core is taken at nominal
values of its constants, whose ranges `target` draws over; the corners are those of what stands around it.
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
from experiments.serving.model import shape as formulae
from optics.energy.bill import RESIDENCY

PRECISION = "int8"
SCENARIOS = ("today", "projected_2029", "physical_limit")
TOKENS_PER_PASS = 65_536
LARGEST_BATCH = 2048
# Prompts and residencies at which a bill is taken to find what a token, a pair of query and key, and a load cost.
_PROMPTS, _RESIDENCIES = (256, 1024), (1024.0, 4096.0)


def _constants() -> dict[str, Constant]:
    tables = tomllib.loads((files("experiments.serving") / "optical.toml").read_text(encoding="utf-8"))
    return {name.removeprefix("optical."): constant for name, constant in parse(tables).items()}


CONSTANTS = _constants()


class Law(NamedTuple):
    """What a server's work costs at the plug: joules of one token, one pair of query and key, and one load of all masks
    with the weights; core seconds of one token and of one load."""

    token_joules: float
    pair_joules: float
    load_joules: float
    token_seconds: float
    load_seconds: float


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class OpticalSystem:
    """Servers built from one core. It stands beside `DigitalSystem` in the comparison."""

    name: str
    core: optics.TensorCore
    fields: Mapping[str, Constant] = dataclasses.field(default_factory=lambda: CONSTANTS)
    stated: Mapping[models.LlamaConfig, tuple[Law, Law]] = dataclasses.field(default_factory=dict)

    @property
    def precisions(self) -> tuple[str, ...]:
        return (PRECISION,)

    def at(self, chips: int, corner: Corner = "nominal", software: str | None = None) -> "OpticalMachine":
        """So many servers at a corner; `software` is that of digital systems and changes nothing here."""
        if chips < 1:
            raise ValueError(f"chips = {chips} must be at least 1")
        ends = {"nominal": "value", "best": "high", "worst": "low"}
        return OpticalMachine(
            system=self, chips=chips, around={name: getattr(c, ends[corner]) for name, c in self.fields.items()}
        )

    @property
    def core_bias_watts(self) -> float:
        """W of one core that waits, lasers' bias and receivers, behind power conversion."""
        core, code = self.core, self.core.encoding
        lasers = core.rows * code.sources * float(core.source.bias_power)
        receivers = core.columns * code.planes * float(core.tia.power)
        return (lasers + receivers) / float(core.overhead.conversion_efficiency)

    def rests_on(self, shape: models.LlamaConfig) -> str:
        """What the bills of a prompt of a model rest on; how long weights stay follows from what is served."""
        bill = Workload(config=shape, context=_PROMPTS[0]).price(self.core)
        return "; ".join(text for text in bill.basis if RESIDENCY not in text)

    def memory_joules(self, bits: float) -> float:
        """J at the plug for bits to or from main memory."""
        overhead, engine = self.core.overhead, self.core.memory_cost(bits)
        delivered = engine + overhead.host(engine)
        return float(delivered + overhead.conversion(delivered))

    def with_engine(self, shape: models.LlamaConfig, mac_joules: float, load_seconds: float) -> "OpticalSystem":
        """The same server with an engine that takes so many J a MAC at the plug, and so long for one load of a mask.

        What a load costs besides the bias of cores that wait for it, and what is not on masks, stays as it is.
        """
        layers, head = self.laws(shape)
        cells = self.core.rows * self.core.columns / self.core.encoding.passes
        stated = []
        for law, weights in (
            (layers, shape.layers * formulae.layer_parameters(shape)),
            (head, shape.hidden * shape.vocabulary),
        ):
            loads = math.ceil(weights / cells)
            waiting = loads * load_seconds
            biased = (waiting - law.load_seconds) * self.core_bias_watts / (1 - float(self.core.overhead.host_share))
            stated.append(
                law._replace(
                    token_joules=weights * mac_joules, load_joules=law.load_joules + biased, load_seconds=waiting
                )
            )
        return dataclasses.replace(self, stated={shape: tuple(stated)})

    def laws(self, shape: models.LlamaConfig) -> tuple[Law, Law]:
        """Of the layers, and of the head: those that are `stated`, else by the core's own bills."""
        if shape in self.stated:
            return self.stated[shape]
        if shape not in self._laws:
            self._laws[shape] = _law(self.core, shape, head=False), _law(self.core, shape, head=True)
        return self._laws[shape]

    @cached_property
    def _laws(self) -> dict[models.LlamaConfig, tuple[Law, Law]]:
        return {}


def _law(core: optics.TensorCore, shape: models.LlamaConfig, head: bool) -> Law:
    """Solved from bills at two prompts and two residencies: each is linear in tokens, pairs and loads."""
    (short, long), (often, seldom) = _PROMPTS, _RESIDENCIES
    a, b, c = (_bill(core, shape, *at, head) for at in ((short, often), (short, seldom), (long, often)))
    loads = short * (1 / often - 1 / seldom)
    load, load_seconds = (a[0] - b[0]) / loads, (a[1] - b[1]) / loads
    # What is left of the bills without their loads: tokens x t + pairs x p.
    rest = [bill[0] - load * tokens / often for bill, tokens in ((a, short), (c, long))]
    pairs = [tokens * (tokens + 1) / 2 for tokens in _PROMPTS]
    pair = (rest[1] / long - rest[0] / short) / (pairs[1] / long - pairs[0] / short)
    token = (rest[0] - pair * pairs[0]) / short
    return Law(token, pair, load, (a[1] - load_seconds * short / often) / short, load_seconds)


def _bill(core, shape, tokens: int, residency: float, head: bool) -> tuple[float, float]:
    """(J, core seconds) of a prompt on a core whose masks stay for `residency` vectors."""
    work = Workload(config=dataclasses.replace(shape, context=max(shape.context, tokens)), context=tokens)
    core = core.replace({"vectors_per_load": residency})
    sites = [site for site in work.sites if (site.stationary and site.columns == shape.vocabulary) is head]
    if head:
        bill = optics.price(core, sites, operations={}, memory_bits={})
    else:
        bill = optics.price(core, sites, operations=work.operations, memory_bits=work.memory_bits)
    return float(bill.total), float(bill.core_seconds)


@dataclasses.dataclass(frozen=True, kw_only=True)
class OpticalMachine:
    """Servers that hold one copy of a model; `around` are the numbers of serve_optical.toml at a corner."""

    system: OpticalSystem
    chips: int
    around: Mapping[str, float]
    tokens_per_pass: int = TOKENS_PER_PASS
    largest_batch: int = LARGEST_BATCH
    wall_factor: float = 1.0

    @property
    def name(self) -> str:
        return self.system.name

    @property
    def memory_bytes(self) -> float:
        return self.chips * self.around["memory_bytes"] * self.around["memory_share"]

    @property
    def hand_over_bandwidth(self) -> float:
        return self.chips * self.around["network_bandwidth"]

    @property
    def cores(self) -> int:
        """Cores of all servers."""
        core = self.system.core
        each = 2 * core.rows * core.columns * float(core.clock) / core.encoding.symbols
        return self.chips * math.ceil(self.around["ops"] / each)

    @property
    def idle_watts(self) -> float:
        """Lasers' bias and receivers stay on, and the host, whose watts are its share of nameplate."""
        return self._bias_watts + self._host_share * self.nameplate_watts

    @property
    def nameplate_watts(self) -> float:
        """What all cores draw when they multiply without a pause, loads apart: by the layers of Llama 3.1 70B."""
        layers, _ = self.system.laws(next(iter(self.system.stated), _LARGEST))
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
        return self._pass(model, tokens, batch, batch * formulae.causal_pairs(new, cached), batch * cached, loads)

    def decode_step(self, model: Model, batch: int, context: float) -> Cost:
        self.check(model)
        return self._pass(model, batch, batch, batch * context, batch * context, 1.0)

    def _pass(self, model: Model, tokens: float, heads: float, pairs: float, kept: float, loads: float) -> Cost:
        """`heads`: tokens that meet the head; `kept`: tokens whose keys and values are read from memory.

        Weights are fetched while others multiply; attention, on digital units, waits for the products before it.
        """
        layers, head = self.system.laws(model.shape)
        loads = 0.0 if self._holds(model) else loads
        kept_bytes = kept * model.kv_bytes_per_token
        joules = (
            tokens * layers.token_joules
            + pairs * layers.pair_joules
            + heads * head.token_joules
            + loads * (layers.load_joules + head.load_joules)
            + self.system.memory_joules(8 * kept_bytes)
        )
        core_seconds = (
            tokens * layers.token_seconds
            + heads * head.token_seconds
            + loads * (layers.load_seconds + head.load_seconds)
        )
        busy = core_seconds / self.cores
        bandwidth = self.chips * self.around["memory_bandwidth"]
        fetched = loads * model.step_weight_bytes / bandwidth
        attention = formulae.attention_flops(model.shape, pairs) / (self.chips * self.around["digital_ops"])
        seconds = max(busy, fetched) + max(attention, kept_bytes / bandwidth)
        # The bill has the host, and the bias of cores while they are busy.
        return Cost(seconds, max(0.0, joules * (1 - self._host_share) - self._bias_watts * busy))

    def _holds(self, model: Model) -> bool:
        """Whether all weights stand on masks at once, so that none is ever loaded."""
        core = self.system.core
        return self.cores * core.rows * core.columns / core.encoding.passes >= model.linear_parameters


_LARGEST = models.CONFIGS["llama-3.1-70b"]


def from_preset(name: str, effective_bits: float) -> OpticalSystem:
    """The system of a preset's cores, 1,024 x 1,024, with light for so many effective bits of a dot product."""
    if name not in SCENARIOS:
        raise ValueError(f"optical = {name!r} must be one of {', '.join(SCENARIOS)}")
    return OpticalSystem(name=f"optical_{name}", core=optics.with_effective_bits(optics.preset(name), effective_bits))
