"""The light that a precision asks for, put back into the equations it was to solve, in float64."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optics
from optics.datapath.diagnostics import total

CHARGE, PLANCK, SPEED = 1.602176634e-19, 6.62607015e-34, 299792458.0
SCENARIOS = ("today", "projected_2029", "physical_limit")
# Moments of a Gaussian cut at four sigma, as a fraction of full scale: rms 1 / 4, mean magnitude sqrt(2 / pi) / 4.
RMS, MEAN = 0.25, 0.2


def passed(core) -> float:
    """Photo-electrons per photon that leaves a source."""
    loss_db = float(core.space.fan_out_loss_db) + float(core.mask.loss_db) + float(core.space.fan_in_loss_db)
    return float(core.detector.quantum_efficiency) * 10 ** (-loss_db / 10)


def electrons(core) -> float:
    """Of x = 1 through one clear pixel: a source's light is shared by two pixels of every column."""
    photons = float(core.source.power) / (PLANCK * SPEED / float(core.source.wavelength)) / float(core.clock)
    return photons / (2 * core.columns) * passed(core)


def thermal(core) -> float:
    """Variance of the amplifier's noise in a symbol, in electrons squared: i_n^2 f / 2 over (q f)^2."""
    return float(core.tia.noise_density) ** 2 / (2 * float(core.clock) * CHARGE**2)


def signal_to_noise(bits) -> float:
    return 10 ** ((6.02 * bits - 7.27) / 10)


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize(("bits", "rows", "columns"), [(3.0, 64, 2048), (7.0, 1024, 1024), (10.5, 2048, 32)])
def test_shot_and_thermal_noise_give_the_ratio_that_was_asked_for(name, bits, rows, columns):
    """SNR = n^2 N x_rms^2 w_rms^2 / (n N E|x| E|w| + i_n^2 / (2 f q^2)) = 6.02 b - 7.27 dB, n read off the power."""
    core = optics.with_effective_bits(optics.preset(name, rows=rows, columns=columns), bits)
    n = electrons(core)
    found = n**2 * rows * RMS**4 / (n * rows * MEAN**2 + thermal(core))
    assert found == pytest.approx(signal_to_noise(bits), rel=1e-4)
    # Between a clear and a dark pixel, of 1 / ER of it, lies a little less than all.
    assert float(core.electrons) == pytest.approx(n * (1 - 1 / float(core.mask.extinction_ratio)), rel=1e-4)


def test_shot_noise_alone_asks_for_as_many_electrons_on_any_core():
    """n = SNR E|x| E|w| / (x_rms w_rms)^2 = 10.24 SNR, whatever the rows and the clock."""
    for rows, columns, clock in ((32, 64, 1e8), (1024, 1024, 1e9), (2048, 16, 5e9)):
        core = optics.today(rows=rows, columns=columns).replace({"tia.noise_density": 0.0, "clock": clock})
        assert electrons(optics.with_effective_bits(core, 6.0)) == pytest.approx(10.24 * signal_to_noise(6), rel=1e-4)


def test_an_amplifier_alone_asks_for_the_root_of_the_ratio():
    """n = sqrt(SNR / N) i_n / (q sqrt(2 f)) / (x_rms w_rms) where its noise is a thousand times a real one's."""
    core = optics.today(rows=256, columns=64).replace({"tia.noise_density": 5e-9})
    by_hand = math.sqrt(signal_to_noise(6) / 256) * 5e-9 / (CHARGE * math.sqrt(2e9)) / RMS**2
    assert electrons(optics.with_effective_bits(core, 6.0)) == pytest.approx(by_hand, rel=0.01)


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("bits", [6.0, 8.5])
def test_a_preset_is_lit_for_its_effective_bits(name, bits):
    """Whatever its light was before."""
    made = optics.preset(name, rows=128, columns=64, effective_bits=bits)
    again = optics.with_effective_bits(optics.preset(name, rows=128, columns=64).replace({"source.power": 3.0}), bits)
    assert float(again.source.power) == pytest.approx(float(made.source.power), rel=1e-6)


