"""Numbers packed into one array: the same numbers, in fewer leaves, under every transformation."""

import jax
import jax.numpy as jnp
import numpy as np

from electronics.numerics.packing import Packed

TREE = {"a": 0.1, "b": (np.float32(3e30), jnp.float32(1e-30)), "n": 7, "v": jnp.arange(3.0), "w": np.float32(-0.0)}


def product(packed, x):
    tree = packed.unpacked()
    return x * tree["a"] + tree["b"][0] * tree["b"][1] + tree["n"] * jnp.sum(tree["v"])


def test_numbers_are_one_leaf_and_keep_their_values():
    packed = Packed(TREE)
    assert len(jax.tree.leaves(packed)) == 3, "numbers, an integer and an array"
    found = packed.unpacked()
    assert jax.tree.structure(found) == jax.tree.structure(TREE)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(TREE), strict=True):
        assert np.shape(one) == np.shape(other)
        np.testing.assert_array_equal(one, np.asarray(other, np.asarray(one).dtype))


def test_a_packed_tree_is_jitted_mapped_and_differentiated():
    x = jnp.float32(2)
    expected = 2 * 0.1 + 3 + 7 * 3
    np.testing.assert_allclose(jax.jit(product)(Packed(TREE), x), expected, rtol=1e-6)
    several = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(Packed(TREE | {"a": a}) for a in (0.1, 0.3)))
    np.testing.assert_allclose(jax.vmap(product, (0, None))(several, x), [expected, expected + 0.4], rtol=1e-6)
    slope = jax.grad(product, allow_int=True)(Packed(TREE), x).unpacked()
    assert (slope["a"], slope["b"][1]) == (2, np.float32(3e30))


def test_traced_numbers_stay_leaves():
    def traced(a):
        packed = Packed(TREE | {"a": a})
        assert len(jax.tree.leaves(packed)) == 4
        return product(packed, jnp.float32(2))

    np.testing.assert_allclose(jax.jit(traced)(0.1), product(Packed(TREE), jnp.float32(2)), rtol=1e-6)


def test_numbers_of_another_type_stay_leaves():
    packed = Packed({"half": jnp.bfloat16(0.1), "yes": True, "none": None, "float": 1.5})
    found = packed.unpacked()
    assert found["half"].dtype == jnp.bfloat16 and found["yes"] is True and found["none"] is None
    assert len(jax.tree.leaves(Packed({"n": 1, "yes": True}))) == 2
