"""Correction of single pixels: against closed forms of what noise and rounding leave, and a NumPy loop."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optics
from optics import Effects
from optics.analysis.device_fit import fit_pixels
from optics.components.correction import Correction

ROWS, COLUMNS, SPREAD = 24, 20, 0.1
KEY = jax.random.key(0)


def device(*effects: str, **leaves) -> optics.TensorCore:
    changes = {"device": 5, "mask.mismatch": SPREAD, "effects": Effects.only("mask_mismatch", "correction", *effects)}
    return optics.today(rows=ROWS, columns=COLUMNS).replace(changes | leaves)


def undone(core: optics.TensorCore) -> optics.TensorCore:
    """The core with the true gains of its pixels undone."""
    return core.replace({"correction.pixel_gain": 1 / core.prepare().variation.pixel_gain})


def pixels_as_shown(core: optics.TensorCore) -> np.ndarray:
    """What each pixel shows of a weight, with all corrections of gains, [2, rows, columns]."""
    made, correction = jax.device_get(core.prepare().variation), core.correction
    rows = np.mean(made.source_gain * np.asarray(correction.input_gain), axis=0)[:, None]
    return made.pixel_gain * np.asarray(correction.pixel_gain) * rows * np.asarray(correction.output_gain)


@pytest.mark.parametrize("probes", ["single", "hadamard"])
def test_pixels_without_noise_are_found_exactly(probes):
    """A round before knows nothing of pixels, and takes their means for gains of rows and columns."""
    core = device(**{"encoding.inputs": "rails"})
    found = optics.calibrate(core, key=KEY, rounds=1, averages=1, probes=probes, pixel_averages=1)
    shown = pixels_as_shown(found.core)
    np.testing.assert_allclose(shown, 1, atol=1.5e-3)
    assert found.after < 1e-3 < SPREAD / 2 < found.before


def test_noise_of_probes_is_averaged_to_what_the_closed_form_says():
    """Shot noise of n electrons, A probes of either rail of inputs in two masks: 1 / sqrt(4 A n) is left in each pixel.

    Of 960 pixels the rms has a standard error of 1 / sqrt(1,920); five of them. The constant that single inputs share
    takes less than 1 / 48 of it.
    """
    averages = 8
    core = device("shot")
    core = core.replace({"source.power": core.source.power * 400 / core.electrons})
    assert float(core.electrons) == pytest.approx(400, rel=1e-5)
    found = optics.calibrate(core, key=KEY, rounds=1, averages=64, pixel_averages=averages)
    left = np.std(pixels_as_shown(found.core))
    expected = np.sqrt(1 / (4 * averages * 400))
    assert left == pytest.approx(expected, rel=5 / np.sqrt(2 * 2 * ROWS * COLUMNS))
    assert expected < SPREAD / 5


def test_corrected_product_is_that_of_a_loop_over_pixels():
    """Rounding to 5 bits after the division, a scale that holds the largest of a column, and the pixels' own gains."""
    core = undone(device("weight_rounding", **{"mask.bits": 5.0}))
    draw = np.random.default_rng(1)
    # Two tiles along each axis, of 16 x 12 weights.
    x, w = draw.normal(size=(3, ROWS + 7)).astype(np.float32), draw.normal(size=(ROWS + 7, COLUMNS + 3))
    gain = np.asarray(core.prepare().variation.pixel_gain, np.float64)
    shown, error = np.zeros_like(w), []
    for j in range(w.shape[1]):
        own = [gain[int(w[k, j] < 0), k % 16, j % 12] for k in range(len(w))]
        scale = max(abs(w[k, j]) * max(1 / own[k], 1) for k in range(len(w)))
        for k in range(len(w)):
            code = round(w[k, j] / own[k] / scale * 31)
            shown[k, j] = code / 31 * scale * own[k]
            error.append((shown[k, j] - w[k, j]) / scale)
    y = core.matmul(jnp.asarray(x), jnp.asarray(w, jnp.float32), key=KEY)
    np.testing.assert_allclose(y, x @ shown, rtol=1e-4, atol=1e-4)
    # Bennett (1948): a step over the root of 12, of 713 weights, within five standard errors.
    assert np.std(error) == pytest.approx(1 / 31 / np.sqrt(12), rel=5 * np.sqrt(0.2 / len(error)) + SPREAD**2)


