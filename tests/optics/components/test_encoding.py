"""Every way to carry signs and bits gives the product, and is billed by hand: sources, pixels, conversions, time."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optics
from optics import Effects, Encoding

KEY = jax.random.key(0)
CHARGE, PLANCK, LIGHT = 1.602176634e-19, 6.62607015e-34, 299792458.0
INPUTS, WEIGHTS = ("rails", "slots", "offset", "unsigned"), ("rails", "offset", "unsigned")
SIGNS = tuple(itertools.product(INPUTS, WEIGHTS))

# input slices, weight slices, where the slices of a weight are, what full drive stands for
PLAIN = (1, 1, "planes", "vector")
ALL_SLICES = (PLAIN, (2, 1, "planes", "tile"), (1, 2, "passes", "vector"), (2, 2, "planes", "tile"))
# Each way of carrying signs in one slice, and some in several; the rest of the table is run by `make test-slow`.
SOME = (
    *((*signs, *PLAIN) for signs in SIGNS),
    ("slots", "rails", *ALL_SLICES[2]),
    ("offset", "offset", *ALL_SLICES[3]),
)
EVERY = tuple((*signs, *slices) for signs in SIGNS for slices in ALL_SLICES)
CASES = [
    pytest.param(case, marks=[] if case in SOME else [pytest.mark.slow], id="-".join(map(str, case))) for case in EVERY
]


# Half of LLVM's work is left undone: each encoding is compiled for a few milliseconds of running.
@partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
def multiply(core, x, w, key):
    return core.matmul(x, w, key=key)


def encoding(case) -> Encoding:
    names = ("inputs", "weights", "input_slices", "weight_slices", "weight_slices_over", "scales")
    return Encoding(**dict(zip(names, case, strict=True)))


VECTORS = 512


def operands(vectors=VECTORS, rows=300, columns=70):
    """Signed operands of unlike size: vectors over four decades, columns over two, one of each zero or constant."""
    noise = np.random.default_rng(1)
    x = noise.normal(size=(vectors, rows)) * 10.0 ** noise.uniform(-2, 2, (vectors, 1))
    w = noise.normal(size=(rows, columns)) * 10.0 ** noise.uniform(-1, 1, columns)
    x[3], w[:, 5], w[:, 6] = 0.0, 0.0, 0.7
    return x.astype(np.float32), w.astype(np.float32)


def relative(found, truth, x, w) -> float:
    """Largest error as a fraction of sum |x| |w|, the scale of float32's own error."""
    size = np.abs(x).astype(np.float64) @ np.abs(w)
    return float(np.max(np.abs(np.asarray(found, np.float64) - truth)[size > 0] / size[size > 0]))


def rounded(values, bits, slices, scales, axis, height=100):
    """To the nearest of 2**(bits slices) magnitudes between 0 and the largest of the vector, or of its tile's part."""
    levels = 2.0 ** (bits * slices) - 1
    values = np.moveaxis(values.astype(np.float64), axis, -1)
    parts = values.reshape(*values.shape[:-1], -1, height if scales == "tile" else values.shape[-1])
    top = np.abs(parts).max(axis=-1, keepdims=True)
    top = np.where(top > 0, top, 1.0)
    return np.moveaxis((np.round(parts / top * levels) / levels * top).reshape(values.shape), -1, axis)


@pytest.mark.parametrize("case", CASES)
def test_every_encoding_gives_the_product(case):
    """300 x 70 in tiles of 100 x 24 on 128 x 32, all effects off: x @ w, to what offsets leave of float32 digits.

    With both roundings on, s slices of 4 bits carry 2**(4 s) levels: x @ w of operands that NumPy rounded. Operands
    of offset encodings lie elsewhere between their levels: their error is bounded by half a step, on each row. Inputs
    for unsigned sources and weights for unsigned pixels are not negative.
    """
    (x, w), code = operands(), encoding(case)
    x = np.abs(x) if code.inputs == "unsigned" else x
    w = np.abs(w) if code.weights == "unsigned" else w
    core = optics.today(rows=128, columns=32).replace(
        {"effects": Effects.uniform(0.0), "encoding": code, "dac.bits": 4, "dac.enob": 4, "mask.bits": 4}
    )
    # An offset adds terms as large as sum |x| max |w|, a few times the product's own, and the digits carry that.
    assert relative(multiply(core, x, w, KEY), x.astype(np.float64) @ w, x, w) < 1e-5
    found = multiply(core.replace({"effects": Effects.only("dac_rounding", "weight_rounding")}), x, w, KEY)
    if "offset" not in (code.inputs, code.weights):
        truth = rounded(x, 4, code.input_slices, code.scales, 1) @ rounded(w, 4, code.weight_slices, code.scales, 0)
        # Few of the products lie at a tie, which float32 and float64 may round to either side.
        wrong = np.abs(np.asarray(found, np.float64) - truth) > 1e-4 * (np.abs(x) @ np.abs(w)) + 1e-30
        assert wrong.mean() < 0.02
    steps = [
        np.abs(operand).astype(np.float64).max(axis=axis) / (2.0 ** (4 * slices) - 1) * (1 if way == "offset" else 0.5)
        for operand, axis, slices, way in (
            (x, 1, code.input_slices, code.inputs),
            (w, 0, code.weight_slices, code.weights),
        )
    ]
    bound = np.outer(steps[0], np.abs(w).sum(axis=0)) + np.outer(np.abs(x).sum(axis=1), steps[1])
    error = np.abs(np.asarray(found, np.float64) - x.astype(np.float64) @ w)
    assert np.all(error <= 1.01 * bound + 300 * np.outer(*steps) + 1e-5 * (np.abs(x) @ np.abs(w)))
    assert error.max() > 0


