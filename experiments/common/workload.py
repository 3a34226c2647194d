"""The forward pass of a language model that a core is billed for, in prefill or in decode, by shapes alone."""

import dataclasses
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp

import models
import optics
from electronics.part import nearest
from experiments.common import long_prompts
from optics.core.attention import Operand
from optics.core.by_site import Machine, host_core

WORD_BITS = 8
# Where attention runs; on light the operand on the mask is the cheaper one of the core, or named.
Attention = Literal["digital", "light", "light-left", "light-right"]
ATTENTION = get_args(Attention)
Phase = Literal["prefill", "decode"]


def attention_policy(core: Machine, attention: Attention) -> optics.Policy:
    """Return which products of a language model run on a core; of a design, its first core chooses the operand."""
    if attention == "digital":
        return optics.stationary
    operand: Operand = "left" if attention == "light-left" else "right" if attention == "light-right" else "cheaper"
    return optics.AttentionOnLight(host_core(core), operand)


def choices_of(policy: optics.Policy, sites: Sequence[optics.Site]) -> tuple[str, ...]:
    """Return what a policy says of each site. Policies that say the same make the same program."""
    return tuple(str(policy(site)) for site in sites)


def attention_in_words(attention: str) -> str:
    """Return where attention runs, to follow the name of what runs it; empty for digital attention."""
    if attention == "digital":
        return ""
    side = attention.removeprefix("light").removeprefix("-")
    return ", attention on light" + (f", {side} operand on the mask" if side else "")


