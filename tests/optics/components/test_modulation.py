"""Curves of light against drive, each against its formula, and what their inverse tables leave of them."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optics
from optics import LED, Effects, ElectroAbsorption, Encoding, Laser, MachZehnder, Straight

DRIVE = np.linspace(0, 1, 1001)


def above_threshold(u, threshold, rollover):
    v = np.maximum(u - threshold, 0) / (1 - threshold)
    return v * (1 - rollover * v) / (1 - rollover)


# Curve, its formula, and its slope in the drive by hand where it is smooth.
CURVES = {
    "straight": (Straight, {}, lambda u: u, lambda u: 1 + 0 * u),
    "laser": (
        Laser,
        {"threshold": 0.2, "rollover": 0.3},
        lambda u: above_threshold(u, 0.2, 0.3),
        lambda u: (1 - 2 * 0.3 * (u - 0.2) / 0.8) / 0.7 / 0.8,
    ),
    "led": (
        LED,
        {"quadratic": 0.4, "cubic": -0.1},
        lambda u: (u + 0.4 * u**2 - 0.1 * u**3) / 1.3,
        lambda u: (1 + 0.8 * u - 0.3 * u**2) / 1.3,
    ),
    "mach-zehnder": (
        MachZehnder,
        {"extinction_ratio": 100.0},
        lambda u: 0.01 + 0.99 * np.sin(np.pi * u / 2) ** 2,
        lambda u: 0.99 * np.pi / 2 * np.sin(np.pi * u),
    ),
    "electro-absorption": (
        ElectroAbsorption,
        {"extinction_ratio": 20.0},
        lambda u: 20.0 ** (u - 1),
        lambda u: np.log(20) * 20.0 ** (u - 1),
    ),
}


def made(name, entries=256, bias_error=0.0):
    kind, fields, law, slope = CURVES[name]
    return kind(**fields, entries=entries, bias_error=bias_error), law, slope


def f64(values):
    return np.asarray(values, np.float64)


@pytest.mark.parametrize("name", CURVES)
def test_curves_are_their_formulas(name):
    curve, law, slope = made(name)
    found = f64(curve.light(jnp.asarray(DRIVE, jnp.float32)))
    np.testing.assert_allclose(found, law(DRIVE), atol=1e-6)
    assert found[-1] == pytest.approx(1, abs=1e-6)
    # The slopes that the next tests use, against finite differences.
    inner = slice(250, -10)
    np.testing.assert_allclose(np.gradient(law(DRIVE), DRIVE)[inner], slope(DRIVE)[inner], atol=1e-4)


@pytest.mark.parametrize(
    "curve",
    [
        *(made(name)[0] for name in CURVES),
        *(Laser(threshold=t, rollover=r, bias_error=0.0) for t in (0.0, 0.99) for r in (0.0, 0.5)),
        *(LED(quadratic=a, cubic=b, bias_error=0.0) for a in (-0.35, 1.0) for b in (-0.1, 1.0)),
        *(kind(extinction_ratio=r, bias_error=0.0) for kind in (MachZehnder, ElectroAbsorption) for r in (1.01, 1e6)),
    ],
    ids=lambda curve: "-".join([type(curve).__name__, *(f"{float(n):g}" for n in curve.numbers().values())]),
)
def test_no_curve_that_can_be_made_falls(curve):
    """At the bounds of its numbers too: a table of a curve that falls has no inverse."""
    assert np.all(np.diff(f64(curve.light(jnp.asarray(DRIVE, jnp.float32)))) >= -1e-6)


@pytest.mark.parametrize("name", CURVES)
@pytest.mark.parametrize("entries", [2, 17, 256])
def test_linearised_light_is_exact_at_the_entries_of_the_table(name, entries):
    """What is wanted above the darkest light that the curve has; below it comes out as that."""
    curve, law, _ = made(name, entries)
    wanted = np.linspace(0, 1, entries)
    found = f64(curve.linearised(jnp.asarray(wanted, jnp.float32)))
    np.testing.assert_allclose(found, np.maximum(wanted, law(0.0)), atol=2e-5)


@pytest.mark.parametrize("name", CURVES)
def test_the_residual_falls_as_entries_grow(name):
    """Fourfold entries: a sixteenth for interpolation of a smooth inverse; a third where it starts vertically or bent.

    Against the interpolation of NumPy's own inverse of the formula.
    """
    largest = []
    for entries in (5, 20, 80):
        curve, law, _ = made(name, entries)
        fine = np.linspace(0, 1, 200_001)
        table = np.interp(np.linspace(0, 1, entries), law(fine), fine)
        truth = law(np.interp(DRIVE, np.linspace(0, 1, entries), table))
        found = f64(curve.linearised(jnp.asarray(DRIVE, jnp.float32)))
        np.testing.assert_allclose(found, truth, atol=1e-4)
        reachable = law(0.0) < DRIVE
        largest.append(np.max(np.abs(found - DRIVE)[reachable]))
    if name == "straight":
        assert max(largest) < 1e-6
    else:
        assert largest[0] > 3 * largest[1] > 9 * largest[2]


@pytest.mark.parametrize("name", CURVES)
@pytest.mark.parametrize("error", [-1e-3, 1e-3])
def test_a_moved_operating_point_shifts_light_by_slope_times_error(name, error):
    """light(u + d) - light(u) = slope x d, to the curvature's d^2 / 2; at the ends the drive can go no further."""
    curve, law, slope = made(name, bias_error=error)
    still, _, _ = made(name)
    wanted = np.linspace(0.3, 0.95, 100)
    shift = f64(curve.linearised(jnp.asarray(wanted, jnp.float32))) - f64(
        still.linearised(jnp.asarray(wanted, jnp.float32))
    )
    fine = np.linspace(0, 1, 200_001)
    drive = np.interp(wanted, law(fine), fine)
    np.testing.assert_allclose(shift, slope(drive) * error, rtol=0.02, atol=1e-5)
    assert float(curve.linearised(jnp.float32(1.0))) <= 1