def electrons(core) -> float:
    """Photo-electrons of x = 1 through a clear pixel, by hand for one source over 2 or 1 pixels of each column."""
    code = core.encoding
    loss = 10 ** (-float(core.space.fan_out_loss_db + core.mask.loss_db + core.space.fan_in_loss_db) / 10)
    planes = code.weight_slices if code.weight_slices_over == "planes" else 1
    ways = (2 if code.weights == "rails" else 1) * planes * core.columns
    energy = PLANCK * LIGHT / float(core.source.wavelength)
    return float(core.detector.quantum_efficiency) * float(core.source.power) * loss / ways / energy / float(core.clock)


# All the light at the diodes of an output, for inputs u and weights t within [-1, 1] and p through a dark pixel, by
# hand: of two rails one shines with |u|, of two pixels one passes |t|, and both p; one source alone gives (1 + u) / 2,
# one pixel alone (1 + t) / 2 + p, or t + p of an unsigned weight. The digital sum is scaled by 2 for each offset, and
# its variance by 4.
ALL_THE_LIGHT = {
    ("rails", "rails"): lambda u, t, p: np.abs(u) @ (np.abs(t) + 2 * p),
    ("slots", "rails"): lambda u, t, p: np.abs(u) @ (np.abs(t) + 2 * p),
    ("offset", "rails"): lambda u, t, p: 4 * ((1 + u) / 2) @ (np.abs(t) + 2 * p),
    ("unsigned", "rails"): lambda u, t, p: u @ (np.abs(t) + 2 * p),
    ("rails", "offset"): lambda u, t, p: 4 * np.abs(u) @ ((1 + t) / 2 + p),
    ("slots", "offset"): lambda u, t, p: 4 * np.abs(u) @ ((1 + t) / 2 + p),
    ("offset", "offset"): lambda u, t, p: 16 * ((1 + u) / 2) @ ((1 + t) / 2 + p),
    ("unsigned", "offset"): lambda u, t, p: 4 * u @ ((1 + t) / 2 + p),
    ("rails", "unsigned"): lambda u, t, p: np.abs(u) @ (t + p),
    ("slots", "unsigned"): lambda u, t, p: np.abs(u) @ (t + p),
    ("offset", "unsigned"): lambda u, t, p: 4 * ((1 + u) / 2) @ (t + p),
    ("unsigned", "unsigned"): lambda u, t, p: u @ (t + p),
}


@pytest.mark.parametrize("signs", SIGNS, ids="-".join)
def test_pedestals_are_subtracted_and_their_shot_noise_stays(signs):
    """Pixels dark at 1/10 of clear, and stray light: the mean is x @ w, the variance that of all the light.

    One number, the variance over VECTORS x 70 outputs relative to the law's: its standard error is sqrt(2 / n), and
    five of them fail below 1e-6 of the time. The mean of an output has a standard error of its own, six of them.
    """
    noise = np.random.default_rng(2)
    u, t = noise.uniform(-1, 1, 300), noise.uniform(-1, 1, (300, 70))
    u[0], t[0] = 1.0, 1.0
    u = np.abs(u) if signs[0] == "unsigned" else u
    t = np.abs(t) if signs[1] == "unsigned" else t
    core = optics.today(rows=128, columns=32).replace(
        {
            "effects": Effects.only("shot", "extinction", "stray_light"),
            "encoding": Encoding(**dict(zip(("inputs", "weights"), signs, strict=True))),
            "mask.extinction_ratio": 10.0,
            "mask.bits": 4,
            "dac.bits": 4,
            "dac.enob": 4,
            "space.stray_light": 0.05,
            "detector.dark_current": 0.0,
            "source.power": 1e-6,
        }
    )
    x = np.tile(u.astype(np.float32), (VECTORS, 1)) * np.float32(3)
    found = np.asarray(multiply(core, x, t.astype(np.float32), KEY), np.float64) / 3
    # Modulated light of a clear pixel: 9/10 of it; a dark pixel gives 1/9 of that.
    variance = ALL_THE_LIGHT[signs](u, t, 1 / 9 + 0.05) / (electrons(core) * 0.9)
    assert np.mean(found.var(axis=0, ddof=1) / variance) == pytest.approx(1, abs=5 * np.sqrt(2 / found.size))
    assert np.all(np.abs(found.mean(axis=0) - u @ t) < 6 * np.sqrt(variance / VECTORS) + 1e-3)


