"""Ablations: one compilation for all of them, figures of any shape, and sums that come out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optics
from optics import Effects

KEY = jax.random.key(0)
COMPILED = []
jax.monitoring.register_event_duration_secs_listener(
    lambda event, *_, **__: COMPILED.append(event) if event == "/jax/core/compile/backend_compile_duration" else None
)
NOISE = np.random.default_rng(1)
X = NOISE.normal(size=(512, 32)).astype(np.float32)
W = NOISE.normal(size=(32, 8)).astype(np.float32)
CORE = optics.today(rows=32, columns=8).replace({"effects": Effects.only("thermal", "stray_light", "adc_rounding")})
CORE = CORE.replace({"tia.noise_density": 1e-10, "adc.bits": 6.0, "adc.enob": 6.0})


def counted(cases):
    """The runs, with how much had been compiled before each."""
    counted.before = []
    for case in cases:
        counted.before.append(len(COMPILED))
        yield case


@pytest.fixture(scope="module")
def found():
    """Mean squared error of each column, in full products."""
    size = np.abs(X).max(axis=1, keepdims=True) * np.abs(W).max(axis=0)

    def figure(core):
        return jnp.mean(((core.matmul(X, W, key=KEY) - X @ W) / size) ** 2, axis=0)

    return optics.ablate(figure, CORE, progress=counted)


def test_the_figure_is_compiled_once(found):
    assert counted.before[1] > counted.before[0]
    assert set(counted.before[1:]) == {counted.before[1]}
    assert len(counted.before) == 2 + 2 * len(found.alone)


def test_what_acts_is_found_and_nothing_else(found):
    """Stray light makes shot noise alone, which is off here: two of the three act, by their closed forms.

    Amplifier: i_n^2 f / 2 in full products; ADC: a twelfth of its step squared. Five standard errors over 512 draws.
    """
    u, t = X / np.abs(X).max(axis=1, keepdims=True), W / np.abs(W).max(axis=0)
    rms = np.linalg.norm(u, axis=1, keepdims=True) * np.linalg.norm(t, axis=0) / np.sqrt(32)
    expected = {
        "thermal": np.full(8, (1e-10 / float(CORE.unit_current)) ** 2 * 1e9 / 2),
        "adc_rounding": np.mean(((1 + float(CORE.adc.loading) * rms) / 31) ** 2 / 12, axis=0),
    }
    for name, value in found.alone.items():
        assert value.shape == (8,)
        if name in expected:
            np.testing.assert_allclose(value, expected[name], rtol=5 * np.sqrt(2 / 512), err_msg=name)
        else:
            np.testing.assert_allclose(value, np.zeros(8), atol=1e-11, err_msg=name)
            np.testing.assert_array_equal(found.without[name], found.everything)
    for name, other in (("thermal", "adc_rounding"), ("adc_rounding", "thermal")):
        np.testing.assert_allclose(found.without[name], found.alone[other], rtol=1e-4)
    np.testing.assert_allclose(found.everything, sum(expected.values()), rtol=5 * np.sqrt(2 / 512))


def test_costs_are_what_is_added_alone_and_saved_by_removal():
    """The largest saving first; in a figure that is linear in its effects both are the same."""
    found = optics.ablate(
        lambda core: 1 + 3 * core.effects.shot + 5 * core.effects.rin,
        CORE.replace({"effects": Effects.uniform(1.0)}),
        groups_of={"light": ("shot",), "lasers": ("rin",), "both": ("shot", "rin")},
    )
    costs = found.costs()
    assert list(costs) == ["both", "lasers", "light"]
    assert costs == {"both": (8.0, 8.0), "lasers": (5.0, 5.0), "light": (3.0, 3.0)}
    assert (float(found.everything), float(found.nothing)) == (9.0, 1.0)


def test_a_calibrated_core_has_one_residual_in_place_of_its_parts():
    plain, calibrated = CORE, CORE.replace({"correction.output_gain": np.full(8, 1.01)})
    names = {field for field in plain.numbers() if field.startswith("effects.")}
    apart = optics.analysis.ablation.groups(plain)
    assert {f"effects.{name}" for name in apart} == names - {"effects.correction"}
    together = optics.analysis.ablation.groups(calibrated)
    merged = set(together["calibrated residual"])
    assert merged >= {"source_mismatch", "vignetting", "detector_mismatch", "adc_offset", "correction"}
    assert {f"effects.{e}" for group in together.values() for e in group} == names
    assert sum(len(group) for group in together.values()) == len(names)
