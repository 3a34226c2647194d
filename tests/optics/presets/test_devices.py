"""Devices that are described in public: what their authors measured, from the parts that they named."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optics
from optics import Effects

SHAPE = jax.ShapeDtypeStruct


@pytest.mark.parametrize("name", optics.DEVICES)
def test_every_number_has_a_source_and_what_is_not_published_counts_as_assumed(name):
    core, constants = optics.device(name), optics.constants_of(name)
    derived = {"device"} | {field for field in core.numbers() if field.startswith(("effects.", "correction."))}
    assert set(core.numbers()) - derived == set(constants)
    for field, constant in constants.items():
        assert float(core.numbers()[field]) == pytest.approx(constant.value, rel=1e-6, abs=0), field
        assert constant.source
        assert not constant.source.startswith("not published") or constant.mark == "assumed"
    assert optics.preset(name).rows == core.rows


@pytest.mark.parametrize("name", [*optics.DEVICES, "today", "projected_2029", "physical_limit"])
def test_every_draw_of_a_converters_constants_is_possible(name):
    """ENOB includes the rounding, so the range of ENOB must end where that of the bits begins, or before."""
    constants = optics.constants_of(name)
    for converter in ("dac", "adc"):
        assert constants[f"{converter}.enob"].high <= constants[f"{converter}.bits"].low


def test_an_unknown_device_names_the_nearest():
    with pytest.raises(ValueError, match="no device 'lightmater_2025'; did you mean 'lightmatter_2025'"):
        optics.device("lightmater_2025")


def bell(key: jax.Array, shape: tuple[int, ...], sigmas: float) -> jax.Array:
    """Gaussian numbers cut at full scale, which is `sigmas` rms."""
    return jax.random.truncated_normal(key, -sigmas, sigmas, shape) / sigmas


def pinned(x: jax.Array, w: jax.Array) -> tuple[jax.Array, jax.Array]:
    """One full-scale entry each, where the other operand is dark, so that the scales are one."""
    return x.at[:, 0].set(1.0).at[:, 1].set(0.0), w.at[1].set(1.0).at[0].set(0.0)


def test_lightmatter_errs_as_it_was_measured():
    """Data of the authors' repository (upaia-paper-2025): 4,096 x 64 products 128 long, in codes of an 11 b ADC:
    signal 8.08 rms, error 2.29 rms, 1.77 after an affine fit of each output, heavier tails than a Gaussian.

    How the operands were drawn is not published; a bell shape of 0.219 rms gives their signal. The preset's parts are
    those of the sweeps (gain 0.834, its spread, fast noise 0.92) and one static remainder, so this checks that they
    add up as measured, through the whole path. 64 outputs: 15 % is the bar, five times the spread of the draw.
    """
    core = optics.device("lightmatter_2025")
    x, w = pinned(bell(jax.random.key(1), (4096, 128), 4.56), bell(jax.random.key(2), (128, 64), 4.56))
    y, seen = jax.jit(lambda core: core.observe(x, w, key=jax.random.key(3)))(core)
    code = 128 / (1.86 * 1023)
    expected, found = np.asarray(x @ w, np.float64) / code, np.asarray(y, np.float64) / code
    error = found - expected
    assert np.std(expected) == pytest.approx(8.08, rel=0.03)
    assert np.std(error) == pytest.approx(2.3, rel=0.15)
    assert float(seen.snr_db()) == pytest.approx(10.9, abs=1.0)
    assert float(seen.enob_full_scale()) == pytest.approx(8.0, abs=0.2)
    slopes = [np.polyfit(expected[:, j], found[:, j], 1) for j in range(64)]
    assert np.mean([slope for slope, _ in slopes]) == pytest.approx(0.834, abs=0.03)
    left = np.stack([found[:, j] - np.polyval(slopes[j], expected[:, j]) for j in range(64)])
    assert np.std(left) == pytest.approx(1.77, rel=0.15)


def test_pace_has_its_effective_bits():
    """Hua et al., Nature 640, 361 (2025): 7.61 effective bits on average over the outputs, against full scale."""
    core = optics.device("pace_2025")
    x, w = (
        jax.random.uniform(jax.random.key(k), s, minval=-1.0, maxval=1.0) for k, s in ((1, (4096, 64)), (2, (64, 64)))
    )
    _, seen = jax.jit(lambda core: core.observe(x, w, key=jax.random.key(3)))(core)
    assert float(seen.enob_full_scale()) == pytest.approx(7.6, abs=0.1)
    assert float(seen.snr_db()) < 6.02 * 7.6 + 1.76 - 10


def test_aoc_shows_its_crosstalk_and_contrast():
    """github.com/microsoft/aoc, 16-variable machine, means of both rails: a detector's light goes to the earlier
    neighbour by 1.74 % and to the later by 2.11 % of what stays, and a dark pixel passes 1 / 1.85 of a clear one."""
    core = optics.device("microsoft_aoc").replace({"effects": Effects.only("output_crosstalk", "extinction")})
    single, all_on = jnp.eye(16), jnp.ones((1, 16))
    y = np.asarray(core.matmul(single, single, key=jax.random.key(0)), np.float64)
    middle = y[2:-2, :] / np.diag(y)[2:-2, None]
    for row, values in enumerate(middle, start=2):
        assert values[row - 1] == pytest.approx((0.0323 + 0.0025) / 2, rel=0.01)
        assert values[row + 1] == pytest.approx((0.0266 + 0.0155) / 2, rel=0.01)
        # At the edges light is lost of the offset too, which nothing then makes up for.
        far = np.delete(values, [0, row - 1, row, row + 1, 15])
        assert np.abs(far).max() < 1e-5
    lone = core.replace({"encoding.weights": "offset", "effects.output_crosstalk": 0.0})
    light = [
        float(lone.observe(all_on, weight, key=jax.random.key(0))[1].detected)
        for weight in (jnp.ones((16, 16)), -jnp.ones((16, 16)))
    ]
    assert light[0] / light[1] == pytest.approx(1.85, rel=0.02)


def deit_tiny(p, patches):
    """Shapes of DeiT-T: 12 layers, 192 wide, 3 heads, 197 tokens, 1,000 classes."""

    def norm(v):
        return v / jnp.sqrt(jnp.mean(v**2, -1, keepdims=True))

    tokens = jnp.concatenate([p["class"], patches @ p["embed"]])
    for _ in range(12):
        qkv = jnp.split(norm(tokens) @ p["qkv"], 3, axis=1)
        q, k, v = (part.reshape(197, 3, 64).swapaxes(0, 1) for part in qkv)
        scores = jax.nn.softmax(jnp.einsum("hqd,hkd->hqk", q, k))
        mixed = jnp.einsum("hqk,hkd->hqd", scores, v).swapaxes(0, 1).reshape(197, 192)
        tokens = tokens + mixed @ p["project"]
        tokens = tokens + jax.nn.gelu(norm(tokens) @ p["up"]) @ p["down"]
    return norm(tokens)[:1] @ p["head"]


DEIT = {
    "class": (1, 192),
    "embed": (768, 192),
    "qkv": (192, 576),
    "project": (192, 192),
    "up": (192, 768),
    "down": (768, 192),
    "head": (192, 1000),
}


@pytest.mark.parametrize(("bits", "published"), [(4, 0.384e-3), (8, 1.205e-3)])
def test_dota_b_costs_what_its_authors_say(bits, published):
    """Lightening-Transformer (HPCA 2024), its hardware simulator on DeiT-T: 0.384 mJ at 4 bits, 1.205 mJ at 8.

    Line by line against the authors' own accounting (mJ at 4 / 8 bits), which differs in what it counts:
    operand 1 (DAC, modulator) 0.110 / 0.450, ours "mask write" without the products' padding to 12;
    operand 2 0.026 / 0.108, ours "DAC" and "laser bias"; laser 0.015 / 0.237; photodiodes and TIA 0.058 at both;
    ADC 0.014 / 0.028, ours at the survey's lower rate; memories and network 0.161 / 0.322, ours "weight fetch",
    "input movement", "output movement" and "partial sums": we fetch each operand per fill and they per buffer level;
    norms and softmax 0.0005, which our bill leaves out.
    """
    shapes = {name: SHAPE(shape, jnp.float32) for name, shape in DEIT.items()}
    sites = optics.trace(deit_tiny, policy=optics.everything)(shapes, SHAPE((196, 768), jnp.float32))
    bill = optics.price(optics.device(f"dota_b_{bits}bit"), sites)
    lines = {name: float(energy) * 1e3 for name, energy in bill.components.items()}
    assert float(bill.total) == pytest.approx(published, rel=0.25)
    moved = sum(lines[name] for name in ("weight fetch", "input movement", "output movement", "partial sums"))
    authors = {
        4: {"mask write": 0.1097, "laser light": 0.0148, "TIA": 0.0579, "ADC": 0.0141, "moved": 0.1606},
        8: {"mask write": 0.4505, "laser light": 0.2373, "TIA": 0.0579, "ADC": 0.0282, "moved": 0.3224},
    }[bits]
    for name, energy in authors.items():
        assert (moved if name == "moved" else lines[name]) == pytest.approx(energy, rel=0.35), name
    assert lines["DAC"] + lines["laser bias"] == pytest.approx({4: 0.0264, 8: 0.1085}[bits], rel=0.1)


def test_lumai_is_a_declared_assumption():
    """Of the vendor's figures the sources, the size and the target are all that is public."""
    for name, rows in (("lumai_nova", 1024), ("lumai_tetra", 2048)):
        assert optics.device(name).rows == rows
        constants = optics.constants_of(name)
        assert sum(constant.mark == "assumed" for constant in constants.values()) > 0.8 * len(constants)