def test_two_entries_show_the_curve_itself():
    """A table of dark and full drive is a straight line: light is wanted + a wanted^2 + ..., as it is uncorrected."""
    curve, law, _ = made("led", entries=2)
    np.testing.assert_allclose(curve.linearised(jnp.asarray(DRIVE, jnp.float32)), law(DRIVE), atol=1e-6)
    assert np.max(np.abs(law(DRIVE) - DRIVE)) > 0.04


def test_a_table_of_one_entry_is_refused():
    """It has no second point to interpolate to: all light would be that of its one entry, which is dark."""
    with pytest.raises(ValueError, match="entries"):
        Straight(bias_error=0.0, entries=1)


def test_a_modulator_is_no_darker_than_its_extinction_ratio():
    curve, _, _ = made("mach-zehnder", bias_error=-0.5)
    lowest = f64(curve.linearised(jnp.asarray(DRIVE, jnp.float32))).min()
    assert lowest == pytest.approx(0.01, abs=1e-6)


@pytest.mark.parametrize("inputs", ["rails", "slots"])
def test_inputs_of_zero_are_as_dark_as_the_modulator_can_be(inputs):
    """Contrast 10, 256 entries: every source or slot that is not lit still gives e = 0.1 of full light.

    Of a signed input u there remain max(|u|, e) from the one and e from the other: sign(u) (max(|u|, e) - e).
    """
    core = optics.today(rows=16, columns=4).replace(
        {
            "effects": Effects.only("linearisation"),
            "encoding": Encoding(inputs=inputs),
            "transfer": MachZehnder(extinction_ratio=10.0, bias_error=0.0),
        }
    )
    noise = np.random.default_rng(0)
    x, w = noise.uniform(-1, 1, (8, 16)), noise.uniform(-1, 1, (16, 4))
    x[:, 0], w[0], x[:, 3] = 1.0, 1.0, 0.0
    run = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})(
        lambda core, x, w: core.matmul(x, w, key=jax.random.key(0))
    )
    found = f64(run(core, x.astype(np.float32), w.astype(np.float32)))
    lit = np.sign(x) * (np.maximum(np.abs(x), 0.1) - 0.1)
    np.testing.assert_allclose(found, lit @ w, atol=0.01)
