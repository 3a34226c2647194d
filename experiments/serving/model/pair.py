"""Serving on two kinds of machine: one reads the prompts, the other writes the answers.

The keys and values of a prompt cross from one to the other as they are made, layer by layer; a cached prefix is taken
to lie on both already, so that only what is read anew crosses. Machines are whole, so that one of the two kinds waits.
"""

import dataclasses
import math

from experiments.serving.model.machine import Machine, require_link
from experiments.serving.model.serving import Request, Served, prompt_cost, require_fit
from experiments.serving.model.shape import Model

MOST_MACHINES = 16


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pair:
    """A machine for prefill and one for decode.

    `link_bandwidth` [B/s, one way] is of one prefill machine to its decode machines; by default what the slower of the
    two can hand over. `link_joules` [J/B], at the wall, of both ends and what lies between.
    """

    prefill: Machine
    decode: Machine
    link_bandwidth: float
    link_joules: float

    @classmethod
    def of(cls, prefill: Machine, decode: Machine, link_joules: float, link_bandwidth: float | None = None) -> "Pair":
        """The two, over the link that they have unless its bandwidth is given. Raises ValueError where it has none."""
        if link_bandwidth is None:
            link_bandwidth = min(prefill.hand_over_bandwidth, decode.hand_over_bandwidth)
        return cls(prefill=prefill, decode=decode, link_bandwidth=link_bandwidth, link_joules=link_joules)

    def __post_init__(self) -> None:
        require_link(self.prefill, self.decode, self.link_bandwidth)

    def hand_over_bytes(self, model: Model, request: Request) -> float:
        """Bytes of keys and values that a request moves, in the decoding machine's precision."""
        return request.new * model.kv_bytes_per_token

    def exposed_seconds(self, model: Model, request: Request, reading: float) -> float:
        """What of the hand-over a request waits for: the last layer's, and all that the link is slower than reading."""
        crossing = self.hand_over_bytes(model, request) / self.link_bandwidth
        return max(0.0, crossing - reading) + min(crossing, reading) / model.shape.layers


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServedByPair(Served):
    """What a group of `prefills` and `decodes` machines of a pair reaches, and the shares of time that each works.

    `idle_j` is what all machines of the group draw anyway.
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
    read_as: Model | None = None,
    group: tuple[int, int] | None = None,
) -> ServedByPair:
    """Requests without end on so many machines (prefill, decode), by default those that waste the least watts.

    `batch` is of each decoding machine; `read_as` is the model as the prefill machine keeps it, where in another
    precision. Raises ValueError where a machine cannot multiply in its precision or does not hold the model.
    """
    read_as = read_as or model
    pair.prefill.check(read_as)
    pair.decode.check(model)
    require_fit(pair.prefill, read_as, request, 1)
    require_fit(pair.decode, model, request, batch)
    prompt = prompt_cost(pair.prefill, read_as, request, batch)
    step = pair.decode.decode_step(model, batch, request.mean_context)
    crossing = pair.hand_over_bytes(model, request) / pair.link_bandwidth
    reads = 1 / max(prompt.seconds, crossing)
    writes = batch / (request.output * step.seconds)
    prefills, decodes = group or matched(writes / reads, pair.prefill.nameplate_watts, pair.decode.nameplate_watts)
    requests = min(prefills * reads, decodes * writes)
    alone = pair.prefill.prefill(read_as, 1, request.new, request.cached).seconds
    idle_watts = prefills * pair.prefill.idle_watts + decodes * pair.decode.idle_watts
    return ServedByPair(
        batch=batch,
        ttft_s=alone + pair.exposed_seconds(model, request, alone),
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
    """Whole machines (prefill, decode), up to 16 of the rarer kind's partner, of the least watts per request.

    `ratio`: prefill machines that one decode machine keeps busy. The rate of a group is that of its slower side.
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