def test_slots_have_no_negative_light():
    """An input corrected for its neighbours' crosstalk cannot go below dark where it has but one source.

    One bright input of a tile, measured shares of 10 % to either side: the inverse of that matrix asks its neighbours
    for less than no light, which is none, and of it for more than full drive, which is all; places 2 away get 1.5 %.
    The correction takes steps that leave an error of fourth order, (4 x 0.1)^4 / 4.
    """
    core = optics.today(rows=128, columns=32).replace(
        {
            "effects": Effects.only("correction", "dac_clipping"),
            "encoding": Encoding(inputs="slots"),
            "correction.input_crosstalk_earlier": 0.1,
            "correction.input_crosstalk_later": 0.1,
        }
    )
    x, w = np.zeros((VECTORS, 300), np.float32), np.ones((300, 70), np.float32)
    x[:, 20], w[19], w[21] = 1.0, -4.0, -4.0
    w = w / 4
    leaking = 0.8 * np.eye(100) + 0.1 * np.eye(100, k=1) + 0.1 * np.eye(100, k=-1)
    lit = np.clip(np.linalg.inv(leaking)[20], 0, 1)
    np.testing.assert_allclose(multiply(core, x, w, KEY), np.full((VECTORS, 70), lit @ w[:100, 0]), atol=6e-3)
    assert lit[19] == lit[21] == 0


@pytest.mark.parametrize("weights", ("rails", "offset"))
def test_unsigned_inputs_lose_what_is_negative(weights):
    """A source gives no negative light: the product of max(x, 0), and of a vector without positive inputs nothing."""
    x, w = operands()
    x[7] = -np.abs(x[7])
    core = optics.today(rows=128, columns=32).replace(
        {
            "effects": Effects.uniform(0.0),
            "encoding": Encoding(inputs="unsigned", weights=weights),
            "dac.bits": 4,
            "dac.enob": 4,
        }
    )
    found = multiply(core.replace({"mask.bits": 4}), x, w, KEY)
    kept = np.maximum(x, 0).astype(np.float64)
    assert relative(found, kept @ w, x, w) < 1e-5
    # What offsets leave of float32 digits, where the truth is nothing.
    assert np.max(np.abs(found[7]) / (np.abs(x[7]) @ np.abs(w) + 1e-30)) < 1e-5
    assert relative(found, x.astype(np.float64) @ w, x, w) > 0.1


@pytest.mark.parametrize("inputs", ("rails", "unsigned"))
def test_unsigned_weights_lose_what_is_negative(inputs):
    """A pixel passes no negative light: the product with max(w, 0), whose largest sets the scale of a column."""
    x, w = operands()
    x = np.abs(x) if inputs == "unsigned" else x
    w[:, 7] = -np.abs(w[:, 7])
    core = optics.today(rows=128, columns=32).replace(
        {
            "effects": Effects.only("extinction"),
            "encoding": Encoding(inputs=inputs, weights="unsigned"),
            "mask.bits": 4,
            "dac.bits": 4,
            "dac.enob": 4,
        }
    )
    found = multiply(core, x, w, KEY)
    assert relative(found, x.astype(np.float64) @ np.maximum(w, 0), x, w) < 1e-5
    assert np.all(found[:, 7] == 0)


