"""Multi-head latent attention: keys and values of all heads are products of one latent vector per token.

A whole sequence is attended to with the keys and values that each head makes of the latents. A single token, of which
there are few, is brought to the latents instead: a head's product of its query with the matrix of its keys meets the
latents themselves, and its weighted sum of latents meets the matrix of its values. Neither keys nor values of a head
are made of the tokens in the cache then, which holds `rank + rotary_dim` numbers per token and layer.
"""

from typing import Any

import jax
import jax.numpy as jnp

from models.shape.config import DecoderConfig
from models.shape.features import LatentAttention
from models.transformer.attention import attend, shares_of
from models.transformer.linear import linear, norm
from models.transformer.rope import Tables, rotate


def queries_latents(
    config: DecoderConfig, latent: LatentAttention, layer: dict[str, Any], x: jax.Array, rotation: Tables | None
) -> tuple[jax.Array, jax.Array]:
    """Return q [batch, length, heads, head_dim] and latents [batch, length, rank + rotary_dim].

    The last `rotary_dim` features of both are turned; those of the latents are the part of the keys that heads share.
    """
    source = x
    if latent.query_rank is not None:
        source = norm(config, linear(layer, "q_down", x), layer["q_down_norm"], latent.norm_epsilon)
    q = linear(layer, "q", source).reshape(*x.shape[:2], config.heads, config.head_dim)
    both = linear(layer, "kv_down", x)
    kept = norm(config, both[..., : latent.rank], layer["kv_down_norm"], latent.norm_epsilon)
    q_plain, q_turned = jnp.split(q, [config.head_dim - latent.rotary_dim], axis=-1)
    k_turned = both[..., None, latent.rank :]
    if rotation is not None:
        with jax.named_scope("rotary embedding"):
            q_turned, k_turned = rotate(q_turned, *rotation), rotate(k_turned, *rotation)
    return jnp.concatenate([q_plain, q_turned], axis=-1), jnp.concatenate([kept, k_turned[..., 0, :]], axis=-1)


def attend_by_head(
    config: DecoderConfig,
    latent: LatentAttention,
    layer: dict[str, Any],
    q: jax.Array,
    latents: jax.Array,
    mask: jax.Array,
    also: jax.Array | None = None,
) -> jax.Array:
    """Return attention of the queries to the keys and values of each head, [batch, queries, heads * value_dim].

    Args:
        config: the shape of the model.
        latent: that of `config`.
        layer: the parameters of the layer.
        q: as `queries_latents` returns it.
        latents: as `queries_latents` returns them, of the same positions.
        mask: as for `attend`.
        also: as for `attend`.
    """
    made = linear(layer, "kv", latents[..., : latent.rank])
    made = made.reshape(*latents.shape[:2], config.heads, -1)
    k_plain, v = jnp.split(made, [config.head_dim - latent.rotary_dim], axis=-1)
    shared = jnp.broadcast_to(latents[..., None, latent.rank :], (*k_plain.shape[:-1], latent.rotary_dim))
    k = jnp.concatenate([k_plain, shared], axis=-1)
    return attend(config, layer, q[..., None, :], k, v, mask, also)


def attend_latents(
    config: DecoderConfig,
    latent: LatentAttention,
    layer: dict[str, Any],
    q: jax.Array,
    latents: jax.Array,
    mask: jax.Array,
    also: jax.Array | None = None,
) -> jax.Array:
    """Return what `attend_by_head` does, without the keys and values of the heads.

    Args:
        config: the shape of the model.
        latent: that of `config`.
        layer: the parameters of the layer.
        q: as `queries_latents` returns it, of few positions.
        latents: of all positions, [batch, keys, rank + rotary_dim].
        mask: as for `attend`.
        also: as for `attend`.
    """
    plain = config.head_dim - latent.rotary_dim
    matrices = layer["kv"].astype(q.dtype).reshape(latent.rank, config.heads, -1)
    brought = jnp.einsum("bqhd,rhd->bqhr", q[..., :plain], matrices[..., :plain])
    brought = jnp.concatenate([brought, q[..., plain:]], axis=-1)
    # Heads share the latents as queries of one group share a key head.
    products = jnp.einsum("bqhc,bkc->bhqk", brought, latents)[:, None]
    shares = shares_of(config, layer, products, mask, also)[:, 0].astype(latents.dtype)
    mixed = jnp.einsum("bhqk,bkr->bqhr", shares, latents[..., : latent.rank])
    values = jnp.einsum("bqhr,rhd->bqhd", mixed, matrices[..., plain:])
    return values.reshape(*values.shape[:2], config.heads * latent.value_dim)