@pytest.mark.parametrize(
    "changes",
    [
        {"encoding.weights": "offset"},
        {"encoding.weights": "unsigned"},
        {"encoding.inputs": "offset"},
        {"encoding.inputs": "offset", "encoding.weights": "offset"},
        {"encoding.weight_slices": 2, "mask.bits": 4.0},
        {"encoding.scales": "tile"},
    ],
    ids=str,
)
def test_correction_makes_a_device_of_equal_pixels_of_any_encoding(changes):
    """Without rounding; offset weights near full scale are clipped on weak pixels, so those are left out."""
    core = device(**changes)
    draw = np.random.default_rng(2)
    x, w = draw.normal(size=(4, 40)).astype(np.float32), draw.uniform(-0.5, 0.5, size=(40, 30)).astype(np.float32)
    w[0], w[ROWS] = -1.0, -1.0
    if core.encoding.weights == "unsigned":
        w = np.abs(w)
    before, after = (
        np.asarray(each.matmul(jnp.asarray(x), jnp.asarray(w), key=KEY)) - x @ w for each in (core, undone(core))
    )
    assert np.std(before) > 0.05
    np.testing.assert_allclose(after, 0, atol=float(8e-4 * np.std(x @ w)))


def test_without_a_correction_the_program_and_the_last_bit_are_as_they_were():
    """A correction of ones by pixel is another program with the same numbers."""
    core = optics.today(rows=16, columns=8)
    ones = core.replace({"correction.pixel_gain": np.ones((2, 16, 8))})
    x, w = jax.random.normal(jax.random.key(2), (4, 16)), jax.random.normal(jax.random.key(1), (16, 8))
    programs = [
        jax.jit(lambda core, x, w: core.load(w).matmul(x, key=KEY)).lower(each, x, w).as_text() for each in (core, ones)
    ]
    lengths = [len(program.splitlines()) for program in programs]
    assert lengths[0] < lengths[1]
    np.testing.assert_allclose(*(each.matmul(x, w, key=KEY) for each in (core, ones)), rtol=1e-6, atol=1e-6)


def test_probes_of_pixels_are_in_the_bill():
    core = device()
    plain = optics.calibrate(core, key=KEY, rounds=1, averages=2)
    found = optics.calibrate(core, key=KEY, rounds=1, averages=2, pixel_averages=3)
    assert plain.vectors == 2 * 5 * ROWS
    assert found.vectors == plain.vectors + 3 * 16 * ROWS
    vector = float(core.encoding.symbols / core.clock)
    assert found.seconds - plain.seconds > 3 * 16 * ROWS * vector
    # At least the four masks are written, two sources and two pixels for each weight.
    assert found.joules - plain.joules > 4 * 4 * ROWS * COLUMNS * float(core.mask.write_energy)


def test_correction_of_pixels_goes_to_files_and_stays_through_later_calibrations(tmp_path):
    core = device()
    found = optics.calibrate(core, key=KEY, rounds=1, averages=1, pixel_averages=1).core
    for name in ("core.toml", "core.json"):
        optics.serialise.save(found, tmp_path / name)
        assert optics.serialise.load(tmp_path / name) == found
    again = optics.calibrate(found, key=KEY, rounds=1, averages=1).core
    np.testing.assert_array_equal(again.correction.pixel_gain, found.correction.pixel_gain)
    groups = optics.analysis.ablation.groups
    assert "mask_mismatch" in groups(core) and "mask_mismatch" not in groups(found)
    assert "mask_mismatch" in groups(found)["calibrated residual"]


def test_correction_of_pixels_acts_in_loaded_designs_by_site(tmp_path):
    """Each core by site has its own pixels; a design goes to a file and back."""
    core = device()
    other = core.replace({"device": 6})
    design = optics.CoresBySite(core, {"head": other})
    found = optics.calibrate(design, key=KEY, rounds=1, averages=1, pixel_averages=1).core
    optics.save_by_site(found, tmp_path / "design.toml")
    again = optics.load_by_site(tmp_path / "design.toml")
    assert again.by_name == found.by_name
    draw = np.random.default_rng(3)
    params = {name: draw.normal(size=(ROWS, COLUMNS)).astype(np.float32) for name in ("first", "head")}
    x = draw.normal(size=(5, ROWS)).astype(np.float32)

    def forward(params, x):
        return x @ params["first"], x @ params["head"]

    run = optics.emulate(forward)
    errors = {}
    for name, each in (("raw", design), ("corrected", again)):
        loaded = jax.jit(optics.load(forward))(each, params, x)
        called, kept = (run(given, KEY, params, x) for given in (each, loaded))
        for one, two, exact in zip(called, kept, forward(params, x), strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-4)
            errors.setdefault(name, []).append(np.std(one - exact) / np.std(exact))
    assert all(after < before / 20 for after, before in zip(errors["corrected"], errors["raw"], strict=True))


