"""One layer of a decoder, and all of them in their order."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from models.shape.config import DecoderConfig, LayerKind
from models.transformer.attention import queries_keys_values
from models.transformer.latent_attention import queries_latents
from models.transformer.linear import Multiply, linear, mlp, norm
from models.transformer.mixture import mixture_mlp
from models.transformer.rope import Tables
from models.transformer.stored import is_stored, number_of

# (q, k, v), or (q, latents) -> (attention of the queries, what is kept of the layer).
Attend = Callable[..., tuple[jax.Array, Any]]


def block(
    config: DecoderConfig,
    layer: dict[str, Any],
    x: jax.Array,
    rotation: Tables | None,
    attention: Attend,
    multiply: Multiply = linear,
) -> tuple[jax.Array, Any]:
    """Run one layer: attention, then the MLP or the mixture, each added to the residual stream.

    Args:
        config: the shape of the model.
        layer: the parameters of this layer alone.
        x: the residual stream, [batch, length, hidden].
        rotation: cosines and sines of the positions of `x`, or None.
        attention: of what `queries_keys_values` or `queries_latents` returns; it may keep all but the queries.
        multiply: with the weights of the layer.

    Returns:
        (the residual stream after the layer, what `attention` keeps).
    """
    normed = norm(config, x, layer["attention_norm"])
    if config.latent is None:
        mixed, kept = attention(*queries_keys_values(config, layer, normed, rotation, multiply))
    else:
        mixed, kept = attention(*queries_latents(config, config.latent, layer, normed, rotation))
    out = multiply(layer, "o", mixed)
    x = x + (norm(config, out, layer["attention_post_norm"]) if config.post_norms else out)
    normed = norm(config, x, layer["mlp_norm"])
    if config.mixture:
        out = mixture_mlp(config, config.mixture, layer, normed, multiply)
    else:
        out = mlp(config, layer, normed, multiply)
    return x + (norm(config, out, layer["mlp_post_norm"]) if config.post_norms else out), kept


class Stage(NamedTuple):
    """Consecutive layers: `repeats` times the kinds of layers of a period, from layer `first` on."""

    kinds: tuple[LayerKind, ...]
    first: int
    repeats: int


def stages(kinds: Sequence[LayerKind]) -> tuple[Stage, ...]:
    """Return the shortest period of the kinds of layers and the rest that is no whole period."""
    count = len(kinds)
    period = next(p for p in range(1, count + 1) if all(kinds[i] == kinds[i - p] for i in range(p, count)))
    whole = count // period * period
    rest = (Stage(tuple(kinds[whole:]), whole, 1),) if whole < count else ()
    return (Stage(tuple(kinds[:period]), 0, count // period), *rest)


def over_layers(
    config: DecoderConfig,
    layer: Callable[[LayerKind, jax.Array, Any], tuple[jax.Array, Any]],
    x: jax.Array,
    stacked: Any,
) -> tuple[jax.Array, Any, jax.Array | None]:
    """Run `layer(kind, x, parameters) -> (x, kept)` over all layers.

    A period of layers is the body of a `jax.lax.scan`, so that a model of any depth compiles as one period: one layer
    for most families, two of Gemma 2, six of Gemma 3.

    Args:
        config: the shape of the model.
        layer: runs one layer.
        x: the residual stream.
        stacked: a tree of arrays [layers, ...], with layers that are read among them.

    Returns:
        (x after the last layer, what was kept of each layer, stacked, and where layers are read, a scalar that is known
        after the last one, so that XLA does not read what depends on it while they are in memory).
    """
    if not is_stored(stacked):
        return *_over_periods(config, layer, x, stacked), None

    def numbered(kind: LayerKind, carried: Any, given: Any) -> tuple[Any, Any]:
        x, kept = layer(kind, carried[0], given)
        # Read from the loop's input: XLA would replace a count of the steps by its final value.
        return (x, number_of(given)), kept

    (x, last), kept = _over_periods(config, numbered, (x, jnp.zeros((), jnp.int32)), stacked)
    return x, kept, last


def _over_periods(
    config: DecoderConfig, layer: Callable[[LayerKind, Any, Any], tuple[Any, Any]], x: Any, stacked: Any
) -> tuple[Any, Any]:
    parts = []
    for kinds, first, repeats in stages(config.layer_kinds):
        if repeats == config.layers:
            return jax.lax.scan(lambda x, one, kind=kinds[0]: layer(kind, x, one), x, stacked)
        number = repeats * len(kinds)

        def period(x: Any, several: Any, kinds: tuple[LayerKind, ...] = kinds) -> tuple[Any, Any]:
            kept = []
            for place, kind in enumerate(kinds):
                x, one = layer(kind, x, jax.tree.map(lambda leaf, place=place: leaf[place], several))
                kept.append(one)
            return x, jax.tree.map(lambda *each: jnp.stack(each), *kept)

        cut = jax.tree.map(
            lambda leaf, first=first, number=number, kinds=kinds: leaf[first : first + number].reshape(
                -1, len(kinds), *leaf.shape[1:]
            ),
            stacked,
        )
        x, kept = jax.lax.scan(period, x, cut)
        parts.append(jax.tree.map(lambda leaf, number=number: leaf.reshape(number, *leaf.shape[2:]), kept))
    return x, jax.tree.map(lambda *each: jnp.concatenate(each), *parts)
