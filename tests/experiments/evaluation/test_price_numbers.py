"""Numbers that only a price depends on, against what the emulated program reads."""

import jax
import jax.numpy as jnp
import pytest
from jax.interpreters import partial_eval

import optics
from experiments.evaluation.measure import describe_core
from experiments.evaluation.price_numbers import PRICE_ONLY, is_price_only


def numbers_read(core):
    """Names of the numbers that the outputs of a product depend on, by removing dead code of its program."""
    leaves, tree = jax.tree.flatten(core)

    def product(leaves, key, w, x):
        return optics.emulate(lambda w, x: x @ w)(jax.tree.unflatten(tree, leaves), key, w, x)

    closed = jax.make_jaxpr(product)(leaves, jax.random.key(0), jnp.ones((40, 20)), jnp.ones((6, 40)))
    _, used = partial_eval.dce_jaxpr(closed.jaxpr, [True])
    return {name for name, read in zip(core.numbers(), used[: len(leaves)], strict=True) if read}


@pytest.mark.parametrize("name", ["today", "projected_2029", "lightmatter_2025"])
def test_the_emulated_program_reads_every_other_number_and_none_of_these(name):
    core = optics.preset(name)
    read = numbers_read(core)
    assert not read & PRICE_ONLY
    # A range that holds all that the rows can give has no loading, and a core without a calibration no gains of pixels.
    assert set(core.numbers()) - read - PRICE_ONLY <= {"adc.loading", "correction.pixel_gain"}


def test_a_cached_result_holds_where_a_price_changes_and_not_where_light_does():
    core = optics.today()
    dearer, brighter = core.replace({"digital.mac_energy": 1e-12}), core.replace({"source.power": 1e-3})
    assert describe_core(core) == describe_core(dearer) != describe_core(brighter)
    assert describe_core(core, price=True) != describe_core(dearer, price=True)
    design = optics.CoresBySite(core, {"head": brighter})
    assert describe_core(design) == describe_core(design.replace({"rules.0.core.source.mean_drive": 0.3}))
    assert is_price_only("rules.0.core.tia.power") and not is_price_only("tia.full_well")