@pytest.mark.parametrize(
    ("name", "bits", "limit"),
    [
        ("today", 8.0, "thermal"),
        ("today", 10.0, "shot"),
        ("projected_2029", 7.0, "thermal"),
        ("projected_2029", 8.0, "shot"),
    ],
)
@pytest.mark.parametrize("size", [1024, 2048])
def test_light_against_full_scale_by_hand(name, bits, limit, size):
    """E = max(2 q SNR / R, sqrt(SNR) i_n / (sqrt(f) R)), SNR = 1.5 4^b, R = 1 A/W; E / (0.2 T QE N) a MAC.

    Compared to the laser line of a bill of full tiles, which is that light over the wall-plug efficiency.
    """
    core = optics.with_effective_bits(optics.preset(name, rows=size, columns=size), bits, against="full scale")
    ratio = 1.5 * 4**bits
    energies = {
        "shot": 2 * CHARGE * ratio / 1.0,
        "thermal": math.sqrt(ratio) * float(core.tia.noise_density) / (math.sqrt(1e9) * 1.0),
    }
    assert max(energies, key=energies.get) == limit
    by_hand = energies[limit] / (0.2 * passed(core) * size)
    shapes = (jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((2 * size, size), (64, 2 * size)))
    bill = optics.price(core.replace({"source.mean_drive": 0.2}), optics.trace(lambda w, x: x @ w)(*shapes))
    laser = float(bill.components["laser light"]) / bill.macs
    # Without `abs=0` all that is below 1e-12 would do.
    assert laser * float(core.source.wall_plug_efficiency) == pytest.approx(by_hand, rel=1e-4, abs=0)


def test_eight_bits_against_the_product_take_fifty_times_the_light():
    """Today's parts on 1,024 x 1,024, fJ of light a MAC by hand.

    Full scale: sqrt(1.5 x 4^8) x 5 pA/sqrt(Hz) / sqrt(1 GHz) = 49.6 fJ over 0.2 x 0.85 x 0.30 x 1,024, 0.95. Product:
    10.24 x 10^4.089 = 125.7 thousand photo-electrons, 136.7 where the amplifier adds the shot noise of
    487,000 / (1,024 x 0.04), each of 0.234 aJ over 0.85 x 0.30, two pixels a weight, 0.2 driven: 50.
    """
    core = optics.today()
    for against, femtojoule in (("full scale", 0.95), ("product", 50.1)):
        power = float(optics.with_effective_bits(core, 8.0, against=against).source.power)
        assert power * 0.2 / 1e9 / 1024 == pytest.approx(femtojoule * 1e-15, rel=0.01, abs=0)


@pytest.mark.parametrize("against", ["product", "full scale"])
def test_bits_may_be_mapped(against):
    core, bits = optics.today(rows=256, columns=128), jnp.linspace(4.0, 11.0, 8)

    def power(bits):
        return optics.with_effective_bits(core, bits, against=against).source.power

    np.testing.assert_allclose(jax.jit(jax.vmap(power))(bits), [float(power(float(b))) for b in bits], rtol=1e-5)


@pytest.mark.parametrize("against", ["product", "full scale"])
@pytest.mark.parametrize(
    ("field", "at", "step"),
    [("bits", 9.5, 0.05), ("space.fan_out_loss_db", 1.5, 0.05), ("tia.noise_density", 5e-12, 5e-13)],
)
def test_slopes_are_finite_differences(against, field, at, step):
    """Light of 9.5 bits against full scale is shot noise's: no slope towards the amplifier."""
    core = optics.today(rows=256, columns=128)

    def power(value):
        changed = core if field == "bits" else core.replace({field: value})
        return optics.with_effective_bits(changed, value if field == "bits" else 9.5, against=against).source.power

    difference = (float(power(at + step)) - float(power(at - step))) / (2 * step)
    # The second-order term of the widest step, (0.07 of an octave)^2 / 6, and float32 over the step.
    assert float(jax.grad(power)(jnp.float32(at))) == pytest.approx(
        difference, rel=5e-3, abs=1e-5 * float(power(at)) / at
    )


def test_slopes_in_closed_form():
    """Shot noise alone: P goes as 10^(0.602 b) against the product, as 4^b against full scale, as 10^(loss / 10)."""
    core = optics.today(rows=256, columns=128).replace({"tia.noise_density": 0.0})
    for against, rate in (("product", 0.602 * math.log(10)), ("full scale", 2 * math.log(2))):
        power, slope = jax.value_and_grad(
            lambda b, r=against: optics.with_effective_bits(core, b, against=r).source.power
        )(7.0)
        assert float(slope / power) == pytest.approx(rate, rel=1e-4)

        def at_loss(loss, reference=against):
            return optics.with_effective_bits(core.replace({"mask.loss_db": loss}), 7.0, against=reference).source.power

        power, slope = jax.value_and_grad(at_loss)(2.0)
        assert float(slope / power) == pytest.approx(math.log(10) / 10, rel=1e-4)