def test_gradient_passes_the_correction_in_weights_and_gains():
    """Nothing else acts, so a single finite difference will do; the largest of each column has its gradient too."""
    core = undone(device())
    draw = np.random.default_rng(4)
    x, w, step = (draw.normal(size=shape) for shape in ((6, ROWS), (ROWS, COLUMNS), (2, ROWS, COLUMNS)))

    def loss(w, gain):
        return jnp.sum(
            core.replace({"correction.pixel_gain": gain}).matmul(jnp.asarray(x, jnp.float32), w, key=KEY) ** 2
        )

    run = jax.jit(jax.value_and_grad(loss, (0, 1)))
    at = jnp.asarray(w, jnp.float32), core.correction.pixel_gain
    slopes = run(*at)[1]
    np.testing.assert_allclose(slopes[0], 2 * x.T @ (x @ w), rtol=1e-3, atol=1e-2)
    above, below = (float(run(at[0], at[1] + s * jnp.asarray(step, jnp.float32))[0]) for s in (1e-3, -1e-3))
    assert float(np.sum(slopes[1] * step)) == pytest.approx((above - below) / 2e-3, rel=0.01)


def test_dark_inputs_and_dead_pixels_are_not_divided_by_what_they_show():
    draw = np.random.default_rng(5)
    signs = draw.choice([-1.0, 1.0], size=(2, ROWS, COLUMNS))
    gains = draw.uniform(0.9, 1.1, size=(2, ROWS, COLUMNS))
    gains[0, 3, 4], rows = 0.0, np.ones((2, ROWS, 1))
    rows[:, 7] = 1e-6
    masks = np.concatenate([signs, -signs])
    seen = np.where(masks > 0, gains[0], -gains[1])[:, None] * rows
    model, found = fit_pixels(masks, seen)
    assert found[0, 3, 4] == 0.5
    np.testing.assert_array_equal(found[:, 7], 1)
    # What rows and columns share is theirs.
    together = found * model.rows.mean(axis=0)[:, None] * model.columns
    together[0, 3, 4], gains[0, 3, 4] = 1.0, 1.0
    np.testing.assert_allclose(np.delete(together / gains, 7, axis=1), 1, atol=1e-3)


@pytest.mark.parametrize("averages", [-1, 1.5, True, 2**21])
def test_averages_of_pixels_that_cannot_be_meant_are_refused(averages):
    with pytest.raises(ValueError, match="pixel_averages = .* must be a whole number, at least 0 and at most"):
        optics.calibrate(device(), key=KEY, pixel_averages=averages)


def test_one_number_for_all_pixels_and_other_shapes_are_refused():
    core = optics.today(rows=16, columns=8)
    with pytest.raises(
        ValueError, match=r"pixel_gain = 0.75 must be 1, for none, or one number per pixel, \(2, 16, 8\)"
    ):
        core.replace({"correction.pixel_gain": 0.75})
    with pytest.raises(ValueError, match=r"pixel_gain has shape \(16, 8\); this core needs a number or \(2, 16, 8\)"):
        core.replace({"correction.pixel_gain": np.ones((16, 8))})
    old = {field.name: getattr(core.correction, field.name) for field in dataclasses.fields(Correction)}
    del old["pixel_gain"]
    assert Correction(**old) == Correction.none()


def test_sums_of_clear_pixels_that_do_not_fit_are_refused():
    core = optics.today(rows=64, columns=8).replace({"adc.span": "rows", "adc.gain": 2.0})
    optics.analysis.calibrate.check_calibration(core, 1, 1, "hadamard")
    with pytest.raises(ValueError, match="sums of up to 40 full products, and the ADC's full scale holds 32"):
        optics.calibrate(core, key=KEY, probes="hadamard", pixel_averages=1)
