"""Convolutions on the core: against XLA's own, against a float64 loop for the noise, and in every transformation."""

import itertools
from functools import partial
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import optics
from optics.equations import convolution

CASES = 200
KEY = jax.random.key(3)
CORE = optics.ideal(optics.preset("today", rows=64, columns=16))


class Exact:
    """A core that multiplies as the function does, and compiles in a tenth of the time of an optical one."""

    def matmul(self, x, w, *, key):
        return jnp.matmul(x, w, precision="highest")


NAMES = "XYZ"


def drawn(number: int) -> tuple[tuple[int, ...], tuple[int, ...], dict]:
    """(shape of the images, shape of the kernels, options) of a convolution with every option drawn."""
    draw = np.random.default_rng(number)
    dimensions = int(draw.choice([0, 1, 2, 3], p=[0.05, 0.3, 0.45, 0.2]))
    feature, batch = (int(draw.integers(1, 4)), 1) if draw.random() < 0.6 else (1, int(draw.integers(1, 4)))
    images, channels = batch * int(draw.integers(1, 4)), feature * int(draw.integers(1, 4))
    outputs = feature * batch * int(draw.integers(1, 4))
    kernel = draw.integers(1, 4, dimensions)
    spread, dilation = draw.integers(1, 3, dimensions), draw.integers(1, 3, dimensions)
    sizes = draw.integers(3, 8, dimensions)
    padding = []
    for size, step, extent, between in zip(sizes, dilation, kernel, spread, strict=True):
        low, high = (int(value) for value in draw.integers(-1, 4, 2))
        short = (extent - 1) * between + 1 - ((size - 1) * step + 1 + low + high)
        padding.append((low, high + max(int(short), 0)))
    space = NAMES[:dimensions]
    layout = ["".join(draw.permutation(list(first + space))) for first in ("NC", "OI", "NC")]
    numbers = lax.conv_dimension_numbers((1,) * (dimensions + 2), (1,) * (dimensions + 2), tuple(layout))

    def shaped(spec, first, second, rest):
        shape = [0] * (dimensions + 2)
        for axis, size in zip(spec, (first, second, *rest), strict=True):
            shape[axis] = int(size)
        return tuple(shape)

    options = {
        "window_strides": tuple(int(s) for s in draw.integers(1, 3, dimensions)),
        "padding": padding,
        "lhs_dilation": tuple(map(int, dilation)),
        "rhs_dilation": tuple(map(int, spread)),
        "dimension_numbers": numbers,
        "feature_group_count": feature,
        "batch_group_count": batch,
    }
    image = shaped(numbers.lhs_spec, images, channels, sizes)
    return image, shaped(numbers.rhs_spec, outputs, channels // feature, kernel), options


PARTS = [(part, Exact()) for part in np.array_split(np.arange(CASES), 8)]
PARTS += [(np.arange(0, CASES, 40), CORE)]
WHOLE = [pytest.param(part, CORE, marks=pytest.mark.slow) for part in np.array_split(np.arange(CASES), 8)]


@pytest.mark.parametrize(("numbers", "core"), PARTS + WHOLE)
def test_an_ideal_core_gives_the_digital_convolution(numbers, core):
    for number in numbers:
        image, kernel, options = drawn(number)
        draw = np.random.default_rng(1000 + number)
        x = jnp.asarray(draw.normal(size=image), jnp.float32)
        w = jnp.asarray(draw.normal(size=kernel), jnp.float32)

        def convolved(w, x, options=options):
            return lax.conv_general_dilated(x, w, precision="highest", **options)

        expected = convolved(w, x)
        # Every third is cut into the smallest blocks there are.
        with mock.patch.object(convolution, "BLOCK", 1 if number % 3 == 0 else convolution.BLOCK):
            found = jax.jit(partial(optics.emulate(convolved), core))(KEY, w, x)
        scale = max(float(jnp.max(jnp.abs(expected))), 1.0)
        np.testing.assert_allclose(found, expected, atol=1e-6 * scale, err_msg=f"{number}: {image} {kernel} {options}")


def test_the_macs_are_those_of_the_digital_convolution():
    """Against a count of the products that a direct convolution does, padding included."""
    for number in range(40):
        image, kernel, options = drawn(number)
        convolved = jax.eval_shape(
            lambda w, x, options=options: lax.conv_general_dilated(x, w, **options),
            jax.ShapeDtypeStruct(kernel, jnp.float32),
            jax.ShapeDtypeStruct(image, jnp.float32),
        )
        (site,) = optics.trace(lambda w, x, options=options: lax.conv_general_dilated(x, w, **options))(
            jax.ShapeDtypeStruct(kernel, jnp.float32), jax.ShapeDtypeStruct(image, jnp.float32)
        )
        outputs = kernel[options["dimension_numbers"].rhs_spec[0]]
        assert site.optical
        assert site.macs == convolved.size * int(np.prod(kernel)) // outputs
        assert site.matrices == options["feature_group_count"] * options["batch_group_count"]


def in_2d(w, x):
    return lax.conv_general_dilated(x, w, (2, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


@pytest.fixture(scope="module")
def kernel_and_images():
    draw = np.random.default_rng(5)
    return jnp.asarray(draw.normal(size=(3, 3, 4, 6)), jnp.float32), jnp.asarray(
        draw.normal(size=(4, 8, 6, 4)), jnp.float32
    )


def by_hand(w: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(patches [positions, rows], kernels [rows, columns]) of `in_2d` in float64, by loops."""
    w, x = np.asarray(w, np.float64), np.asarray(x, np.float64)
    padded = np.pad(x, ((0, 0), (0, 1), (1, 1), (0, 0)))
    patches = [
        padded[image, 2 * line : 2 * line + 3, column : column + 3].transpose(2, 0, 1).reshape(-1)
        for image, line, column in itertools.product(range(4), range(4), range(6))
    ]
    return np.array(patches), w.transpose(2, 0, 1, 3).reshape(-1, w.shape[3])


@pytest.mark.parametrize("effect", ["thermal", "shot", "adc_noise"])
def test_the_noise_of_each_output_has_the_variance_of_its_patch(kernel_and_images, effect):
    """400 draws: the relative standard error of a variance is 7 %; of 576 outputs none is off by 5.5 of them.

    The chance that a right variance fails anywhere is below 1e-4.
    """
    w, x = kernel_and_images
    core = optics.today(rows=64, columns=16).replace(
        {"effects": optics.Effects.uniform(0.0), f"effects.{effect}": 1.0, "source.power": 1e-6}
    )
    run = jax.jit(jax.vmap(optics.emulate(in_2d), (None, 0, None, None)))
    ys = np.asarray(run(core, jax.random.split(KEY, 400), w, x), np.float64).reshape(400, -1, 6)
    patches, kernels = by_hand(w, x)
    keys = jax.random.split(jax.random.key(9), 400)
    direct = jax.jit(jax.vmap(lambda key: core.matmul(patches.astype(np.float32), kernels.astype(np.float32), key=key)))
    expected = np.asarray(direct(keys), np.float64)
    np.testing.assert_allclose(ys.mean(0), patches @ kernels, atol=6 * expected.std(0).max() / 20)
    ratio = ys.var(0) / expected.var(0)
    # The ratio of two variances of 400 draws has a standard deviation of 10 %.
    assert np.abs(np.log(ratio)).max() < 0.55
    assert abs(np.log(ratio).mean()) < 0.02


def test_blocks_change_the_draw_and_not_the_law(kernel_and_images):
    w, x = kernel_and_images
    core = optics.today(rows=64, columns=16)
    whole = optics.emulate(in_2d)(core, KEY, w, x)
    with mock.patch.object(convolution, "BLOCK", 36 * 6 * 4):
        assert convolution.Geometry.of(jax.make_jaxpr(in_2d)(w, x).eqns[0]).block() == (1, 4)
        cut = optics.emulate(in_2d)(core, KEY, w, x)
    exact = in_2d(w, x)
    errors = [float(jnp.sqrt(jnp.mean((y - exact) ** 2))) for y in (whole, cut)]
    assert not np.array_equal(whole, cut)
    assert errors[0] == pytest.approx(errors[1], rel=0.2)


def test_the_gradient_is_that_of_patches(kernel_and_images):
    """With the effects that the same key draws alike: those of the device, not of the vectors."""
    w, x = kernel_and_images
    core = optics.today(rows=64, columns=16).replace(
        {"effects": optics.Effects.uniform(0.0), "effects.mask_mismatch": 1.0}
    )
    cotangent = jnp.asarray(np.random.default_rng(2).normal(size=(4, 4, 6, 6)), jnp.float32)

    def of_patches(w, x):
        layout = ("NHWC", "HWIO", "NHWC")
        patches = lax.conv_general_dilated_patches(x, (3, 3), (2, 1), "SAME", dimension_numbers=layout)
        y = patches.reshape(-1, 36) @ w.transpose(2, 0, 1, 3).reshape(36, 6)
        return jnp.sum(y.reshape(4, 4, 6, 6) * cotangent)

    def convolved(w, x):
        return jnp.sum(in_2d(w, x) * cotangent)

    expected = jax.grad(optics.emulate(of_patches), (2, 3))(core, KEY, w, x)
    for block in (convolution.BLOCK, 36 * 6):
        with mock.patch.object(convolution, "BLOCK", block):
            found = jax.grad(optics.emulate(convolved), (2, 3))(core, KEY, w, x)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), found, expected)


def test_loaded_kernels_give_the_same(kernel_and_images, optimised):
    w, x = kernel_and_images
    core = optics.today(rows=64, columns=16)
    loaded = jax.jit(optics.load(in_2d))(core, w, x)
    assert list(loaded.sites) == ["000 weights 36x6"]
    run = jax.jit(optics.emulate(in_2d))
    np.testing.assert_allclose(run(loaded, KEY, w, x), run(core, KEY, w, x), rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("block", [convolution.BLOCK, 36 * 6])
def test_readings_count_each_position_once(kernel_and_images, block):
    w, x = kernel_and_images
    core = optics.today(rows=64, columns=16)
    with mock.patch.object(convolution, "BLOCK", block):
        y, readings = optics.emulate(in_2d, diagnostics=True)(core, KEY, w, x)
    (seen,) = readings.values()
    patches, _ = by_hand(w, x)
    assert float(seen.conversions) == y.size
    drive = np.abs(patches) / np.maximum(np.abs(patches).max(axis=1, keepdims=True), 1e-30)
    assert float(seen.mean_drive()) == pytest.approx(drive.mean(), rel=1e-4)
    error = np.asarray(y) - np.asarray(in_2d(w, x))
    assert float(seen.snr_db()) == pytest.approx(
        10 * np.log10(np.sum(np.asarray(in_2d(w, x)) ** 2) / np.sum(error**2)), abs=0.05
    )


def test_complex_and_short_types():
    draw = np.random.default_rng(0)
    w, x = (draw.normal(size=s) + 1j * draw.normal(size=s) for s in ((5, 3, 2, 2), (2, 3, 6, 6)))
    w, x = jnp.asarray(w, jnp.complex64), jnp.asarray(x, jnp.complex64)

    def convolved(w, x):
        return lax.conv(x, w, (1, 1), "SAME")

    np.testing.assert_allclose(optics.emulate(convolved)(CORE, KEY, w, x), convolved(w, x), atol=1e-4)
    short = [v.real.astype(jnp.bfloat16) for v in (w, x)]
    y = optics.emulate(convolved)(CORE, KEY, *short)
    assert y.dtype == jnp.bfloat16
    np.testing.assert_allclose(y.astype(np.float32), convolved(*short).astype(np.float32), rtol=0.02, atol=0.05)


def test_vmap_and_scan_equal_a_loop(kernel_and_images):
    w, x = kernel_and_images
    core = optics.ideal(optics.today(rows=64, columns=16))
    ws, xs = jnp.stack([w, 2 * w]), jnp.stack([x, x + 1])
    expected = jnp.stack([in_2d(a, b) for a, b in zip(ws, xs, strict=True)])
    mapped = optics.emulate(jax.vmap(in_2d))(core, KEY, ws, xs)
    np.testing.assert_allclose(mapped, expected, atol=1e-4)
    scanned = optics.emulate(lambda ws, xs: lax.scan(lambda _, wx: (0, in_2d(*wx)), 0, (ws, xs))[1])(core, KEY, ws, xs)
    np.testing.assert_allclose(scanned, expected, atol=1e-4)


def test_memory_is_that_of_the_images():
    """224 x 224, 64 channels, batch 8: at most 1.5 times what the digital convolution needs."""

    def convolved(w, x):
        return lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    shapes = [jax.ShapeDtypeStruct(s, jnp.float32) for s in ((3, 3, 64, 64), (8, 224, 224, 64))]
    core = optics.today()

    def needed(function, *args):
        memory = jax.jit(function).lower(*args).compile().memory_analysis()
        return memory.temp_size_in_bytes + memory.argument_size_in_bytes + memory.output_size_in_bytes

    digital = needed(convolved, *shapes)
    assert needed(optics.emulate(convolved), core, KEY, *shapes) < 1.5 * digital
