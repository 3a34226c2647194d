"""Calibration: of a device by probe vectors, and of the ranges of a function's sites on sample data."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optics
from optics import Effects

ROWS, COLUMNS = 64, 48


def device(**leaves) -> optics.TensorCore:
    core = optics.projected_2029(rows=ROWS, columns=COLUMNS, effective_bits=9.0)
    return core.replace({"mask.mismatch": 0.0, "mask.blur": 0.0, "drift.age": 0.0} | leaves)


@pytest.fixture(scope="module")
def calibrated():
    core = device(
        **{
            "source.gain_mismatch": 0.1,
            "detector.gain_mismatch": 0.05,
            "space.input_crosstalk_earlier": 0.02,
            "space.input_crosstalk_later": 0.03,
            "space.output_crosstalk_earlier": 0.04,
            "space.output_crosstalk_later": 0.05,
            "adc.offset_mismatch": 0.01,
        }
    )
    return core, optics.calibrate(core, key=jax.random.key(0), rounds=3, averages=16)


def test_calibration_under_x64_runs_in_float32():
    core = optics.today(rows=16, columns=8).replace({"device": 7, "source.gain_mismatch": 0.1})
    with jax.enable_x64(True):
        found = optics.calibrate(core, key=jax.random.key(1), rounds=1, averages=2)
    assert found.after < found.before / 2
    assert all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(found.core))


@pytest.mark.parametrize(("name", "value"), [("rounds", 0), ("rounds", 10**9), ("averages", 10**9), ("rounds", 1.5)])
def test_calibration_in_sizes_that_cannot_be_meant_is_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} = .* must be a whole number, at least 1 and at most"):
        optics.calibrate(optics.today(rows=8, columns=4), key=jax.random.key(0), **{name: value})


def test_calibration_finds_what_the_device_has(calibrated):
    """Crosstalk to 0.3 % of the light, levelled gains to 1 %, offsets to 0.1 % of full scale."""
    core, found = calibrated
    correction, made = found.core.correction, core.prepare().variation
    for name in (
        "input_crosstalk_earlier",
        "input_crosstalk_later",
        "output_crosstalk_earlier",
        "output_crosstalk_later",
    ):
        assert float(getattr(correction, name)) == pytest.approx(float(core.numbers()[f"space.{name}"]), abs=3e-3), name
    rows = np.asarray(made.source_gain * correction.input_gain)[:, 2:-2]
    assert np.std(rows) / np.mean(rows) < 0.01 < np.std(made.source_gain)
    columns = np.asarray(made.output_gain[0] * correction.output_gain)[2:-2]
    assert np.std(columns) / np.mean(columns) < 0.01 < np.std(made.output_gain)
    assert np.std(made.adc_offset[0] - correction.output_offset) < 1e-3 < np.std(made.adc_offset) / 5


def test_calibration_leaves_little_and_says_what_it_took(calibrated):
    core, found = calibrated
    assert found.before > 0.1
    assert found.after < found.before / 5
    assert found.vectors == 3 * 16 * 5 * ROWS
    assert found.seconds > found.vectors / float(core.clock)
    assert found.joules > 0
    x = jax.random.normal(jax.random.key(4), (32, 2 * ROWS))
    w = jax.random.normal(jax.random.key(5), (2 * ROWS, 2 * COLUMNS))
    errors = [float(jnp.std(c.matmul(x, w, key=jax.random.key(6)) - x @ w)) for c in (core, found.core)]
    assert errors[1] < errors[0] / 3


def test_a_calibrated_core_goes_to_a_file_and_back(calibrated, tmp_path):
    optics.serialise.save(calibrated[1].core, tmp_path / "core.toml")
    again = optics.serialise.load(tmp_path / "core.toml")
    for a, b in zip(jax.tree.leaves(again), jax.tree.leaves(calibrated[1].core), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_calibrated_core_is_attributed_with_its_correction(calibrated):
    names = optics.analysis.ablation.groups(calibrated[1].core)
    assert "calibrated residual" in names and "source_mismatch" not in names
    with pytest.raises(ValueError, match=r"correction.output_gain has shape \(48,\); this core needs .*\(32,\)"):
        dataclasses.replace(calibrated[1].core, columns=32)


@pytest.mark.parametrize("changes", [{"encoding.inputs": "offset"}, {"encoding.weight_slices": 2}])
def test_what_cannot_be_probed_is_refused(changes):
    with pytest.raises(ValueError, match="calibrate needs inputs on rails or in slots"):
        optics.calibrate(device(**changes), key=jax.random.key(0))


def forward(w, x):
    """Two sites inside a scan of three turns, one outside."""
    return jax.lax.scan(lambda x, turn: (jnp.tanh(x @ turn), x @ turn[:, :8]), x, w["turns"])[0] @ w["out"]


@pytest.fixture(scope="module")
def sample():
    # Columns of very different size: ranges made for all of them at once would not fit any.
    size = jnp.geomspace(0.05, 2.0, 32)
    turns = jax.random.normal(jax.random.key(1), (3, 32, 32)) / 5
    w = {"turns": turns, "out": jax.random.normal(jax.random.key(2), (32, 16)) / 5 + 0.3}
    return w, jax.random.normal(jax.random.key(3), (128, 32)) * size[None]


def test_ranges_are_fixed_at_each_site_and_turn(sample):
    core = optics.today(rows=64, columns=64)
    found = optics.fit_ranges(forward)(core, jax.random.key(0), *sample)
    assert {name: range.full_scale.shape for name, range in found.items()} == {
        "000 turns 32x32": (3, 32),
        "001 turns 32x8": (3, 8),
        "002 out 32x16": (16,),
    }
    run = jax.jit(optics.emulate(forward))
    y = run(optics.FixedRangeCore(core, found), jax.random.key(0), *sample)
    assert np.all(np.isfinite(y))
    stack = jax.tree.map(lambda *leaves: jnp.stack([jnp.asarray(leaf) for leaf in leaves]), core, core)
    both = jax.vmap(lambda core: run(optics.FixedRangeCore(core, found), jax.random.key(0), *sample))(stack)
    np.testing.assert_allclose(both[0], y, rtol=1e-3, atol=1e-2)


def test_measured_ranges_beat_those_of_the_norms_where_columns_add_up(sample):
    """Same ADC of 6 bits: the range that was seen loses less than 13 rms of uncorrelated terms."""
    w, x = sample
    core = optics.today(rows=64, columns=64).replace(
        {"effects": Effects.only("adc_rounding", "adc_clipping"), "adc.bits": 6.0, "adc.enob": 6.0}
    )

    def product(w, x):
        return x @ w

    found = optics.fit_ranges(product)(core, jax.random.key(0), w["out"], x)
    (range,) = found.values()
    seen = x / jnp.max(jnp.abs(x), axis=1, keepdims=True) @ (w["out"] / jnp.max(jnp.abs(w["out"]), axis=0)[None])
    np.testing.assert_allclose(range.full_scale, jnp.max(jnp.abs(seen), axis=0), rtol=1e-4)
    errors = [
        float(jnp.std(optics.emulate(product)(c, jax.random.key(0), w["out"], x) - x @ w["out"]))
        for c in (optics.FixedRangeCore(core, found), core)
    ]
    assert errors[0] < errors[1] / 2


def test_a_site_that_was_not_calibrated_is_refused(sample):
    core = optics.today(rows=64, columns=64)
    found = optics.fit_ranges(lambda w, x: x @ w["out"])(core, jax.random.key(0), *sample)
    with pytest.raises(ValueError, match="site '000 turns 32x32' has no calibrated range; there are: 000 out 32x16"):
        optics.emulate(forward)(optics.FixedRangeCore(core, found), jax.random.key(0), *sample)
    with pytest.raises(ValueError, match="run it through optics.emulate"):
        optics.FixedRangeCore(core, found).matmul(sample[1], sample[0]["out"], key=jax.random.key(0))
