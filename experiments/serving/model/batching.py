"""Continuous batching on one machine that does prefill and decode.

The batch is always full. A machine that reads a prompt decodes nothing, so between two tokens a sequence waits for the
step and for the prompts of new requests, which replace those that ended.
"""

import dataclasses
import math

from experiments.serving.model.machine import Cost, Machine
from experiments.serving.model.transformer_cost import Model


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """A prompt of `prompt` tokens, the first `cached` of which were read before, and `output` tokens to write."""

    prompt: int
    output: int
    cached: int = 0

    def __post_init__(self) -> None:
        for name, least in (("prompt", 1), ("output", 1), ("cached", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} = {getattr(self, name)} must be at least {least} tokens")
        if self.cached >= self.prompt:
            raise ValueError(f"cached = {self.cached} must be less than prompt = {self.prompt}: the last token is read")

    def check(self, model: Model) -> None:
        """Raise ValueError if the request is longer than the model's context."""
        if self.length > model.config.context:
            raise ValueError(
                f"prompt + output = {self.length} tokens is more than the model's context of {model.config.context}"
            )

    @property
    def new(self) -> int:
        """Tokens that must be read."""
        return self.prompt - self.cached

    @property
    def length(self) -> int:
        """Tokens whose keys and values are stored at the end."""
        return self.prompt + self.output

    @property
    def mean_context(self) -> float:
        """Keys that a decoded token sees, on average."""
        return self.prompt + self.output / 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Served:
    """Rate, latency and energy of a machine; energies in J per output token at the wall.

    Attributes:
        batch: sequences at once.
        ttft_s: time to the first token of a prompt that meets an empty queue.
        tpot_s: mean time between two tokens of a sequence, prompts of others included.
        tokens_per_s: output tokens/s.
        prefill_j, decode_j: energy above the idle draw; idle_j: the idle draw.
        transfer_j: energy of the link between two machines.
    """

    batch: int
    ttft_s: float
    tpot_s: float
    tokens_per_s: float
    prefill_j: float
    decode_j: float
    idle_j: float
    transfer_j: float = 0.0

    @property
    def j_per_token(self) -> float:
        """J per output token."""
        return self.prefill_j + self.decode_j + self.idle_j + self.transfer_j

    @property
    def watts(self) -> float:
        """Mean watts."""
        return self.j_per_token * self.tokens_per_s


def sequences_that_fit(machine: Machine, model: Model, length: int) -> int:
    """Sequences of `length` tokens beside the weights; below 1 the model does not fit."""
    free = machine.memory_bytes - model.resident_bytes
    return int(min(free / model.kv_bytes(length), machine.largest_batch)) if free > 0 else 0


def needed_bytes(model: Model, request: Request, batch: int) -> float:
    """Return bytes of the weights, and of the keys and values of `batch` requests at their ends."""
    return model.resident_bytes + batch * model.kv_bytes(request.length)


def require_fit(machine: Machine, model: Model, request: Request, batch: int) -> None:
    """Raise ValueError, with the number of chips needed, if weights and `batch` requests do not fit in memory."""
    if batch > machine.largest_batch:
        raise ValueError(f"batch = {batch} is more than {machine.largest_batch}, the most that {machine.name} runs")
    needed = needed_bytes(model, request, batch)
    if needed <= machine.memory_bytes:
        return
    fit = sequences_that_fit(machine, model, request.length)
    raise ValueError(
        f"{needed / 1e9:.4g} GB of weights, keys and values (batch {batch}) do not fit in the "
        f"{machine.memory_bytes / 1e9:.4g} GB of {machine.chips} x {machine.name}: it takes "
        f"{math.ceil(needed * machine.chips / machine.memory_bytes)} chips"
        + (f", or a batch of at most {fit}" if fit else "")
    )


def prompt_cost(machine: Machine, model: Model, request: Request, batch: int) -> Cost:
    """Return the cost per prompt where `batch` prompts wait: as many share a pass as fit."""
    together = max(1, min(batch, machine.tokens_per_pass // request.new))
    return machine.prefill(model, together, request.new, request.cached).scaled(1 / together)


def serve(machine: Machine, model: Model, request: Request, batch: int) -> Served:
    """Return the steady state of a full batch of equal requests."""
    prompt = prompt_cost(machine, model, request, batch)
    step = machine.decode_step(model, batch, request.mean_context)
    tpot = step.seconds + batch * prompt.seconds / request.output
    return Served(
        batch=batch,
        ttft_s=machine.prefill(model, 1, request.new, request.cached).seconds,
        tpot_s=tpot,
        tokens_per_s=batch / tpot,
        prefill_j=prompt.joules / request.output,
        decode_j=step.joules / batch,
        idle_j=machine.idle_watts * tpot / batch,
    )


def largest_batch_within(machine: Machine, model: Model, request: Request, tpot_s: float) -> int:
    """Return the largest batch whose time between tokens is at most `tpot_s`, or 0 if one sequence takes longer."""
    least, most = 0, sequences_that_fit(machine, model, request.length)
    while least < most:
        middle = (least + most + 1) // 2
        if serve(machine, model, request, middle).tpot_s <= tpot_s:
            least = middle
        else:
            most = middle - 1
    return least