def test_unsigned_sums_on_one_pixel_grow_as_their_number_and_do_not_clip():
    """All terms x (1 + w) / 2 have one sign: 100 of them reach 25 where uncorrelated ones of their size reach 3.5.

    Loaded to four times that rms a receiver that did not know the mean would clip nearly all of them at 15.
    """
    noise = np.random.default_rng(5)
    x = noise.uniform(0, 1, (VECTORS, 300)).astype(np.float32)
    w = noise.uniform(-1, 1, (300, 70)).astype(np.float32)
    core = optics.today(rows=128, columns=32).replace(
        {
            "effects": Effects.only("adc_clipping"),
            "encoding": Encoding(inputs="unsigned", weights="offset"),
            "adc.loading": 4.0,
            "dac.bits": 4,
            "dac.enob": 4,
            "mask.bits": 4,
        }
    )
    assert relative(multiply(core, x, w, KEY), x.astype(np.float64) @ w, x, w) < 1e-4


@pytest.mark.parametrize(("inputs", "weights"), [("rails", "offset"), ("offset", "rails"), ("offset", "offset")])
def test_the_range_has_a_place_for_what_an_offset_adds(inputs, weights):
    """What clips is what is beyond 1 + N |mean mean| + loading rms sqrt(N) of the codes about their means.

    Operands have means, so that with an offset a sum is far beyond four of the rms that random signs would give.
    """
    draw = np.random.default_rng(3)
    x, w = draw.normal(0.7, 1.0, (VECTORS, 128)), draw.normal(0.4, 1.0, (128, 64))
    x, w = x.astype(np.float32), w.astype(np.float32)
    core = optics.ideal(optics.today(rows=128, columns=64)).replace(
        {"encoding": Encoding(inputs=inputs, weights=weights)}
    )
    sent = x.astype(np.float64) / np.abs(x).max(axis=1, keepdims=True)
    shown = w.astype(np.float64) / np.abs(w).max(axis=0)
    sent = (1 + sent) / 2 if inputs == "offset" else sent
    shown = (1 + shown) / 2 if weights == "offset" else shown
    means = 128 * np.abs(sent.mean(axis=1, keepdims=True) * shown.mean(axis=0))
    spread = np.sqrt(128) * sent.std(axis=1, keepdims=True) * shown.std(axis=0)

    def clip_rate(loading, gain):
        _, seen = core.replace({"adc.loading": loading, "adc.gain": gain}).observe(x, w, key=KEY)
        return float(seen.clip_rate())

    for loading in (0.01, 0.5):
        room = (1 + means + loading * spread) / np.abs(sent @ shown)
        # A gain at which a tenth clips.
        assert clip_rate(loading, np.quantile(room, 0.1)) == pytest.approx(0.1, abs=1e-3)
    assert clip_rate(5.0, 1.0) == 0


SITE = optics.trace(lambda w, x: x @ w)(
    jax.ShapeDtypeStruct((100, 50), jnp.float32), jax.ShapeDtypeStruct((8, 100), jnp.float32)
)


def bill(**changes):
    """A 100 x 50 product of 8 vectors on a 64 x 32 core: two row tiles, two column tiles, two fills of the mask."""
    core = optics.today(rows=64, columns=32).replace(
        {
            "vectors_per_load": 4.0,
            "mask.settle_time": 0.5e-6,
            "upkeep.probes": 0.0,
            "source.mean_drive": 0.2,
            "encoding": Encoding(**changes),
        }
    )
    return core, optics.price(core, SITE)


@pytest.mark.parametrize("case", EVERY, ids=lambda case: "-".join(map(str, case)))
def test_the_bill_by_hand(case):
    """Symbols: two a vector for slots, one for each input slice and each pass; conversions also for each plane."""
    inputs, weights, input_slices, weight_slices, over, _ = case
    code = encoding(case)
    core, found = bill(
        **{
            name: getattr(code, name)
            for name in ("inputs", "weights", "input_slices", "weight_slices", "weight_slices_over", "scales")
        }
    )
    slots, sources, pixels = 1 + (inputs == "slots"), 1 + (inputs == "rails"), 1 + (weights == "rails")
    passes = weight_slices if over == "passes" else 1
    planes = weight_slices if over == "planes" else 1
    symbols = slots * input_slices * passes
    bright = 0.5 if inputs == "offset" else 0.2
    # A sign has a bit of its own; an offset has none.
    operand, weight = 8 * input_slices + (inputs in ("rails", "slots")), 8 * weight_slices + (weights == "rails")
    conversions = 8 * 50 * 2 * symbols * planes
    by_hand = {
        "DAC": 8 * 100 * 2 * symbols * float(core.dac.energy(1e9)),
        "laser light": 8 * 100 * 2 * passes * (bright + 0.5 * (input_slices - 1)) * float(core.source.power) / 0.25e9,
        "laser bias": 8 * 100 * 2 * symbols * sources * 0.9e-3 / 1e9,
        "TIA": conversions * 3e-3 / 1e9,
        "ADC": conversions * float(core.adc.energy(1e9)),
        "input movement": 8 * 100 * 2 * (operand * (0.12e-12 + 5 * 0.08e-12) + 0.2e-12),
        "output movement": conversions * (10 * 5 * 0.08e-12 + 0.2e-12),
        "weight fetch": 2 * 100 * 50 * weight * 3.9e-12,
        "mask write": 2 * 100 * 50 * sources * pixels * weight_slices * 1.25e-12,
        "idle at reload": 2 * passes * 1.5e-6 * (100 * 2 * sources * 0.9e-3 + 50 * 2 * planes * 3e-3),
        "calibration": 0.0,
    }
    for name, energy in by_hand.items():
        assert float(found.components[name]) == pytest.approx(energy, rel=1e-4, abs=0), name
    assert float(found.core_seconds) == pytest.approx(4 * (8 * symbols * 1e-9 + 2 * passes * 1.5e-6), rel=1e-5)
    assert float(found.loads) == 4 * 2 * passes


