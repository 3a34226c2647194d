"""Range of the least squared error against the uniform quantiser of a Gaussian, in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optics
from experiments.adapt.ranges import least_squares, relative_error

DRAWS = np.random.default_rng(6)
X = jnp.asarray(DRAWS.normal(size=(512, 256)), jnp.float32)
W = jnp.asarray(DRAWS.normal(size=(256, 128)), jnp.float32)


def distortion(levels, step):
    """Mean squared error of a unit Gaussian in so many levels, symmetric about 0, by integration."""
    t = np.linspace(-8.0, 8.0, 16_001)
    codes = (np.arange(levels) - (levels - 1) / 2) * step
    nearest = codes[np.clip(np.rint(t / step + (levels - 1) / 2), 0, levels - 1).astype(int)]
    return np.trapezoid((t - nearest) ** 2 * np.exp(-(t**2) / 2) / np.sqrt(2 * np.pi), t)


def test_distortion_is_that_of_max():
    """Max, IRE Trans. Inf. Theory 6, 7 (1960), table II: 16 levels, step 0.3352, error 0.01154."""
    steps = np.linspace(0.3, 0.4, 101)
    found = [distortion(16, step) for step in steps]
    assert steps[np.argmin(found)] == pytest.approx(0.3352, abs=1e-3)
    assert min(found) == pytest.approx(0.01154, abs=1e-5)


@jax.jit
def snr_db(bits, loading):
    """Of Gaussian products on a core that rounds and clips at its ADC alone."""
    effects = optics.Effects.only("adc_rounding", "adc_clipping")
    core = optics.today(rows=256, columns=128).replace({"effects": effects, "adc.enob": 1.0})
    run = optics.emulate(lambda w, x: x @ w, diagnostics=True)
    (found,) = run(core.replace({"adc.bits": bits, "adc.loading": loading}), jax.random.key(0), W, X)[1].values()
    return found.snr_db()


@pytest.mark.parametrize("bits", [4, 5, 6])
def test_least_squares_of_gaussian_products_is_the_range_of_the_best_uniform_quantiser(bits):
    """2^bits - 1 levels up to 1 + loading x rms, in full products, of which each output has an rms of its own."""
    levels = 2**bits - 1
    norms = [np.linalg.norm(values, axis=axis) for values, axis in ((X, 1), (W, 0))]
    peaks = [np.max(np.abs(values), axis=axis) for values, axis in ((X, 1), (W, 0))]
    rms = np.outer(*norms) / 16
    one_full_product = np.outer(*peaks) / rms
    edges = np.linspace(1.0, 12.0, 441)
    of_edges = [distortion(levels, 2 * edge / (levels - 1)) for edge in edges]

    def expected(loading):
        return np.sum(rms**2 * np.interp(loading + one_full_product, edges, of_edges)) / np.sum(rms**2)

    def error(loading):
        return {"w": relative_error([float(snr_db(float(bits), loading["w"]))])}

    found = least_squares(error, ("w",))["w"]
    # The few products that clip are a tenth of the error: 2 % of sampling error, for fixed draws.
    assert error({"w": found})["w"] == pytest.approx(expected(found), rel=0.05)
    loadings = np.geomspace(1.0, 8.0, 97)
    errors = [expected(loading) for loading in loadings]
    assert expected(found) < 1.03 * min(errors)
    assert abs(np.log2(found / loadings[np.argmin(errors)])) < 0.25


def test_least_squares_looks_at_all_kinds_together_each_at_its_own_candidate():
    best, looked_at = {"q": 2.9, "down": 11.0, "head": 0.2}, []

    def errors(loading):
        looked_at.append(loading)
        return {kind: np.log(loading[kind] / best[kind]) ** 2 for kind in best}

    found = least_squares(errors, tuple(best))
    assert len(looked_at) == 11
    for kind in ("q", "down"):
        assert abs(np.log2(found[kind] / best[kind])) <= 0.126
    assert found["head"] == 1.0


def test_relative_error_is_the_mean_over_layers_and_nothing_of_an_exact_product():
    assert relative_error([20.0, 10.0, None]) == pytest.approx((0.01 + 0.1) / 3)
