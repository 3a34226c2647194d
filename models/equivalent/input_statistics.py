"""How large the inputs of a model's matrices are on sample tokens."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from models.checkpoints.checkpoint import Checkpoint
from models.equivalent.changes import check_layers
from models.shape.checks import check_tokens
from models.shape.config import DecoderConfig, LayerKind
from models.transformer.attention import attend, causal_mask
from models.transformer.decoder import embed
from models.transformer.layers import block, over_layers
from models.transformer.linear import Multiply, Routed, linear, norm
from models.transformer.parameters import Params
from models.transformer.rope import rotation_tables
from models.transformer.stored import layer_of

HEAD = "head"


@dataclasses.dataclass(frozen=True, eq=False)
class InputStatistics:
    """Magnitudes of the inputs of each matrix, by channel.

    They are by the name of the matrix, "q" or "down", with the layers as leading axis, and for experts a second one;
    those of "head" have no layers.

    Attributes:
        peak: largest magnitude of each channel, float32 [layers, (experts,) in].
        rms: root mean square of each channel, of the same shape.
        tokens: number of tokens that were looked at.
        sha256: of the checkpoint that ran.
    """

    peak: dict[str, np.ndarray]
    rms: dict[str, np.ndarray]
    tokens: int
    sha256: str


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class _Summary:
    """Largest magnitude and sum of squares [(experts,) in] of rows, and their number [(experts)]."""

    peak: jax.Array
    square: jax.Array
    rows: jax.Array


def measure_inputs(checkpoint: Checkpoint, tokens: jax.Array | np.ndarray) -> InputStatistics:
    """Return the magnitudes of the inputs of all matrices on sample tokens.

    The model runs in float32, one sequence after the other. Inputs of experts are of the rows that the router sends
    them; 0 for an expert without any.

    Args:
        checkpoint: a decoder; its layers may be streamed.
        tokens: integers [sequences, length].

    Raises:
        ValueError: if the model is no decoder, or has parts that are not supported, or the tokens are not
            two-dimensional integers of at least one sequence and at most the model's context.
    """
    config = checkpoint.config
    if not isinstance(config, DecoderConfig):
        raise ValueError(f"{checkpoint.source} has a {type(config).__name__}; inputs are measured of decoders")
    check_layers(checkpoint)
    tokens = jnp.asarray(tokens)
    check_tokens(tokens, config.context)
    if not tokens.size:
        raise ValueError(f"tokens have shape {tokens.shape}; at least one token is needed")
    found = [_summaries(config, checkpoint.params, window) for window in tokens[:, None]]
    peak, rms = {}, {}
    for name in found[0]:
        several = [each[name] for each in found]
        peak[name] = np.max([np.asarray(each.peak) for each in several], axis=0)
        square = np.sum([np.asarray(each.square, np.float64) for each in several], axis=0)
        rows = np.sum([np.asarray(each.rows) for each in several], axis=0)
        rms[name] = np.sqrt(square / np.maximum(rows, 1)[..., None]).astype(np.float32)
    return InputStatistics(
        peak=peak,
        rms=rms,
        tokens=tokens.size,
        sha256=checkpoint.sha256,
    )


@functools.partial(jax.jit, static_argnums=0)
def _summaries(config: DecoderConfig, params: Params, tokens: jax.Array) -> dict[str, _Summary]:
    length = tokens.shape[1]

    def layer(kind: LayerKind, x: jax.Array, weights: Any) -> tuple[jax.Array, dict[str, _Summary]]:
        weights, seen = layer_of(weights, x.dtype), {}
        mask = causal_mask(length, length, kind.window)
        rotation = rotation_tables(config, length, kind=kind)

        def attention(q: jax.Array, k: jax.Array, v: jax.Array) -> tuple[jax.Array, None]:
            return attend(config, weights, q, k, v, mask), None

        x, _ = block(config, weights, x, rotation, attention, _recording(seen))
        return x, seen

    x, seen, _ = over_layers(config, layer, embed(config, params, tokens, jnp.float32), params["layers"])
    return seen | {HEAD: _summary(norm(config, x, params["norm"]))}


def _recording(seen: dict[str, _Summary]) -> Multiply:
    """`linear`, which also puts a summary of its input into a dict, by the name of the matrix."""

    def multiply(layer: dict[str, Any], name: str, x: jax.Array, routed: Routed | None = None) -> jax.Array:
        seen[name] = _summary(x, routed)
        return linear(layer, name, x, routed)

    return multiply


def _summary(x: jax.Array, routed: Routed | None = None) -> _Summary:
    rows = x.reshape(-1, x.shape[-1]).astype(jnp.float32)
    if routed is None:
        count = jnp.asarray(rows.shape[0], jnp.int32)
        return _Summary(jnp.max(jnp.abs(rows), axis=0), jnp.sum(rows**2, axis=0), count)
    experts, count = routed.experts, routed.sizes.shape[0]
    # The largest of no rows is minus infinity.
    peak = jnp.maximum(jax.ops.segment_max(jnp.abs(rows), experts, count), 0.0)
    return _Summary(peak, jax.ops.segment_sum(rows**2, experts, count), routed.sizes)
