"""Which operand of an attention stands on the mask, and what a causal mask leaves of its tiles."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optics
from optics import AttentionOnLight
from optics.interpreter import causal as causality

KEY = jax.random.key(0)
CORE = optics.today(rows=16, columns=16)


def attention(weights, x):
    """Causal attention of one head over x [tokens, width]."""
    q, k, v = x @ weights["q"], x @ weights["k"], x @ weights["v"]
    seen = jnp.tril(jnp.ones((x.shape[0], x.shape[0]), bool))
    return jax.nn.softmax(jnp.where(seen, q @ k.T, -1e30)) @ v


def traced(tokens, width, head, policy):
    weights = {name: jax.ShapeDtypeStruct((width, head), jnp.float32) for name in "qkv"}
    return optics.trace(attention, policy=policy)(weights, jax.ShapeDtypeStruct((tokens, width), jnp.float32))


@pytest.fixture(scope="module")
def operands():
    draw = np.random.default_rng(0)
    weights = {name: jnp.asarray(draw.normal(size=(12, 8)) / 3, jnp.float32) for name in "qkv"}
    return weights, jnp.asarray(draw.normal(size=(20, 12)), jnp.float32)


@pytest.mark.parametrize("operand", ["cheaper", "left", "right"])
def test_an_ideal_core_gives_the_digital_attention_whatever_stands_on_the_mask(operands, operand):
    run = optics.emulate(attention, policy=AttentionOnLight(CORE, operand))
    np.testing.assert_allclose(run(optics.ideal(CORE), KEY, *operands), attention(*operands), atol=1e-5)


@pytest.mark.parametrize("operand", ["left", "right"])
def test_the_operand_on_the_mask_is_rounded_as_weights_are(operands, operand):
    """Rounding to the mask's 3 bits alone: the products are those of an operand that is rounded by column."""
    coarse = CORE.replace({"effects": optics.Effects.uniform(0.0), "effects.weight_rounding": 1.0, "mask.bits": 3.0})
    left, right = (
        jnp.asarray(np.random.default_rng(n).normal(size=s), jnp.float32) for n, s in ((1, (9, 7)), (2, (7, 5)))
    )
    unused = jnp.ones((1, 1))

    def product(w, left, right):
        return left @ right + 0 * w[0, 0]

    run = optics.emulate(product, policy=AttentionOnLight(CORE, operand))
    found = run(coarse, KEY, unused, left, right)

    def rounded(matrix):
        step = np.abs(matrix).max(axis=0, keepdims=True) / (2**3 - 1)
        return np.round(np.asarray(matrix) / step) * step

    expected = rounded(left.T).T @ right if operand == "left" else left @ rounded(right)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    other = left @ rounded(right) if operand == "left" else rounded(left.T).T @ right
    assert not np.allclose(found, other, atol=1e-2)


def test_the_cheaper_operand_is_that_of_the_smaller_bill():
    for tokens, head in ((20, 8), (64, 4), (7, 48)):
        sites = {
            operand: [site for site in traced(tokens, 12, head, AttentionOnLight(CORE, operand)) if not site.stationary]
            for operand in ("cheaper", "left", "right")
        }
        for cheaper, left, right in zip(*(sites[name] for name in ("cheaper", "left", "right")), strict=True):

            def energy(site):
                return float(optics.price(CORE, [site]).total)

            assert left.weights_first and not right.weights_first
            assert (left.rows, left.columns, left.vectors) == (right.rows, right.vectors, right.columns)
            assert cheaper in (left, right)
            assert energy(cheaper) == min(energy(left), energy(right))


@pytest.mark.parametrize("operand", ["left", "right"])
@pytest.mark.parametrize("tokens", [16, 64, 128])
def test_a_causal_mask_is_billed_tile_by_tile(operand, tokens):
    """Against a count of the tiles, and of the vectors through each, that hold a score of the lower triangle.

    The conversions count vectors through columns, and the DACs vectors through rows, of the tiles in use.
    """
    core = CORE.replace({"mask.write_energy": 0.0})
    sites = traced(tokens, 16, 16, AttentionOnLight(core, operand))
    seen = np.tril(np.ones((tokens, tokens), bool))
    scores, mixed = (site for site in sites if not site.stationary)
    blocks = [slice(start, start + 16) for start in range(0, tokens, 16)]
    # Queries are vectors of the first site where keys stand on the mask, else columns.
    needed = seen if operand == "right" else seen.T
    through_scores = sum(needed[:, block].any(axis=1).sum() for block in blocks)
    if operand == "right":
        # The probabilities are the vectors: each of their row tiles serves the queries that see any of its keys.
        through_mixed = sum(seen[:, block].any(axis=1).sum() for block in blocks)
    else:
        # They stand on the mask, a tile for each block of keys and of queries, and the values pass all tiles in use.
        through_mixed = sum(16 * seen[queries, keys].any() for queries in blocks for keys in blocks)
    for site, through in ((scores, through_scores), (mixed, through_mixed)):
        dac = optics.price(core, [site]).components["DAC"]
        by_hand = float(through) * 16 * float(core.dac.energy(core.clock))
        # The mask leaves (n + 1) / 2n of the scores, the diagonal included, which the bill's share of tiles counts.
        assert float(dac) == pytest.approx(by_hand, rel=1 / tokens + 1e-3)


def test_what_cannot_be_chosen_is_one_error():
    with pytest.raises(ValueError, match="operand = 'both' must be 'cheaper', 'left' or 'right'"):
        AttentionOnLight(CORE, "both")
    with pytest.raises(ValueError, match="choose it outside of jit"):
        jax.jit(lambda core: AttentionOnLight(core)(None))(CORE)
    with pytest.raises(ValueError, match="the policy says 'top' of site .* must be True, False, 'left' or 'right'"):
        traced(8, 12, 8, lambda site: "top")


@pytest.mark.parametrize(("causal", "analyses"), [(None, 1), (True, 3), (False, 1)])
def test_trace_for_a_policy_that_reads_shares_gives_those_that_the_caller_asks_for(monkeypatch, causal, analyses):
    """The sites of a policy without a look at shares, which puts the same operand on the mask."""
    analysed, count = causality.analysed, []
    monkeypatch.setattr(causality, "analysed", lambda *args, **options: count.append(0) or analysed(*args, **options))
    shapes = (
        {name: jax.ShapeDtypeStruct((16, 8), jnp.float32) for name in "qkv"},
        jax.ShapeDtypeStruct((32, 16), jnp.float32),
    )
    found = optics.trace(attention, policy=AttentionOnLight(CORE, "right"), causal=causal)(*shapes)
    assert len(count) == analyses  # the known masks, and of causal=True both
    assert found == optics.trace(attention, policy=optics.everything, causal=causal)(*shapes)
    assert {site.share for site in found if not site.stationary} == ({1.0} if causal is False else {33 / 64})