def test_slots_double_and_offsets_halve():
    (_, rails), (_, slots), (_, offset) = bill(), bill(inputs="slots"), bill(weights="offset")
    ratio = {name: float(slots.components[name] / rails.components[name]) for name in ("DAC", "TIA", "ADC")}
    assert ratio == pytest.approx({"DAC": 2.0, "TIA": 2.0, "ADC": 2.0}, rel=1e-5)
    halved = float(offset.components["mask write"] / rails.components["mask write"])
    assert halved == pytest.approx(0.5, rel=1e-5)
    # The waiting for two loads of each of four tiles is the same; the symbols take twice the time.
    waiting = 4 * 2 * 1.5e-6
    assert float(slots.core_seconds) - waiting == pytest.approx(2 * (float(rails.core_seconds) - waiting), rel=1e-3)


def test_unsigned_inputs_take_one_source_and_one_symbol():
    """Half the lasers and pixels of rails and half the symbols of slots; what else a symbol takes is the same."""
    (core, unsigned), (_, rails), (_, slots) = bill(inputs="unsigned"), bill(), bill(inputs="slots")
    assert (core.encoding.sources, core.encoding.symbols, core.encoding.conversions) == (1, 1, 1)
    against_rails = {"laser bias": 0.5, "mask write": 0.5, "DAC": 1, "laser light": 1, "TIA": 1, "ADC": 1}
    against_slots = {"laser bias": 0.5, "mask write": 1, "DAC": 0.5, "laser light": 1, "TIA": 0.5, "ADC": 0.5}
    for other, ratios in ((rails, against_rails), (slots, against_slots)):
        found = {name: float(unsigned.components[name] / other.components[name]) for name in ratios}
        assert found == pytest.approx(ratios, rel=1e-5)
    assert float(unsigned.core_seconds) == pytest.approx(float(rails.core_seconds), rel=1e-6)


def test_unsigned_weights_take_one_pixel():
    """Half the pixels of rails and one bit fewer of each weight; light, conversions and time are the same."""
    (core, unsigned), (_, rails) = bill(weights="unsigned"), bill()
    assert (core.encoding.pixels, core.encoding.conversions) == (1, 1)
    ratios = {"mask write": 0.5, "weight fetch": 8 / 9, "DAC": 1, "laser light": 1, "TIA": 1, "ADC": 1}
    found = {name: float(unsigned.components[name] / rails.components[name]) for name in ratios}
    assert found == pytest.approx(ratios, rel=1e-5)
    assert float(unsigned.core_seconds) == pytest.approx(float(rails.core_seconds), rel=1e-6)


def test_slices_multiply_conversions_in_space_or_in_time():
    """Planes and passes convert alike; planes take no longer and share the light, passes take the time and keep it."""
    (core, plain), (wide_core, wide) = bill(), bill(weight_slices=2)
    long_core, long = bill(weight_slices=2, weight_slices_over="passes")
    for found in (wide, long):
        assert float(found.components["ADC"] / plain.components["ADC"]) == pytest.approx(2, rel=1e-5)
    assert float(wide.core_seconds) == pytest.approx(float(plain.core_seconds), rel=1e-6)
    assert float(long.core_seconds) == pytest.approx(2 * float(plain.core_seconds), rel=1e-5)
    # Of the light through a clear pixel 1 / 100 is not modulated.
    for each in (core, wide_core, long_core):
        assert float(each.electrons) == pytest.approx(0.99 * electrons(each), rel=1e-4)
    assert electrons(wide_core) == pytest.approx(electrons(core) / 2) and electrons(long_core) == electrons(core)
