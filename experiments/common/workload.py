"""What a machine is asked to do: one token of a language model, in prefill or in decode, by shapes alone."""

import dataclasses
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal

import jax
import jax.numpy as jnp

import models
import optics
from electronics.part import nearest

WORD_BITS = 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class Workload:
    """A forward pass of `config`: all positions of a prompt (prefill), or one token after it (decode).

    Attention is causal, as the model's own mask says: of a prompt's scores half are counted
    (`optics.interpreter.causal`), as a kernel computes them that skips what the mask hides. Keys and values are kept in
    words of 8 bits; a prompt's are written to main memory and read back once, a decoded token reads those of all
    `context` tokens, itself the last.
    """

    config: models.LlamaConfig
    phase: Literal["prefill", "decode"] = "prefill"
    context: int = 8192
    batch: int = 1

    def __post_init__(self) -> None:
        if self.phase not in ("prefill", "decode"):
            raise ValueError(f"phase = {self.phase!r} must be 'prefill' or 'decode'")
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
        """The products of one call."""
        return optics.trace(self._forward)(*self._shapes)

    @cached_property
    def on_core(self) -> tuple[optics.Site, ...]:
        """Those of the products that run on the core."""
        return tuple(site for site in self.sites if site.optical)

    @cached_property
    def operations(self) -> dict[str, float]:
        """Operations of one call outside products, by name."""
        return optics.count_elementwise_ops(self._forward)(*self._shapes)

    @cached_property
    def memory_bits(self) -> dict[str, float]:
        """Bits of one call to or from main memory, weights apart."""
        token = 2 * self.config.layers * self.config.kv_heads * self.config.head_dim * WORD_BITS
        read = self.context if self.phase == "decode" else 1
        return {
            "KV cache": float(self.tokens * token * (1 + read)),
            "embedding": float(self.tokens * self.config.hidden * WORD_BITS),
        }

    @property
    def weights(self) -> int:
        """Weights that stand on masks: all that multiply; an embedding that is looked up does not."""
        return sum(site.rows * site.columns * site.matrices * site.executions for site in self.on_core)

    def price(self, core: Any, readings: Mapping[str, Any] | None = None) -> optics.Bill:
        """The bill of one call. In decode the mask is loaded for the batch's single vectors, whatever the core says.

        readings: see `optics.price`; of a run of this model, or of none. A digital machine, which prices whole
        products, is billed for those alone.
        """
        if not hasattr(core, "operation_cost"):
            return optics.price(core, self.sites)
        if self.phase == "decode":
            core = core.replace({"vectors_per_load": float(self.batch)})
        return optics.price(
            core, self.sites, readings=readings, operations=self.operations, memory_bits=self.memory_bits
        )

    def __str__(self) -> str:
        return f"{self.phase} at {self.context} tokens, batch {self.batch}"

    @property
    def _shapes(self) -> tuple[Any, ...]:
        shapes = models.parameter_shapes(self.config)
        if self.phase == "prefill":
            return shapes, jax.ShapeDtypeStruct((self.batch, self.context), jnp.int32)
        cache = jax.eval_shape(lambda: models.empty_cache(self.config, self.batch, self.context))
        return shapes, cache, jax.ShapeDtypeStruct((self.batch,), jnp.int32), jax.ShapeDtypeStruct((), jnp.int32)

    def _forward(self, params: Any, *inputs: Any) -> Any:
        if self.phase == "prefill":
            return models.forward(self.config, params, *inputs)
        return models.decode_step(self.config, params, *inputs)


def shapes_named(name: str) -> models.LlamaConfig:
    """The shapes of a model by name; an unknown one is a ValueError that names the nearest."""
    if name not in models.CONFIGS:
        raise ValueError(f"no model {name!r}{nearest(name, list(models.CONFIGS))}")
    return models.CONFIGS[name]
