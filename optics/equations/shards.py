"""A shard_map, which a pmap is too, of another function, and keys of its shards."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.sharding import PartitionSpec

from optics.equations import _jax
from optics.equations._jax import JaxprEqn


def mapped(eqn: JaxprEqn, function: Callable[..., tuple[list, Any]]) -> Callable[..., tuple[list, Any]]:
    """The shard_map of another function than that of the equation, over the same shards.

    Args:
        eqn: a "shard_map".
        function: of (core, key, *inputs of the equation), the first two of which are whole in each shard. It returns
            the outputs of the equation, and a pytree of arrays.

    Returns:
        A function of the same arguments that returns the outputs, and the pytree with the shards as leading axis.
    """
    shards = _jax.shard_map(eqn)

    def of_shard(core: Any, key: jax.Array, *values: Any) -> tuple[list, Any]:
        if not shards.checked:
            key = _folded_in(key, shards.axes)
        outs, seen = function(core, key, *values)
        return outs, jax.tree.map(lambda leaf: _varying(leaf, shards)[None], seen)

    whole = PartitionSpec()
    return jax.shard_map(
        of_shard,
        mesh=shards.mesh,
        in_specs=(whole, whole, *shards.in_specs),
        out_specs=(list(shards.out_specs), PartitionSpec(shards.axes)),
        axis_names=set(shards.axes),
        check_vma=shards.checked,
    )


def key_of_shard(key: jax.Array, values: Sequence[Any]) -> jax.Array:
    """A key of its own for each shard that the values differ between, where JAX follows that; elsewhere the key itself.

    Shards that multiply the same values draw the same noise, so what is replicated stays so.
    """
    axes = frozenset().union(*(_axes(value) for value in values))
    return _folded_in(key, sorted(axes - _axes(key)))


def _folded_in(key: jax.Array, axes: Sequence[str]) -> jax.Array:
    for axis in axes:
        key = jax.random.fold_in(key, jax.lax.axis_index(axis))
    return key


def _axes(value: Any) -> frozenset[str]:
    """The axes of a mesh between whose shards a value differs."""
    return getattr(getattr(jax.typeof(value), "mat", None), "varying", frozenset())


def _varying(value: jax.Array, shards: _jax.ShardMap) -> jax.Array:
    """A value that counts as different in each shard."""
    missing = tuple(axis for axis in shards.axes if axis not in _axes(value))
    return jax.lax.pcast(value, missing, to="varying") if missing and shards.checked else value
