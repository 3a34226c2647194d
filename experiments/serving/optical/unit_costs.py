"""Unit costs of serving on a core or design, from its own bills: nominal, and over the ranges of its constants."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

import models
import optics
from experiments.common.verdict import Candidate
from experiments.common.workload import Attention, Workload
from experiments.serving.model import Corner
from experiments.serving.model.transformer_cost import causal_pairs, kept_tokens
from optics.core.by_site import Machine, cores_by_name, host_core

DRAWS, SEED = 256, 0
PERCENTILES: dict[Corner, float] = {"best": 5.0, "worst": 95.0}
# Prompts [tokens] and residencies [vectors] of the bills that the unit costs are solved from.
PROMPTS, RESIDENCIES = (256, 1024), (1024.0, 4096.0)


class UnitCosts(NamedTuple):
    """Energy at the plug [J] and core time [s] per token, per pair of query and key, and per load of all weights.

    A token is one at a position without a rule of its own. What such rules of a design, as digital first tokens, change
    of a prompt without a cached prefix is `prompt_joules` [J], `prompt_seconds` of the cores [s], and `prompt_flops`,
    operations on digital units.
    """

    token_joules: Any
    pair_joules: Any
    load_joules: Any
    token_seconds: Any
    load_seconds: Any
    prompt_joules: Any
    prompt_seconds: Any
    prompt_flops: Any


class CoreCosts(NamedTuple):
    """What a pass on a core costs.

    Attributes:
        layers, head: unit costs of all layers, and of the head.
        bias_watts: power of one core that waits, bias of its lasers and its receivers, at the plug [W].
        memory_bit_joules: energy at the plug of a bit to or from main memory [J].
        host_share: share of the host in the power of the rest.
    """

    layers: UnitCosts
    head: UnitCosts
    bias_watts: Any
    memory_bit_joules: Any
    host_share: Any


class PromptCosts(NamedTuple):
    """What attention of one prompt costs where it runs on light, on masks that are written for it.

    Attributes:
        product_joules: energy of its products at the plug, of those that a design leaves digital too [J].
        product_seconds: time of the cores for those on light [s].
        other_joules: energy of all else that grows with pairs of a query and a key, as softmax [J].
        digital_share: share of the MACs of its products that a design leaves digital.
    """

    product_joules: Any
    product_seconds: Any
    other_joules: Any
    digital_share: Any


Number = Callable[[Any], Any]


def core_costs(
    core: Machine, shares: Sequence[float], config: models.DecoderConfig, number: Number = float
) -> CoreCosts:
    """Return the costs of a core or design.

    Args:
        core: the core or design.
        shares: share of each kind of core of it.
        config: shape of the model that is served.
        number: conversion of traced numbers, or the identity where `core` is traced.
    """
    overhead, engine = host_core(core).overhead, host_core(core).memory_cost(1.0)
    delivered = engine + overhead.host(engine)
    return CoreCosts(
        layers=_solve(core, config, False, number),
        head=_solve(core, config, True, number),
        bias_watts=sum(share * number(_bias_watts(each)) for share, each in zip(shares, kinds(core), strict=True)),
        memory_bit_joules=number(delivered + overhead.conversion(delivered)),
        host_share=number(overhead.host_share),
    )


def prompt_costs(
    core: Machine,
    config: models.DecoderConfig,
    tokens: int,
    attention: Attention,
    chosen_by: Machine,
    number: Number = float,
) -> PromptCosts:
    """Return the costs of attention on light.

    They do not follow the number of pairs, as those of digital attention do: a short prompt fills a part of a mask.

    Args:
        core: the core or design.
        config: shape of the model that is served.
        tokens: of the prompt, nothing of which is cached.
        attention: where it runs, "light" or with the operand on the mask named.
        chosen_by: the core or design whose bill chooses the operand on the mask.
        number: as of `core_costs`.
    """
    shape = dataclasses.replace(config, context=max(config.context, tokens))
    work = Workload(config=shape, context=tokens, attention=attention)
    on_light, digital = (
        optics.price(
            _placed(core, sites),
            [site for site in sites if not site.stationary],
            operations={},
            memory_bits={},
        )
        for sites in (work.sites_on(core, chosen_by), work.sites)
    )
    whole = _solve(core, config, False, number).pair_joules * _pairs(config, tokens)
    share = 1.0 - number(on_light.optical_macs) / number(on_light.macs)
    return PromptCosts(number(on_light.total), number(on_light.core_seconds), whole - number(digital.total), share)


def over_ranges(candidate: Candidate, costs: Callable[[Machine], Any]) -> dict[Corner, Any]:
    """Return the 5th and the 95th percentile of each cost over the ranges of a core's constants.

    Each cost has its own percentile, so the two corners are an outer bound: costs are not all aligned. What the
    designer chooses (`optics.CHOICES`) stays as it is. Light is sized again for each draw where the candidate says so.

    Args:
        candidate: the core and its constants.
        costs: of a core, a tuple of numbers.
    """

    def merit(core: Any) -> Any:
        return costs(candidate.with_source_power(core))

    held = [field for field in candidate.constants if _is_choice(field)]
    over = optics.Uncertainty(merit, candidate.core, optics.spreads(candidate.constants, held))
    if not over.spreads:
        return dict.fromkeys(PERCENTILES, jax.tree.map(float, costs(candidate.core)))
    drawn = over.at(over.draw(DRAWS, SEED))
    return {
        corner: jax.tree.map(lambda values, at=at: float(np.percentile(values, at)), drawn)
        for corner, at in PERCENTILES.items()
    }


def kinds(core: Machine) -> list[optics.TensorCore]:
    """Return the kinds of core that a design is built of; of a single core itself."""
    return list(cores_by_name(core).values())


def shares_of_kinds(core: Machine, config: models.DecoderConfig, attention: Attention = "digital") -> list[float]:
    """Return the share of each kind in the cores of a server, such that a prompt keeps all of them busy."""
    if isinstance(core, optics.TensorCore):
        return [1.0]
    work = Workload(config=config, context=min(PROMPTS[1], config.context), attention=attention)
    sites = work.sites_on(core)
    bill = optics.price(core.assign(sites), sites, operations={}, memory_bits={})
    return [float(seconds / bill.core_seconds) for seconds in bill.seconds_by_core]


def _is_choice(field: str) -> bool:
    return any(field == choice or field.endswith(f".{choice}") for choice in optics.CHOICES)


def _bias_watts(core: optics.TensorCore) -> Any:
    lasers = core.rows * core.encoding.sources * core.source.bias_power
    receivers = core.columns * core.encoding.planes * core.tia.power
    return (lasers + receivers) / core.overhead.conversion_efficiency


def _solve(core: Machine, config: models.DecoderConfig, head: bool, number: Number) -> UnitCosts:
    """Solve for the unit costs.

    Without rules for positions bills are linear in tokens, pairs and loads, so three bills determine them. What such
    rules change is the same for all prompts that have the positions: a further pair of bills.
    """
    (short, long), (often, seldom) = PROMPTS, RESIDENCIES
    plain = _without_positions(core)
    a, b, c = (_bill(plain, config, *at, head, number) for at in ((short, often), (short, seldom), (long, often)))
    loads = short * (1 / often - 1 / seldom)
    load, load_seconds = (a[0] - b[0]) / loads, (a[1] - b[1]) / loads
    # Bills without their loads: tokens x token + pairs x pair.
    rest = [bill[0] - load * tokens / often for bill, tokens in ((a, short), (c, long))]
    pairs = [_pairs(config, tokens) for tokens in PROMPTS]
    pair = (rest[1] / long - rest[0] / short) / (pairs[1] / long - pairs[0] / short)
    token = (rest[0] - pair * pairs[0]) / short
    prompt_joules = prompt_seconds = on_light = 0.0
    if plain is not core:
        given, without = (_bill(each, config, short, None, head, number) for each in (core, plain))
        prompt_joules, prompt_seconds, on_light = (one - other for one, other in zip(given, without, strict=True))
    token_seconds = (a[1] - load_seconds * short / often) / short
    return UnitCosts(token, pair, load, token_seconds, load_seconds, prompt_joules, prompt_seconds, -2.0 * on_light)


def _without_positions(core: Machine) -> Machine:
    """A design without its rules for single positions; the core itself where there are none."""
    if not isinstance(core, optics.CoresBySite) or not any(rule.positions for rule in core.rules):
        return core
    return optics.CoresBySite(core.default, [rule for rule in core.rules if not rule.positions])


def _placed(core: Machine, sites: Sequence[optics.Site]) -> Any:
    """What bills a part of the sites: of a design its cores, assigned to all of them."""
    return core.assign(sites) if isinstance(core, optics.CoresBySite) else core


def _pairs(config: models.DecoderConfig, tokens: int) -> float:
    """Pairs of a query and a key of a prompt, half a query more than the integral: a query sees its own key."""
    return causal_pairs(config, tokens) + kept_tokens(config, tokens) / 2


def _bill(
    core: Machine, config: models.DecoderConfig, tokens: int, residency: float | None, head: bool, number: Number
) -> tuple[Any, Any, Any]:
    """(energy [J], core seconds, MACs on light) of a prompt of `tokens` where a load serves `residency` vectors.

    With `head` the products of the head alone, without it all others. A residency of None is the core's own.
    """
    work = Workload(config=dataclasses.replace(config, context=max(config.context, tokens)), context=tokens)
    core = core if residency is None else core.replace({"vectors_per_load": residency})
    sites = [site for site in work.sites if (site.stationary and site.columns == config.vocabulary) is head]
    routed = work.experts_per_token
    bill = optics.price(
        _placed(core, work.sites),
        sites,
        operations={} if head else work.operations,
        memory_bits={} if head else work.memory_bits,
        experts_per_token={site.name: routed[site.name] for site in sites if site.name in routed},
    )
    return number(bill.total), number(bill.core_seconds), number(bill.optical_macs)
