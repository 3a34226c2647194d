"""The tables of docs/guide/calibrate.md: single inputs beside Hadamard patterns.

python docs/calibration/compare_probes.py noise 64 256       # variances of what probes show, by size of the core
python docs/calibration/compare_probes.py residual 64        # what a calibration leaves, by number of vectors
python docs/calibration/compare_probes.py pixels 64          # what it leaves where single pixels are corrected
"""

import sys

import jax
import numpy as np

import optics
from optics.analysis import probes

PRESETS = (optics.today, optics.projected_2029, optics.physical_limit)
NOISE = ("dac_noise", "rin", "shot", "thermal", "jitter", "adc_noise")
DRAWS = 3
# A device before its first calibration; blur and drift are left out, which no correction has a number for, and pixels,
# which have a table of their own.
RAW = {
    "device": 7,
    "drift.age": 0.0,
    "source.gain_mismatch": 0.1,
    "detector.gain_mismatch": 0.05,
    "adc.offset_mismatch": 0.01,
    "space.input_crosstalk_earlier": 0.01,
    "space.input_crosstalk_later": 0.015,
    "space.output_crosstalk_earlier": 0.01,
    "space.output_crosstalk_later": 0.02,
    "mask.mismatch": 0.0,
    "mask.blur": 0.0,
}


judge = jax.jit(probes.residual, static_argnames="averages")


def compare_noise(size: int) -> None:
    """Print the variance of single inputs over that of patterns, for each preset and range of the ADC."""
    weights = probes.random_mask(jax.random.key(5), size, size)
    ways = {
        kind: jax.jit(lambda core, key, way=way: way(core, None, weights, key, 1))
        for kind, way in (("single", probes.seen_by_single), ("hadamard", probes.seen_by_patterns))
    }
    for span in ("norms", "rows"):
        for preset in PRESETS:
            core = preset(rows=size, columns=size).replace({"device": 7, "adc.span": span})
            variance = {
                kind: np.mean(np.var([way(core, jax.random.key(n)) for n in range(DRAWS)], axis=0, ddof=1))
                for kind, way in ways.items()
            }
            ratio = variance["single"] / variance["hadamard"]
            order = probes.hadamard_order(size)
            print(f"{size} x {size}, order {order}, adc.span {span:5} {preset.__name__:15} {ratio:.2f}", flush=True)


def quiet(core: optics.TensorCore) -> float:
    """The error of products of a core without noise."""
    silent = core.replace({f"effects.{name}": 0.0 for name in NOISE})
    return float(judge(silent, None, jax.random.key(99), averages=1))


def compare_pixels(size: int) -> None:
    """Print the error of products without noise by the spread of the pixels and by the probes of each."""
    for spread in (0.005, 0.02, 0.25):
        core = optics.projected_2029(rows=size, columns=size).replace(RAW | {"mask.mismatch": spread})
        print(f"projected_2029, {size} x {size}, mask.mismatch {spread}, before: {quiet(core):.4f}")
        for averages in (0, 16, 256):
            found = optics.calibrate(core, key=jax.random.key(0), rounds=2, averages=16, pixel_averages=averages)
            print(
                f"pixel_averages {averages:3}: {quiet(found.core):.4f}, {found.vectors:6} vectors, "
                f"{1e6 * found.joules:.3g} uJ, {1e6 * found.seconds:.3g} us",
                flush=True,
            )


def compare_residuals(size: int) -> None:
    """Print the error of products without noise after two rounds, and the joules at the light of the probes."""
    for preset in PRESETS[:2]:
        core = preset(rows=size, columns=size).replace(RAW)
        print(f"{preset.__name__}, {size} x {size}, before: {quiet(core):.4f}")
        for averages in (1, 8, 64):
            for kind, drive in (("single", 0.5 / size), ("hadamard", 0.25)):
                lit = core.replace({"source.mean_drive": drive})
                found = [
                    optics.calibrate(lit, key=jax.random.key(n), rounds=2, averages=averages, probes=kind)
                    for n in range(DRAWS)
                ]
                left = [quiet(each.core) for each in found]
                print(
                    f"{found[0].vectors:6} vectors, {kind:8}: {min(left):.4f} to {max(left):.4f}, "
                    f"{1e6 * found[0].joules:.3g} uJ",
                    flush=True,
                )


if __name__ == "__main__":
    for given in sys.argv[2:]:
        {"noise": compare_noise, "residual": compare_residuals, "pixels": compare_pixels}[sys.argv[1]](int(given))
