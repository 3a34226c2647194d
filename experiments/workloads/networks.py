"""Networks that are no language models, by their shapes: a sentence encoder and a convolutional network.

Both are traced and priced, and never run.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp

import models
import optics
from electronics.part import nearest
from experiments.common.workload import WORD_BITS, Attention, attention_policy, choices_of
from experiments.workloads import resnet
from optics.core.by_site import Machine, cores_by_name

MINILM = models.EncoderConfig(hidden=384, intermediate=1536, layers=6, heads=12, vocabulary=30_522, context=512)
"""The shape of all-MiniLM-L6-v2, from its config.json; `otc embed` runs the model itself."""
TEXT_TOKENS = 128
"""Tokens of a text that is embedded."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shapes:
    """A network for a batch, by shapes.

    Attributes:
        title: in tables.
        item: what a batch is of, "text" or "image".
        batch: items at once, such that products keep a mask of the presets for its 16,384 vectors where they can.
        forward: the function of parameters and inputs.
        arguments: shapes of its arguments.
        memory_bits: bits of a batch from main memory, without weights.
    """

    title: str
    item: str
    batch: int
    forward: Callable[..., Any]
    arguments: tuple[Any, ...]
    memory_bits: Mapping[str, float]


def _minilm() -> Shapes:
    batch = 128
    tokens = jax.ShapeDtypeStruct((batch, TEXT_TOKENS), jnp.int32)
    return Shapes(
        title=f"MiniLM-L6, {TEXT_TOKENS} tokens",
        item="text",
        batch=batch,
        forward=lambda params, given: models.sentence_embeddings(MINILM, params, given),
        arguments=(models.encoder_shapes(MINILM), tokens),
        memory_bits={"embedding": float(batch * TEXT_TOKENS * MINILM.hidden * WORD_BITS)},
    )


def _resnet() -> Shapes:
    batch = 512
    images = jax.ShapeDtypeStruct((batch, *resnet.IMAGE), jnp.float32)
    return Shapes(
        title="ResNet-50, 224 x 224",
        item="image",
        batch=batch,
        forward=resnet.forward,
        arguments=(resnet.parameter_shapes(), images),
        memory_bits={"images": float(batch * math.prod(resnet.IMAGE) * WORD_BITS)},
    )


NETWORKS: Mapping[str, Callable[[], Shapes]] = {"minilm": _minilm, "resnet-50": _resnet}


def network_named(name: str) -> Shapes:
    """Return the shapes of a network. Raises ValueError for an unknown name, with the nearest."""
    if name not in NETWORKS:
        raise ValueError(f"no network {name!r}{nearest(name, list(NETWORKS))}")
    return NETWORKS[name]()


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Network:
    """A network as a workload, the counterpart of `experiments.common.workload.Workload`.

    Attributes:
        shapes: the network.
        attention: where attention runs.
    """

    shapes: Shapes
    attention: Attention = "digital"

    @cached_property
    def sites(self) -> tuple[optics.Site, ...]:
        """The products of a batch, attention digital."""
        return optics.trace(self.shapes.forward)(*self.shapes.arguments)

    @cached_property
    def operations(self) -> dict[str, float]:
        """Operations of a batch outside products, by name."""
        return optics.count_elementwise_ops(self.shapes.forward)(*self.shapes.arguments)

    def sites_on(self, chosen_by: Machine) -> tuple[optics.Site, ...]:
        """The products of a batch, with attention where it runs on a core.

        Args:
            chosen_by: the core or design whose bill chooses the operand on the mask.
        """
        policy = attention_policy(chosen_by, self.attention)
        choices = choices_of(policy, self.sites)
        if choices not in self._placed:
            self._placed[choices] = optics.trace(self.shapes.forward, policy=policy)(*self.shapes.arguments)
        return self._placed[choices]

    @cached_property
    def _placed(self) -> dict[tuple[str, ...], tuple[optics.Site, ...]]:
        return {}

    @property
    def weights(self) -> int:
        """Weights on masks."""
        sites = [site for site in self.sites if site.stationary and site.optical]
        return sum(site.rows * site.columns * site.matrices * site.executions for site in sites)

    @property
    def least_vectors(self) -> int:
        """Vectors of a batch at the product with weights that has fewest."""
        return min(site.vectors for site in self.sites if site.stationary and site.optical)

    def price(self, machine: Machine, chosen_by: Machine | None = None) -> optics.Bill:
        """Return the bill of a batch. A load of a mask serves at most the vectors that its product has in the batch.

        Args:
            machine: core or design.
            chosen_by: as for `sites_on`; `machine` unless given. Its `vectors_per_load` are those of `machine`.
        """
        nominal = chosen_by or machine
        sites = self.sites_on(nominal)
        longest = max(float(core.vectors_per_load) for core in cores_by_name(nominal).values())
        groups: dict[float, list[optics.Site]] = {}
        for site in sites:
            served = min(site.vectors, longest) if site.stationary and site.optical else longest
            groups.setdefault(float(served), []).append(site)
        bills = []
        for number, (served, group) in enumerate(groups.items()):
            capped = machine.replace(capped_vectors(nominal, served))
            found = capped.assign(sites) if isinstance(capped, optics.CoresBySite) else capped
            first = number == 0
            operations, memory = (self.operations, self.shapes.memory_bits) if first else ({}, {})
            bills.append(optics.price(found, group, operations=operations, memory_bits=memory))
        return _joined(bills)


def capped_vectors(machine: Machine, vectors: float) -> dict[str, float]:
    """Return the changes after which no load of a mask serves more than so many vectors, by name of the field."""
    numbers = machine.numbers()
    names = [name for name in numbers if name.rpartition(".")[2] == "vectors_per_load"]
    return {name: vectors for name in names if float(numbers[name]) > vectors}


def _joined(bills: list[optics.Bill]) -> optics.Bill:
    """The bill of all sites, from bills of parts of them, which differ in vectors per load."""
    first = bills[0]
    components: dict[str, Any] = {}
    for bill in bills:
        for name, joules in bill.components.items():
            components[name] = components.get(name, 0.0) + joules
    return dataclasses.replace(
        first,
        components=components,
        macs=sum(bill.macs for bill in bills),
        optical_macs=sum(bill.optical_macs for bill in bills),
        core_seconds=sum(bill.core_seconds for bill in bills),
        loads=sum(bill.loads for bill in bills),
        vectors_per_load=first.vectors_per_load if len(bills) == 1 else None,
        seconds_by_core=tuple(map(sum, zip(*(bill.seconds_by_core for bill in bills), strict=True))),
        measured=tuple(dict.fromkeys(text for bill in bills for text in bill.measured)),
        assumed=tuple(dict.fromkeys(text for bill in bills for text in bill.assumed)),
    )