def test_an_unknown_reference_is_refused():
    with pytest.raises(ValueError, match=r"^against = 'fullscale' is no reference; did you mean 'full scale'\?$"):
        optics.with_effective_bits(optics.today(), 8.0, against="fullscale")
    with pytest.raises(ValueError, match=r"^against = 'x' is no reference; there are: full scale, product$"):
        optics.with_effective_bits(optics.today(), 8.0, against="x")


def test_photons_per_mac_are_those_that_an_emulation_counts():
    core = optics.with_effective_bits(optics.projected_2029(rows=64, columns=32), 6.0).replace(
        {"effects": optics.Effects.uniform(0.0), "source.mean_drive": 0.5}
    )
    x = np.full((8, 64), 0.5, np.float32)
    x[:, 0] = 1.0
    for bright in (core, optics.with_photons_per_mac(core, 12.5)):
        _, seen = bright.observe(x, np.eye(64, 32, dtype=np.float32), key=jax.random.key(0))
        counted = float(seen.launched_per_mac()) * 0.5 / float(seen.mean_drive())
        assert float(optics.photons_per_mac(bright)) == pytest.approx(counted, rel=1e-3)
    assert float(optics.photons_per_mac(optics.with_photons_per_mac(core, 12.5))) == pytest.approx(12.5)


def test_the_full_well_grows_with_more_photons_and_does_not_shrink_with_fewer():
    core = optics.projected_2029()
    photons = float(optics.photons_per_mac(core))
    well = float(core.tia.full_well)
    assert float(optics.with_photons_per_mac(core, 4 * photons).tia.full_well) == pytest.approx(4 * well, abs=0)
    assert float(optics.with_photons_per_mac(core, photons / 4).tia.full_well) == pytest.approx(well, abs=0)


@pytest.mark.parametrize(
    "encoding",
    [{}, {"inputs": "offset"}, {"inputs": "unsigned", "scales": "tile"}],
)
def test_photons_of_readings_are_those_that_were_launched(encoding):
    """Two layers of other brightness and size: their mean over MACs gives the photons launched per MAC of both.

    Sources are exact, so that what is launched is what was asked for. Offset inputs as often negative as positive
    launch half of full drive, whatever their magnitudes: the mean of (1 + x) / 2 over 2,560 of them is within 0.5 %.
    """
    core = optics.ideal(optics.today(rows=64, columns=32)).replace(
        {f"encoding.{name}": value for name, value in encoding.items()}
    )

    def forward(params, x):
        return (x @ params["in"]) ** 3 @ params["out"]

    keys = jax.random.split(jax.random.key(0), 3)
    params = {"in": jax.random.normal(keys[0], (96, 64)), "out": jax.random.normal(keys[1], (64, 16))}
    x = jax.random.normal(keys[2], (16, 96))
    run = optics.emulate(forward, diagnostics=True)
    _, seen = run(core, jax.random.key(1), params, x)
    launched = float(total(list(seen.values())).launched_per_mac())
    assert float(optics.photons_per_mac(core, seen)) == pytest.approx(launched, rel=0.01)
    bright = optics.with_photons_per_mac(core, 300.0, seen)
    _, again = run(bright, jax.random.key(1), params, x)
    assert float(total(list(again.values())).launched_per_mac()) == pytest.approx(300.0, rel=0.01)


def test_a_mean_drive_needs_readings():
    with pytest.raises(ValueError, match="no readings"):
        optics.measured_drive({})


def test_light_against_full_scale_does_not_follow_the_billed_drive():
    """It is sized for Gaussian inputs, as most papers count, whatever a model's are."""
    powers = [
        float(
            optics.with_effective_bits(
                optics.today().replace({"source.mean_drive": d}), 8.0, against="full scale"
            ).source.power
        )
        for d in (0.05, 0.2)
    ]
    assert powers[0] == powers[1]
