"""The shape of a Llama-architecture transformer, and the Hugging Face file that states one."""

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_LARGEST_COUNT = 2**31 - 1
_LARGEST_NUMBER = 1e38


@dataclasses.dataclass(frozen=True, kw_only=True)
class RopeScaling:
    """Llama 3.1's scaling of its rotary frequencies to a longer context.

    Frequencies whose wavelength exceeds `original_context / low_frequency_factor` positions are
    divided by `factor`, those below `original_context / high_frequency_factor` are unchanged, and
    those between are interpolated. All fields are pure numbers except `original_context`
    (positions). Source: the `rope_type: "llama3"` rule of Hugging Face transformers.

    Raises:
        ValueError: if a field lies outside its range.
    """

    factor: float
    low_frequency_factor: float
    high_frequency_factor: float
    original_context: int

    def __post_init__(self) -> None:
        _require_number(self, "factor", at_least=1.0)
        _require_number(self, "low_frequency_factor")
        _require_number(self, "high_frequency_factor")
        _require_count(self, "original_context")
        if self.high_frequency_factor <= self.low_frequency_factor:
            raise ValueError(
                f"RopeScaling.high_frequency_factor is {self.high_frequency_factor!r}; it must be "
                f"above low_frequency_factor, which is {self.low_frequency_factor!r}"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class LlamaConfig:
    """The static shape of a Llama transformer: hashable, so it may be a static argument of `jit`.

    Attributes:
        hidden: width of the residual stream.
        intermediate: width of the SwiGLU hidden layer.
        layers: number of transformer blocks.
        heads: query heads.
        kv_heads: key and value heads, a divisor of `heads`.
        head_dim: width of a head, even.
        vocabulary: number of tokens.
        context: longest sequence that the model is trained for, in tokens.
        tied_head: whether the output matrix is the transposed embedding.
        rope_theta: base of the rotary frequencies.
        rope_scaling: Llama 3.1's change of the rotary frequencies, or None.
        norm_epsilon: added to the mean square in RMSNorm.

    Raises:
        ValueError: if a field lies outside its range; the message names field, value and range.
    """

    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    context: int
    tied_head: bool
    rope_theta: float
    rope_scaling: RopeScaling | None = None
    norm_epsilon: float = 1e-5

    def __post_init__(self) -> None:
        for name in ("hidden", "intermediate", "layers", "heads", "kv_heads", "head_dim"):
            _require_count(self, name)
        _require_count(self, "vocabulary")
        _require_count(self, "context")
        _require_number(self, "rope_theta")
        _require_number(self, "norm_epsilon")
        if self.head_dim % 2:
            raise ValueError(
                f"LlamaConfig.head_dim is {self.head_dim}; it must be even, since rotary "
                "embedding turns pairs of features"
            )
        if self.heads % self.kv_heads:
            raise ValueError(f"LlamaConfig.kv_heads is {self.kv_heads}; it must divide heads, which is {self.heads}")
        if not isinstance(self.tied_head, bool):
            raise ValueError(f"LlamaConfig.tied_head is {self.tied_head!r}; it must be True or False")
        if not isinstance(self.rope_scaling, RopeScaling | None):
            raise ValueError(f"LlamaConfig.rope_scaling is {self.rope_scaling!r}; it must be a RopeScaling or None")


def head_width(hidden: int, heads: int) -> int:
    """Return the width of a head where a file lacks it: that of the residual stream over the number of heads.

    Raises:
        ValueError: if `hidden` is not a whole multiple of `heads`.
    """
    if not (isinstance(hidden, int) and isinstance(heads, int) and heads > 0) or hidden % heads:
        raise ValueError(f"no head width is given, and {hidden!r} cannot be shared by {heads!r} heads")
    return hidden // heads


def config_from_json(path: str | os.PathLike[str]) -> LlamaConfig:
    """Read the shape of a Llama-architecture model from a Hugging Face `config.json`.

    Absent keys take the defaults of transformers' `LlamaConfig`.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not JSON, describes another architecture, lacks a required key, or
            uses a variant that is not supported (biases, another activation or rotary rule).
    """
    path = Path(path)
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not a JSON file of a model's shape: {error}") from error
    if not isinstance(fields, dict) or fields.get("model_type") != "llama":
        found = fields.get("model_type") if isinstance(fields, dict) else type(fields).__name__
        raise ValueError(f"{path}: model_type is {found!r}; only 'llama' is supported")
    _refuse_variants(path, fields)
    try:
        return _config_from_fields(fields)
    except KeyError as error:
        raise ValueError(f"{path}: required key {error} is missing") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _refuse_variants(path: Path, fields: Mapping[str, Any]) -> None:
    plain = {"hidden_act": "silu", "attention_bias": False, "mlp_bias": False}
    for name, supported in plain.items():
        found = fields.get(name, supported)
        if found != supported:
            raise ValueError(f"{path}: {name} is {found!r}; only {supported!r} is supported")


def _config_from_fields(fields: Mapping[str, Any]) -> LlamaConfig:
    hidden, heads = fields["hidden_size"], fields["num_attention_heads"]
    # transformers 5 moved theta and scaling into one table; version 4 kept them apart.
    rope = fields.get("rope_parameters") or fields.get("rope_scaling") or {}
    theta = rope.get("rope_theta", fields.get("rope_theta", 10000.0))
    return LlamaConfig(
        hidden=hidden,
        intermediate=fields["intermediate_size"],
        layers=fields["num_hidden_layers"],
        heads=heads,
        kv_heads=fields.get("num_key_value_heads") or heads,
        head_dim=fields.get("head_dim") or head_width(hidden, heads),
        vocabulary=fields["vocab_size"],
        context=fields.get("max_position_embeddings", 2048),
        tied_head=fields.get("tie_word_embeddings", False),
        rope_theta=theta,
        rope_scaling=_rope_scaling(rope),
        norm_epsilon=fields.get("rms_norm_eps", 1e-6),
    )


def _rope_scaling(rope: Mapping[str, Any]) -> RopeScaling | None:
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind == "default":
        return None
    if kind != "llama3":
        raise ValueError(f"rope_type is {kind!r}; only 'default' and 'llama3' are supported")
    return RopeScaling(
        factor=rope["factor"],
        low_frequency_factor=rope["low_freq_factor"],
        high_frequency_factor=rope["high_freq_factor"],
        original_context=rope["original_max_position_embeddings"],
    )


def _require_count(config: object, name: str) -> None:
    value = getattr(config, name)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{type(config).__name__}.{name} is {value!r}; it must be an integer of at least 1")
    if value > _LARGEST_COUNT:
        raise ValueError(
            f"{type(config).__name__}.{name} is {_shown(value)}; it must be an integer of at most {_LARGEST_COUNT}"
        )


def _require_number(config: object, name: str, at_least: float | None = None) -> None:
    value = getattr(config, name)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and 0 < value <= _LARGEST_NUMBER and (at_least is None or value >= at_least):
        return
    bound = "above 0" if at_least is None else f"of at least {at_least:g}"
    raise ValueError(f"{type(config).__name__}.{name} is {_shown(value)}; it must be a finite number {bound}")


def _shown(value: object) -> str:
    """A value in a message, with integers of many digits shortened."""
    if isinstance(value, int) and value.bit_length() > 200:
        return f"an integer of {value.bit_length()} bits"
    return repr(value)
