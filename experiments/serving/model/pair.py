"""Disaggregated serving: one kind of machine for prefill, another for decode.

Keys and values of a prompt cross the link layer by layer as they are computed. A cached prefix is assumed to be on both
machines, so only those of new tokens cross. Machines are whole, so one of the two kinds waits for the other.
"""

import dataclasses
import math

from experiments.serving.model.batching import Request, Served, prompt_cost, require_fit
from experiments.serving.model.machine import Machine, require_link
from experiments.serving.model.transformer_cost import Model

MOST_MACHINES = 16


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pair:
    """A machine for prefill and one for decode.

    Attributes:
        link_bandwidth: bandwidth, one way, from one prefill machine to its decode machines [B/s].
        link_joules: energy of both ends of the link and all between, at the wall [J/B].
    """

    prefill: Machine
    decode: Machine
    link_bandwidth: float
    link_joules: float

    @classmethod
    def of(cls, prefill: Machine, decode: Machine, link_joules: float, link_bandwidth: float | None = None) -> "Pair":
        """Join two machines by a link of a given bandwidth, by default that of the slower machine.

        Raises:
            ValueError: if the link has no bandwidth.
        """
        if link_bandwidth is None:
            link_bandwidth = min(prefill.hand_over_bandwidth, decode.hand_over_bandwidth)
        return cls(prefill=prefill, decode=decode, link_bandwidth=link_bandwidth, link_joules=link_joules)

    def __post_init__(self) -> None:
        require_link(self.prefill, self.decode, self.link_bandwidth)

    def hand_over_bytes(self, model: Model, request: Request) -> float:
        """Return bytes of keys and values that a request moves, in the precision of the decode machine."""
        return model.kv_bytes(request.new)

    def exposed_seconds(self, model: Model, request: Request, prefill_seconds: float) -> float:
        """Return the time that a request waits for the hand-over.

        The last layer crosses after the prefill, and so does all that the link is slower than the prefill.
        """
        crossing = self.hand_over_bytes(model, request) / self.link_bandwidth
        return max(0.0, crossing - prefill_seconds) + min(crossing, prefill_seconds) / model.config.layers


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServedByPair(Served):
    """Rate, latency and energy of a group of `prefills` and `decodes` machines, and the share of time each works.

    `idle_j` is the idle draw of all machines of the group.
    """

    prefills: int
    decodes: int
    prefill_busy: float
    decode_busy: float


def serve_pair(
    pair: Pair,
    model: Model,
    request: Request,
    batch: int,
    prefill_model: Model | None = None,
    group: tuple[int, int] | None = None,
) -> ServedByPair:
    """Return the steady state of equal requests on a group of machines.

    Args:
        pair: the two kinds of machine.
        model: the model in the precision of the decode machine.
        request: the requests, all equal.
        batch: sequences at once on each decode machine.
        prefill_model: the model in the precision of the prefill machine, by default `model`.
        group: numbers of machines (prefill, decode), by default those of the least watts per request.

    Raises:
        ValueError: if a machine cannot multiply in its precision or does not hold the model.
    """
    prefill_model = prefill_model or model
    pair.prefill.check(prefill_model)
    pair.decode.check(model)
    require_fit(pair.prefill, prefill_model, request, 1)
    require_fit(pair.decode, model, request, batch)
    prompt = prompt_cost(pair.prefill, prefill_model, request, batch)
    step = pair.decode.decode_step(model, batch, request.mean_context)
    crossing = pair.hand_over_bytes(model, request) / pair.link_bandwidth
    reads = 1 / max(prompt.seconds, crossing)
    writes = batch / (request.output * step.seconds)
    prefills, decodes = group or matched(writes / reads, pair.prefill.nameplate_watts, pair.decode.nameplate_watts)
    requests = min(prefills * reads, decodes * writes)
    prefill_seconds = pair.prefill.prefill(prefill_model, 1, request.new, request.cached).seconds
    idle_watts = prefills * pair.prefill.idle_watts + decodes * pair.decode.idle_watts
    return ServedByPair(
        batch=batch,
        ttft_s=prefill_seconds + pair.exposed_seconds(model, request, prefill_seconds),
        tpot_s=step.seconds,
        tokens_per_s=requests * request.output,
        prefill_j=prompt.joules / request.output,
        decode_j=step.joules / batch,
        idle_j=idle_watts / (requests * request.output),
        prefills=prefills,
        decodes=decodes,
        prefill_busy=requests * prompt.seconds / prefills,
        decode_busy=requests / (decodes * writes),
        transfer_j=pair.hand_over_bytes(model, request) * pair.link_joules / request.output,
    )


def matched(ratio: float, prefill_watts: float, decode_watts: float) -> tuple[int, int]:
    """Return numbers of machines (prefill, decode), up to 16 each, of the least watts per request.

    The rate of a group is that of its slower side. Above a ratio of 16 a single decode machine gets as many prefill
    machines as keep it busy.

    Args:
        ratio: prefill machines that one decode machine keeps busy.
        prefill_watts, decode_watts: nameplate power of each kind.
    """
    if not (ratio > 0 and math.isfinite(ratio)):
        raise ValueError(f"ratio = {ratio} of prefill to decode machines must be a number above 0")
    if ratio >= MOST_MACHINES:
        return math.ceil(ratio), 1
    groups = [
        (prefills, decodes) for prefills in range(1, MOST_MACHINES + 1) for decodes in range(1, MOST_MACHINES + 1)
    ]

    def watts_per_request(group: tuple[int, int]) -> float:
        prefills, decodes = group
        return (prefills * prefill_watts + decodes * decode_watts) / min(prefills / ratio, decodes)

    return min(groups, key=lambda group: (watts_per_request(group), sum(group)))