def check_attention(attention: str) -> None:
    """Raise ValueError for a word that is no `Attention`."""
    if attention not in ATTENTION:
        raise ValueError(f"attention = {attention!r} must be one of {', '.join(ATTENTION)}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Workload:
    """A forward pass of a model: all positions of a prompt (prefill), or one token after it (decode).

    Attention is causal. Of the scores of a prompt half are counted (`optics.interpreter.causal`), as in a kernel that
    skips masked scores, at any length (`experiments.common.long_prompts`). Keys and values, or what a model caches in
    their place, are words of 8 bits. Those of a prompt are written to main memory and read back once. A decoded token
    reads those of all `context` tokens, itself the last; in a layer with a sliding window those of the window, which
    are also all that it multiplies.

    Attributes:
        config: the shapes of the model.
        phase: "prefill" or "decode".
        context: tokens of the prompt, or tokens up to and including the decoded one.
        batch: sequences at once.
        attention: where attention runs.

    Raises:
        ValueError: if a field is out of range.
    """

    config: models.DecoderConfig
    phase: Phase = "prefill"
    context: int = 8192
    batch: int = 1
    attention: Attention = "digital"

    def __post_init__(self) -> None:
        if self.phase not in ("prefill", "decode"):
            raise ValueError(f"phase = {self.phase!r} must be 'prefill' or 'decode'")
        check_attention(self.attention)
        if self.context > self.config.context:
            raise ValueError(f"context = {self.context} is more than the model's {self.config.context}")
        for name in ("context", "batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)} must be at least 1")

    @property
    def tokens(self) -> int:
        """Tokens of one call."""
        return self.batch * (self.context if self.phase == "prefill" else 1)

    @cached_property
    def sites(self) -> tuple[optics.Site, ...]:
        """The products of one call, all digital but those with weights."""
        return _sites_of(self._digital)

    def sites_on(self, core: Any, chosen_by: Machine | None = None) -> tuple[optics.Site, ...]:
        """The products of one call, with attention where it runs on a core; on a digital machine all are digital.

        Args:
            core: what runs the call.
            chosen_by: the core or design whose bill chooses the operand on the mask; `core` unless given.
        """
        if self.attention == "digital" or not isinstance(core, Machine):
            return self.sites
        policy = attention_policy(chosen_by or core, self.attention)
        choices = choices_of(policy, self.sites)
        if choices not in self._placed:
            if self._short:
                placed = optics.trace(self._forward, policy=long_prompts.knowing(policy, self.sites))(*self._shapes)
                self._placed[choices] = long_prompts.with_shares(placed, self.sites)
            else:
                self._placed[choices] = optics.trace(self._forward, policy=policy)(*self._shapes)
        return self._placed[choices]

    @cached_property
    def _placed(self) -> dict[tuple[str, ...], tuple[optics.Site, ...]]:
        return {}

    @cached_property
    def _short(self) -> tuple["Workload", ...]:
        """Short prompts that determine a long one, see `long_prompts`; none where none is needed."""
        lengths = long_prompts.probes(self.config, self.context) if self.phase == "prefill" else ()
        return tuple(dataclasses.replace(self, context=length) for length in lengths)

    @cached_property
    def _digital(self) -> "Workload":
        """The same pass with digital attention: wherever attention runs, it is traced once."""
        return dataclasses.replace(self, attention="digital")

    @cached_property
    def on_core(self) -> tuple[optics.Site, ...]:
        """The products with weights, which run on the core."""
        return tuple(site for site in self.sites if site.optical)

    @cached_property
    def operations(self) -> dict[str, float]:
        """Operations of one call outside products, by name."""
        return dict(_operations_of(self._digital))

    @cached_property
    def memory_bits(self) -> dict[str, float]:
        """Bits of one call to or from main memory, without weights."""
        cached = jax.eval_shape(lambda: models.empty_cache(self.config, 1, 1))
        of_layer = sum(leaf.size for leaf in cached.values()) // self.config.layers * WORD_BITS
        read = [1 if self.phase == "prefill" else self._seen(kind.window) for kind in self.config.layer_kinds]
        return {
            "KV cache": float(self.tokens * of_layer * (self.config.layers + sum(read))),
            "embedding": float(self.tokens * self.config.hidden * WORD_BITS),
        }

    def _seen(self, window: int | None) -> int:
        """Tokens that a decoded one attends to in a layer."""
        return self.context if window is None else min(window, self.context)

    @property
    def weights(self) -> int:
        """Weights on masks: all that multiply, every expert's too, so not an embedding that is only looked up."""
        return sum(map(_weights_of, self.on_core))

    def operands_on_mask(self, core: Machine) -> dict[str, str]:
        """The operand on the mask, "left" or "right", by product of two activations that runs on a core."""
        sites = self.sites_on(core)
        design = core.assign(sites) if isinstance(core, optics.CoresBySite) else None
        return {
            site.name: "left" if site.weights_first else "right"
            for site in sites
            if site.optical and not site.stationary and (design is None or design.takes(site))
        }

    def weights_on(self, core: Machine) -> float:
        """Weights on the masks of a machine: `weights` without those whose products a design leaves digital."""
        if not isinstance(core, optics.CoresBySite):
            return float(self.weights)
        design = core.assign(self.sites)
        shares = {
            site: sum(part.executions for part in design.shares(site.name) if part.core is not None)
            for site in self.on_core
        }
        return sum(share * _weights_of(site) for site, share in shares.items())

    def price_on_core(
        self, core: Machine, readings: Mapping[str, Any] | None = None, chosen_by: Machine | None = None
    ) -> optics.Bill:
        """Return the bill of the products that run on light alone; arguments as of `price`."""
        sites = self.sites_on(core, chosen_by)
        if not isinstance(core, optics.CoresBySite):
            return optics.price(core, [site for site in sites if site.optical], readings=readings)
        design = core.assign(sites)
        return optics.price(design, [site for site in sites if site.optical and design.takes(site)], readings=readings)

    def price(
        self, core: Any, readings: Mapping[str, Any] | None = None, chosen_by: Machine | None = None
    ) -> optics.Bill:
        """Return the bill of one call.

        In decode the masks are loaded once per batch of single vectors, whatever `vectors_per_load` of the core is. A
        load of an expert serves the vectors that are routed to it (`vectors_per_expert`).

        Args:
            core: a `TensorCore`, `CoresBySite`, or a digital machine that prices whole products and is billed for those
                alone.
            readings: diagnostics or drives by site of a run of this model, see `optics.price`; None for none.
            chosen_by: as for `sites_on`. Where the numbers of `core` are traced it must be given.
        """
        if not isinstance(core, optics.CoresBySite) and not hasattr(core, "operation_cost"):
            return optics.price(core, self.sites)
        if self.phase == "decode":
            core = core.replace({"vectors_per_load": float(self.batch)})
        return optics.price(
            core,
            self.sites_on(core, chosen_by),
            readings=readings,
            operations=self.operations,
            memory_bits=self.memory_bits,
            experts_per_token=self.experts_per_token,
        )

    def vectors_per_expert(self, tokens: float) -> float | None:
        """Vectors that a load of one expert serves, at least one, where that of another matrix serves so many tokens.

        Routing is taken to be even: of N tokens that each pass K of E experts an expert has N K / E. None without
        experts.
        """
        mixture = self.config.mixture
        return max(tokens * mixture.per_token / mixture.experts, 1.0) if mixture else None

    @property
    def experts_per_token(self) -> dict[str, float]:
        """Experts that a token passes through, by the name of a site with experts."""
        mixture = self.config.mixture
        return {site.name: mixture.per_token for site in self.on_core if site.experts > 1} if mixture else {}

    def __str__(self) -> str:
        return f"{self.phase} at {self.context} tokens, batch {self.batch}{attention_in_words(self.attention)}"

    @property
    def _shapes(self) -> tuple[Any, ...]:
        shapes = models.parameter_shapes(self.config)
        if self.phase == "prefill":
            return shapes, jax.ShapeDtypeStruct((self.batch, self.context), jnp.int32)
        cache = jax.eval_shape(lambda: models.empty_cache(self.config, self.batch, self.context))
        return shapes, cache, jax.ShapeDtypeStruct((self.batch,), jnp.int32)

    def _forward(self, params: Any, *inputs: Any) -> Any:
        if self.phase == "prefill":
            return models.forward(self.config, params, *inputs)
        # The position is part of the function, so that the mask of a sliding window is known where it is traced.
        cache, tokens = inputs
        return models.decode_step(self.config, params, cache, tokens, self.context - 1)


def _weights_of(site: optics.Site) -> int:
    """Weights on the masks of a site, those of all its experts."""
    return site.rows * site.columns * site.matrices * site.experts * site.executions


def shapes_named(name: str) -> models.DecoderConfig:
    """Return the shapes of a model. Raises ValueError for an unknown name, with the nearest."""
    if name not in models.CONFIGS:
        raise ValueError(f"no model {name!r}{nearest(name, list(models.CONFIGS))}")
    return models.CONFIGS[name]


# A program bills equal workloads many times. The masks of 8,192 tokens have 67 million entries: 5 s for each model.
@lru_cache(maxsize=32)
def _sites_of(workload: Workload) -> tuple[optics.Site, ...]:
    whole = optics.trace(workload._forward)(*workload._shapes)
    short = {each.context: each.sites for each in workload._short}
    return long_prompts.sites(whole, short, workload.context) if short else whole


@lru_cache(maxsize=32)
def _operations_of(workload: Workload) -> dict[str, float]:
    if workload._short:
        return long_prompts.operations({each.context: each.operations for each in workload._short}, workload.context)
    return optics.count_elementwise_ops(workload._forward)(*workload._shapes)
